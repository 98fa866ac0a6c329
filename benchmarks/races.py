"""Who races whom on what: the lanes of each group. The lanes of one race are timed in the same rounds."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from benchmarks.cases import DTYPES, GLOBAL, Case, Operation
from benchmarks.facts import last_level_cache
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
FLOAT32 = DTYPES["float32"].itemsize


def beyond_cache(height: int, width: int, channels: int) -> tuple[int, int, int, int]:
    """The shape of so many images that a float32 tensor is four times as large as the last-level cache.

    The source of a copy of as many bytes is half of that, and no cache must hold it either.
    """
    batch = 4 * last_level_cache() // (height * width * channels * FLOAT32) + 1
    return batch, height, width, channels


def lanes(group: str, row: str, case: Case, contenders: Sequence[str]) -> Race:
    """A race of contenders on one case."""
    return [Lane(group, case.operation, row, contender, contender, case) for contender in contenders]


def table_cases(operations: Sequence[Operation], data_format: str) -> Iterator[Case]:
    """Every operation on every input of the issue."""
    for shape, window, strides, padding in TABLE:
        for operation in operations:
            case = Case(operation, shape, window, strides, padding, data_format)
            # The recipe adds up what overlapping windows share and kpool does not: they agree without overlap.
            yield replace(case, window=2, padding="valid") if operation is Operation.UNPOOL_STEP else case


def table() -> Iterator[Race]:
    """The issue's table, channels last."""
    for case in table_cases(TABLE_OPERATIONS, "channels_last"):
        race = lanes("table", case.name, case, ("kpool", *PEERS, "copy"))
        if case.operation is Operation.UNPOOL and case.window > case.strides:
            # The recipe adds up what windows share.
            race = [lane for lane in race if not lane.contender.startswith("TensorFlow")]
        if case.operation is Operation.FORWARD_INDICES:
            values = replace(case, operation=Operation.FORWARD)
            race.append(Lane("table", case.operation, case.name, WITHOUT_INDICES, "TensorFlow", values))
        yield race


def channels_first() -> Iterator[Race]:
    """The issue's table in the other layout, which TensorFlow does not have on a CPU."""
    for case in table_cases(PYTORCH_OPERATIONS, "channels_first"):
        yield lanes("channels_first", case.name, case, ("kpool", "PyTorch", "copy"))


def floor() -> Iterator[Race]:
    """Tensors that no cache holds."""
    for size, window in ((224, 2), (111, 3)):
        for operation in FLOOR_OPERATIONS:
            case = Case(operation, beyond_cache(size, size, 64), window)
            yield lanes("floor", case.name, case, ("kpool", "copy", "TensorFlow's copy"))


def growth() -> Iterator[Race]:
    """Stride 1, windows from small to large, as many outputs as inputs."""
    for operation in GROWTH_OPERATIONS:
        yield [
            Lane("growth", operation, peer, f"{window}x{window}", peer, case)
            for peer in ("kpool", *PEERS)
            for window in GROWTH_WINDOWS
            for case in [Case(operation, (1, 64, 64, 64), window, 1, "same")]
        ]


def whole_planes() -> Iterator[Race]:
    """Global pooling, beyond the cache."""
    shape = beyond_cache(56, 56, 128)
    for operation in GLOBAL:
        case = Case(operation, shape)
        yield lanes("global", "x".join(map(str, shape)), case, ("kpool", "TensorFlow", "TensorFlow XLA", "copy"))


def layouts() -> Iterator[Race]:
    """The same tensor with its channels last and first."""
    for operation in (*PYTORCH_OPERATIONS, Operation.FORWARD_BACKWARD):
        # Large planes and small ones, without padding and with it.
        for shape, window, strides, padding in (
            ((4, 112, 112, 64), 2, 2, "valid"),
            ((4, 55, 55, 64), 3, 2, "valid"),
            ((4, 56, 56, 64), 3, 2, "same"),
            ((4, 14, 14, 256), 3, 1, "same"),
        ):
            case = Case(operation, shape, window, strides, padding)
            yield [
                Lane("layouts", operation, case.name, data_format, "kpool", replace(case, data_format=data_format))
                for data_format in ("channels_last", "channels_first")
            ]


