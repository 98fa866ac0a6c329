"""Adaptive pooling, maxima and averages: the functions against the oracle."""

from itertools import product

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import FLOATS, INTEGERS, hostile, numpy_dtype, oriented, same_bits, small_integers, with_gradient
from reference import Pooling, adaptive_spans

from kpool.layers import AdaptiveAveragePooling2D, AdaptiveMaxPooling2D
from kpool.ops import (
    adaptive_average_pool,
    adaptive_max_pool,
    average_pool,
    global_average_pool,
    global_max_pool,
    max_pool,
    max_unpool,
)

# Input sizes and output sizes: below, equal to and above the input, dividing it and not, and axes that stay.
SIZES = [
    ((12,), (4,)),
    ((12,), (5,)),
    ((5,), (5,)),
    ((5,), (12,)),
    ((5,), (10,)),
    ((7,), (1,)),
    ((7,), (None,)),
    ((6, 10), (3, 5)),
    ((7, 9), (3, 4)),
    ((8, 5), (None, 3)),
    ((3, 4), (7, 8)),
    ((3, 2), (3, 6)),
    ((5, 9), (1, 1)),
    ((6, 7), (4, None)),
    ((4, 5, 6), (2, 3, 4)),
    ((5, 4, 3), (None, 1, 7)),
    ((2, 3, 5), (None, None, None)),
]


def multiples_of_divisors(rng, oracle, shape, dtype, channels_first):
    """Gradients of averages whose shares are integers."""
    divisors = np.reshape(oracle.divisors(), oracle.pooled)
    return (rng.integers(-2, 3, shape) * (divisors if channels_first else divisors[..., None])).astype(
        numpy_dtype(dtype)
    )


# Answers by hand.


def test_windows_by_hand():
    """7 elements in 3 parts: [0, 2.33), [2.33, 4.67), [4.67, 7)."""
    assert adaptive_spans(7, 3) == [[(0, 0), (1, 1), (2, 2)], [(0, 2), (1, 3), (2, 4)], [(0, 4), (1, 5), (2, 6)]]
    assert adaptive_spans(2, 3) == [[(0, 0)], [(0, 0), (1, 1)], [(0, 1)]]
    x = np.array([4, 1, 3, 5, 5, 0, 2], "float32").reshape(1, 7, 1)
    values, indices = adaptive_max_pool(x, 3, return_indices=True)
    assert values.ravel().tolist() == [4, 5, 5]
    assert indices.ravel().tolist() == [0, 3, 4]
    assert adaptive_average_pool(x, 3).ravel().tolist() == np.float32([8 / 3, 13 / 3, 7 / 3]).tolist()
    # More windows than elements: each window holds one or two.
    assert adaptive_average_pool(x[:, :2], 3).ravel().tolist() == [4, 2.5, 1]
    assert adaptive_max_pool(x[:, :2], 5).ravel().tolist() == [4, 4, 4, 1, 1]


# Against the oracle.


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
@pytest.mark.parametrize("dtype", FLOATS)
def test_adaptive_pooling(dtype, data_format, rng):
    first = data_format == "channels_first"
    for (spatial, output_size), channels in product(SIZES, [1, 3, 20]):
        oracle = Pooling.adaptive(spatial, output_size)
        x = oriented(hostile(rng, (2, *spatial, channels), dtype), data_format)
        values, indices, _ = oracle.max_pool(x, first)
        gradients = small_integers(rng, values.shape, dtype, 3)
        arguments = (output_size, data_format)
        actual, dx = with_gradient(lambda x, a=arguments: adaptive_max_pool(x, *a, True), x, tf.constant(gradients))
        same_bits(actual[0], values)
        same_bits(actual[1], indices.astype("int32"))
        same_bits(dx, oracle.max_pool_backward(x, gradients, first))
        same_bits(adaptive_max_pool(x, *arguments), values)

        x = small_integers(rng, x.shape, dtype)
        gradients = multiples_of_divisors(rng, oracle, values.shape, dtype, first)
        actual, dx = with_gradient(lambda x, a=arguments: adaptive_average_pool(x, *a), x, tf.constant(gradients))
        same_bits(actual, oracle.average_pool(x, first))
        same_bits(dx, oracle.average_pool_backward(gradients, first))


