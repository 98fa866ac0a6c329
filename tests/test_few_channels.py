"""Planes of few channels, which are turned into many channels where they are small, and taken by rows where not."""

import numpy as np
import pytest
import tensorflow as tf
from conftest import hostile, oriented, same_bits
from reference import Pooling

from kpool.kernels import driver, threads
from kpool.ops import average_pool, max_pool

# Of one channel in channels_first, of few in channels_last: shape, window, strides, padding, dilation.
CASES = {
    "one too few": ((3, 9, 10, 5), (3, 3), (2, 2), "same", (1, 1)),
    "sixteen": ((2, 9, 11, 8), (3, 3), (2, 2), "same", (1, 1)),
    "seventeen": ((17, 7, 9, 1), (3, 2), (1, 2), "same", (1, 1)),
    # Groups whose number of planes, or of images, is no multiple of a vector, and of which the last blocks overlap.
    "64 and 33": ((5, 6, 7, 109), (3, 3), (2, 2), "same", (1, 1)),
    "32 and 31": ((7, 6, 7, 41), (2, 3), (1, 2), "same", (1, 1)),
    "images and some left": ((37, 6, 7, 3), (3, 3), (2, 2), "same", (1, 1)),
    "whole windows": ((33, 8, 8, 1), (2, 2), (2, 2), None, (1, 1)),
    "groups and some left": ((65, 5, 6, 3), (3, 3), (1, 1), "same", (1, 1)),
    "smaller than a vector": ((70, 1, 3, 2), (1, 2), (1, 1), None, (1, 1)),
    "one element": ((40, 1, 1, 1), (1, 1), (1, 1), None, (1, 1)),
    "the largest": ((1, 44, 55, 16), (3, 3), (2, 2), "same", (1, 1)),
    "too large": ((1, 70, 90, 16), (3, 3), (2, 2), [(1, 1), (1, 1)], (1, 1)),
    "more windows than elements": ((20, 4, 5, 1), (3, 4), (1, 1), [(2, 2), (3, 3)], (1, 1)),
    "dilated with padding": ((9, 12, 13, 2), (2, 3), (2, 1), [(2, 1), (0, 3)], (3, 2)),
    "volumes with padding": ((2, 5, 6, 7, 9), (3, 2, 3), (2, 2, 1), "same", (1, 1, 1)),
    "tall windows": ((1, 30, 8, 17), (17, 3), (1, 1), [(8, 8), (1, 1)], (1, 1)),
    "sequences": ((40, 50, 2), (5,), (2,), [(2, 2)], (1,)),
    # Too few for that.
    "rows with padding": ((1, 30, 56, 2), (3, 3), (2, 2), "same", (1, 1)),
    "rows with padding in front": ((1, 31, 55, 3), (3, 3), (2, 2), [(1, 1), (1, 1)], (1, 1)),
    "rows with much padding": ((2, 9, 40, 1), (3, 5), (1, 1), [(2, 1), (4, 3)], (1, 1)),
    "rows of few windows": ((1, 20, 5, 1), (2, 2), (2, 1), [(0, 1), (1, 1)], (1, 1)),
    "rows longer by their padding": ((1, 9, 17, 1), (2, 3), (2, 1), [(1, 0), (2, 2)], (1, 1)),
    "rows with padding in front alone": ((1, 6, 43, 2), (2, 2), (2, 2), [(0, 0), (1, 0)], (1, 1)),
    "dilated rows": ((1, 25, 38, 1), (2, 3), (1, 2), [(1, 2), (3, 1)], (3, 2)),
    "rows of slices": ((1, 4, 12, 30, 2), (2, 2, 2), (2, 2, 2), [(1, 0), (0, 1), (1, 1)], (1, 1, 1)),
    # More planes, slices and rows than are taken at a time, and sizes that leave something over at their ends.
    "line": ((300, 41, 3), (2,), (2,), None, (1,)),
    "rows": ((3, 600, 11, 2), (2, 2), (2, 2), None, (1, 1)),
    "planes": ((150, 11, 11, 3), (2, 2), (2, 2), None, (1, 1)),
    "gaps": ((40, 11, 13, 2), (2, 1), (3, 4), None, (1, 1)),
    "dilated": ((20, 14, 17, 3), (2, 2), (5, 4), None, (3, 2)),
    "overlapping": ((40, 13, 15, 2), (3, 3), (2, 2), None, (1, 1)),
    "volumes": ((20, 7, 6, 9, 2), (2, 2, 2), (2, 2, 2), None, (1, 1, 1)),
    "slices": ((2, 11, 90, 9, 2), (3, 1, 2), (2, 1, 3), None, (1, 1, 1)),
    "overlapping volumes": ((9, 7, 9, 9, 2), (3, 2, 2), (2, 3, 1), None, (1, 2, 1)),
    # Of one channel: more windows to a row than a vector holds, and more rows than a line.
    "long rows": ((3, 70, 57, 1), (2, 2), (2, 2), None, (1, 1)),
    "long rows of two": ((1, 70, 57, 2), (2, 2), (2, 2), None, (1, 1)),
    "long overlapping": ((2, 45, 55, 1), (3, 3), (2, 2), None, (1, 1)),
    "long neighbours": ((2, 20, 50, 1), (2, 3), (1, 1), None, (1, 1)),
    "long gaps": ((2, 33, 77, 1), (2, 2), (5, 3), None, (1, 1)),
    "long pairs with gaps": ((2, 50, 46, 1), (2, 2), (3, 2), None, (1, 1)),
    "long pairs and a row left": ((3, 51, 46, 1), (2, 2), (2, 2), None, (1, 1)),
    "long pairs with gaps, and a row left": ((3, 52, 47, 1), (2, 2), (3, 2), None, (1, 1)),
    # The last rows of bytes, several of them, are shorter than a vector of them.
    "long and close": ((2, 9, 27, 1), (2, 3), (1, 2), None, (1, 1)),
    "long dilated": ((2, 40, 60, 1), (2, 3), (2, 2), None, (3, 2)),
    "long and wide": ((2, 9, 200, 1), (2, 40), (2, 30), None, (1, 1)),
    "long slices": ((2, 5, 30, 50, 1), (1, 2, 2), (1, 2, 2), None, (1, 1, 1)),
    "long volumes": ((2, 6, 12, 50, 1), (2, 2, 2), (2, 2, 2), None, (1, 1, 1)),
    "long and single": ((2, 3, 44, 1), (3, 2), (2, 2), None, (1, 1)),
    "long, single and narrow": ((2, 5, 44, 1), (5, 2), (1, 2), None, (1, 1)),
    "short lines": ((90, 16, 2), (2,), (2,), None, (1,)),
    "rows longer than a line": ((1, 5, 2500, 1), (2, 2), (2, 2), None, (1, 1)),
    # More rows to a stride than a line holds.
    "long strides": ((1, 23, 900, 3), (5, 2), (10, 2), None, (1, 1)),
}


