"""`kpool.ops.average_pool` against answers by hand, the oracle, TensorFlow and running sums.

Where values are small integers every sum is exact, so that any order of additions gives the same bits: no tolerance
is needed, and the smallest mistake in a window or a divisor shows.
"""

import gc
import weakref
from itertools import product

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import FLOATS, INTEGERS, numpy_dtype, oriented, same_bits, small_integers
from reference import Pooling

from kpool.ops import average_pool

# What sums are divided by.
RULES = [{}, {"count_include_pad": True}, {"divisor_override": 3}, {"divisor_override": 1, "count_include_pad": True}]

# Spatial sizes, and windows over them: size, strides, padding, dilation, ceil_mode.
WINDOWS = [
    ((9,), (3,), (2,), "same", (1,), False),
    ((10,), (3,), (4,), [(2, 1)], (1,), True),
    ((11,), (4,), (1,), [(0, 5)], (2,), False),
    ((3,), (5,), (3,), "same", (3,), False),
    ((7, 9), (2, 2), (2, 2), None, (1, 1), False),
    ((7, 8), (2, 3), (3, 5), None, (1, 1), False),
    ((6, 9), (3, 3), (2, 2), [(1, 1), (1, 1)], (1, 1), True),
    ((8, 7), (3, 2), (1, 3), [(0, 1), (1, 0)], (1, 2), True),
    ((5, 12), (5, 4), (2, 1), "same", (1, 2), False),
    ((9, 7), (3, 2), (1, 2), [(2, 1), (0, 1)], (2, 1), False),
    ((4, 5, 6), (2, 3, 2), (2, 1, 3), [(1, 0), (0, 2), (1, 1)], (1, 1, 1), True),
    ((5, 4, 7), (3, 2, 3), (1, 2, 2), "same", (2, 1, 1), False),
    # All whole, where the windows over an element are not those that come next; one window that has columns between its
    # own, alone and as wide as its strides.
    ((9, 10), (2, 2), (1, 1), None, (2, 2), False),
    ((2, 300, 4), (2, 2, 2), (2, 2, 2), None, (1, 1, 2), False),
    ((4, 3), (1, 3), (1, 3), [(0, 0), (0, 2)], (1, 2), False),
]


def arguments_of(window):
    _, pool_size, strides, padding, dilation, ceil_mode = window
    arguments = {"pool_size": pool_size, "strides": strides, "dilation_rate": dilation, "ceil_mode": ceil_mode}
    return {**arguments, "padding": padding or "valid"}


def multiples_of_divisors(rng, oracle, shape, dtype, channels_first, rule):
    """Gradients whose shares are integers: any other divisor gives other shares, most of them no integers."""
    divisors = np.reshape(oracle.divisors(**rule), oracle.pooled)
    divisors = divisors if channels_first else divisors[..., None]
    return (rng.integers(-2, 3, shape) * divisors).astype(numpy_dtype(dtype))


def value_and_gradient(x, gradients=None, **arguments):
    tensor = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(tensor)
        outputs = average_pool(tensor, **arguments)
    return outputs.numpy(), tape.gradient(outputs, tensor, gradients).numpy()


def within(actual, expected, magnitude, terms):
    """Equal but for rounding. `magnitude` is the result for the absolute values, `terms` how many are added.

    A sum of n terms errs by at most n - 1 roundings of at most the sum of absolute values, and the quotient is rounded
    once, a half type once more. Sums of half types are float32. The reference is float64, which adds as much as n
    roundings of its own.
    """
    result = {"float16": 2**-11, "bfloat16": 2**-8}.get(str(actual.dtype), 0)
    working = 2**-53 if actual.dtype == "float64" else 2**-24
    bound = (terms + 1) * (working + 2**-53) * magnitude
    bound += result * (np.abs(expected) + bound)
    # Below the smallest normal number a rounding is an absolute error.
    bound += 2**-25 if actual.dtype == "float16" else 0
    assert (np.abs(actual.astype("float64") - expected) <= bound).all()


# Answers by hand.


