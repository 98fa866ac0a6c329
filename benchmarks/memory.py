"""Resident memory of pooling and its gradient, in fresh processes.

A CPU has no allocator that could be asked, so the operating system is: `VmRSS` and `VmHWM` of /proc/self/status, the
resident memory and its peak, which is reset before the step. What is pooled is the result of another op that needs no
input for its own gradient, as in the midst of a network: whoever wants it for backward has to keep it. Freed memory may
stay resident, so what is kept shows in how much one pooling after the other adds, not in what is left after one.
"""

from __future__ import annotations

import gc
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from itertools import pairwise
from math import prod
from pathlib import Path

import tensorflow as tf

from benchmarks.cases import Case, Operation
from benchmarks.contender_kpool import Kpool
from benchmarks.contender_tensorflow import TensorFlow
from benchmarks.graphs import Graphs
from benchmarks.library import Tensors
from benchmarks.process import SPAWN
from benchmarks.races import FLOAT32, Race
from benchmarks.results import Measurement, Results

STATUS = Path("/proc/self/status")
REFERENCES = Path("/proc/self/clear_refs")
RESET_PEAK = "5"
# A step on a few images goes ahead, so that code and thread stacks are there already.
REHEARSED = (1, 32, 32, 64)
# Poolings under one tape, and after how many of them memory has settled.
POOLINGS, FIRST = 9, 2

CONTENDERS: dict[str, type[Graphs]] = {"kpool": Kpool, "TensorFlow": TensorFlow}


def weigh(race: Race, processes: int, threads: int) -> Results:
    """Measure the lanes of a race, each in so many fresh processes; none where the system does not tell."""
    if not REFERENCES.exists():
        return Results()
    with ProcessPoolExecutor(len(race), SPAWN, max_tasks_per_child=1) as fresh:
        found = [
            (lane, [fresh.submit(measured, lane.contender, lane.case, threads) for _ in range(processes)])
            for lane in race
        ]
        return Results(
            [Measurement(lane, tuple(float(size) for run in runs for size in run.result())) for lane, runs in found]
        )


def measured(contender: str, case: Case, threads: int) -> list[int]:
    """The bytes that a case took."""
    if contender not in CONTENDERS:
        return [prod(case.pooled_shape)]
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    measure = {Operation.KEPT: bytes_kept, Operation.PEAK: peak_of_step}[case.operation]
    return measure(CONTENDERS[contender](), case)


def bytes_kept(contender: Graphs, case: Case) -> list[int]:
    """What each of several eager poolings under one tape adds to the resident memory, besides its output."""
    values, sizes = [], []
    with tf.GradientTape() as tape:
        for _ in range(POOLINGS):
            x = tf.fill(case.shape, 1.0)
            tape.watch(x)
            values.append(contender.pooling(case)(x))
            del x
            sizes.append(resident("VmRSS"))
    outputs = FLOAT32 * prod(case.pooled_shape)
    return [after - before - outputs for before, after in pairwise(sizes[FIRST:])]


def peak_of_step(contender: Graphs, case: Case) -> list[int]:
    """What a pooling and its gradient, as one graph, need at most besides their arguments; one figure."""

    def step(source: tf.Tensor, gradient: tf.Tensor) -> Tensors:
        with tf.GradientTape() as tape:
            tape.watch(source)
            values = contender.pooling(case)(source + 1.0)
        return values, tape.gradient(values, source, gradient)

    peak_of(step, REHEARSED)
    return [peak_of(step, case.shape)]


def peak_of(step: Callable[[tf.Tensor, tf.Tensor], Tensors], shape: tuple[int, ...]) -> int:
    batch, height, width, channels = shape
    arguments = tf.fill(shape, 1.0), tf.fill((batch, height // 2, width // 2, channels), 1.0)
    compiled = tf.function(step, autograph=False).get_concrete_function(*arguments)
    gc.collect()
    before = resident("VmRSS")
    REFERENCES.write_text(RESET_PEAK)
    results = compiled(*arguments)
    peak = resident("VmHWM") - before
    del results
    return peak


def resident(field: str) -> int:
    """A field of the process's status, in bytes."""
    line = next(line for line in STATUS.read_text().splitlines() if line.startswith(f"{field}:"))
    return int(line.split()[1]) * 1024