@pytest.mark.parametrize("dtype", INTEGERS)
def test_integers(dtype, rng):
    for spatial, output_size in SIZES:
        oracle = Pooling.adaptive(spatial, output_size)
        x = hostile(rng, (2, *spatial, 3), dtype)
        values, indices, _ = oracle.max_pool(x)
        actual = adaptive_max_pool(x, output_size, return_indices=True, index_dtype="int64")
        same_bits(actual[0], values)
        same_bits(actual[1], indices)
        flat = x.reshape(2, -1, 3)
        winners, positions = global_max_pool(x, return_indices=True)
        same_bits(winners, flat.max(1))
        same_bits(positions, flat.argmax(1).astype("int32"))
        x = np.minimum(x, 99) if dtype.startswith("u") else np.clip(x, -99, 99)
        same_bits(adaptive_average_pool(x, output_size), oracle.average_pool(x.astype("float32")))
        same_bits(global_average_pool(x), (x.reshape(2, -1, 3).sum(1, "float64") / flat.shape[1]).astype("float32"))


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("value", [np.nan, -np.inf, np.inf, -0.0])
def test_equal_elements(value, dtype):
    """The first of each window wins; neighbours share an element, and then the same one is named twice."""
    for channels in (1, 16):
        x = np.full((1, 7, 4, channels), value, numpy_dtype(dtype))
        values, indices = adaptive_max_pool(x, (3, 6), return_indices=True)
        same_bits(values, np.full((1, 3, 6, channels), value, x.dtype))
        rows, columns = np.array([0, 2, 4]), np.array([0, 0, 1, 2, 2, 3])
        np.testing.assert_array_equal(indices[0, ..., 0], rows[:, None] * 4 + columns)
        values, indices = global_max_pool(x, return_indices=True)
        same_bits(values, x[:, 0, 0])
        assert not indices.any()
    x = np.array([1, np.nan, 3, np.nan], numpy_dtype(dtype)).reshape(1, 4, 1)
    assert global_max_pool(x, return_indices=True)[1] == 1
    assert np.isnan(float(global_average_pool(x).item()))


@pytest.mark.parametrize("index_dtype", ["int32", "int64"])
def test_windows_beyond_255_elements(index_dtype, rng):
    """Their gradient goes by index, that of smaller ones by one byte."""
    for spatial, output_size in (((16, 16), 1), ((15, 17), 1), ((40, 15), (2, 1)), ((33, 40), (2, 3)), ((7, 8, 9), 1)):
        output_size = output_size if isinstance(output_size, tuple) else (output_size,) * len(spatial)
        oracle = Pooling.adaptive(spatial, output_size)
        for channels, data_format in ((3, "channels_last"), (2, "channels_first")):
            first = data_format == "channels_first"
            x = oriented(rng.normal(size=(2, *spatial, channels)).astype("float32"), data_format)
            values, indices, _ = oracle.max_pool(x, first)
            gradients = small_integers(rng, values.shape)
            for wanted in (False, True):
                results, dx = with_gradient(
                    lambda x, n=output_size, f=data_format, w=wanted: adaptive_max_pool(x, n, f, w, index_dtype),
                    x,
                    tf.constant(gradients),
                )
                same_bits(results[0] if wanted else results, values)
                if wanted:
                    same_bits(results[1], indices.astype(index_dtype))
                same_bits(dx, oracle.max_pool_backward(x, gradients, first))


@pytest.mark.parametrize("count", [1, 3, 7, 4999, 9999, 10000, 15000])
def test_rows_longer_than_a_line(count, rng):
    """10,000 columns: more than are summed at a time."""
    size = 10000
    starts, ends = np.arange(count) * size // count, -(-np.arange(1, count + 1) * size // count)
    for shape, data_format in (((1, 2, size, 3), "channels_last"), ((1, 2, 2, size), "channels_first")):
        first = data_format == "channels_first"
        x = small_integers(rng, shape)
        rows = np.moveaxis(x, -1, 1)[0] if not first else x[0]
        shares = small_integers(rng, (len(rows), count), "float64", 2)
        sums = np.concatenate([np.zeros((len(rows), 1)), np.cumsum(rows.sum(1, "float64"), 1)], 1)
        values = ((sums[:, ends] - sums[:, starts]) / (2 * (ends - starts))).astype("float32")
        expected = np.zeros((len(rows), size + 1))
        np.add.at(expected, (slice(None), starts), shares)
        np.add.at(expected, (slice(None), ends), -shares)
        expected = np.repeat(np.cumsum(expected, 1)[:, None, :-1], 2, 1).astype("float32")
        gradients = (shares * 2 * (ends - starts)).astype("float32")[None, :, None]
        if not first:
            values, expected, gradients = values.T, np.moveaxis(expected, 0, -1), np.moveaxis(gradients, 1, -1)
        actual, dx = with_gradient(
            lambda x, f=data_format: adaptive_average_pool(x, (1, count), f), x, tf.constant(gradients)
        )
        same_bits(actual[0], values[:, None] if first else values[None])
        same_bits(dx[0], expected)
        winners, dx = with_gradient(lambda x, f=data_format: adaptive_max_pool(x, (1, count), f), x)
        maxima = np.stack([rows[..., a:b].max((1, 2)) for a, b in zip(starts, ends, strict=True)], 1)
        same_bits(winners[0], maxima[:, None] if first else maxima.T[None])
        assert dx.sum() == maxima.size


