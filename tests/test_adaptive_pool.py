"""Adaptive and global pooling, maxima and averages: the functions against the oracle, masks, and calls in models."""

from itertools import product

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import FLOATS, INTEGERS, hostile, numpy_dtype, same_bits
from reference import Pooling, adaptive_spans

from kpool.layers import AdaptiveAveragePooling2D, AdaptiveMaxPooling2D, GlobalAveragePooling1D, GlobalMaxPooling2D
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


def oriented(x, data_format):
    return np.moveaxis(x, -1, 1) if data_format == "channels_first" else x


def small_integers(rng, shape, dtype="float32", most=8):
    return rng.integers(-most, most + 1, shape).astype(numpy_dtype(dtype))


def multiples_of_divisors(rng, oracle, shape, dtype, channels_first):
    """Gradients of averages whose shares are integers."""
    divisors = np.reshape(oracle.divisors(), oracle.pooled)
    return (rng.integers(-2, 3, shape) * (divisors if channels_first else divisors[..., None])).astype(
        numpy_dtype(dtype)
    )


def with_gradient(function, x, gradients=None):
    """What the function returns, and the gradient of its (first) result."""
    tensor = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(tensor)
        results = function(tensor)
    first = results[0] if isinstance(results, tuple) else results
    return keras.tree.map_structure(np.asarray, results), tape.gradient(first, tensor, gradients).numpy()


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


def test_global_by_hand():
    x = np.array([[1, 7, 7], [2, 0, 1]], "float32").reshape(1, 2, 3, 1)
    values, indices = global_max_pool(x, return_indices=True)
    assert (values.tolist(), indices.tolist()) == ([[7]], [[1]])
    assert global_average_pool(x).tolist() == [[3]]
    for function in (global_max_pool, global_average_pool):
        assert function(x, keepdims=True).shape == (1, 1, 1, 1)
        assert function(x[:, 0], keepdims=True).shape == (1, 1, 1)
        assert function(np.zeros((2, 5, 3, 4, 6)), "channels_first", keepdims=True).shape == (2, 5, 1, 1, 1)
        assert function(np.zeros((2, 5, 3, 4, 6)), "channels_first").shape == (2, 5)
        assert function(np.zeros((2, 5, 3, 4, 6))).shape == (2, 6)


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


@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_global_pooling(data_format, keepdims, rng):
    first = data_format == "channels_first"
    for dtype, spatial, channels in product(FLOATS, [(13,), (5, 6), (3, 4, 5)], [1, 3, 70]):
        oracle = Pooling.adaptive(spatial, (1,) * len(spatial))
        x = oriented(hostile(rng, (2, *spatial, channels), dtype), data_format)
        values, indices, _ = (part if keepdims else part.reshape(2, channels) for part in oracle.max_pool(x, first))
        gradients = small_integers(rng, values.shape, dtype, 3)
        full = gradients.reshape(2, channels, *(1,) * len(spatial))
        full = full if first else np.moveaxis(full, 1, -1)
        function = lambda x: global_max_pool(x, data_format, keepdims, True)  # noqa: E731
        actual, dx = with_gradient(function, x, tf.constant(gradients))
        same_bits(actual[0], values)
        same_bits(actual[1], indices.astype("int32"))
        same_bits(dx, oracle.max_pool_backward(x, full, first))
        same_bits(global_max_pool(x, data_format, keepdims), values)

        x = small_integers(rng, x.shape, dtype)
        size = np.prod(spatial)
        gradients, full = gradients * x.dtype.type(size), full * x.dtype.type(size)
        function = lambda x: global_average_pool(x, data_format, keepdims)  # noqa: E731
        actual, dx = with_gradient(function, x, tf.constant(gradients))
        same_bits(actual, oracle.average_pool(x, first).reshape(values.shape))
        same_bits(dx, oracle.average_pool_backward(full, first))


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


