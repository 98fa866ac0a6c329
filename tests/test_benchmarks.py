"""The benchmark compares before it times, judges goals as it should, and writes what it found. No time is asserted."""

import json
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from tensorflow.python.eager import context

from benchmarks import contender, memory, models, races
from benchmarks.__main__ import main
from benchmarks.cases import DTYPES, LIBRARY_OPERATIONS, Case, Operation
from benchmarks.contender_kpool import Kpool
from benchmarks.contender_tensorflow import XLA, CopyOp, TensorFlow, TensorFlowInt32
from benchmarks.contender_torch import PyTorch
from benchmarks.floor import Copy
from benchmarks.goals import GOALS, MET, MISSED, NOT_MEASURED, Goal, judge
from benchmarks.graphs import repeated
from benchmarks.process import Elsewhere
from benchmarks.races import GROUPS
from benchmarks.report import report
from benchmarks.results import Lane, Measurement, Mismatch, Results
from benchmarks.runner import FEWEST_ROUNDS, Effort, interleaved, needed, run_race

ONCE = Effort(rounds=1, budget=0, processes=1, needed_only=False)
SHAPE = (2, 11, 13, 4)
LIBRARIES = (Kpool(), Kpool("kpool, 1 thread", 1), TensorFlow(), TensorFlowInt32(), XLA())
CONTENDERS = {each.name: each for each in (*LIBRARIES, Copy(2), CopyOp())}


@pytest.fixture(autouse=True)
def short_turns(monkeypatch):
    monkeypatch.setattr(contender, "TURN", 1e-9)


def race(case, contenders):
    return [Lane("table", case.operation, case.name, name, name, case) for name in contenders]


def run_alike(case, contenders):
    """Run a race in which everybody's results are right; whom it timed."""
    results = run_race(race(case, contenders), CONTENDERS, ONCE)
    assert not results.mismatches
    assert all(measurement.median > 0 for measurement in results.measurements)
    return {measurement.lane.contender for measurement in results.measurements}


# Results are compared before they are timed


@pytest.mark.parametrize("operation", sorted(LIBRARY_OPERATIONS))
def test_everyone_agrees_with_the_referee(operation):
    able = {library.name for library in LIBRARIES if operation in library.operations}
    assert {"kpool", "kpool, 1 thread"} <= able
    assert run_alike(Case(operation, SHAPE), CONTENDERS) >= able


@pytest.mark.parametrize("window", [(3, 2, "same"), (3, 2, "valid"), (5, 1, "same")])
@pytest.mark.parametrize("operation", [Operation.FORWARD_INDICES, Operation.FORWARD_BACKWARD, Operation.AVERAGE])
def test_everyone_agrees_where_windows_overlap(operation, window):
    assert len(run_alike(Case(operation, SHAPE, *window), ["kpool", "TensorFlow"])) == 2


@pytest.mark.parametrize("operation", [Operation.FORWARD_INDICES, Operation.BACKWARD, Operation.AVERAGE])
def test_every_layout_and_dtype_is_compared(operation):
    case = Case(operation, SHAPE, 3, 2)
    dtypes = [dtype for dtype in DTYPES if dtype != "uint8" or operation is Operation.FORWARD_INDICES]
    for variant in (replace(case, data_format="channels_first"), *(replace(case, dtype=dtype) for dtype in dtypes)):
        assert run_alike(variant, ["kpool"])


@pytest.mark.skipif(not find_spec("torch"), reason="PyTorch is not installed")
@pytest.mark.parametrize("window", [(2, 2, "valid"), (3, 2, "same"), (3, 2, "valid")])
@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_pytorch_agrees_in_its_own_process(data_format, window):
    pytorch = Elsewhere(PyTorch, 1)
    for operation in PyTorch.operations:
        # PyTorch adds up what overlapping windows put in one place.
        if operation is not Operation.UNPOOL_STEP or window[0] == window[1]:
            lanes = race(Case(operation, (2, 12, 12, 4), *window, data_format), ["PyTorch"])
            results = run_race(lanes, {"PyTorch": pytorch}, ONCE)
            assert not results.mismatches
            assert len(results.measurements) == 1
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
    makers = {"kpool": models.KPOOL, "wrong": averages}
    contenders = {name: models.Model(name, layers, jit_compile=False) for name, layers in makers.items()}
    results = run_race(race(Case(Operation.MNIST_STEP, (2, 16, 16, 3)), contenders), contenders, ONCE)
    assert [mismatch.lane.column for mismatch in results.mismatches] == ["wrong"]


# What is timed


