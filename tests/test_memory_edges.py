"""No kernel reads in front of its tensors or behind them: pages there may not be touched, which ends a process."""

import ctypes
import math
import mmap
import os

import numpy as np
import pytest
import tensorflow as tf
from conftest import oriented, same_bits

from kpool.kernels import driver
from kpool.ops import average_pool, max_pool, max_unpool

# Kernels read vectors, pairs of elements and other lanes too many where what lies behind is there to be read. So rows
# of one channel, of few and of many, longer and shorter than vectors, with and without something left over.
PLANES = [
    ((55,), 1, 3, 2),
    ((55, 55), 1, 3, 2),
    ((27, 45), 1, 2, 2),
    ((7, 27), 1, (2, 3), (1, 2)),
    ((28, 28), 1, 2, 2),
    ((29, 35), 1, 2, (2, 1)),
    ((31, 300), 1, (3, 2), (2, 3)),
    ((40, 40), 1, 15, 1),
    ((3, 2500), 1, 2, 2),
    # As many windows to the last row, or to what a line holds of it, as any vector has lanes.
    ((2, 128), 1, 2, 2),
    ((2, 2176), 1, 2, 2),
    # More taps than are taken at a time.
    ((34, 128), 1, (17, 2), (17, 2)),
    ((5, 9, 47), 1, 2, 2),
    ((9, 9), 1, 2, 2),
    ((19, 33), 2, 2, 2),
    ((21, 21), 3, 3, 2),
    ((20, 90), 3, 2, 2),
    ((12, 13), 7, 2, 2),
    ((6, 224), 12, 2, 2),
    ((11, 11), 17, 3, 2),
    ((10, 11), 64, 2, 2),
    ((20, 20), 37, 9, 1),
]
# Eight of one channel, too few to be turned into channels. With padding both sides are of whole 64 bytes.
FEW_PLANES = [
    ((16, 32), 1, (3, 3), (2, 2)),
    ((8, 24), 1, (2, 3), (1, 1)),
    ((4, 48), 1, (2, 2), (1, 2)),
]


def between_pages(values, at_the_end):
    """A tensor of the values that ends where a page that may not be read begins, or begins where one ends."""
    size, page = values.nbytes, mmap.PAGESIZE
    room = np.frombuffer(mmap.mmap(-1, (math.ceil(size / page) + 2) * page), "uint8")
    protect = ctypes.CDLL(None, use_errno=True).mprotect
    for edge in (0, room.nbytes - page):
        if protect(ctypes.c_void_p(room.ctypes.data + edge), ctypes.c_size_t(page), 0) != 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    start = room.nbytes - page - size if at_the_end else page
    array = room[start : start + size].view(values.dtype).reshape(values.shape)
    tensor = tf.experimental.dlpack.from_dlpack(array.__dlpack__())
    # Only now, so that a tensor that had copied the array would not have them.
    array[...] = values
    same_bits(tensor, values)
    return tensor


def results(x, kept, pool_size, options):
    """What every op gives, forward and backward; `kept` says where the tensors they read are kept."""
    yield max_pool(x, pool_size, **options)
    values, indices = max_pool(x, pool_size, **options, return_indices=True)
    yield values
    yield indices
    values, indices = kept(values), kept(indices)
    size = x.shape[2:] if options["data_format"] == "channels_first" else x.shape[1:-1]
    for duplicates in ("last", "sum"):
        yield max_unpool(values, indices, pool_size, **options, output_size=size, duplicates=duplicates)
    if not x.dtype.is_floating:
        return
    with tf.GradientTape(persistent=True) as tape:
        tape.watch([x, values])
        pooled = max_pool(x, pool_size, **options)
        averages = average_pool(x, pool_size, **options)
        unpooled = max_unpool(values, indices, pool_size, **options, output_size=size)
    yield averages
    for outputs, inputs in ((pooled, x), (averages, x), (unpooled, values)):
        gradients = tf.cast(tf.reshape(tf.range(tf.size(outputs)) % 7, outputs.shape), x.dtype)
        yield tape.gradient(outputs, inputs, kept(gradients))


@pytest.mark.sandbox
@pytest.mark.parametrize("at_the_end", [False, True])
@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "uint8"])
@pytest.mark.parametrize(
    ("batch", "spatial", "channels", "pool_size", "strides"),
    [*((None, *planes) for planes in PLANES), *((8, *planes) for planes in FEW_PLANES)],
)
def test_nothing_is_read_beyond_a_tensor(batch, spatial, channels, pool_size, strides, dtype, data_format, at_the_end):
    rng = np.random.default_rng(7)
    # Of whole 64 bytes, at multiples of which TensorFlow's tensors begin, as are the indices, of 4 bytes each.
    shape = (batch or 64 // min(4, np.dtype(dtype).itemsize), *spatial, channels)
    x = oriented(rng.integers(0, 99, shape).astype(dtype), data_format)
    chosen = driver.level()
    for padding in ("same",) if batch else ("valid", "same"):
        options = {"strides": strides, "padding": padding, "data_format": data_format}
        expected = list(results(tf.constant(x), tf.identity, pool_size, options))
        try:
            for level in driver.LEVELS:
                driver.set_level(level)
                actual = results(
                    between_pages(x, at_the_end),
                    lambda tensor: between_pages(tensor.numpy(), at_the_end),
                    pool_size,
                    options,
                )
                for one, other in zip(actual, expected, strict=True):
                    same_bits(one, other)
        finally:
            driver.set_level(chosen)