def test_global_pooling_in_a_graph_of_unknown_sizes(rng):
    @tf.function(input_signature=[tf.TensorSpec([None, None, None, 3])])
    def graph(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            values, indices = global_max_pool(x, return_indices=True)
            means = global_average_pool(x)
            loss = tf.reduce_sum(values) + tf.reduce_sum(means)
        assert values.shape.as_list() == indices.shape.as_list() == means.shape.as_list() == [None, 3]
        return values, indices, means, tape.gradient(loss, x)

    for size in ((4, 8), (32, 16)):
        x = rng.permutation(2 * np.prod(size) * 3).reshape(2, *size, 3).astype("float32")
        flat = x.reshape(2, -1, 3)
        values, indices, means, dx = (part.numpy() for part in graph(x))
        same_bits(values, flat.max(1))
        same_bits(indices, flat.argmax(1).astype("int32"))
        same_bits(means, (flat.sum(1, "float64") / flat.shape[1]).astype("float32"))
        same_bits(dx, np.float32(1 / flat.shape[1]) + (x == values[:, None, None]))


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


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_global_maxima_go_back(data_format, rng):
    """A global window is a window of the size of the plane, and unpooling takes its indices."""
    for spatial in ((9,), (4, 7), (3, 4, 5)):
        x = oriented(rng.normal(size=(2, *spatial, 3)).astype("float32"), data_format)
        values, indices = global_max_pool(x, data_format, keepdims=True, return_indices=True)
        unpooled = max_unpool(values, indices, spatial, data_format=data_format)
        same_bits(unpooled, np.where(x == values, x, np.float32(0)))


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


def test_windows_past_int32():
    """Known when a model is built, refused when it is built."""
    for call in (
        lambda x: global_max_pool(x, return_indices=True, index_dtype="int64"),
        global_average_pool,
        lambda x: adaptive_max_pool(x, (1, 2)),
        lambda x: adaptive_average_pool(x, 1),
    ):
        for x in (keras.KerasTensor((None, 65536, 65536, 1)), tf.zeros((0, 65536, 65536, 1))):
            with pytest.raises(ValueError, match="must span at most 2147483647 elements"):
                call(x)
    with pytest.raises(tf.errors.InvalidArgumentError, match="must span at most 2147483647 elements"):
        tf.function(global_average_pool, input_signature=[tf.TensorSpec([None] * 4)])(tf.zeros((0, 65536, 65536, 1)))
    assert adaptive_max_pool(keras.KerasTensor((None, 65536, 65536, 1)), 2).shape == (None, 2, 2, 1)


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


# Masks.


def masked_means(x, mask, dtype):
    """The mean of the steps that count, in float64, rounded to float32 first where `dtype` is a half type."""
    with np.errstate(invalid="ignore"):
        sums = np.stack([steps[counts].astype("float64").sum(0) for steps, counts in zip(x, mask, strict=True)])
        means = sums / mask.sum(1, keepdims=True)
    return means.astype("float32").astype(numpy_dtype(dtype)) if dtype.endswith("float16") else means.astype(dtype)


# Sums of small integers are exact. What remains is the quotient, which may take a product or two: four roundings. Half
# types are computed in float32 and rounded once, so that a result is the right one or its neighbour.
TOLERANCES = {"float16": 2**-10, "bfloat16": 2**-7, "float32": 4 * 2**-24, "float64": 4 * 2**-53}


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("steps", [7, 3000])
def test_masked_steps_do_not_count(steps, dtype, data_format, rng):
    x = small_integers(rng, (5, steps, 3), dtype)
    mask = rng.random((5, steps)) < np.array([0.5, 0.9, 0.01, 1, 0.5])[:, None]
    mask[:, 1] = True
    # What is masked is not looked at.
    x[4] = np.where(mask[4][:, None], x[4], numpy_dtype(dtype)(np.nan))
    layer = GlobalAveragePooling1D(data_format, dtype=dtype)
    expected = masked_means(x, mask, dtype)
    for form in (mask, mask.astype("int32"), tf.constant(mask)):
        actual = layer(oriented(x, data_format), mask=form).numpy()
        assert actual.dtype == expected.dtype
        np.testing.assert_allclose(actual.astype("float64"), expected.astype("float64"), rtol=TOLERANCES[dtype], atol=0)
    keepdims = GlobalAveragePooling1D(data_format, keepdims=True, dtype=dtype)(oriented(x, data_format), mask=mask)
    same_bits(keepdims[:, :, 0] if data_format == "channels_first" else keepdims[:, 0], actual)


def test_a_mask_of_few_among_many():
    """The one step that counts is the mean, as long as the sequence may be."""
    for dtype, steps in (("float16", 4096), ("float16", 70000), ("bfloat16", 70000), ("float32", 70000)):
        x = np.full((1, steps, 1), 9, numpy_dtype(dtype))
        x[0, 5] = 0.007
        mask = np.zeros((1, steps), bool)
        mask[0, 5] = True
        actual = GlobalAveragePooling1D(dtype=dtype)(x, mask=mask).numpy()
        np.testing.assert_allclose(actual.astype("float64"), float(x[0, 5, 0]), rtol=TOLERANCES[dtype])


def test_everything_masked_is_nan_as_in_keras():
    x, mask = np.ones((2, 4, 3), "float32"), np.array([[0, 0, 0, 0], [0, 1, 0, 1]], bool)
    for layer in (GlobalAveragePooling1D(), keras.layers.GlobalAveragePooling1D()):
        np.testing.assert_array_equal(layer(x, mask=mask), [[np.nan] * 3, [1] * 3])
    tensor = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(tensor)
        y = GlobalAveragePooling1D()(tensor, mask=mask)[1]
    np.testing.assert_array_equal(tape.gradient(y, tensor)[1, :, 0], [0, 0.5, 0, 0.5])


def test_gradients_of_masked_steps(rng):
    x, mask = small_integers(rng, (2, 6, 3)), np.array([[1, 1, 0, 1, 0, 1], [0, 0, 1, 0, 0, 0]], bool)
    _, dx = with_gradient(lambda x: GlobalAveragePooling1D()(x, mask=mask), x)
    expected = np.repeat((mask / mask.sum(1, keepdims=True))[..., None], 3, -1)
    np.testing.assert_allclose(dx, expected, rtol=TOLERANCES["float32"], atol=0)


@pytest.mark.parametrize("source", ["masking", "embedding"])
def test_masks_in_a_model_are_those_of_keras(source, rng):
    if source == "masking":
        x = small_integers(rng, (4, 6, 3))
        x[0, 2:], x[1, ::2], x[2] = 0, 0, 0
        inputs, make = keras.Input((None, 3)), keras.layers.Masking
    else:
        x = rng.integers(0, 3, (4, 6))
        vectors = lambda shape, dtype: tf.constant(small_integers(rng, shape, dtype))  # noqa: E731
        inputs, make = (
            keras.Input((None,), dtype="int32"),
            lambda: keras.layers.Embedding(3, 5, vectors, mask_zero=True),
        )
    hidden = make()(inputs)
    model = keras.Model(
        inputs, [layer()(hidden) for layer in (GlobalAveragePooling1D, keras.layers.GlobalAveragePooling1D)]
    )
    for predict in (model, lambda x: model.predict(x, verbose=0)):
        ours, theirs = (np.asarray(part) for part in predict(x))
        np.testing.assert_allclose(ours, theirs, rtol=2 * TOLERANCES["float32"])
    assert np.isnan(ours).any() == (source == "masking")
    # The mask ends here, as in Keras.
    assert getattr(model.outputs[0], "_keras_mask", None) is None
    assert GlobalAveragePooling1D().supports_masking


# Calls of the functions in functional models.


def arrays(results):
    return keras.tree.flatten(keras.tree.map_structure(np.asarray, results))


CALLS = {
    "average": lambda x: average_pool(x, 3, (2, 1), ((1, 0), (0, 2)), ceil_mode=True, count_include_pad=True),
    "average_by_3": lambda x: average_pool(x, (2, 2), padding="same", dilation_rate=2, divisor_override=3),
    "average_first": lambda x: average_pool(x, 2, data_format="channels_first"),
    "global_max": lambda x: global_max_pool(x, return_indices=True, index_dtype="int64"),
    "global_max_keepdims": lambda x: global_max_pool(x, keepdims=True),
    "global_average": lambda x: global_average_pool(x, keepdims=True),
    "adaptive_max": lambda x: adaptive_max_pool(x, (3, None), return_indices=True),
    "adaptive_average": lambda x: adaptive_average_pool(x, [3, 11]),
    "unpooled": lambda x: max_unpool(*max_pool(x, 2, return_indices=True), 2, output_size=(7, 9)),
    "of_integers": lambda x: average_pool(keras.ops.cast(x, "int32"), 2),
}


@pytest.mark.parametrize("static", [True, False])
def test_calls_in_models(static, tmp_path, rng):
    x = small_integers(rng, (2, 7, 9, 6))
    inputs = keras.Input((7, 9, 6) if static else (None, None, 6))
    outputs = {name: call(inputs) for name, call in CALLS.items() if static or name != "average_first"}
    model = keras.Model(inputs, outputs)
    expected = {name: CALLS[name](tf.constant(x)) for name in outputs}
    for name in outputs:
        for symbolic, tensor in zip(keras.tree.flatten(outputs[name]), keras.tree.flatten(expected[name]), strict=True):
            assert symbolic.dtype == tensor.dtype.name
            assert all(a in (None, b) for a, b in zip(symbolic.shape, tensor.shape, strict=True))
    names = [operation.name for operation in model.operations]
    assert len(set(names)) == len(names)
    assert {"average_pool", "average_pool_1", "global_max_pool", "max_unpool"} <= set(names)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert [operation.name for operation in again.operations] == names
    for network in (model, again, keras.models.clone_model(model), keras.Model.from_config(model.get_config())):
        results = network(x)
        for name in outputs:
            for a, b in zip(arrays(results[name]), arrays(expected[name]), strict=True):
                same_bits(a, b)
    for a, b in zip(arrays(again.predict(x, verbose=0)), arrays(model(x)), strict=True):
        same_bits(a, b)


def test_calls_with_a_symbolic_output_size(tmp_path, rng):
    x = rng.normal(size=(2, 7, 9, 3)).astype("float32")
    inputs, size = keras.Input((None, None, 3)), keras.Input(batch_shape=(2,), dtype="int32")
    values, indices = max_pool(inputs, 2, return_indices=True)
    model = keras.Model([inputs, size], max_unpool(values, indices, 2, output_size=size))
    model.save(tmp_path / "model.keras")
    expected = max_unpool(*max_pool(x, 2, return_indices=True), 2, output_size=(7, 9))
    for network in (model, keras.models.load_model(tmp_path / "model.keras")):
        same_bits(network([x, np.array([7, 9], "int32")]).numpy(), expected)


@pytest.mark.parametrize(
    "arguments",
    [
        {"pool_size": np.array([2, 2])},
        {"pool_size": np.int64(2)},
        {"padding": [[0, 1], [1, 0]]},
        {"padding": np.array([0, 1])},
        {"index_dtype": np.int64},
        {"index_dtype": np.dtype("int64")},
        {"index_dtype": tf.int64},
    ],
)
def test_arguments_of_calls_survive_saving(arguments, tmp_path, rng):
    """Whatever a function takes, a model that holds the call can be saved and loaded."""
    x, arguments = small_integers(rng, (1, 6, 6, 2)), {"pool_size": 2, "return_indices": True, **arguments}
    inputs = keras.Input((6, 6, 2))
    keras.Model(inputs, max_pool(inputs, **arguments)).save(tmp_path / "model.keras")
    for a, b in zip(
        arrays(keras.models.load_model(tmp_path / "model.keras")(x)), max_pool(x, **arguments), strict=True
    ):
        same_bits(a, b)


@pytest.mark.parametrize("output_size", [(5, 4), [5, 4], np.array([5, 4]), tf.constant([5, 4])])
def test_output_sizes_of_calls_survive_saving(output_size, tmp_path):
    values, indices = np.ones((1, 2, 2, 1), "float32"), np.full((1, 2, 2, 1), 19, "int32")
    inputs = keras.Input((2, 2, 1)), keras.Input((2, 2, 1), dtype="int32")
    keras.Model(inputs, max_unpool(*inputs, 2, output_size=output_size)).save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    same_bits(again([values, indices]).numpy(), max_unpool(values, indices, 2, output_size=output_size))


def test_names_of_calls_beside_those_of_keras():
    inputs = keras.Input((8, 8, 2))
    outputs = [
        average_pool(inputs, 2),
        keras.ops.average_pool(inputs, 2),
        average_pool(inputs, 2),
        keras.ops.max_pool(inputs, 2),
        max_pool(inputs, 2),
        keras.layers.AveragePooling2D(2)(inputs),
        AdaptiveAveragePooling2D(2)(inputs),
        adaptive_average_pool(inputs, 2),
        global_max_pool(inputs),
        GlobalMaxPooling2D()(inputs),
    ]
    names = [operation.name for operation in keras.Model(inputs, outputs).operations]
    assert len(set(names)) == len(names) == 11


def test_calls_train_under_mixed_precision(rng):
    """A call computes in the dtype of what it is given."""
    keras.config.set_dtype_policy("mixed_float16")
    inputs = keras.Input((8, 8, 2))
    hidden = keras.layers.Conv2D(3, 3)(inputs)
    pooled = average_pool(hidden, 2)
    assert pooled.dtype == hidden.dtype == "float16"
    model = keras.Model(inputs, keras.layers.Dense(1, dtype="float32")(global_average_pool(pooled)))
    model.compile("adam", "mse")
    x = rng.normal(size=(16, 8, 8, 2)).astype("float32")
    losses = model.fit(x, x.mean((1, 2, 3)), epochs=8, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
