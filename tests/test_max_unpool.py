"""`kpool.ops.max_unpool` against the oracle."""

from itertools import product

import numpy as np
import pytest
import tensorflow as tf
from conftest import FLOATS, INTEGERS, hostile, numpy_dtype, oriented, same_bits
from reference import Pooling

from kpool.ops import max_pool, max_unpool
from kpool.ops.geometry import make_window
from kpool.tf import max_unpool as tensor_function


@pytest.mark.parametrize("index_dtype", ["int32", "int64"])
@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
@pytest.mark.parametrize("dtype", FLOATS + INTEGERS)
def test_every_dtype(dtype, data_format, index_dtype, rng):
    first = data_format == "channels_first"
    oracle = Pooling((7, 9), (3, 2), (2, 2), "same")
    for channels in (1, 3, 40):
        x = oriented(hostile(rng, (2, 4, 5, channels), dtype), data_format)
        # Any index in range is allowed, whether or not it lies in its own window; many coincide.
        indices = rng.integers(0, 63, x.shape).astype(index_dtype)
        actual = max_unpool(x, indices, (3, 2), 2, "same", data_format, output_size=(7, 9))
        same_bits(actual, oracle.scatter(x, indices, first))


@pytest.mark.parametrize("duplicates", ["last", "sum"])
@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
@pytest.mark.parametrize("dtype", FLOATS)
def test_duplicates_and_gradients(dtype, data_format, duplicates, rng):
    first = data_format == "channels_first"
    oracle = Pooling((6, 8), (2, 2))
    window = make_window(2, 2, data_format=data_format)
    for channels in (1, 3, 300):
        shape = (2, 3, 4, channels)
        x = oriented(rng.integers(-4, 5, shape), data_format).astype(numpy_dtype(dtype))
        indices = rng.integers(0, 48, x.shape).astype("int32")
        gradients = oriented(rng.integers(-4, 5, (2, 6, 8, channels)), data_format).astype(x.dtype)
        tensor = tf.constant(x)
        with tf.GradientTape() as tape:
            tape.watch(tensor)
            outputs = tensor_function(tensor, tf.constant(indices), window, duplicates=duplicates)
        same_bits(outputs.numpy(), oracle.scatter(x, indices, first, duplicates))
        same_bits(
            tape.gradient(outputs, tensor, tf.constant(gradients)).numpy(),
            oracle.gather(gradients, indices, first, duplicates),
        )


@pytest.mark.parametrize("duplicates", ["last", "sum"])
@pytest.mark.parametrize("index_dtype", ["int32", "int64"])
@pytest.mark.parametrize("dtype", FLOATS)
def test_gradient_by_indices_of_pooling(dtype, index_dtype, duplicates, rng):
    """With many channels each window looks for its own indices; one that is foreign to its window changes nothing."""
    windows = [((2, 2), (2, 2), None, None), ((3, 3), (2, 2), "same", None), ((2, 3), (3, 3), None, (2, 1))]
    for (size, strides, padding, dilation), channels in product(windows, (32, 37, 300)):
        oracle = Pooling((7, 9), size, strides, padding, dilation)
        window = make_window(2, size, strides, padding or "valid", "channels_last", dilation or 1)
        x = hostile(rng, (2, 7, 9, channels), dtype)
        values, indices, _ = oracle.max_pool(x)
        gradients = tf.constant(hostile(rng, x.shape, dtype))
        foreign = indices.copy()
        foreign[1, -1, -1, -1] = 0
        for where in (indices, foreign):
            tensor = tf.constant(values)
            with tf.GradientTape() as tape:
                tape.watch(tensor)
                y = tensor_function(tensor, tf.constant(where, index_dtype), window, (7, 9), duplicates)
            same_bits(
                tape.gradient(y, tensor, gradients).numpy(),
                oracle.gather(gradients.numpy(), where, duplicates=duplicates),
            )


@pytest.mark.parametrize("dtype", INTEGERS)
def test_integer_sums_wrap_around(dtype, rng):
    x = hostile(rng, (1, 4, 4, 9), dtype)
    indices = rng.integers(0, 5, x.shape).astype("int32")
    actual = tensor_function(tf.constant(x), tf.constant(indices), make_window(2, 2), duplicates="sum")
    with np.errstate(over="ignore"):
        expected = Pooling((8, 8), (2, 2)).scatter(x, indices, duplicates="sum")
    same_bits(actual.numpy(), expected)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_sums_are_rounded_once(dtype):
    x = np.full((1, 4, 4, 1), 1 / 3, numpy_dtype(dtype))
    x[0, 0, 0] = 256
    indices = tf.fill((1, 4, 4, 1), 7)
    actual = tensor_function(tf.constant(x), indices, make_window(2, 2), duplicates="sum").numpy()
    same_bits(actual.flat[7], x.astype("float32").sum(dtype="float32").astype(x.dtype))


@pytest.mark.parametrize("duplicates", ["last", "sum"])
def test_gradients_of_every_order(duplicates, rng):
    """Scatter and gather are linear and each other's adjoint: <scatter(x), y> equals <x, gather(y)>."""
    window = make_window(2, 2)
    indices = tf.constant(rng.integers(0, 24, (1, 2, 3, 5)), tf.int32)
    x, y = tf.constant(rng.normal(size=(1, 2, 3, 5))), tf.constant(rng.normal(size=(1, 4, 6, 5)))
    with tf.GradientTape() as outer:
        outer.watch(y)
        with tf.GradientTape() as inner:
            inner.watch(x)
            product = tf.reduce_sum(tensor_function(x, indices, window, duplicates=duplicates) * y)
        gathered = inner.gradient(product, x)
    np.testing.assert_allclose(tf.reduce_sum(gathered * x), product)
    scattered = outer.gradient(gathered, y, x)
    np.testing.assert_allclose(scattered, tensor_function(x, indices, window, duplicates=duplicates))


