"""The goals of the project, and whether a run met them. No other file knows a threshold."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from statistics import geometric_mean
from typing import Any

from benchmarks.cases import GLOBAL, Operation
from benchmarks.races import FLOOR_OPERATIONS, GROWTH_WINDOWS, PYTORCH_OPERATIONS, WITHOUT_INDICES
from benchmarks.results import Lane, Results

MET, MISSED, NOT_MEASURED = "met", "missed", "not measured"
SMALLEST, LARGEST = (f"{window}x{window}" for window in (GROWTH_WINDOWS[0], GROWTH_WINDOWS[-1]))
# What resident memory and the time of a call of some microseconds are uncertain by.
PAGES, NOISE = 1.05, 1.1


@dataclass(frozen=True)
class Goal:
    """Bounds on ratios of medians, one ratio for each row of the tables.

    Attributes:
        number: The goal's number in the issue.
        name: What is compared.
        group: Where it is measured.
        over, under: The columns of the ratio. Every row that has both counts.
        operation: The only operation that counts, if there is one.
        mean_at_least: What the geometric mean of the ratios must reach.
        at_least, at_most: What each of them must reach, or must not exceed.
        row: The only row that counts, if there is one.
        per_byte: Whether times are divided by the bytes that the operation moves.
    """

    number: int
    name: str
    group: str
    over: str
    under: str
    operation: Operation | None = None
    mean_at_least: float | None = None
    at_least: float | None = None
    at_most: float | None = None
    row: str | None = None
    per_byte: bool = False

    def concerns(self, lane: Lane) -> bool:
        """Whether the goal depends on a lane."""
        return (
            lane.group == self.group
            and lane.column in (self.over, self.under)
            and self.operation in (None, lane.operation)
            and self.row in (None, lane.row)
        )


# fmt: off
GOALS = (
    *(Goal(1, f"{operation} / copy, beyond the cache", "floor", "kpool", "copy", operation, at_most=1.25)
      for operation in FLOOR_OPERATIONS),
    *(Goal(2, f"max_pool_with_argmax to {dtype} / kpool with int32 indices", "table", peer, "kpool",
           Operation.FORWARD_INDICES, mean_at_least=15, at_least=5)
      for peer, dtype in (("TensorFlow", "int64, its default"), ("TensorFlow int32", "int32"))),
    Goal(2, "tf.nn.max_pool2d without indices / kpool with them", "table", WITHOUT_INDICES, "kpool",
         Operation.FORWARD_INDICES, at_least=1),
    Goal(2, "forward + backward, TensorFlow / kpool", "table", "TensorFlow", "kpool",
         Operation.FORWARD_BACKWARD, mean_at_least=1.5, at_least=1),
    Goal(2, "pool + unpool + backward, argmax and scatter_nd / kpool", "table", "TensorFlow", "kpool",
         Operation.UNPOOL_STEP, at_least=10),
    *(Goal(3, f"{operation}, {layout}, PyTorch / kpool", group, "PyTorch", "kpool",
           operation, mean_at_least=2, at_least=1)
      for group, layout in (("table", "channels_last"), ("channels_first", "channels_first"))
      for operation in PYTORCH_OPERATIONS),
    Goal(4, f"stride 1, a {LARGEST} window / a {SMALLEST} one", "growth", LARGEST, SMALLEST, row="kpool", at_most=3),
    *(Goal(4, f"{operation} / copy, beyond the cache", "global", "kpool", "copy", operation, at_most=1.25)
      for operation in GLOBAL),
    Goal(5, "channels_first / channels_last", "layouts", "channels_first", "channels_last", at_most=1.5),
    Goal(5, "1 and 3 channels / copy, beyond the cache", "few_channels", "kpool", "copy", at_most=1.5),
    *(Goal(5, f"{dtype} / float32, per byte", "dtypes", dtype, "float32", at_most=1.5, per_byte=True)
      for dtype in ("float16", "bfloat16", "uint8")),
    Goal(6, "one thread / two, cached tensors", "threads", "1 thread", "2 threads", at_least=1.7),
    Goal(6, "two threads / one, small tensors", "small_threads", "2 threads", "1 thread", at_most=NOISE),
    Goal(6, "1x8x8x8 eager, native op / max_pool_with_argmax", "small", "kpool", "TensorFlow",
         Operation.EAGER_OP, at_most=1),
    Goal(6, "1x8x8x8 eager, function / tf.nn.max_pool2d", "small", "kpool", "TensorFlow",
         Operation.EAGER_FUNCTION, at_most=1),
    Goal(6, "1x8x8x8 in a graph, function / tf.nn.max_pool2d", "small", "kpool", "TensorFlow",
         Operation.FORWARD, at_most=1),
    Goal(6, "1x8x8x8 in a graph, with indices / max_pool_with_argmax", "small", "kpool", "TensorFlow",
         Operation.FORWARD_INDICES, at_most=1),
    Goal(6, "1x8x8x8 eager, layer / keras.layers.MaxPooling2D", "small", "kpool", "TensorFlow",
         Operation.EAGER_LAYER, at_most=1),
    Goal(7, "kept for backward / one byte per output", "memory", "kpool", "one byte per output",
         Operation.KEPT, at_most=PAGES),
    Goal(7, "peak of a pool + backward step, kpool / TensorFlow", "memory", "kpool", "TensorFlow",
         Operation.PEAK, at_most=1),
    Goal(8, "MNIST step, Keras' layers / kpool", "models", "Keras", "kpool", Operation.MNIST_STEP, at_least=1),
    Goal(8, "MNIST step, Keras' layers under XLA / kpool", "models", "Keras XLA", "kpool",
         Operation.MNIST_STEP, at_least=1),
    Goal(8, "MNIST step under XLA, Keras' layers / kpool", "models", "Keras XLA", "kpool XLA",
         Operation.MNIST_STEP, at_least=1),
    Goal(8, "SegNet step, argmax and scatter_nd / kpool", "models", "argmax + scatter_nd", "kpool",
         Operation.SEGNET_STEP, at_least=1.4),
)
# fmt: on


@dataclass(frozen=True)
class Verdict:
    """What became of a goal.

    Attributes:
        status: One of `MET`, `MISSED` and `NOT_MEASURED`.
        ratios: The ratio of each row.
        mean: Their geometric mean, if the goal is about it.
        worst: The row whose ratio is farthest on the wrong side, or nearest to it.
        wrong: Whether a contender that the goal depends on gave wrong results. Then it is missed.
    """

    goal: Goal
    status: str
    ratios: dict[str, float]
    mean: float | None = None
    worst: str | None = None
    wrong: bool = False

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def judge(goal: Goal, results: Results) -> Verdict:
    """Whether a run met a goal."""
    wrong = any(goal.concerns(mismatch.lane) for mismatch in results.mismatches)
    ratios = ratios_of(goal, results)
    if not ratios:
        return Verdict(goal, MISSED if wrong else NOT_MEASURED, {}, wrong=wrong)
    mean = geometric_mean(ratios.values()) if goal.mean_at_least else None
    least, most = min(ratios, key=ratios.__getitem__), max(ratios, key=ratios.__getitem__)
    met = (
        not wrong
        and (mean is None or mean >= (goal.mean_at_least or 0))
        and (goal.at_least is None or ratios[least] >= goal.at_least)
        and (goal.at_most is None or ratios[most] <= goal.at_most)
    )
    worst = least if goal.at_most is None else most
    return Verdict(goal, MET if met else MISSED, ratios, mean, worst, wrong)


def ratios_of(goal: Goal, results: Results) -> dict[str, float]:
    """The goal's ratio for every row that has both columns."""
    ratios = {}
    for (_, operation), rows in results.tables().items():
        for row, columns in rows.items():
            pair = [columns.get(column) for column in (goal.over, goal.under)]
            found = [measurement for measurement in pair if measurement and goal.concerns(measurement.lane)]
            if len(found) == 2:
                costs = [m.median / (m.lane.case.bytes_moved if goal.per_byte else 1) for m in found]
                ratios[f"{operation}, {row}"] = costs[0] / costs[1]
    return ratios