def test_2x2():
    x = np.array([[1, 3, 2, 4], [5, 7, 1, 1]], "float32").reshape(1, 2, 4, 1)
    assert average_pool(x, 2).ravel().tolist() == [4, 2]
    assert average_pool(x, (1, 2)).ravel().tolist() == [2, 3, 6, 1]
    assert average_pool(x, 2, 1).ravel().tolist() == [4, 13 / 4, 2]
    assert average_pool(x, 2, divisor_override=1).ravel().tolist() == [16, 8]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        # Windows over 1 to 6 with padding 1: (0 1 2), (2 3 4), (4 5 6), and with ceil_mode (6 0 _), whose third
        # element hangs over even the padding.
        ({}, [3 / 2, 9 / 3, 15 / 3]),
        ({"ceil_mode": True}, [3 / 2, 9 / 3, 15 / 3, 6 / 1]),
        ({"count_include_pad": True}, [3 / 3, 9 / 3, 15 / 3]),
        ({"count_include_pad": True, "ceil_mode": True}, [3 / 3, 9 / 3, 15 / 3, 6 / 2]),
        ({"divisor_override": 4, "ceil_mode": True}, [3 / 4, 9 / 4, 15 / 4, 6 / 4]),
        ({"divisor_override": 4, "count_include_pad": True}, [3 / 4, 9 / 4, 15 / 4]),
        # Without padding in front: (1 2 3), (3 4 5), (5 6 _).
        ({"padding": 0, "ceil_mode": True}, [6 / 3, 12 / 3, 11 / 2]),
        ({"padding": 0, "ceil_mode": True, "count_include_pad": True}, [6 / 3, 12 / 3, 11 / 2]),
        # "same" pads one element at the end: (1 2 3), (3 4 5), (5 6 0).
        ({"padding": "same"}, [6 / 3, 12 / 3, 11 / 2]),
        ({"padding": "same", "count_include_pad": True}, [6 / 3, 12 / 3, 11 / 3]),
        # Every second element, with 3 of padding in front: (_ _ 2), (_ 2 4), (2 4 6).
        ({"dilation_rate": 2, "padding": ((3, 0),)}, [2 / 1, 6 / 2, 12 / 3]),
        ({"dilation_rate": 2, "padding": ((3, 0),), "count_include_pad": True}, [2 / 3, 6 / 3, 12 / 3]),
    ],
)
def test_pytorchs_rules(arguments, expected):
    x = np.arange(1, 7, dtype="float64").reshape(1, 6, 1)
    assert average_pool(x, 3, 2, **{"padding": 1, **arguments}).ravel().tolist() == expected


def test_overhang_in_two_axes():
    """4x4 ones, window 3, strides 2, padding 1: the last window of an axis holds 1 element, 1 of padding, 1 of none."""
    counted = average_pool(np.ones((1, 4, 4, 1)), 3, 2, 1, ceil_mode=True, count_include_pad=True)[0, ..., 0]
    np.testing.assert_allclose(counted, np.outer([2 / 3, 3 / 3, 1 / 2], [2 / 3, 3 / 3, 1 / 2]), rtol=2**-50)
    assert (average_pool(np.ones((1, 4, 4, 1)), 3, 2, 1, ceil_mode=True) == 1).all()


def test_gradient_of_overlapping_windows():
    x = np.zeros((1, 4, 1), "float32")
    gradients = np.array([2, 4, 6], "float32").reshape(1, 3, 1)
    assert value_and_gradient(x, gradients, pool_size=2, strides=1)[1].ravel().tolist() == [1, 3, 5, 3]
    # Padding gets nothing, and an element at the edge more of what is left.
    arguments = {"pool_size": 2, "strides": 2, "padding": 1}
    assert value_and_gradient(x, gradients, **arguments)[1].ravel().tolist() == [2, 2, 2, 6]
    counted = value_and_gradient(x, gradients, **arguments, count_include_pad=True)[1]
    assert counted.ravel().tolist() == [1, 2, 2, 3]


