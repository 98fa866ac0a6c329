"""How average pooling adds up: rounding, the order of additions, half types, rows longer than a line."""

from itertools import product

import numpy as np
import pytest
import tensorflow as tf
from conftest import FLOATS, numpy_dtype, oriented, same_bits, small_integers
from reference import Pooling
from test_average_pool import RULES, WINDOWS, arguments_of, multiples_of_divisors, value_and_gradient, within

from kpool.ops import average_pool


@pytest.mark.parametrize("dtype", FLOATS)
def test_rounding(dtype, rng):
    """Numbers whose sums are not exact."""
    wide = np.float64
    for spatial, *window in WINDOWS:
        oracle, arguments = Pooling(spatial, *window), arguments_of((spatial, *window))
        x = rng.normal(size=(2, *spatial, 9)).astype(numpy_dtype(dtype))
        gradients = rng.normal(size=(2, *oracle.pooled, 9)).astype(x.dtype)
        terms = np.prod(oracle.pool_size)
        for rule in RULES:
            actual = value_and_gradient(x, tf.constant(gradients), **arguments, **rule)
            magnitude = oracle.average_pool(abs(x.astype(wide)), **rule)
            within(actual[0], oracle.average_pool(x.astype(wide), **rule), magnitude, terms)
            # Each share is a quotient, rounded; at most as many of them meet as a window has elements.
            magnitude = oracle.average_pool_backward(abs(gradients.astype(wide)), **rule)
            within(actual[1], oracle.average_pool_backward(gradients.astype(wide), **rule), magnitude, terms)


@pytest.mark.parametrize("dtype", FLOATS)
def test_infinities_nan_and_zeros(dtype, rng):
    """IEEE arithmetic of a sum that begins with zero: the average of negative zeros is 0, as in TensorFlow."""
    special = np.array([np.inf, -np.inf, np.nan, -0.0, -0.0], numpy_dtype(dtype))
    for (spatial, *window), density in product(WINDOWS, [0.03, 1]):
        oracle, arguments = Pooling(spatial, *window), arguments_of((spatial, *window))
        for channels in (2, 11):
            x = small_integers(rng, (1, *spatial, channels), dtype)
            x = np.where(rng.random(x.shape) < density, rng.choice(special, x.shape), x)
            gradients = small_integers(rng, (1, *oracle.pooled, channels), dtype, 1)
            gradients = np.where(rng.random(gradients.shape) < density, rng.choice(special, gradients.shape), gradients)
            actual = value_and_gradient(x, tf.constant(gradients), **arguments, divisor_override=4)
            same_bits(actual[0], oracle.average_pool(x, divisor_override=4))
            same_bits(actual[1], oracle.average_pool_backward(gradients, divisor_override=4))
    same_bits(average_pool(np.full((1, 2, 2, 1), -0.0, special.dtype), 2), np.zeros((1, 1, 1, 1), special.dtype))


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("size", list(product([1, 2, 3, 4, 5], [1, 2, 3, 4])))
def test_small_windows(size, dtype, rng):
    """Those that share little are taken one by one, and some of them in one pass."""
    for channels, dilation in product([2, 19, 40], [1, 2]):
        oracle = Pooling((9, 11), size, size, dilation_rate=(1, dilation))
        x = small_integers(rng, (2, 9, 11, channels), dtype)
        same_bits(average_pool(x, size, dilation_rate=(1, dilation)), oracle.average_pool(x))


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("channels", range(2, 17))
def test_every_number_of_few_channels(channels, dtype, rng):
    """What is picked of all columns comes in pieces of 16 or 64 bytes."""
    for size, strides, width in product([(2, 2), (3, 3), (4, 2)], [(2, 2), (3, 4)], [19, 800]):
        oracle = Pooling((6, width), size, strides)
        x = small_integers(rng, (2, 6, width, channels), dtype)
        same_bits(average_pool(x, size, strides), oracle.average_pool(x))


def test_divisors_that_float32_does_not_have(rng):
    x = small_integers(rng, (1, 9, 11, 19), "float64")
    for size in (1, 2, 3, 5):
        oracle = Pooling((9, 11), (size, size), (size, size))
        same_bits(average_pool(x, size, divisor_override=2**24 + 1), oracle.average_pool(x, divisor_override=2**24 + 1))


