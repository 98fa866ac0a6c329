"""What is measured: an operation on a tensor, the bytes that it must move, and its inputs."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from math import prod

import numpy as np
from ml_dtypes import bfloat16

DTYPES = {dtype.name: dtype for dtype in map(np.dtype, (np.float32, np.float16, bfloat16, np.uint8))}


class Operation(StrEnum):
    """What is done with the tensor."""

    FORWARD = "forward"
    FORWARD_INDICES = "forward + indices"
    BACKWARD = "backward"
    FORWARD_BACKWARD = "forward + backward"
    UNPOOL = "unpool"
    UNPOOL_STEP = "pool + unpool + backward"
    AVERAGE = "average"
    AVERAGE_BACKWARD = "average backward"
    GLOBAL_MAX = "global max"
    GLOBAL_MAX_INDICES = "global max + indices"
    GLOBAL_AVERAGE = "global average"
    EAGER_OP = "native op with indices, eager"
    EAGER_FUNCTION = "public function, eager"
    EAGER_LAYER = "Keras layer, eager"
    MNIST_STEP = "MNIST training step"
    SEGNET_STEP = "SegNet training step"
    KEPT = "bytes kept for backward"
    PEAK = "peak of a pool + backward step"


GLOBAL = (Operation.GLOBAL_MAX, Operation.GLOBAL_MAX_INDICES, Operation.GLOBAL_AVERAGE)
MODELS = (Operation.MNIST_STEP, Operation.SEGNET_STEP)
MEMORY = (Operation.KEPT, Operation.PEAK)
LIBRARY_OPERATIONS = frozenset(Operation) - {*MODELS, *MEMORY}


@dataclass(frozen=True)
class Case:
    """One operation on one tensor.

    Attributes:
        shape: Batch, height, width and channels, whatever the data format.
        window, strides: The same for height and width. Global pooling and models have no use for them.
        padding: "valid" or "same".
    """

    operation: Operation
    shape: tuple[int, int, int, int]
    window: int = 2
    strides: int = 2
    padding: str = "valid"
    data_format: str = "channels_last"
    dtype: str = "float32"

    @property
    def channels_first(self) -> bool:
        return self.data_format == "channels_first"

    @property
    def spatial(self) -> tuple[int, int]:
        return self.shape[1:3]

    @property
    def formatted_shape(self) -> tuple[int, int, int, int]:
        """The shape in the case's data format."""
        batch, height, width, channels = self.shape
        return (batch, channels, height, width) if self.channels_first else self.shape

    @property
    def name(self) -> str:
        """The shape and the window, as a row of a table has them."""
        same = " same" if self.padding == "same" else ""
        return f"{'x'.join(map(str, self.shape))}, {self.window}/{self.strides}{same}"

    def padding_of(self, size: int) -> tuple[int, int]:
        """Padding before and after an axis; an odd element goes to the end."""
        if self.padding == "valid":
            return 0, 0
        total = max((-(-size // self.strides) - 1) * self.strides + self.window - size, 0)
        return total // 2, total - total // 2

    def pooled_size(self, size: int) -> int:
        """The number of windows along an axis."""
        return (size + sum(self.padding_of(size)) - self.window) // self.strides + 1

    @property
    def pooled_shape(self) -> tuple[int, int, int, int]:
        """The shape of the output, channels last."""
        batch, height, width, channels = self.shape
        if self.operation in GLOBAL:
            return batch, 1, 1, channels
        return batch, self.pooled_size(height), self.pooled_size(width), channels

    @property
    def bytes_moved(self) -> int:
        """The bytes that the operation reads and writes if it touches each of its tensors once.

        What forward keeps for backward is one byte per output, an index has four.
        """
        item = DTYPES[self.dtype].itemsize
        inputs, outputs = prod(self.shape) * item, prod(self.pooled_shape) * item
        indices, offsets = 4 * prod(self.pooled_shape), prod(self.pooled_shape)
        pool = inputs + outputs
        with_more = {
            Operation.FORWARD_INDICES: pool + indices,
            Operation.GLOBAL_MAX_INDICES: pool + indices,
            Operation.EAGER_OP: pool + indices,
            Operation.UNPOOL: pool + indices,
            Operation.BACKWARD: pool + offsets,
            Operation.FORWARD_BACKWARD: 2 * (pool + offsets),
            # Pooling writes indices and offsets; unpooling and its gradient read the indices, backward the offsets.
            Operation.UNPOOL_STEP: 4 * pool + 3 * indices + 2 * offsets,
        }
        return with_more.get(self.operation, pool)


@lru_cache(maxsize=6)
def random_array(shape: tuple[int, ...], dtype: str, seed: int) -> np.ndarray:
    """Numbers that every process draws alike. Not to be written to."""
    generator = np.random.default_rng(seed)
    if dtype == "uint8":
        return generator.integers(0, 256, shape, np.uint8)
    return generator.standard_normal(shape, np.float32).astype(DTYPES[dtype], copy=False)


def input_array(case: Case) -> np.ndarray:
    """What is pooled, channels last."""
    return random_array(case.shape, case.dtype, seed=0)


def pooled_gradient(case: Case) -> np.ndarray:
    """The gradient of the pooled tensor, channels last."""
    return random_array(case.pooled_shape, case.dtype, seed=1)


def unpooled_gradient(case: Case) -> np.ndarray:
    """The gradient of a tensor that was pooled and unpooled again, channels last."""
    return random_array(case.shape, case.dtype, seed=2)


def in_format(case: Case, array: np.ndarray) -> np.ndarray:
    """An array with its channels last, in the case's data format."""
    return np.ascontiguousarray(array.transpose(0, 3, 1, 2)) if case.channels_first else array


def channels_last(case: Case, array: np.ndarray) -> np.ndarray:
    """An array in the case's data format, with its channels last."""
    return array.transpose(0, 2, 3, 1) if case.channels_first else array