# Against the oracle.


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
@pytest.mark.parametrize("dtype", FLOATS)
def test_values_and_gradients(dtype, data_format, rng):
    first = data_format == "channels_first"
    for (spatial, *window), channels, rule in product(WINDOWS, [1, 3, 9], RULES):
        oracle = Pooling(spatial, *window)
        arguments = {**arguments_of((spatial, *window)), **rule, "data_format": data_format}
        x = oriented(small_integers(rng, (2, *spatial, channels), dtype), data_format)
        values = oracle.average_pool(x, first, **rule)
        gradients = multiples_of_divisors(rng, oracle, values.shape, dtype, first, rule)
        actual = value_and_gradient(x, tf.constant(gradients), **arguments)
        same_bits(actual[0], values)
        same_bits(actual[1], oracle.average_pool_backward(gradients, first, **rule))
        same_bits(average_pool(x, **arguments), values)


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
@pytest.mark.parametrize("channels", [1, 2, 3, 7, 8, 9, 16, 19, 33, 300])
def test_every_number_of_channels(channels, data_format, rng):
    """No number falls between lanes of channels, lanes of columns, blocks and what is left over."""
    first = data_format == "channels_first"
    windows = [((3, 20), (2, 2), (2, 2), None), ((4, 17), (3, 3), (1, 2), "same"), ((3, 21), (2, 20), (1, 1), None)]
    for (spatial, *window), dtype in product(windows, ["float32", "float16"]):
        oracle = Pooling(spatial, *window)
        arguments = dict(zip(("pool_size", "strides", "padding"), window, strict=True), data_format=data_format)
        x = oriented(small_integers(rng, (1, *spatial, channels), dtype), data_format)
        values = oracle.average_pool(x, first)
        gradients = multiples_of_divisors(rng, oracle, values.shape, dtype, first, {})
        actual = value_and_gradient(x, tf.constant(gradients), **{**arguments, "padding": window[2] or "valid"})
        same_bits(actual[0], values)
        same_bits(actual[1], oracle.average_pool_backward(gradients, first))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_gradient_in_large_planes(dtype, rng):
    """Windows that stand alone, and divisors of which no float has the reciprocal, or float32 not even themselves."""
    for spatial, size, strides, dilation, divisor in [
        ((50, 60), (3, 3), (3, 3), (1, 1), None),
        ((50, 60), (2, 2), (2, 2), (1, 1), 2**24 + 1),
        ((50, 60), (2, 1), (2, 2), (1, 1), 7),
        ((1000, 3), (2, 2), (2, 2), (1, 2), 7),
    ]:
        oracle = Pooling(spatial, size, strides, None, dilation)
        arguments = {"pool_size": size, "strides": strides, "dilation_rate": dilation, "divisor_override": divisor}
        for channels in (1, 3):
            x = small_integers(rng, (2, *spatial, channels), dtype)
            gradients = rng.normal(size=oracle.average_pool(x).shape).astype(dtype)
            actual = value_and_gradient(x, tf.constant(gradients), **arguments)[1]
            rule = {"divisor_override": float(np.dtype(dtype).type(divisor)) if divisor else None}
            same_bits(actual, oracle.average_pool_backward(gradients, **rule))


# Derivatives of every order.


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_each_gradient_is_the_others(data_format, rule, rng):
    """The gradient by the gradient that comes in is the forward pass, and so on."""
    first = data_format == "channels_first"
    for spatial, *window in WINDOWS[4:9]:
        oracle = Pooling(spatial, *window)
        arguments = {**arguments_of((spatial, *window)), **rule, "data_format": data_format}
        x = oriented(small_integers(rng, (2, *spatial, 3), "float64"), data_format)
        pooled = oracle.average_pool(x, first, **rule).shape
        g, h = (tf.constant(multiples_of_divisors(rng, oracle, pooled, "float64", first, rule)) for _ in range(2))
        x, v = tf.constant(x), tf.constant(oriented(small_integers(rng, (2, *spatial, 3), "float64"), data_format))
        with tf.GradientTape() as third:
            third.watch(v)
            with tf.GradientTape(persistent=True) as second:
                second.watch([x, g])
                with tf.GradientTape() as first_order:
                    first_order.watch(x)
                    y = average_pool(x, **arguments)
                dx = first_order.gradient(y, x, g)
            dg = second.gradient(dx, g, v)
        assert second.gradient(dx, x, v) is None
        same_bits(dx.numpy(), oracle.average_pool_backward(g.numpy(), first, **rule))
        same_bits(dg.numpy(), oracle.average_pool(v.numpy(), first, **rule))
        same_bits(third.gradient(dg, v, h).numpy(), oracle.average_pool_backward(h.numpy(), first, **rule))


def test_second_order_gradient_of_a_square(rng):
    """f = sum(y^2) has the Hessian 2 A'A, where y = A x."""
    x, v = (tf.constant(small_integers(rng, (1, 5, 6, 2), "float64")) for _ in range(2))
    with tf.GradientTape() as outer:
        outer.watch(x)
        with tf.GradientTape() as inner:
            inner.watch(x)
            f = tf.reduce_sum(average_pool(x, 2, 1) ** 2)
        slope = tf.reduce_sum(inner.gradient(f, x) * v)
    oracle = Pooling((5, 6), (2, 2), (1, 1))
    expected = oracle.average_pool_backward(2 * oracle.average_pool(v.numpy()))
    same_bits(outer.gradient(slope, x).numpy(), expected)


@pytest.mark.parametrize("rule", RULES)
def test_forward_mode(rule, rng):
    for spatial, *window in WINDOWS[::3]:
        x, tangent = (tf.constant(small_integers(rng, (2, *spatial, 3), "float64")) for _ in range(2))
        with tf.autodiff.ForwardAccumulator(x, tangent) as accumulator:
            y = average_pool(x, **arguments_of((spatial, *window)), **rule)
        same_bits(accumulator.jvp(y).numpy(), Pooling(spatial, *window).average_pool(tangent.numpy(), **rule))


