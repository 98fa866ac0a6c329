"""The benchmark compares before it times, judges goals as it should, and writes what it found. No time is asserted."""

import json
import sys
from dataclasses import replace
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

# Last, so that an installed kpool goes before the source next to the benchmark.
sys.path.append(str(Path(__file__).parents[1]))

from benchmarks import models
from benchmarks.__main__ import main
from benchmarks.cases import DTYPES, Case, Operation
from benchmarks.contender_kpool import Kpool
from benchmarks.contender_tensorflow import XLA, CopyOp, TensorFlow, TensorFlowInt32
from benchmarks.contender_torch import PyTorch
from benchmarks.floor import Copy
from benchmarks.goals import GOALS, MET, MISSED, NOT_MEASURED, Goal, judge
from benchmarks.process import Elsewhere, in_fresh_process
from benchmarks.races import GROUPS, PYTORCH_OPERATIONS, Plan
from benchmarks.report import report
from benchmarks.results import Lane, Measurement, Mismatch, Results
from benchmarks.runner import Effort, run_groups, run_race
from benchmarks.timing import FEWEST_ROUNDS, interleaved

ONCE = Effort(rounds=1, budget=0, processes=1)
PLAN = Plan(cache=1 << 20, quick=True)
SHAPE = (2, 11, 13, 4)
NOT_POOLING = (Operation.IDENTITY, Operation.MNIST_STEP, Operation.SEGNET_STEP, Operation.KEPT, Operation.PEAK)
OF_MANY = (Operation.GRAPH_OF_MANY, Operation.GRAPH_OF_MANY_INDICES)
CONTENDERS = {
    contender.name: contender for contender in (Kpool(), TensorFlow(), TensorFlowInt32(), XLA(), Copy(2), CopyOp())
}


def race(case, contenders):
    return [Lane("table", case.operation, case.name, name, name, case) for name in contenders]


def run_alike(cases, contenders):
    """Run a race in which everybody's results are right; whom it timed."""
    results = run_race([lane for case in cases for lane in race(case, contenders)], CONTENDERS, ONCE)
    assert not results.mismatches
    assert all(measurement.median > 0 for measurement in results.measurements)
    return {measurement.lane.contender for measurement in results.measurements}


# Results are compared before they are timed


@pytest.mark.parametrize("operation", [operation for operation in Operation if operation not in NOT_POOLING])
def test_everyone_agrees_with_the_referee(operation):
    case = Case(operation, (64, 3, 4, 2) if operation in OF_MANY else SHAPE)
    took_part = run_alike([case], ["kpool", "TensorFlow", "TensorFlow int32"])
    assert "kpool" in took_part
    assert "TensorFlow" in took_part or operation in (Operation.BACKWARD, Operation.GLOBAL_MAX_INDICES)


@pytest.mark.parametrize("window", [(3, 2, "same"), (3, 2, "valid"), (5, 1, "same")])
@pytest.mark.parametrize("operation", [Operation.FORWARD_INDICES, Operation.FORWARD_BACKWARD, Operation.AVERAGE])
def test_everyone_agrees_where_windows_overlap(operation, window):
    assert len(run_alike([Case(operation, SHAPE, *window)], ["kpool", "TensorFlow"])) == 2


@pytest.mark.parametrize("operation", [Operation.FORWARD_INDICES, Operation.BACKWARD, Operation.AVERAGE])
def test_every_layout_dtype_and_way_to_call_is_compared(operation):
    case = Case(operation, SHAPE, 3, 2)
    dtypes = [dtype for dtype in DTYPES if dtype != "uint8" or operation is Operation.FORWARD_INDICES]
    cases = [replace(case, data_format="channels_first"), replace(case, eager=True), replace(case, threads=1)]
    assert run_alike([*cases, *(replace(case, dtype=dtype) for dtype in dtypes)], ["kpool"]) == {"kpool"}


def test_the_floor_copies_as_many_bytes_as_are_moved():
    case = Case(Operation.FORWARD_INDICES, (1, 4, 4, 1))
    assert case.bytes_moved == 16 * 4 + 4 * 4 + 4 * 4
    assert run_alike([case], ["copy", "TensorFlow's copy"]) == {"copy", "TensorFlow's copy"}
    source, destination = np.arange(5), np.zeros(5, int)
    Copy(2).copying(source, destination, 2)()
    np.testing.assert_array_equal(destination, source)


def test_xla_takes_part_where_it_can():
    assert run_alike([Case(Operation.FORWARD, SHAPE)], ["TensorFlow XLA"])
    assert not run_alike([Case(Operation.FORWARD_INDICES, SHAPE)], ["TensorFlow XLA"])