@pytest.mark.parametrize("library", [Kpool(), TensorFlow()], ids=lambda library: library.name)
@pytest.mark.parametrize("operation", [Operation.FORWARD_INDICES, Operation.FORWARD_BACKWARD, Operation.UNPOOL_STEP])
def test_no_step_of_a_graph_is_optimised_away(library, operation):
    function, tensors = library.build(Case(operation, SHAPE))
    graph = repeated(function, 5, tensors)
    context.context().enable_run_metadata()
    graph(*tensors)
    graphs = context.context().export_run_metadata().function_graphs
    context.context().disable_run_metadata()
    ops = Counter(node.op for each in graphs for node in each.post_optimization_graph.node)
    pooling = {op: count for op, count in ops.items() if "Pool" in op or "Scatter" in op}
    assert pooling
    assert set(pooling.values()) == {5}


def test_the_floor_copies_as_many_bytes_as_are_moved():
    assert Case(Operation.FORWARD_INDICES, (1, 4, 4, 1)).bytes_moved == 16 * 4 + 4 * 4 + 4 * 4
    source, destination = np.arange(5), np.zeros(5, int)
    Copy(2).copying(source, destination, 2).run()
    np.testing.assert_array_equal(destination, source)


def test_the_command_line_leaves_pytorch_without_tensorflow():
    """Every process that a run starts imports it."""
    code = "import benchmarks.__main__, benchmarks.contender_torch, sys; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[1], check=False).returncode == 0


class Recorded:
    """A call that only writes down that it was made."""

    def __init__(self, name, log):
        self.name, self.log = name, log

    def seconds(self):
        self.log.append(self.name)
        return 1.0


@pytest.mark.parametrize(("budget", "rounds"), [(60, 9), (0, FEWEST_ROUNDS)])
def test_rounds_are_interleaved_and_end_with_the_budget(budget, rounds):
    log = []
    times = interleaved({name: Recorded(name, log) for name in "abc"}, 9, budget)
    assert {name: len(values) for name, values in times.items()} == dict.fromkeys("abc", rounds)
    turns = ["".join(log[i : i + 3]) for i in range(0, len(log), 3)]
    assert all(sorted(turn) == ["a", "b", "c"] for turn in turns)
    assert len(set(turns)) > 1


def test_memory_is_measured():
    lanes = [Lane("memory", Operation.KEPT, "1", name, name, Case(Operation.KEPT, SHAPE)) for name in ("kpool", "1")]
    found = memory.weigh(lanes, 1, 1).measurements
    assert [len(measurement.values) for measurement in found] == [6, 1]
    assert found[1].median == 2 * 5 * 6 * 4


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
    """In quick mode too."""
    races = [[lane for lane in needed(lanes) if goal.concerns(lane)] for lanes in GROUPS[goal.group]()]
    assert any({lane.column for lane in concerned} == {goal.over, goal.under} for concerned in races)


# The whole program


def tiny(group):
    """The races of a group on a few numbers each."""
    for lanes in group():
        yield [
            replace(lane, case=replace(lane.case, shape=tuple(map(min, lane.case.shape, (2, 32, 32, 4)))))
            for lane in lanes
        ]


def test_a_quick_run_from_end_to_end(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(races, "TABLE", races.TABLE[-2:])
    for name, group in GROUPS.items():
        monkeypatch.setitem(GROUPS, name, lambda group=group: tiny(group))
    file, picture = tmp_path / "found.json", tmp_path / "found.png"
    groups = [name for name in GROUPS if name != "memory"]
    options = ["--quick", "--rounds", "1", "--json", str(file), "--picture", str(picture), "--only", *groups]
    assert main(options) == 0
    out = capsys.readouterr().out
    for part in ("processor: ", "instruction set: ", "threads per call: ", "| 1x8x8x8, 2/2 ", "| not measured |"):
        assert part in out
    found = json.loads(file.read_text())
    needs_more = ("PyTorch", "bytes", "peak", "kept") if not find_spec("torch") else ("peak", "kept")
    for goal in found["goals"]:
        assert (goal["status"] == NOT_MEASURED) == any(word in goal["goal"]["name"] for word in needs_more)
    assert all(measurement["values"] for measurement in found["measurements"])
    assert picture.stat().st_size > 10_000


def test_other_processes_answer_and_tell_what_went_wrong():
    elsewhere = Elsewhere(Copy, 1)
    assert elsewhere.name == "copy"
    call = elsewhere.prepare(Case(Operation.FORWARD, SHAPE))
    assert call.results() is None
    assert call.seconds() > 0
    elsewhere.forget()
    with pytest.raises(IndexError):
        call.results()
    elsewhere.close()
    with pytest.raises(ModuleNotFoundError):
        Elsewhere(import_module, "no_such_module")


@pytest.mark.parametrize(
    "arguments",
    [["--rounds", "0"], ["--threads", "x"], ["--only", "nonsense"], ["--json", "no/such/folder.json"], ["--nonsense"]],
)
def test_options_that_cannot_be_are_refused(arguments, capsys):
    with pytest.raises(SystemExit) as exit_info:
        main(arguments)
    assert exit_info.value.code == 2
    assert arguments[0] in capsys.readouterr().err
