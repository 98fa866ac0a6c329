"""Runs races: everyone prepares, the results are checked, and those that are right are timed."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from time import perf_counter, sleep
from typing import TypeVar

import tensorflow as tf

from benchmarks import models
from benchmarks.cases import MEMORY, MODELS
from benchmarks.contender import Arrays, Call, Contender
from benchmarks.contender_kpool import Kpool
from benchmarks.contender_tensorflow import XLA, CopyOp, TensorFlow, TensorFlowInt32
from benchmarks.contender_torch import PyTorch
from benchmarks.floor import Copy
from benchmarks.goals import GOALS
from benchmarks.memory import weigh
from benchmarks.process import Elsewhere
from benchmarks.races import GROUPS, Race
from benchmarks.referee import difference, difference_of_models
from benchmarks.results import Lane, Measurement, Mismatch, Results
from kpool.kernels.threads import num_threads
from kpool.tf.library import follow_thread_settings

Key = TypeVar("Key")

# Before a turn the threads of the one before it have this long to stop spinning.
PAUSE = 0.01
# Rounds that no budget cuts.
FEWEST_ROUNDS = 3


@dataclass(frozen=True)
class Effort:
    """How long to measure.

    Attributes:
        rounds: How often everyone in a race has a turn.
        budget: Seconds after which a race begins no further round, if there were `FEWEST_ROUNDS`.
        processes: How often memory is measured, each time in a fresh process.
        needed_only: Whether to leave out whom no goal depends on.
    """

    rounds: int
    budget: float
    processes: int
    needed_only: bool


FULL = Effort(rounds=21, budget=6.0, processes=3, needed_only=False)
QUICK = Effort(rounds=3, budget=0, processes=1, needed_only=True)


def use_threads(threads: int | None) -> int:
    """Let TensorFlow, and with it kpool, use so many threads, by default one per core; returns how many that is.

    TensorFlow settles both numbers when it runs its first op, so this is for the whole run.
    """
    if threads is not None:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(threads)
    follow_thread_settings()
    return num_threads()


def everybody(threads: int, say: Callable[[str], None]) -> dict[str, Contender]:
    """All contenders that are installed, by name."""
    found: list[Contender] = [
        Kpool(),
        Kpool("kpool, 1 thread", 1),
        Kpool("kpool, 2 threads", 2),
        TensorFlow(),
        TensorFlowInt32(),
        XLA(),
        Copy(threads),
        CopyOp(),
        models.Model("kpool model", models.KPOOL, jit_compile=False),
        models.Model("kpool XLA", models.KPOOL, jit_compile=True),
        models.Model("Keras", models.KERAS, jit_compile=False),
        models.Model("Keras XLA", models.KERAS, jit_compile=True),
        models.Model("argmax + scatter_nd", models.SCATTER, jit_compile=False),
    ]
    try:
        found.append(Elsewhere(PyTorch, threads))
    except ImportError as error:
        say(f"PyTorch does not take part: {error}")
    return {contender.name: contender for contender in found}


def run_groups(
    names: Iterable[str],
    contenders: Mapping[str, Contender],
    effort: Effort,
    threads: int,
    say: Callable[[str], None],
) -> Results:
    """Run the races of some groups."""
    results = Results()
    for name in names:
        for everyone in GROUPS[name]():
            race = needed(everyone) if effort.needed_only else everyone
            if not race:
                continue
            say(f"{name}: {race[0].operation}, {race[0].row}")
            memory = race[0].case.operation in MEMORY
            results.extend(weigh(race, effort.processes, threads) if memory else run_race(race, contenders, effort))
    return results


def needed(race: Race) -> Race:
    """The lanes of a race that a goal depends on, and the floor beneath them."""
    lanes = [lane for lane in race if any(goal.concerns(lane) for goal in GOALS)]
    return [lane for lane in race if lane in lanes or lane.contender == Copy.name] if lanes else []


def run_race(race: Race, contenders: Mapping[str, Contender], effort: Effort) -> Results:
    """Time the lanes of a race in turns, without those whose contender is missing or whose results are wrong."""
    results = Results()
    calls: dict[Lane, Call] = {}
    first_model: Arrays | None = None
    for lane in race:
        contender = contenders.get(lane.contender)
        call = contender.prepare(lane.case) if contender else None
        if call is None:
            continue
        found, problem = call.results(), None
        if found is not None and lane.case.operation in MODELS:
            # The first model's word is the others' law.
            first_model = first_model or found
            problem = difference_of_models(found, first_model)
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


def interleaved(calls: Mapping[Key, Call], rounds: int, budget: float) -> dict[Key, list[float]]:
    """The seconds of an operation in each round, for each contender.

    Each round begins with another, and every other round goes backwards, so that nobody always follows the same other.
    """
    times: dict[Key, list[float]] = {key: [] for key in calls}
    keys = list(calls)
    begin = perf_counter()
    gc.disable()
    try:
        for number in range(rounds):
            if number >= FEWEST_ROUNDS and perf_counter() - begin > budget:
                break
            for key in keys[::-1] if number % 2 else keys:
                sleep(PAUSE)
                times[key].append(calls[key].seconds())
            keys = keys[1:] + keys[:1]
    finally:
        gc.enable()
    return times