@pytest.mark.skipif(not find_spec("torch"), reason="PyTorch is not installed")
@pytest.mark.parametrize("window", [(2, 2, "valid"), (3, 2, "same"), (3, 2, "valid")])
@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_pytorch_agrees_in_its_own_process(data_format, window):
    operations = (*PYTORCH_OPERATIONS, Operation.FORWARD, Operation.FORWARD_BACKWARD)
    pytorch = Elsewhere(PyTorch, 1)
    try:
        for operation in operations:
            lanes = race(Case(operation, (2, 12, 12, 4), *window, data_format), ["PyTorch"])
            results = run_race(lanes, {"PyTorch": pytorch}, ONCE)
            assert not results.mismatches
            assert len(results.measurements) == 1
    finally:
        pytorch.close()


def test_models_agree_and_keras_has_no_unpooling():
    makers = {"kpool": models.KPOOL, "Keras": models.KERAS, "argmax": models.SCATTER}
    contenders = {name: models.Model(name, layers, jit_compile=False) for name, layers in makers.items()}
    results = run_race(race(Case(Operation.SEGNET_STEP, (2, 8, 8, 3)), makers), contenders, ONCE)
    assert not results.mismatches
    assert [measurement.lane.column for measurement in results.measurements] == ["kpool", "argmax"]


class Wrong(Kpool):
    """Is off in one index out of all, or in the gradient's scale, or gives too little."""

    def standard_indices(self, case, indices):
        indices = indices.copy()
        indices[-1, -1, -1, -1] += 1
        return indices

    def forward_backward(self, case, x, gradient):
        values, result = super().forward_backward(case, x, gradient)
        return values, result * 1.0001

    def average(self, case, x):
        return super().average(case, x)[:, 1:]


@pytest.mark.parametrize(
    ("operation", "problem"),
    [
        (Operation.FORWARD_INDICES, "result 2 differs by up to 1, where 0 is allowed"),
        (Operation.FORWARD_BACKWARD, "result 2 differs by up to"),
        (Operation.AVERAGE, "result 1 has shape (2, 4, 6, 4) instead of (2, 5, 6, 4)"),
    ],
)
def test_a_contender_that_is_wrong_is_caught_and_not_timed(operation, problem):
    results = run_race(race(Case(operation, SHAPE), ["kpool", "wrong"]), {**CONTENDERS, "wrong": Wrong()}, ONCE)
    assert [measurement.lane.column for measurement in results.measurements] == ["kpool"]
    assert [mismatch.lane.column for mismatch in results.mismatches] == ["wrong"]
    assert results.mismatches[0].problem.startswith(problem)
    assert f"Wrong results, not timed\n\n- table, {operation}" in report({}, results, [])


def test_a_model_with_other_layers_is_caught():
    averages = models.Layers(lambda: models.keras.layers.AveragePooling2D(2))
    contenders = {
        "kpool": models.Model("kpool", models.KPOOL, jit_compile=False),
        "wrong": models.Model("wrong", averages, jit_compile=False),
    }
    results = run_race(race(Case(Operation.MNIST_STEP, (2, 16, 16, 3)), contenders), contenders, ONCE)
    assert [mismatch.lane.column for mismatch in results.mismatches] == ["wrong"]


# Timing


class Recorded:
    """A call that only writes down that it was made."""

    def __init__(self, name, log):
        self.name, self.log = name, log

    def seconds(self, calls, rehearse):
        self.log.append(self.name)
        return 1.0


@pytest.mark.parametrize(("budget", "rounds"), [(60, 5), (0, FEWEST_ROUNDS)])
def test_rounds_are_interleaved_and_end_with_the_budget(budget, rounds):
    log = []
    times = interleaved({name: Recorded(name, log) for name in "abc"}, 5, budget)
    assert {name: len(values) for name, values in times.items()} == dict.fromkeys("abc", rounds)
    turns = ["".join(log[i : i + 3]) for i in range(3, len(log), 3)]
    assert all(sorted(turn) == ["a", "b", "c"] for turn in turns)
    assert len(set(turns)) == rounds


# Goals


def measured(column, *values, row="1", **case):
    made_up = Case(Operation.FORWARD, (1, 4, 4, 1), **case)
    return Measurement(Lane("table", Operation.FORWARD, row, column, column, made_up), values)