def test_sizes_that_divide_are_windows_of_one_size(rng):
    x = rng.normal(size=(2, 12, 10, 9)).astype("float32")
    for mine, theirs in ((adaptive_max_pool, max_pool), (adaptive_average_pool, average_pool)):
        same_bits(mine(x, (4, 5)), theirs(x, (3, 2)))
        same_bits(mine(x, 1), theirs(x, (12, 10)))
        same_bits(mine(x, None), x)
    same_bits(global_average_pool(x), average_pool(x, (12, 10))[:, 0, 0])
    same_bits(global_max_pool(x), x.max((1, 2)))


def test_half_sums_pass_the_largest_half():
    x = np.full((1, 400, 3), 60000, "float16")
    assert (global_average_pool(x) == 60000).all()
    assert (adaptive_average_pool(x, 7) == 60000).all()
    x = np.ones((1, 300, 1), numpy_dtype("bfloat16"))
    x[:, 0] = 256
    same_bits(global_average_pool(x).ravel(), np.array([555 / 300], "float32").astype(x.dtype))


# Derivatives of every order.


def test_second_order_gradients(rng):
    for spatial, output_size in [*SIZES, ((17, 16), (1, 1)), ((40, 15), (2, 1))]:
        oracle = Pooling.adaptive(spatial, output_size)
        x = rng.permutation(2 * np.prod(spatial) * 3).reshape(2, *spatial, 3).astype("float64")
        v = small_integers(rng, x.shape, "float64")
        g = multiples_of_divisors(rng, oracle, (2, *oracle.pooled, 3), "float64", False)
        indices = oracle.max_pool(x)[1]
        for function, forward in (
            (adaptive_average_pool, oracle.average_pool),
            (adaptive_max_pool, lambda v, o=oracle, i=indices: o.gather(v, i, duplicates="sum")),
        ):
            tensor, incoming = tf.constant(x), tf.constant(g)
            with tf.GradientTape() as outer:
                outer.watch(incoming)
                with tf.GradientTape() as inner:
                    inner.watch(tensor)
                    y = function(tensor, output_size)
                dx = inner.gradient(y, tensor, incoming)
            same_bits(outer.gradient(dx, incoming, tf.constant(v)).numpy(), forward(v))


@pytest.mark.parametrize("size", [(7, 9), (17, 16)])
def test_forward_mode(size, rng):
    x, tangent = (tf.constant(small_integers(rng, (1, *size, 2), "float64")) for _ in range(2))
    with tf.autodiff.ForwardAccumulator(x, tangent) as accumulator:
        means, maxima = adaptive_average_pool(x, 2), global_max_pool(x, keepdims=True)
    same_bits(accumulator.jvp(means).numpy(), Pooling.adaptive(size, (2, 2)).average_pool(tangent.numpy()))
    oracle = Pooling.adaptive(size, (1, 1))
    expected = oracle.gather(tangent.numpy(), oracle.max_pool(x.numpy())[1])
    same_bits(accumulator.jvp(maxima).numpy(), expected)


# In graphs.


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
@pytest.mark.parametrize("known", [(None, None), (None, 9), (20, None)])
def test_graph_with_unknown_sizes(known, data_format, rng):
    """Windows of unknown size may have more than 255 elements, and planes of unknown size more than 2^31."""
    signature = [None, *known, 3] if data_format == "channels_last" else [None, 3, *known]
    first = data_format == "channels_first"
    for output_size in ((3, 4), (1, 1), (2, None)):
        oracle = Pooling.adaptive((20, 9), output_size)
        spatial = [size if n is None else n for n, size in zip(output_size, known, strict=True)]

        @tf.function(input_signature=[tf.TensorSpec(signature), tf.TensorSpec([None] * 4), tf.TensorSpec(signature)])
        def graph(x, gradients, v, output_size=output_size, spatial=spatial):
            with tf.GradientTape(persistent=True) as outer:
                outer.watch(gradients)
                with tf.GradientTape(persistent=True) as tape:
                    tape.watch(x)
                    maxima, indices = adaptive_max_pool(x, output_size, data_format, return_indices=True)
                    means = adaptive_average_pool(x, output_size, data_format)
                results = maxima, indices, means
                gradient = [tape.gradient(y, x, gradients) for y in (maxima, means)]
            for result in results:
                assert result.shape[slice(2, 4) if first else slice(1, 3)].as_list() == spatial
            for dx in gradient:
                assert dx.shape.as_list() == signature
            return *results, *gradient, *(outer.gradient(dx, gradients, v) for dx in gradient)

        x, v = (oriented(small_integers(rng, (2, 20, 9, 3)), data_format) for _ in range(2))
        values, indices, _ = oracle.max_pool(x, first)
        gradients = multiples_of_divisors(rng, oracle, values.shape, "float32", first)
        expected = [
            values,
            indices.astype("int32"),
            oracle.average_pool(x, first),
            oracle.max_pool_backward(x, gradients, first),
            oracle.average_pool_backward(gradients, first),
            oracle.gather(v, indices, first, duplicates="sum"),
            oracle.average_pool(v, first),
        ]
        for actual, part in zip(graph(x, gradients, v), expected, strict=True):
            same_bits(actual.numpy(), part)