def test_the_tape_keeps_nothing_of_the_input():
    scale = tf.Variable(2.0)
    with tf.GradientTape() as tape:
        x = tf.fill((1, 4, 4, 1), scale)
        y = average_pool(x, 2)
        kept = weakref.ref(x)
        del x
        gc.collect()
        assert kept() is None
    assert tape.gradient(y, scale) == 4


# In graphs.


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
@pytest.mark.parametrize("known", [(None, None, None), (None, 7, 9), (2, None, 9)])
def test_graph_with_unknown_sizes(known, data_format, rng):
    batch, height, width = known
    signature = [batch, height, width, 4] if data_format == "channels_last" else [batch, 4, height, width]
    arguments = {"pool_size": 3, "strides": 2, "padding": 1, "ceil_mode": True, "data_format": data_format}
    oracle, first = Pooling((7, 9), (3, 3), (2, 2), [(1, 1), (1, 1)], None, True), data_format == "channels_first"

    @tf.function(input_signature=[tf.TensorSpec(signature), tf.TensorSpec([None] * 4), tf.TensorSpec(signature)])
    def graph(x, gradients, v):
        with tf.GradientTape() as outer:
            outer.watch(gradients)
            with tf.GradientTape() as tape:
                tape.watch(x)
                values = average_pool(x, **arguments)
            dx = tape.gradient(values, x, gradients)
        pooled = [None if n is None else (n + 1) // 2 for n in (height, width)]
        assert values.shape[slice(2, 4) if first else slice(1, 3)].as_list() == pooled
        assert dx.shape.as_list() == signature
        return values, dx, outer.gradient(dx, gradients, v)

    x, v = (oriented(small_integers(rng, (2, 7, 9, 4)), data_format) for _ in range(2))
    values = oracle.average_pool(x, first)
    gradients = multiples_of_divisors(rng, oracle, values.shape, "float32", first, {})
    actual = graph(x, gradients, v)
    same_bits(actual[0].numpy(), values)
    same_bits(actual[1].numpy(), oracle.average_pool_backward(gradients, first))
    same_bits(actual[2].numpy(), oracle.average_pool(v, first))


def test_errors_that_turn_out_when_the_graph_runs():
    graph = tf.function(lambda x: average_pool(x, 3), input_signature=[tf.TensorSpec([None] * 4)])
    assert graph(tf.ones((1, 3, 3, 1))) == 1
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"`pool_size` must not exceed the padded input.*\(3, 2\)"):
        graph(tf.ones((1, 3, 2, 1)))


# TensorFlow and Keras, where they have the same.


@pytest.mark.parametrize("padding", ["valid", "same"])
def test_tensorflows_own(padding, rng):
    for spatial, *window, data_format in [
        ((9,), 3, 2, "NWC"),
        ((7, 10), (2, 3), (2, 1), "NHWC"),
        ((5, 6, 7), (2, 3, 2), (1, 2, 2), "NDHWC"),
    ]:
        x, results = tf.constant(small_integers(rng, (2, *spatial, 5))), []
        for pool, *rest in ((average_pool, padding), (tf.nn.avg_pool, padding.upper(), data_format)):
            with tf.GradientTape() as tape:
                tape.watch(x)
                y = pool(x, *window, *rest)
            # Every divisor up to 12 divides 27720.
            results += y.numpy(), tape.gradient(y, x, tf.fill(y.shape, 27720.0)).numpy()
        same_bits(results[0], results[2])
        same_bits(results[1], results[3])


@pytest.mark.parametrize("dtype", INTEGERS)
def test_integers_give_floats(dtype, rng):
    limits = np.iinfo(dtype)
    x = rng.integers(max(limits.min, -99), 99, (2, 4, 6, 3)).astype(dtype)
    same_bits(average_pool(x, 2), Pooling((4, 6), (2, 2)).average_pool(x.astype("float32")))
    assert average_pool(tf.constant(x), 2).dtype == keras.ops.mean(tf.constant(x)).dtype == "float32"
    # No sum of the largest wraps around.
    largest = np.full((1, 2, 2, 1), limits.max, dtype)
    assert average_pool(largest, 2).item() == np.float32(limits.max)
    assert average_pool(np.full_like(largest, limits.min), 2).item() == np.float32(limits.min)
    try:
        keras.config.set_floatx("float64")
        assert average_pool(x, 2).dtype == "float64"
    finally:
        keras.config.set_floatx("float32")