@pytest.mark.parametrize("padding", ["valid", "same", 1])
@pytest.mark.parametrize(("pool_size", "strides"), [(2, 2), (3, 2), (3, 3), (4, 1), (3, 5)])
@pytest.mark.parametrize("size", [(9, 12), (12, 10)])
def test_pool_unpool_pool_changes_nothing(size, pool_size, strides, padding, rng):
    if padding == 1 and pool_size == 2:
        pool_size = 3
    x = rng.uniform(1, 2, (2, *size, 5)).astype("float32")
    values, indices = max_pool(x, pool_size, strides, padding, return_indices=True)
    unpooled = max_unpool(values, indices, pool_size, strides, padding, output_size=size)
    assert unpooled.shape == x.shape
    kept = unpooled != 0
    np.testing.assert_array_equal(unpooled[kept], x[kept])
    again = max_pool(unpooled, pool_size, strides, padding, return_indices=True)
    same_bits(again[0], values)
    same_bits(again[1], indices)


def test_default_size_and_what_output_size_allows():
    x, indices = np.ones((1, 3, 3, 1), "float32"), np.zeros((1, 3, 3, 1), "int32")
    assert max_unpool(x, indices, 2).shape == (1, 6, 6, 1)
    assert max_unpool(x, indices, 3, 2).shape == (1, 7, 7, 1)
    assert max_unpool(x, indices, 3, 2, "same").shape == (1, 6, 6, 1)
    assert max_unpool(x, indices, 3, 2, 1).shape == (1, 5, 5, 1)
    assert max_unpool(x, indices, 3, 2, ((1, 0), (0, 1))).shape == (1, 6, 6, 1)
    for size in (5, 6, 7):
        assert max_unpool(x, indices, 2, output_size=size).shape == (1, size, size, 1)
    for size in (4, 8, 0, -6, 2**40):
        with pytest.raises(ValueError, match=r"`output_size` must.*Received: .*output_size"):
            max_unpool(x, indices, 2, output_size=size)


def test_graph_with_unknown_sizes_and_a_size_known_only_there(rng):
    x = rng.normal(size=(2, 7, 9, 3)).astype("float32")

    @tf.function(input_signature=[tf.TensorSpec((None, None, None, 3))])
    def graph(x):
        values, indices = max_pool(x, 2, return_indices=True)
        with tf.GradientTape() as tape:
            tape.watch(values)
            unpooled = max_unpool(values, indices, 2, output_size=tf.shape(x)[1:3])
        assert unpooled.shape.as_list() == [None, None, None, 3]
        return unpooled, tape.gradient(unpooled, values, x)

    @tf.function(input_signature=[tf.TensorSpec((None, None, None, 3)), tf.TensorSpec((None, None, None, 3), tf.int32)])
    def default(values, indices):
        unpooled = max_unpool(values, indices, 2)
        assert unpooled.shape.as_list() == [None, None, None, 3]
        return unpooled

    values, indices = max_pool(x, 2, return_indices=True)
    oracle = Pooling((7, 9), (2, 2))
    unpooled, gradient = graph(x)
    same_bits(unpooled.numpy(), oracle.scatter(values, indices))
    same_bits(gradient.numpy(), values)
    assert default(values, np.zeros_like(indices)).shape == (2, 6, 8, 3)


@pytest.mark.parametrize("shape", [(0, 3, 3, 2), (2, 3, 3, 0)])
def test_empty_tensors_give_empty_results(shape):
    x = tf.zeros(shape)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = max_unpool(x, tf.zeros(shape, tf.int32), 2)
    assert y.shape == (shape[0], 6, 6, shape[3])
    assert tape.gradient(y, x).shape == shape


def test_numpy_in_numpy_out():
    values, indices = max_pool(np.ones((1, 4, 4, 1)), 2, return_indices=True)
    assert isinstance(max_unpool(values, indices, 2), np.ndarray)
    assert tf.is_tensor(max_unpool(tf.constant(values), indices, 2))


@pytest.mark.parametrize("duplicates", ["last", "sum"])
def test_every_loop_runs_more_than_once(duplicates, rng):
    """More windows in a plane of one channel, and more channels, than are moved at a time."""
    for shape in ((2, 30, 31, 1), (1, 5, 3, 600)):
        window = make_window(2, 2)
        spatial = (2 * shape[1], 2 * shape[2])
        oracle = Pooling(spatial, (2, 2))
        x = rng.integers(-4, 5, shape).astype("float32")
        indices = rng.integers(0, spatial[0] * spatial[1] // 4, shape).astype("int32")
        tensor = tf.constant(x)
        with tf.GradientTape() as tape:
            tape.watch(tensor)
            outputs = tensor_function(tensor, tf.constant(indices), window, duplicates=duplicates)
        gradients = rng.integers(-4, 5, outputs.shape).astype("float32")
        same_bits(outputs.numpy(), oracle.scatter(x, indices, duplicates=duplicates))
        expected = oracle.gather(gradients, indices, duplicates=duplicates)
        same_bits(tape.gradient(outputs, tensor, tf.constant(gradients)).numpy(), expected)
