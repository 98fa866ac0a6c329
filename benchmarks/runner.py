"""Runs races: everyone prepares, the results are checked, and those that are right are timed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec

import tensorflow as tf

from benchmarks import memory, models
from benchmarks.cases import Operation
from benchmarks.contender import Call, Contender
from benchmarks.contender_kpool import Kpool
from benchmarks.contender_tensorflow import XLA, CopyOp, TensorFlow, TensorFlowInt32
from benchmarks.contender_torch import PyTorch
from benchmarks.floor import Copy
from benchmarks.process import Elsewhere
from benchmarks.races import GROUPS, Plan, Race
from benchmarks.referee import difference, difference_of_models
from benchmarks.results import Lane, Measurement, Mismatch, Results
from benchmarks.timing import interleaved
from kpool.kernels.threads import num_threads
from kpool.tf.library import follow_thread_settings

MODEL_STEPS = (Operation.MNIST_STEP, Operation.SEGNET_STEP)


@dataclass(frozen=True)
class Effort:
    """How long to measure.

    Attributes:
        rounds: How often everyone in a race has a turn.
        budget: Seconds after which a race begins no further round.
        processes: How often memory is measured, each time in a fresh process.
    """

    rounds: int
    budget: float
    processes: int


FULL = Effort(rounds=21, budget=6.0, processes=3)
QUICK = Effort(rounds=4, budget=0.25, processes=1)


def use_threads(threads: int | None) -> int:
    """Let TensorFlow, and with it kpool, use so many threads inside an op, by default one per core.

    Returns how many that is.
    """
    if threads is not None:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
    follow_thread_settings()
    return num_threads()


@contextmanager
def everybody(threads: int, say: Callable[[str], None]) -> Iterator[dict[str, Contender]]:
    """All contenders that are installed, by name."""
    found: list[Contender] = [
        Kpool(),
        TensorFlow(),
        TensorFlowInt32(),
        XLA(),
        Copy(threads),
        CopyOp(),
        models.Model("kpool model", models.KPOOL, jit_compile=False),
        models.Model("Keras", models.KERAS, jit_compile=False),
        models.Model("Keras XLA", models.KERAS, jit_compile=True),
        models.Model("argmax + scatter_nd", models.SCATTER, jit_compile=False),
    ]
    pytorch = None
    if find_spec("torch"):
        try:
            pytorch = Elsewhere(PyTorch, threads)
            found.append(pytorch)
        except ImportError as error:
            say(f"PyTorch cannot be imported and does not take part: {error}")
    try:
        yield {contender.name: contender for contender in found}
    finally:
        if pytorch:
            pytorch.close()


def run_groups(
    names: Sequence[str],
    plan: Plan,
    effort: Effort,
    contenders: Mapping[str, Contender],
    threads: int,
    say: Callable[[str], None],
) -> Results:
    """Run the races of some groups.

    Raises:
        ValueError: If there is no such group.
    """
    unknown = [name for name in names if name not in GROUPS]
    if unknown:
        raise ValueError(f"`names` must be of {', '.join(GROUPS)}. Received: names={list(names)}")
    results = Results()
    for name in names:
        for race in GROUPS[name](plan):
            say(f"{name}: {race[0].operation}, {race[0].row}")
            if name == "memory":
                results.extend(weigh(race, effort.processes, threads))
            else:
                results.extend(run_race(race, contenders, effort))
    return results


def run_race(race: Race, contenders: Mapping[str, Contender], effort: Effort) -> Results:
    """Time the lanes of a race in turns, without those whose contender is missing or whose results are wrong."""
    results = Results()
    calls: dict[Lane, Call] = {}
    agreed = None
    for lane in race:
        contender = contenders.get(lane.contender)
        call = contender.prepare(lane.case) if contender else None
        if call is None:
            continue
        found = call.results()
        problem = None
        if found is not None and lane.case.operation in MODEL_STEPS:
            # The first model's word is the others' law.
            agreed = agreed or found
            problem = difference_of_models(found, agreed)
        elif found is not None:
            problem = difference(lane.case, found)
        if problem:
            results.mismatches.append(Mismatch(lane, problem))
        else:
            calls[lane] = call
    times = interleaved(calls, effort.rounds, effort.budget)
    results.measurements += [Measurement(lane, tuple(seconds)) for lane, seconds in times.items()]
    calls.clear()
    for name in {lane.contender for lane in race} & set(contenders):
        contenders[name].forget()
    return results


def weigh(race: Race, processes: int, threads: int) -> Results:
    """Measure the memory of each lane."""

    def measured(lane: Lane) -> list[float] | None:
        return memory.measured(lane.contender, lane.case, processes, threads)

    with ThreadPoolExecutor(len(race)) as side_by_side:
        found = list(zip(race, side_by_side.map(measured, race), strict=True))
    return Results([Measurement(lane, tuple(values)) for lane, values in found if values is not None])