# Arguments.


def test_kinds_of_input(rng):
    x = small_integers(rng, (1, 4, 6, 2))
    expected = Pooling((4, 6), (2, 2)).average_pool(x)
    assert isinstance(average_pool(x, 2), np.ndarray)
    for same in (tf.constant(x), tf.Variable(x), keras.Variable(x), x.tolist()):
        result = average_pool(same, 2)
        assert tf.is_tensor(result)
        same_bits(result.numpy(), expected)
    same_bits(average_pool(x[:, ::-1, ::-1], 2), expected[:, ::-1, ::-1])


@pytest.mark.parametrize("shape", [(0, 8, 8, 3), (2, 8, 8, 0), (0, 8, 8, 0)])
def test_empty_tensors_give_empty_results(shape):
    values, gradient = value_and_gradient(np.zeros(shape, "float32"), pool_size=3, strides=2)
    assert values.shape == (shape[0], 3, 3, shape[3])
    assert gradient.shape == shape


@pytest.mark.parametrize("divisor", [0, -1, True, False, 2.5, 2.0, "2", 2**31, 2**70, (2, 2), ()])
def test_divisors_that_cannot_be(divisor):
    message = r"`divisor_override` must be None or an integer from 1 to 2147483647\. Received: divisor_override="
    for x in (np.zeros((1, 4, 4, 1)), keras.KerasTensor((1, 4, 4, 1))):
        with pytest.raises(ValueError, match=message):
            average_pool(x, 2, divisor_override=divisor)


def test_divisors_at_the_limits():
    x = np.full((1, 2, 2, 1), 2**29)
    assert average_pool(x, 2, divisor_override=np.int64(1)).item() == 2**31
    assert average_pool(x.astype("float64"), 2, divisor_override=2**31 - 1).item() == 2**31 / (2**31 - 1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"pool_size": 5}, r"`pool_size` must not exceed the padded input .*\. Received: .*=\(5, 4\)"),
        ({"pool_size": 3, "dilation_rate": 2}, r"`pool_size` must not exceed the padded input .*=\(5, 4\)"),
        ({"pool_size": 0}, r"`pool_size` must hold integers from 1 .* Received: pool_size=\(0, 0\)"),
        ({"pool_size": (2, 2, 2)}, r"`pool_size` must be an integer or a tuple of 2 integers\. Received: pool_size="),
        ({"strides": -1}, r"`strides` must hold integers from 1 .* Received: strides=\(-1, -1\)"),
        ({"padding": 2}, r"`padding` must be smaller than the window .* Received: padding before each axis=\(2, 2\)"),
        ({"padding": "full"}, r'`padding` must be "valid", "same", .* Received: padding=\'full\''),
        ({"data_format": "NHWC"}, r"`data_format` must be .* Received: data_format=\'NHWC\'"),
    ],
)
def test_arguments_that_cannot_be(arguments, message):
    for x in (np.zeros((1, 4, 4, 1)), keras.KerasTensor((1, 4, 4, 1)), keras.KerasTensor((None, 4, None, 1))):
        with pytest.raises(ValueError, match=message):
            average_pool(x, **{"pool_size": 2, **arguments})


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize(
    ("pool_size", "strides", "dilation"),
    [
        ((2, 2), (2, 2), (1, 1)),
        ((2, 3), (5, 4), (1, 1)),
        ((2, 2), (4, 3), (2, 2)),
        ((1, 2), (3, 2), (1, 1)),
        ((2, 2, 2), (2, 2, 2), (1, 1, 1)),
        ((1, 2, 2), (3, 2, 4), (1, 1, 1)),
        ((2, 2, 2), (5, 3, 2), (2, 1, 1)),
    ],
)
def test_gradients_of_many_channels_are_those_of_each(dtype, pool_size, strides, dilation, rng):
    """Where windows stand apart, with slices, rows and columns between them that no window has."""
    x = np.zeros((2, *(10, 13, 14)[-len(pool_size) :], 20), numpy_dtype(dtype))
    arguments = {"pool_size": pool_size, "strides": strides, "dilation_rate": dilation}
    gradients = (24 * rng.integers(-9, 10, average_pool(x, **arguments).shape)).astype(numpy_dtype(dtype))
    _, actual = value_and_gradient(x, gradients, **arguments)
    parts = [slice(c, c + 1) for c in range(20)]
    each = [value_and_gradient(x[..., c], gradients[..., c], **arguments)[1] for c in parts]
    np.testing.assert_array_equal(actual, np.concatenate(each, axis=-1))
    assert actual.any()