def few_channels() -> Iterator[Race]:
    """One and three channels, channels last, beyond the cache."""
    for channels in (1, 3):
        for operation in FLOOR_OPERATIONS:
            case = Case(operation, beyond_cache(224, 224, channels))
            yield lanes("few_channels", case.name, case, ("kpool", "copy"))


def dtypes() -> Iterator[Race]:
    """Tensors of as many bytes in every dtype; integers have no gradient, and no average of their own dtype."""
    of_integers = (Operation.FORWARD, Operation.FORWARD_INDICES, Operation.UNPOOL)
    for operation in (Operation.FORWARD, *PYTORCH_OPERATIONS):
        yield [
            Lane("dtypes", operation, "112x112x64, 2/2", name, "kpool", case)
            for name, dtype in DTYPES.items()
            for case in [Case(operation, (4 * FLOAT32 // dtype.itemsize, 112, 112, 64), dtype=name)]
            if dtype.kind != "u" or operation in of_integers
        ]


def scaling(group: str, cases: Sequence[Case]) -> Iterator[Race]:
    """kpool with one thread and with two."""
    for case in cases:
        yield [
            Lane(group, case.operation, case.name, threads, f"kpool, {threads}", case)
            for threads in ("1 thread", "2 threads")
        ]


def threads() -> Iterator[Race]:
    """Work of 100 µs and more that the caches hold: some images, one image, one image of few rows, large windows."""
    forward = Operation.FORWARD_INDICES
    return scaling(
        "threads",
        (
            Case(forward, (8, 55, 55, 64), 3, 2),
            Case(forward, (1, 111, 111, 64), 3, 2),
            Case(forward, (1, 7, 7, 8192), 3, 2),
            Case(forward, (2, 56, 56, 64), 7, 1),
            Case(Operation.FORWARD_BACKWARD, (2, 56, 56, 64), 3, 1),
            Case(Operation.AVERAGE, (2, 56, 56, 64), 5, 1),
        ),
    )


def threads_on_small_tensors() -> Iterator[Race]:
    """Tensors for which a second thread hardly pays."""
    shapes = ((1, 8, 8, 8), (1, 28, 28, 1), (8, 14, 14, 16))
    return scaling("small_threads", [Case(Operation.FORWARD_INDICES, shape) for shape in shapes])


def small() -> Iterator[Race]:
    """What an operation costs besides the work: called from Python, and as one of many in a graph."""
    operations = (
        Operation.EAGER_OP,
        Operation.EAGER_FUNCTION,
        Operation.EAGER_LAYER,
        Operation.FORWARD,
        Operation.FORWARD_INDICES,
    )
    for operation in operations:
        case = Case(operation, (1, 8, 8, 8))
        yield lanes("small", case.name, case, ("kpool", *PEERS))


def memory() -> Iterator[Race]:
    """Bytes, not seconds; see memory.py."""
    case = Case(Operation.KEPT, (16, 224, 224, 64))
    yield lanes("memory", case.name, case, ("kpool", "TensorFlow", "one byte per output"))
    yield lanes("memory", case.name, replace(case, operation=Operation.PEAK), ("kpool", "TensorFlow"))


def models() -> Iterator[Race]:
    """Whole training steps."""
    steps = (
        (Operation.MNIST_STEP, (128, 28, 28, 1), ("Keras", "Keras XLA", "kpool XLA")),
        (Operation.SEGNET_STEP, (8, 96, 96, 3), ("argmax + scatter_nd",)),
    )
    for operation, shape, peers in steps:
        row, case = "x".join(map(str, shape)), Case(operation, shape)
        yield [Lane("models", operation, row, "kpool", "kpool model", case), *lanes("models", row, case, peers)]


GROUPS: dict[str, Callable[[], Iterator[Race]]] = {
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
