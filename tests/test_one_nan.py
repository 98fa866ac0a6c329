"""Maxima where NaN is rare: floats are compared as if there were none, until one is met."""

from itertools import product

import numpy as np
import pytest
from conftest import numpy_dtype, oriented, same_bits
from reference import Pooling

import kpool

# Input, window, strides, padding, dilation: each way to go through a tensor, and lists of one loop and of several.
CASES = {
    "four taps": ((7, 9), (2, 2), (2, 2), None, (1, 1)),
    "nine taps": ((7, 9), (3, 3), (2, 2), None, (1, 1)),
    "nine, and fewer at the sides": ((6, 7), (3, 3), (1, 1), "same", (1, 1)),
    "thirteen in a row": ((40,), (13,), (14,), None, (1,)),
    "twenty-seven": ((3, 5, 6), (3, 3, 3), (2, 2, 2), "same", (1, 1, 1)),
    "more than a list holds": ((7, 14), (7, 7), (7, 7), None, (1, 1)),
    "dilated": ((9, 8), (3, 3), (2, 2), None, (2, 3)),
    "by lines": ((7, 12), (3, 6), (1, 1), None, (1, 1)),
    "by lines, doubled": ((4, 13), (1, 8), (1, 1), "same", (1, 1)),
    "rows of windows together": ((17, 6), (9, 5), (1, 1), "same", (1, 1)),
    "the whole plane": ((12, 9), (12, 9), (12, 9), None, (1, 1)),
}


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
@pytest.mark.parametrize("channels", [1, 3, 17])
@pytest.mark.parametrize("case", CASES)
def test_a_nan_is_met_wherever_it_is(case, channels, data_format, rng):
    spatial, pool_size, strides, padding, dilation = CASES[case]
    oracle = Pooling(spatial, pool_size, strides, padding, dilation)
    places = int(np.prod(spatial))
    # Of each image one place is NaN, in one channel; the last image has none.
    x = rng.choice(np.array([-np.inf, -0.0, 0.0, -1, -1, -2, 3, 1e38], "float32"), (places + 1, *spatial, channels))
    for place in range(places):
        x[(place, *np.unravel_index(place, spatial), place % channels)] = np.nan
    x = oriented(x, data_format)
    expected = oracle.max_pool(x, data_format == "channels_first")[:2]
    arguments = (pool_size, strides, padding or "valid", data_format)
    for image in range(places + 1):
        one = x[image : image + 1]
        values, indices = kpool.ops.max_pool(one, *arguments, dilation_rate=dilation, return_indices=True)
        same_bits(values, expected[0][image : image + 1])
        same_bits(indices, expected[1][image : image + 1].astype("int32"))
        values = kpool.ops.max_pool(one, *arguments, dilation_rate=dilation)
        same_bits(values, expected[0][image : image + 1])


@pytest.mark.parametrize(
    ("shape", "pool_size", "strides"),
    [
        # Rows in pieces, of few channels, of many, of rows together; channels in blocks, which threads share.
        ((2, 1500, 3), (2, 2), (2, 2)),
        ((2, 400, 17), (2, 2), (2, 2)),
        ((3, 700, 5), (1, 6), (1, 1)),
        ((17, 420, 3), (9, 5), (1, 1)),
        ((6, 9, 64), (3, 3), (2, 2)),
        ((3, 5, 130), (3, 3), (1, 1)),
        ((9, 9, 3000), (9, 9), (9, 9)),
    ],
)
def test_a_nan_is_met_in_every_piece(shape, pool_size, strides, rng):
    x = rng.choice(np.array([-1, -1, 0, 2, 3], "float32"), (1, *shape))
    oracle = Pooling(shape[:2], pool_size, strides)
    values, indices = oracle.max_pool(x)[:2]
    for height, width, channel in product(
        (0, shape[0] - 1), (0, 1, shape[1] // 2, shape[1] - 2), (0, shape[2] // 2, shape[2] - 1)
    ):
        spoilt, expected, places = x.copy(), values.copy(), indices.copy()
        spoilt[0, height, width, channel] = np.nan
        place = height * shape[1] + width
        seen = np.array([any(place == p for _, p in window) for window in oracle.windows]).reshape(oracle.pooled)
        expected[0, seen, channel], places[0, seen, channel] = np.nan, place
        actual = kpool.ops.max_pool(spoilt, pool_size, strides, return_indices=True)
        same_bits(actual[0], expected)
        same_bits(actual[1], places.astype("int32"))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("case", CASES)
def test_numbers_that_cancel_out_or_overflow_are_no_nan(case, dtype, rng):
    """Infinities of both signs have a sum that is NaN; the greatest numbers have one that is infinite."""
    spatial, pool_size, strides, padding, dilation = CASES[case]
    oracle = Pooling(spatial, pool_size, strides, padding, dilation)
    most = np.finfo(dtype).max
    for pool in ([np.inf, -np.inf, 1, 2], [most, -most, 1, 1, 2], [-np.inf, -np.inf, -most]):
        for channels in (1, 3, 17):
            x = rng.choice(np.array(pool, numpy_dtype(dtype)), (3, *spatial, channels))
            expected = oracle.max_pool(x)[:2]
            values, indices = kpool.ops.max_pool(
                x, pool_size, strides, padding or "valid", dilation_rate=dilation, return_indices=True
            )
            same_bits(values, expected[0])
            same_bits(indices, expected[1].astype("int32"))
