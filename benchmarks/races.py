"""Who races whom on what: the lanes of each group. The lanes of one race are timed in the same rounds."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from math import prod

from benchmarks.cases import DTYPES, GLOBAL, Case, Operation
from benchmarks.results import Lane

Race = list[Lane]

PEERS = ("TensorFlow", "TensorFlow int32", "TensorFlow XLA", "PyTorch")

# The inputs: shape, window, strides, padding.
TABLE = (
    ((128, 26, 26, 32), 2, 2, "valid"),
    ((128, 11, 11, 64), 2, 2, "valid"),
    ((32, 55, 55, 96), 3, 2, "valid"),
    ((8, 224, 224, 64), 2, 2, "valid"),
    ((16, 112, 112, 64), 3, 2, "same"),
    ((128, 28, 28, 1), 2, 2, "valid"),
)
TABLE_OPERATIONS = (
    Operation.FORWARD,
    Operation.FORWARD_INDICES,
    Operation.FORWARD_BACKWARD,
    Operation.BACKWARD,
    Operation.UNPOOL,
    Operation.UNPOOL_STEP,
    Operation.AVERAGE,
    Operation.AVERAGE_BACKWARD,
)
PYTORCH_OPERATIONS = (
    Operation.FORWARD_INDICES,
    Operation.BACKWARD,
    Operation.UNPOOL,
    Operation.AVERAGE,
    Operation.AVERAGE_BACKWARD,
)
FLOOR_OPERATIONS = (Operation.FORWARD_INDICES, Operation.BACKWARD, Operation.UNPOOL, Operation.AVERAGE)
GROWTH_OPERATIONS = (
    Operation.FORWARD,
    Operation.FORWARD_INDICES,
    Operation.FORWARD_BACKWARD,
    Operation.AVERAGE,
)
GROWTH_WINDOWS = (3, 5, 7, 11, 15, 21, 31)
WITHOUT_INDICES = "TensorFlow without indices"
EAGER = "kpool eager"
FLOAT32 = DTYPES["float32"].itemsize


@dataclass(frozen=True)
class Plan:
    """What the sizes of the cases depend on.

    Attributes:
        cache: Bytes of the last-level cache.
        quick: Whether batches, and windows to grow through, are fewer.
    """

    cache: int
    quick: bool

    def batch_beyond_cache(self, *image: int) -> int:
        """How many images make a float32 tensor larger than the last-level cache."""
        return int((1.25 if self.quick else 2.5) * self.cache / (prod(image) * FLOAT32)) + 1


def lanes(group: str, row: str, case: Case, contenders: Sequence[str]) -> Race:
    """A race of contenders on one case."""
    return [Lane(group, case.operation, row, contender, contender, case) for contender in contenders]


def eager(group: str, case: Case) -> Lane:
    """kpool called eagerly, as PyTorch is: a graph's call costs more than the smallest tensors do."""
    return Lane(group, case.operation, case.name, EAGER, "kpool", replace(case, eager=True))