@pytest.mark.parametrize(
    ("bounds", "status"),
    [
        ({"at_least": 2}, MET),
        ({"at_least": 2.1}, MISSED),
        ({"at_most": 8}, MET),
        ({"at_most": 7.9}, MISSED),
        ({"mean_at_least": 4, "at_least": 1}, MET),
        ({"mean_at_least": 4.1, "at_least": 1}, MISSED),
        ({"mean_at_least": 4, "at_least": 3}, MISSED),
        ({"at_least": 2, "operation": Operation.AVERAGE}, NOT_MEASURED),
        ({"at_least": 8, "row": "2"}, MET),
    ],
)
def test_goals_are_judged_by_ratios_of_medians(bounds, status):
    """The ratios are 2 and 8, whose geometric mean is 4."""
    results = Results(
        [
            measured("slow", 5, 6, 900),
            measured("kpool", 3, 1, 4),
            measured("slow", 8, row="2"),
            measured("kpool", 1, row="2"),
            measured("kpool", 1, row="alone"),
        ]
    )
    verdict = judge(Goal(1, "made up", "table", "slow", "kpool", **bounds), results)
    assert verdict.status == status
    if "row" not in bounds and status != NOT_MEASURED:
        assert list(verdict.ratios.values()) == pytest.approx([2, 8])


def test_a_ratio_per_byte():
    results = Results([measured("kpool", 1.0), measured("half", 1.0, dtype="float16")])
    goal = Goal(1, "made up", "table", "half", "kpool", at_most=1.5, per_byte=True)
    assert list(judge(goal, results).ratios.values()) == pytest.approx([2])


def test_wrong_results_miss_every_goal_that_depends_on_them():
    lane = measured("kpool", 1, row="2").lane
    results = Results([measured("slow", 9), measured("kpool", 1)], [Mismatch(lane, "all wrong")])
    goal = Goal(1, "made up", "table", "slow", "kpool", at_least=1)
    assert judge(goal, results).status == MISSED
    assert judge(replace(goal, under="another"), results).status == NOT_MEASURED
    assert "wrong results, 9.00" in report({}, results, [judge(goal, results)])


@pytest.mark.parametrize("goal", GOALS, ids=lambda goal: goal.name)
def test_every_goal_is_about_something_that_races(goal):
    for lanes in GROUPS[goal.group](PLAN):
        concerned = [lane for lane in lanes if goal.concerns(lane)]
        if {lane.column for lane in concerned} == {goal.over, goal.under}:
            return
    pytest.fail(f"nothing measures {goal}")


# The whole program


def test_what_was_found_is_written(tmp_path, capsys):
    file, picture = tmp_path / "found.json", tmp_path / "found.png"
    assert (
        main(["--quick", "--only", "small_threads", "--rounds", "1", "--json", str(file), "--picture", str(picture)])
        == 0
    )
    out = capsys.readouterr().out
    for part in ("processor: ", "instruction set: ", "threads per call: ", "| 1x8x8x8, 2/2 ", "| not measured |"):
        assert part in out
    found = json.loads(file.read_text())
    assert {goal["status"] for goal in found["goals"]} >= {NOT_MEASURED}
    assert len(found["goals"]) == len(GOALS)
    assert [measurement["column"] for measurement in found["measurements"]] == ["1 thread", "2 threads"] * 3
    assert all(measurement["values"] for measurement in found["measurements"])
    assert picture.stat().st_size > 10_000


def test_other_processes_answer_and_tell_what_went_wrong():
    elsewhere = Elsewhere(Copy, 1)
    assert elsewhere.name == "copy"
    call = elsewhere.prepare(Case(Operation.FORWARD, SHAPE))
    assert call.results() is None
    assert call.seconds(1, rehearse=True) > 0
    elsewhere.forget()
    with pytest.raises(IndexError):
        call.results()
    elsewhere.close()
    with pytest.raises(ModuleNotFoundError):
        Elsewhere(import_module, "no_such_module")
    assert in_fresh_process(np.sqrt, 9.0) == 3
    with pytest.raises(TypeError):
        in_fresh_process(len, 9)


@pytest.mark.parametrize(
    "arguments",
    [["--rounds", "0"], ["--threads", "x"], ["--only", "nonsense"], ["--json", "no/such/folder.json"], ["--nonsense"]],
)
def test_options_that_cannot_be_are_refused(arguments, capsys):
    with pytest.raises(SystemExit) as exit_info:
        main(arguments)
    assert exit_info.value.code == 2
    assert arguments[0] in capsys.readouterr().err


def test_groups_that_are_not_there_are_refused():
    with pytest.raises(ValueError, match=r"`names` must be of table, .*\. Received: names=\['nonsense'\]"):
        run_groups(["nonsense"], PLAN, ONCE, {}, 1, print)
