"""Tall and wide windows that overlap, whose rows and columns are shared: the same answers as for each on its own."""

from math import prod

import numpy as np
import pytest
import tensorflow as tf
from conftest import FLOATS, hostile, numpy_dtype, oriented, same_bits, small_integers
from reference import Pooling

import kpool

# Input, window, strides, padding. Groups of 4 to 8 rows of windows that are whole, cut short, or more than there are
# rows; windows that reach over the padding on both sides; strides that leave columns out; one column; 3-D.
CASES = {
    "tall and wide": ((19, 21), (9, 9), (1, 1), "same"),
    "taller than the input with its padding": ((11, 9), (17, 15), (1, 1), "same"),
    "one group and a row": ((25, 14), (17, 8), (1, 2), [(0, 0), (3, 4)]),
    "strides": ((40, 33), (19, 13), (2, 3), [(9, 2), (0, 12)]),
    "four together": ((13, 12), (8, 3), (1, 1), [(7, 7), (1, 1)]),
    "not tall enough": ((13, 12), (7, 16), (1, 1), [(3, 3), (7, 7)]),
    "one column": ((23, 5), (16, 1), (1, 1), [(5, 15), (0, 0)]),
    "all columns": ((20, 6), (9, 6), (1, 1), [(0, 0), (0, 0)]),
    "so wide that a line holds few channels": ((12, 80), (8, 70), (1, 1), [(0, 0), (40, 10)]),
    "so wide that it holds four": ((11, 150), (8, 140), (1, 1), [(0, 0), (20, 20)]),
    "so wide that it holds one": ((1, 600), (1, 1000), (1, 3), "same"),
    "lines filled to the last element": ((1, 1030), (1, 1024), (1, 64), [(0, 0), (500, 900)]),
    "as wide as it is sure to hold": ((11, 1030), (8, 1024), (1, 1), [(0, 0), (1, 1)]),
    "wider than it is sure to hold": ((11, 1030), (8, 1025), (1, 1), [(0, 0), (1, 1)]),
    "wide, with little in common": ((12, 210), (8, 100), (1, 50), [(0, 0), (0, 0)]),
    "wide, with nothing in common": ((12, 210), (8, 100), (1, 101), [(0, 0), (0, 0)]),
    "much wider than the input": ((12, 9), (8, 100), (1, 1), "same"),
    "wider than the input with its padding": ((3, 2), (1, 64), (1, 1), "same"),
    "both, beside many planes": ((16, 2), (9, 9), (1, 1), "same"),
    "slices of one row": ((3, 12, 10), (1, 8, 8), (1, 1, 1), [(0, 0), (4, 4), (0, 0)]),
    "slices of several": ((4, 10, 9), (3, 8, 8), (1, 1, 1), "same"),
}


def layers(case):
    spatial, pool_size, strides, padding = CASES[case]
    given = padding if padding == "same" else tuple(tuple(axis) for axis in padding)
    return Pooling(spatial, pool_size, strides, padding), (pool_size, strides, given)


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
@pytest.mark.parametrize("channels", [1, 5, 33])
@pytest.mark.parametrize("case", CASES)
def test_maxima_and_their_indices(case, channels, data_format, rng):
    oracle, arguments = layers(case)
    # Windows of more than 255 elements have taps of two bytes for bytes and halves.
    for dtype in ("float32", "uint8", "float16"):
        x = oriented(hostile(rng, (1, *oracle.spatial, channels), dtype), data_format)
        expected = oracle.max_pool(x, data_format == "channels_first")[:2]
        values, indices = kpool.ops.max_pool(x, *arguments, data_format, return_indices=True)
        same_bits(values, expected[0])
        same_bits(indices, expected[1].astype("int32"))
        same_bits(kpool.ops.max_pool(x, *arguments, data_format), expected[0])


