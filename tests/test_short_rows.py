"""Rows of few results or of one channel, which are taken many at a time: over rows and slices, or turned by planes."""

import pytest
import tensorflow as tf
from conftest import hostile, oriented, same_bits
from reference import Pooling

from kpool.kernels import threads
from kpool.ops import average_pool, max_pool

# More planes, slices and rows than one batch of lanes holds, and sizes that leave something over at their ends.
SHAPES = {
    "line": ((300, 41, 3), (2,), (2,), (1,)),
    "rows": ((3, 600, 11, 2), (2, 2), (2, 2), (1, 1)),
    "planes": ((150, 11, 11, 3), (2, 2), (2, 2), (1, 1)),
    "gaps": ((40, 11, 13, 2), (2, 1), (3, 4), (1, 1)),
    "dilated": ((20, 14, 17, 3), (2, 2), (5, 4), (3, 2)),
    "overlapping": ((40, 13, 15, 2), (3, 3), (2, 2), (1, 1)),
    "volumes": ((20, 7, 6, 9, 2), (2, 2, 2), (2, 2, 2), (1, 1, 1)),
    "slices": ((2, 11, 90, 9, 2), (3, 1, 2), (2, 1, 3), (1, 1, 1)),
    "overlapping volumes": ((9, 7, 9, 9, 2), (3, 2, 2), (2, 3, 1), (1, 2, 1)),
    # Of one channel: more windows to a row than a vector holds, and more rows than a line.
    "long rows": ((3, 70, 57, 1), (2, 2), (2, 2), (1, 1)),
    "long rows of two": ((1, 70, 57, 2), (2, 2), (2, 2), (1, 1)),
    "long overlapping": ((2, 45, 55, 1), (3, 3), (2, 2), (1, 1)),
    "long neighbours": ((2, 20, 50, 1), (2, 3), (1, 1), (1, 1)),
    "long gaps": ((2, 33, 77, 1), (2, 2), (5, 3), (1, 1)),
    "long pairs with gaps": ((2, 50, 46, 1), (2, 2), (3, 2), (1, 1)),
    "long pairs and a row left": ((3, 51, 46, 1), (2, 2), (2, 2), (1, 1)),
    "long pairs with gaps, and a row left": ((3, 52, 47, 1), (2, 2), (3, 2), (1, 1)),
    # The last rows of bytes, several of them, are shorter than a vector of them.
    "long and close": ((2, 9, 27, 1), (2, 3), (1, 2), (1, 1)),
    "long dilated": ((2, 40, 60, 1), (2, 3), (2, 2), (3, 2)),
    "long and wide": ((2, 9, 200, 1), (2, 40), (2, 30), (1, 1)),
    "long slices": ((2, 5, 30, 50, 1), (1, 2, 2), (1, 2, 2), (1, 1, 1)),
    "long volumes": ((2, 6, 12, 50, 1), (2, 2, 2), (2, 2, 2), (1, 1, 1)),
    "long and single": ((2, 3, 44, 1), (3, 2), (2, 2), (1, 1)),
    "long, single and narrow": ((2, 5, 44, 1), (5, 2), (1, 2), (1, 1)),
    "short lines": ((90, 16, 2), (2,), (2,), (1,)),
    "rows longer than a line": ((1, 5, 2500, 1), (2, 2), (2, 2), (1, 1)),
    # More rows to a stride than a line holds.
    "long strides": ((1, 23, 900, 3), (5, 2), (10, 2), (1, 1)),
}


@pytest.fixture(params=[1, 3], autouse=True)
def number_of_threads(request):
    """Several threads begin in the midst of planes."""
    before = threads.num_threads()
    threads.set_num_threads(request.param)
    yield
    threads.set_num_threads(before)


def pooled(name, dtype, data_format, rng):
    shape, size, strides, dilation = SHAPES[name]
    x = oriented(hostile(rng, shape, dtype), data_format)
    arguments = {"strides": strides, "data_format": data_format, "dilation_rate": dilation}
    return x, Pooling(shape[1:-1], size, strides, None, dilation), size, arguments


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_maxima(name, data_format, rng):
    for dtype, index_dtype in (("float32", "int32"), ("float16", "int64"), ("uint8", "int32")):
        x, oracle, size, arguments = pooled(name, dtype, data_format, rng)
        values, indices, _ = oracle.max_pool(x, data_format == "channels_first")
        actual = max_pool(x, size, **arguments, return_indices=True, index_dtype=index_dtype)
        same_bits(actual[0], values)
        same_bits(actual[1], indices.astype(index_dtype))
        same_bits(max_pool(x, size, **arguments), values)


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_gradients_and_averages(name, dtype, data_format, rng):
    first = data_format == "channels_first"
    x, oracle, size, arguments = pooled(name, dtype, data_format, rng)
    x = rng.integers(-4, 5, x.shape).astype(x.dtype)
    tensor = tf.constant(x)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(tensor)
        maxima = max_pool(tensor, size, **arguments)
        averages = average_pool(tensor, size, **arguments, divisor_override=4)
    # Whole numbers, and quarters of them, whose sums every dtype holds.
    gradients = rng.integers(-4, 5, maxima.shape).astype(x.dtype)
    same_bits(averages.numpy(), oracle.average_pool(x, first, divisor_override=4))
    for outputs, expected in (
        (maxima, oracle.max_pool_backward(x, gradients, first)),
        (averages, oracle.average_pool_backward(gradients, first, divisor_override=4)),
    ):
        same_bits(tape.gradient(outputs, tensor, tf.constant(gradients)).numpy() + 0, expected + 0)
