"""Global pooling, maxima and averages: the functions against the oracle, and masks."""

import math
from itertools import product

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import FLOATS, hostile, numpy_dtype, oriented, same_bits, small_integers, with_gradient
from reference import Pooling

from kpool.layers import GlobalAveragePooling1D
from kpool.ops import (
    adaptive_average_pool,
    adaptive_max_pool,
    global_average_pool,
    global_max_pool,
    max_unpool,
)


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
        size = math.prod(spatial)
        gradients, full = gradients * x.dtype.type(size), full * x.dtype.type(size)
        function = lambda x: global_average_pool(x, data_format, keepdims)  # noqa: E731
        actual, dx = with_gradient(function, x, tf.constant(gradients))
        same_bits(actual, oracle.average_pool(x, first).reshape(values.shape))
        same_bits(dx, oracle.average_pool_backward(full, first))


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


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_global_maxima_go_back(data_format, rng):
    """A global window is a window of the size of the plane, and unpooling takes its indices."""
    for spatial in ((9,), (4, 7), (3, 4, 5)):
        x = oriented(rng.normal(size=(2, *spatial, 3)).astype("float32"), data_format)
        values, indices = global_max_pool(x, data_format, keepdims=True, return_indices=True)
        unpooled = max_unpool(values, indices, spatial, data_format=data_format)
        same_bits(unpooled, np.where(x == values, x, np.float32(0)))


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