@pytest.mark.parametrize("shape", [(0, 5, 6, 3), (2, 5, 6, 0)])
def test_empty_tensors_give_empty_results(shape):
    for function in (
        lambda x: adaptive_max_pool(x, (2, 7), return_indices=True),
        lambda x: adaptive_average_pool(x, 4),
    ):
        results, dx = with_gradient(function, np.zeros(shape, "float32"))
        for result in keras.tree.flatten(results):
            assert result.shape[::3] == shape[::3]
        assert dx.shape == shape
    assert global_max_pool(np.zeros(shape)).shape == global_average_pool(np.zeros(shape)).shape == shape[::3]


# Unpooling.


def test_adaptive_maxima_go_back(rng):
    """Windows of one size unpool as such; others through `output_size`, where a winner of two windows counts once."""
    x = rng.normal(size=(2, 8, 9, 3)).astype("float32") + 10
    values, indices = adaptive_max_pool(x, (4, 3), return_indices=True)
    same_bits(max_unpool(values, indices, (2, 3)), np.where(np.isin(x, values), x, np.float32(0)))
    values, indices = adaptive_max_pool(x, (5, 5), return_indices=True)
    unpooled = max_unpool(values, indices, (4, 5), strides=1, output_size=(8, 9))
    same_bits(unpooled, np.where(np.isin(x, values), x, np.float32(0)))


# Arguments.

SENTENCE = r"`output_size` must be a positive integer or a tuple of 2 positive integers, .* Received: output_size="


@pytest.mark.parametrize(
    "output_size", [0, -1, True, 2.5, "2", (2,), (2, 3, 4), (2, 0), (None, -1), (2, True), (), [2.0, 3]]
)
def test_output_sizes_that_cannot_be(output_size):
    for function, layer in (
        (adaptive_max_pool, AdaptiveMaxPooling2D),
        (adaptive_average_pool, AdaptiveAveragePooling2D),
    ):
        for x in (np.zeros((1, 4, 4, 1)), keras.KerasTensor((None, None, None, 1))):
            with pytest.raises(ValueError, match=SENTENCE):
                function(x, output_size)
        with pytest.raises(ValueError, match=SENTENCE):
            layer(output_size)


@pytest.mark.parametrize("output_size", [2**31, (1, 2**40), 2**70])
def test_output_sizes_past_int32(output_size):
    with pytest.raises(ValueError, match=r"`output_size` must .*integer"):
        adaptive_max_pool(np.zeros((1, 4, 4, 1)), output_size)


def test_forms_of_output_sizes(rng):
    x = rng.normal(size=(1, 6, 8, 2)).astype("float32")
    expected = adaptive_max_pool(x, (3, 3))
    for output_size in (3, [3, 3], np.array([3, 3]), (np.int64(3), 3)):
        same_bits(adaptive_max_pool(x, output_size), expected)
    same_bits(adaptive_max_pool(x, (3, None)), adaptive_max_pool(x, (3, 8)))


@pytest.mark.parametrize("shape", [(), (4,), (4, 4), (1,) * 6])
def test_ranks_that_cannot_be(shape):
    for call in (
        lambda x: adaptive_max_pool(x, 2),
        lambda x: adaptive_average_pool(x, 2),
        global_max_pool,
        global_average_pool,
        lambda x: average_pool(x, 2),
    ):
        for x in (np.zeros(shape), keras.KerasTensor(shape)):
            with pytest.raises(ValueError, match=rf"`inputs` must have rank 3, 4 or 5: .* of rank {len(shape)}"):
                call(x)


def test_spatial_axes_without_elements():
    for call in (lambda x: adaptive_max_pool(x, 2), lambda x: adaptive_average_pool(x, 2), global_max_pool):
        with pytest.raises(ValueError, match="at least one element on every spatial axis"):
            call(np.zeros((1, 0, 4, 1)))