@pytest.fixture(params=[(1, "cached"), (3, "cached"), (3, "past the cache")], ids=str, autouse=True)
def setting(request):
    """Several threads begin in the midst of planes and of groups of them."""
    before, (count, place) = threads.num_threads(), request.param
    threads.set_num_threads(count)
    driver.set_cache_size(1 if place == "past the cache" else 1e12)
    yield
    threads.set_num_threads(before)
    driver.set_cache_size(0)


def arguments_of(name, data_format):
    shape, size, strides, padding, dilation = CASES[name]
    oracle = Pooling(shape[1:-1], size, strides, padding, dilation)
    arguments = {"strides": strides, "data_format": data_format, "dilation_rate": dilation}
    return shape, oracle, size, {**arguments, "padding": padding or "valid"}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_maxima(name, data_format, rng):
    shape, oracle, size, arguments = arguments_of(name, data_format)
    for dtype, index_dtype in (("float32", "int32"), ("bfloat16", "int64"), ("uint8", "int32"), ("int64", "int64")):
        x = oriented(hostile(rng, shape, dtype), data_format)
        values, indices, _ = oracle.max_pool(x, data_format == "channels_first")
        actual = max_pool(x, size, **arguments, return_indices=True, index_dtype=index_dtype)
        same_bits(actual[0], values)
        same_bits(actual[1], indices.astype(index_dtype))
        same_bits(max_pool(x, size, **arguments), values)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("dtype", ["float32", "float16", "float64"])
@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_gradients_and_averages(name, dtype, data_format, rng):
    first = data_format == "channels_first"
    shape, oracle, size, arguments = arguments_of(name, data_format)
    x = oriented(rng.integers(-4, 5, shape).astype(dtype), data_format)
    tensor = tf.constant(x)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(tensor)
        maxima = max_pool(tensor, size, **arguments)
        averages = average_pool(tensor, size, **arguments, divisor_override=4)
    # Whole numbers, and quarters of them, whose sums every dtype holds.
    gradients = rng.integers(-4, 5, maxima.shape).astype(dtype)
    same_bits(averages.numpy(), oracle.average_pool(x, first, divisor_override=4))
    for outputs, expected in (
        (maxima, oracle.max_pool_backward(x, gradients, first)),
        (averages, oracle.average_pool_backward(gradients, first, divisor_override=4)),
    ):
        same_bits(tape.gradient(outputs, tensor, tf.constant(gradients)).numpy() + 0, expected + 0)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("count_include_pad", [False, True])
def test_averages_are_the_same_bits_in_both_layouts(name, count_include_pad, rng):
    shape, _, size, arguments = arguments_of(name, "channels_last")
    # Of 64 channels none is turned.
    x = rng.standard_normal((*shape[:-1], 64)).astype("float32")
    results = []
    for data_format, channels in (("channels_last", 64), ("channels_first", 64), ("channels_first", shape[-1])):
        tensor = tf.constant(oriented(x[..., :channels], data_format))
        with tf.GradientTape() as tape:
            tape.watch(tensor)
            averages = average_pool(
                tensor, size, **{**arguments, "data_format": data_format}, count_include_pad=count_include_pad
            )
            total = tf.reduce_sum(averages)
        results.append([averages.numpy(), tape.gradient(total, tensor).numpy()])
    last, *others = results
    for other in others:
        for actual, expected in zip(other, last, strict=True):
            channels = actual.shape[1]
            same_bits(np.moveaxis(actual, 1, -1), expected[..., :channels])