def table_cases(plan: Plan, operations: Sequence[Operation], data_format: str) -> Iterator[Case]:
    """Every operation on every input of the issue; for `plan.quick` with a quarter of the batch."""
    for (batch, *image), window, strides, padding in TABLE:
        height, width, channels = image
        shape = (batch // 4 if plan.quick else batch, height, width, channels)
        for operation in operations:
            case = Case(operation, shape, window, strides, padding, data_format)
            # The recipe adds up what overlapping windows share and kpool does not: they agree without overlap.
            yield replace(case, window=2, padding="valid") if operation is Operation.UNPOOL_STEP else case


def table(plan: Plan) -> Iterator[Race]:
    """The issue's table, channels last."""
    for case in table_cases(plan, TABLE_OPERATIONS, "channels_last"):
        race = lanes("table", case.name, case, ("kpool", *PEERS, "copy"))
        if case.operation is Operation.UNPOOL and case.window > case.strides:
            # The recipe adds up what windows share.
            race = [lane for lane in race if not lane.contender.startswith("TensorFlow")]
        if case.operation is Operation.FORWARD_INDICES:
            values = replace(case, operation=Operation.FORWARD)
            race.append(Lane("table", case.operation, case.name, WITHOUT_INDICES, "TensorFlow", values))
        if case.operation in PYTORCH_OPERATIONS:
            race.append(eager("table", case))
        yield race


def channels_first(plan: Plan) -> Iterator[Race]:
    """The issue's table in the other layout, which TensorFlow does not have on a CPU."""
    for case in table_cases(plan, PYTORCH_OPERATIONS, "channels_first"):
        yield [*lanes("channels_first", case.name, case, ("kpool", "PyTorch", "copy")), eager("channels_first", case)]


def floor(plan: Plan) -> Iterator[Race]:
    """Tensors that no cache holds."""
    for size, window in ((224, 2), (111, 3)):
        shape = (plan.batch_beyond_cache(size, size, 64), size, size, 64)
        for operation in FLOOR_OPERATIONS:
            case = Case(operation, shape, window)
            yield lanes("floor", case.name, case, ("kpool", "copy", "TensorFlow's copy"))


def growth(plan: Plan) -> Iterator[Race]:
    """Stride 1, windows from small to large, as many outputs as inputs."""
    windows = GROWTH_WINDOWS[:: 3 if plan.quick else 1]
    shape = (1, 64, 64, 16) if plan.quick else (2, 64, 64, 64)
    for operation in GROWTH_OPERATIONS:
        yield [
            Lane("growth", operation, peer, f"{window}x{window}", peer, Case(operation, shape, window, 1, "same"))
            for peer in ("kpool", *PEERS)
            for window in windows
        ]


def whole_planes(plan: Plan) -> Iterator[Race]:
    """Global pooling, beyond the cache."""
    shape = (plan.batch_beyond_cache(56, 56, 128), 56, 56, 128)
    for operation in GLOBAL:
        case = Case(operation, shape)
        yield lanes("global", "x".join(map(str, shape)), case, ("kpool", "TensorFlow", "TensorFlow XLA", "copy"))


def layouts(plan: Plan) -> Iterator[Race]:
    """The same tensor with its channels last and first."""
    for operation in (*PYTORCH_OPERATIONS, Operation.FORWARD_BACKWARD):
        for size, window in ((112, 2), (55, 3)):
            case = Case(operation, (4 if plan.quick else 16, size, size, 64), window)
            yield [
                Lane("layouts", operation, case.name, data_format, "kpool", replace(case, data_format=data_format))
                for data_format in ("channels_last", "channels_first")
            ]


def few_channels(plan: Plan) -> Iterator[Race]:
    """One and three channels, channels last, beyond the cache."""
    for channels in (1, 3):
        shape = (plan.batch_beyond_cache(224, 224, channels), 224, 224, channels)
        for operation in FLOOR_OPERATIONS:
            case = Case(operation, shape)
            yield lanes("few_channels", case.name, case, ("kpool", "copy"))


def dtypes(plan: Plan) -> Iterator[Race]:
    """Tensors of as many bytes in every dtype."""
    for operation in (Operation.FORWARD, *PYTORCH_OPERATIONS):
        race = []
        for dtype, numpy_dtype in DTYPES.items():
            batch = (4 if plan.quick else 16) * FLOAT32 // numpy_dtype.itemsize
            case = Case(operation, (batch, 112, 112, 64), dtype=dtype)
            if dtype != "uint8" or operation in (Operation.FORWARD, Operation.FORWARD_INDICES, Operation.UNPOOL):
                race.append(Lane("dtypes", operation, "112x112x64, 2/2", dtype, "kpool", case))
        yield race


def scaling(group: str, cases: Sequence[tuple[tuple[int, int, int, int], int, int]]) -> Iterator[Race]:
    """kpool's native op with one thread and with two."""
    for shape, window, strides in cases:
        case = Case(Operation.EAGER_OP, shape, window, strides)
        yield [
            Lane(group, case.operation, case.name, column, "kpool", replace(case, threads=threads))
            for threads, column in ((1, "1 thread"), (2, "2 threads"))
        ]


def threads(plan: Plan) -> Iterator[Race]:
    """Tensors that fit into the caches: images, one image, one image of few rows, large windows."""
    cases = (
        ((8, 56, 56, 64), 2, 2),
        ((8, 55, 55, 64), 3, 2),
        ((1, 112, 112, 64), 2, 2),
        ((1, 8, 8, 16384), 2, 2),
        ((4, 56, 56, 64), 7, 1),
    )
    return scaling("threads", cases)


def threads_on_small_tensors(plan: Plan) -> Iterator[Race]:
    """Tensors for which a second thread hardly pays."""
    return scaling("small_threads", (((1, 8, 8, 8), 2, 2), ((1, 28, 28, 1), 2, 2), ((8, 14, 14, 16), 2, 2)))


def small(plan: Plan) -> Iterator[Race]:
    """What a call costs besides the work. "nothing" is a graph that hands its input on."""
    shape = (1, 8, 8, 8)
    for operation in (Operation.EAGER_OP, Operation.EAGER_FUNCTION, Operation.EAGER_LAYER):
        yield lanes("small", Case(operation, shape).name, Case(operation, shape), ("kpool", "TensorFlow"))
    for operation in (Operation.GRAPH_OF_MANY, Operation.GRAPH_OF_MANY_INDICES):
        yield lanes("small", "64 of 1x8x8x8, 2/2", Case(operation, (64, 8, 8, 8)), ("kpool", "TensorFlow"))
    call = Case(Operation.FORWARD, shape)
    nothing = Lane("small", call.operation, call.name, "nothing", "TensorFlow", Case(Operation.IDENTITY, shape))
    yield [*lanes("small", call.name, call, ("kpool", *PEERS)), nothing]


def memory(plan: Plan) -> Iterator[Race]:
    """Bytes, not seconds; see memory.py."""
    case = Case(Operation.KEPT, (4 if plan.quick else 16, 224, 224, 64))
    yield lanes("memory", case.name, case, ("kpool", "TensorFlow", "one byte per output"))
    yield lanes("memory", case.name, replace(case, operation=Operation.PEAK), ("kpool", "TensorFlow"))


def models(plan: Plan) -> Iterator[Race]:
    """Whole training steps."""
    peers = {Operation.MNIST_STEP: ("Keras", "Keras XLA"), Operation.SEGNET_STEP: ("argmax + scatter_nd",)}
    shapes = {Operation.MNIST_STEP: (128, 28, 28, 1), Operation.SEGNET_STEP: (8, 96, 96, 3)}
    for operation, shape in shapes.items():
        row = "x".join(map(str, shape))
        case = Case(operation, shape)
        kpool = Lane("models", operation, row, "kpool", "kpool model", case)
        yield [kpool, *lanes("models", row, case, peers[operation])]


GROUPS: dict[str, Callable[[Plan], Iterator[Race]]] = {
    "table": table,
    "channels_first": channels_first,
    "floor": floor,
    "growth": growth,
    "global": whole_planes,
    "layouts": layouts,
    "few_channels": few_channels,
    "dtypes": dtypes,
    "threads": threads,
    "small_threads": threads_on_small_tensors,
    "small": small,
    "memory": memory,
    "models": models,
}