def running_sums(rows, starts, ends):
    """Sums of `rows[:, start:end]`, for small integers."""
    sums = np.concatenate([np.zeros_like(rows[:, :1]), np.cumsum(rows, 1)], 1)
    return sums[:, ends] - sums[:, starts]


def long_rows(width, line):
    """Windows over `width` columns where `line` are summed at a time: size, stride, padding before and after."""
    wide = width * 9 // 10
    return [
        *[(wide, 1, 0, 0), (wide, 7, 0, 0), (wide, 1, 10, 99), (wide, wide // 100, wide - 1, wide - 1)],
        *[(width, 1, 0, 0), (line - 1, 5, 0, 0), (line, 11, 1, 0), (line + 1, 9, 0, 2), (line // 2, 3, 7, 7)],
        *[(width // 10, width * 6 // 10, 0, 0), (2, line, 0, 0), (1, 1, 0, 0), (2, 1, 0, 1), (5, 1, 2, 2)],
    ]


def check_long_rows(width, channels, taps, stride, before, after, rng):
    starts = np.arange(0, before + width + after - taps + 1, stride) - before
    lows, highs = np.maximum(starts, 0), np.minimum(starts + taps, width)
    arguments = {"pool_size": (2, taps), "strides": (1, stride), "padding": ((0, 0), (before, after))}
    x = small_integers(rng, (1, 3, width, channels), "float32")
    shares = small_integers(rng, (2, len(starts), channels), "float64", 2)
    for counted, data_format, dtype in [
        (False, "channels_last", "float32"),
        (True, "channels_last", "float64"),
        (True, "channels_first", "float64"),
    ]:
        divisors = 2 * (np.full_like(starts, taps) if counted else highs - lows)[:, None]
        rows = x[0].astype("float64")
        values = running_sums(rows[:-1] + rows[1:], lows, highs) / divisors
        gradient = np.zeros((2, width + 1, channels))
        for row, share in zip(gradient, shares, strict=True):
            np.add.at(row, lows, share)
            np.add.at(row, highs, -share)
        gradient = np.cumsum(gradient, 1)[:, :-1]
        gradient = np.stack([gradient[0], gradient[0] + gradient[1], gradient[1]])
        actual = value_and_gradient(
            oriented(x.astype(dtype), data_format),
            tf.constant(oriented((shares * divisors)[None].astype(dtype), data_format)),
            **arguments,
            data_format=data_format,
            count_include_pad=counted,
        )
        same_bits(actual[0], oriented(values[None].astype(dtype), data_format))
        same_bits(actual[1], oriented(gradient[None].astype(dtype), data_format))


@pytest.mark.parametrize(
    ("width", "channels", "line"), [(10000, 1, 4096), (10000, 3, 4096 // 3), (700, 20, 4096 // 16)]
)
def test_rows_longer_than_a_line(width, channels, line, rng):
    """2 of 3 rows at a time: neither the columns nor the windows fit what is summed at once."""
    for window in long_rows(width, line):
        check_long_rows(width, channels, *window, rng)


@pytest.mark.parametrize(("taps", "dilation", "padding"), [(100, 90, 0), (3, 4500, 100)])
def test_dilation_over_more_than_a_line(taps, dilation, padding, rng):
    """100 elements, 90 apart; or so far apart that a line lies between two, and one before the first."""
    oracle = Pooling((10000,), (taps,), (13,), ((padding,) * 2,), (dilation,))
    for shape, data_format in (((1, 10000, 2), "channels_last"), ((1, 2, 10000), "channels_first")):
        x, first = small_integers(rng, shape, "bfloat16"), data_format == "channels_first"
        values = oracle.average_pool(x, first)
        gradients = multiples_of_divisors(rng, oracle, values.shape, "bfloat16", first, {})
        arguments = {"pool_size": taps, "strides": 13, "dilation_rate": dilation, "data_format": data_format}
        actual = value_and_gradient(x, tf.constant(gradients), padding=padding, **arguments)
        same_bits(actual[0], values)
        same_bits(actual[1], oracle.average_pool_backward(gradients, first))


# The order of additions, and half types.


def in_order(x, pool_size, strides):
    """Rows first, then columns, one after the other: what every layout and every size must give, to the bit."""
    working = np.float64 if x.dtype == np.float64 else np.float32
    pooled = [(size - k) // s + 1 for size, k, s in zip(x.shape[1:3], pool_size, strides, strict=True)]
    rows, columns = (
        [slice(k, k + (count - 1) * stride + 1, stride) for k in range(taps)]
        for count, taps, stride in zip(pooled, pool_size, strides, strict=True)
    )
    total = sum((x[:, row].astype(working) for row in rows), working(0))
    total = sum((total[:, :, column] for column in columns), working(0))
    return (total / working(np.prod(pool_size))).astype(x.dtype)


@pytest.mark.parametrize("dtype", FLOATS)
def test_the_order_of_additions_is_fixed(dtype, rng):
    for spatial, pool_size, strides in [
        ((9, 40), (3, 3), (2, 2)),
        ((8, 33), (2, 5), (1, 1)),
        ((5, 1200), (4, 1100), (1, 1)),
        ((4, 50), (4, 50), (1, 1)),
    ]:
        for channels in (1, 3, 8, 20, 300):
            x = (rng.normal(size=(1, *spatial, channels)) * 100).astype(numpy_dtype(dtype))
            expected = in_order(x, pool_size, strides)
            same_bits(average_pool(x, pool_size, strides), expected)
            first = average_pool(np.moveaxis(x, -1, 1), pool_size, strides, data_format="channels_first")
            same_bits(np.moveaxis(first, 1, -1), expected)


@pytest.mark.parametrize("dtype", FLOATS)
def test_both_layouts_give_the_same_bits(dtype, rng):
    for spatial, *window in WINDOWS:
        arguments = arguments_of((spatial, *window))
        x = rng.normal(size=(2, *spatial, 21)).astype(numpy_dtype(dtype))
        gradients = tf.constant(rng.normal(size=average_pool(x, **arguments).shape).astype(x.dtype))
        last = value_and_gradient(x, gradients, **arguments)
        first = value_and_gradient(
            oriented(x, "channels_first"),
            tf.constant(oriented(gradients.numpy(), "channels_first")),
            **arguments,
            data_format="channels_first",
        )
        for a, b in zip(first, last, strict=True):
            same_bits(np.moveaxis(a, 1, -1), b)


def test_half_sums_pass_the_largest_half():
    x = np.full((1, 4, 4, 9), 60000, "float16")
    assert (average_pool(x, 4) == 60000).all()
    assert np.isposinf(average_pool(x, 4, divisor_override=1)).all()
    assert (average_pool(x, 4, divisor_override=16) == 60000).all()
    gradients = tf.constant(np.full((1, 3, 3, 9), 60000, "float16"))
    dx = value_and_gradient(x, gradients, pool_size=2, strides=1)[1]
    # Four windows meet inside, each of which gives a quarter.
    assert (dx[:, 1:3, 1:3] == 60000).all()


@pytest.mark.parametrize(("dtype", "large"), [("float16", 2048), ("bfloat16", 256)])
def test_half_sums_are_rounded_once(dtype, large):
    """One more is nothing to `large` in the half type; in float32 the ones add up."""
    x = np.ones((1, 4, 8, 3), numpy_dtype(dtype))
    x[:, 0, 0] = large
    expected = np.full((1, 1, 1, 3), np.float32(large + 31) / 8).astype(x.dtype)
    same_bits(average_pool(x, (4, 8), divisor_override=8), expected)
    # Every element lies in all 8 windows.
    arguments = {"pool_size": (1, 15), "strides": 1, "padding": ((0, 0), (7, 7)), "divisor_override": 1}
    dx = value_and_gradient(x[:, :1], tf.constant(x[:, :1]), **arguments)[1]
    same_bits(dx, np.full((1, 1, 8, 3), np.float32(large + 7)).astype(x.dtype))