@pytest.mark.parametrize("channels", [1, 5, 33])
@pytest.mark.parametrize("case", CASES)
def test_maxima_alone_are_the_first_of_their_equals(case, channels, rng):
    """Zeros of both signs are equal, and NaN of both: the first one's bits stand, without indices as with them."""
    oracle, arguments = layers(case)
    for dtype in FLOATS:
        # Zeros that are all alike, mostly +0 and mostly -0, so that some tiles have none that differ.
        for few in ([0.0, -1.0], [0.0, 0.0, 0.0, -0.0, -1.0], [-0.0, -0.0, 0.0, -1.0], [np.nan, -np.nan, -0.0, 1.0]):
            x = rng.choice(np.array(few, numpy_dtype(dtype)), (1, *oracle.spatial, channels))
            values, indices = kpool.ops.max_pool(x, *arguments, return_indices=True)
            first = np.take_along_axis(x.reshape(1, -1, channels), indices.reshape(1, -1, channels), axis=1)
            assert values.tobytes() == first.tobytes() == kpool.ops.max_pool(x, *arguments).tobytes()


@pytest.mark.parametrize("dtype", ["float32", "int8"])
@pytest.mark.parametrize("case", CASES)
def test_windows_of_the_least_value_keep_their_first_index(case, dtype, rng):
    """The padding must not win, whatever lies beside it."""
    oracle, arguments = layers(case)
    least = -np.inf if dtype == "float32" else -128
    x = np.full((1, *oracle.spatial, 2), least, dtype)
    expected = oracle.max_pool(x)[:2]
    values, indices = kpool.ops.max_pool(x, *arguments, return_indices=True)
    same_bits(values, expected[0])
    same_bits(indices, expected[1].astype("int32"))


@pytest.mark.parametrize("channels", [1, 5, 63])
@pytest.mark.parametrize("case", CASES)
def test_averages_of_exact_sums(case, channels, rng):
    """Sums of small integers are exact in any order, and quotients are rounded once."""
    oracle, arguments = layers(case)
    for dtype in FLOATS:
        x = small_integers(rng, (2, *oracle.spatial, channels), dtype)
        expected = oracle.average_pool(x)
        same_bits(kpool.ops.average_pool(x, *arguments), expected)
        moved = kpool.ops.average_pool(oriented(x, "channels_first"), *arguments, "channels_first")
        same_bits(moved, oriented(expected, "channels_first"))


@pytest.mark.parametrize("case", CASES)
def test_averages_have_the_same_bits_in_both_layouts_and_however_work_is_cut(case, rng):
    _, arguments = layers(case)
    spatial = CASES[case][0]
    # So many planes, but for the largest, that channels are not cut into blocks, and one, of which they are.
    x = rng.normal(size=(min(65, 40_000 // prod(spatial)), *spatial, 130)).astype("float32")
    expected = kpool.ops.average_pool(x, *arguments)
    same_bits(kpool.ops.average_pool(x[-1:], *arguments), expected[-1:])
    same_bits(kpool.ops.average_pool(x[1:2, ..., 70:71], *arguments), expected[1:2, ..., 70:71])
    moved = kpool.ops.average_pool(oriented(x, "channels_first"), *arguments, "channels_first")
    same_bits(oriented(expected, "channels_first"), moved)


@pytest.mark.parametrize("case", CASES)
def test_what_is_not_finite_stays_in_its_windows(case, rng):
    """A running sum would carry a NaN on to windows that do not have it."""
    oracle, arguments = layers(case)
    x = rng.normal(size=(1, *oracle.spatial, 3)).astype("float32")
    x.reshape(-1)[:: x.size // 7] = np.nan
    x.reshape(-1)[5 :: x.size // 3] = np.inf
    expected = oracle.average_pool(x)
    actual = np.asarray(kpool.ops.average_pool(x, *arguments))
    np.testing.assert_array_equal(np.isnan(actual), np.isnan(expected))
    np.testing.assert_array_equal(np.isinf(actual), np.isinf(expected))


@pytest.mark.parametrize("case", CASES)
def test_gradients_go_to_the_winners(case, rng):
    oracle, arguments = layers(case)
    x = hostile(rng, (1, *oracle.spatial, 4), "float32")
    gradients = small_integers(rng, (1, *oracle.pooled, 4))
    inputs = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        values = kpool.ops.max_pool(inputs, *arguments)
    same_bits(tape.gradient(values, inputs, gradients), oracle.max_pool_backward(x, gradients))
