"""The Keras layers: as Keras' own, and with what Keras has not."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras.src.trainers.trainer import model_supports_jit

from kpool import layers
from kpool.layers import (
    MaxPooling1D,
    MaxPooling2D,
    MaxPooling3D,
    MaxUnpooling1D,
    MaxUnpooling2D,
    MaxUnpooling3D,
    OverlappingMaxPooling1D,
    OverlappingMaxPooling2D,
    OverlappingMaxPooling3D,
)
from kpool.ops import average_pool, max_pool, max_unpool

SHAPES = {1: (2, 9, 4), 2: (2, 8, 9, 4), 3: (2, 6, 5, 7, 4)}
MAX_POOLING = {1: MaxPooling1D, 2: MaxPooling2D, 3: MaxPooling3D}
OVERLAPPING = {1: OverlappingMaxPooling1D, 2: OverlappingMaxPooling2D, 3: OverlappingMaxPooling3D}
UNPOOLING = {1: MaxUnpooling1D, 2: MaxUnpooling2D, 3: MaxUnpooling3D}


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_pool_and_unpool_of_every_rank(rank, rng):
    x = rng.uniform(1, 2, SHAPES[rank]).astype("float32")
    for arguments in ({"pool_size": 2}, {"pool_size": 2, "strides": 1, "dilation_rate": 2, "padding": 1}):
        values, indices = MAX_POOLING[rank](**arguments, return_indices=True)(x)
        for duplicates in ("last", "sum"):
            unpool = UNPOOLING[rank](**arguments, output_size=x.shape[1:-1], duplicates=duplicates)
            expected = max_unpool(values, indices, **arguments, output_size=x.shape[1:-1], duplicates=duplicates)
            np.testing.assert_array_equal(unpool(values, indices), expected)
            again = type(unpool).from_config(unpool.get_config())
            np.testing.assert_array_equal(again(values, indices), expected)


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_signatures_begin_as_keras_do(rank):
    """Positional arguments of Keras' layer mean the same here."""
    import inspect

    theirs = inspect.signature(getattr(keras.layers, f"MaxPooling{rank}D")).parameters
    ours = inspect.signature(MAX_POOLING[rank]).parameters
    shared = [name for name in theirs if name != "kwargs"]
    assert list(ours)[: len(shared)] == shared
    assert all(ours[name].default == theirs[name].default for name in shared)
    assert getattr(layers, f"MaxPool{rank}D") is MAX_POOLING[rank]


@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
@pytest.mark.parametrize("dtype", ["float32", "float64", "int32"])
def test_drop_in_for_keras_max_pooling(padding, data_format, dtype, rng):
    x = rng.integers(-50, 50, (2, 7, 8, 9)).astype(dtype)
    for pool_size, strides in ((2, None), (3, 2), ((2, 3), (3, 1))):
        arguments = (pool_size, strides, padding, data_format)
        ours, theirs = MaxPooling2D(*arguments, name="p"), keras.layers.MaxPooling2D(*arguments, name="p")
        np.testing.assert_array_equal(ours(x), theirs(x))
        assert ours.compute_output_shape(x.shape) == theirs.compute_output_shape(x.shape)
        assert set(theirs.get_config()) <= set(ours.get_config())


@pytest.mark.parametrize("policy", ["float32", "float64", "mixed_float16", "mixed_bfloat16"])
@pytest.mark.parametrize("index_dtype", ["int32", "int64"])
def test_indices_stay_integers_under_every_policy(policy, index_dtype):
    keras.config.set_dtype_policy(policy)
    layer = MaxPooling2D(2, return_indices=True, index_dtype=index_dtype)
    unpool = MaxUnpooling2D(2)
    for x in (keras.Input((8, 8, 3)), np.ones((1, 8, 8, 3))):
        values, indices = layer(x)
        assert keras.backend.standardize_dtype(values.dtype) == layer.compute_dtype
        assert keras.backend.standardize_dtype(indices.dtype) == index_dtype
        unpooled = unpool(values, indices)
        assert keras.backend.standardize_dtype(unpooled.dtype) == layer.compute_dtype


def autoencoder():
    inputs = keras.Input((None, None, 3))
    x = keras.layers.Conv2D(4, 3, padding="same", activation="relu")(inputs)
    values, indices = MaxPooling2D(2, return_indices=True, name="pool")(x)
    x = keras.layers.Conv2D(4, 3, padding="same", activation="relu")(values)
    x = MaxUnpooling2D(2, name="unpool")(x, indices)
    return keras.Model(inputs, keras.layers.Conv2D(3, 1)(x))


def test_functional_model_saves_loads_and_trains(tmp_path, rng):
    model = autoencoder()
    x = rng.normal(size=(8, 10, 12, 3)).astype("float32")
    model.compile("adam", "mse")
    assert model_supports_jit(model)
    losses = model.fit(x, x, epochs=10, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    before = model.predict(x, verbose=0)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(again.predict(x, verbose=0), before)
    clone = keras.models.clone_model(model)
    clone.set_weights(model.get_weights())
    np.testing.assert_array_equal(clone.predict(x, verbose=0), before)
    assert keras.Model.from_config(json.loads(json.dumps(model.get_config()))).count_params() == model.count_params()


def test_layers_are_registered_under_the_package():
    for layer in (MaxPooling2D, MaxUnpooling2D, OverlappingMaxPooling2D):
        assert keras.saving.get_registered_name(layer) == f"kpool>{layer.__name__}"
        config = keras.saving.serialize_keras_object(layer(name="x"))
        assert config["registered_name"] == f"kpool>{layer.__name__}"
        assert isinstance(keras.saving.deserialize_keras_object(config), layer)


def test_sequential_and_subclassed_models(rng):
    x = rng.normal(size=(4, 8, 8, 2)).astype("float32")
    sequential = keras.Sequential([keras.Input((8, 8, 2)), MaxPooling2D(), OverlappingMaxPooling2D(2, 1)])
    assert sequential.output_shape == (None, 3, 3, 2)
    np.testing.assert_array_equal(sequential(x), max_pool(max_pool(x, 2), 2, 1))

    class Subclassed(keras.Model):
        def __init__(self):
            super().__init__()
            self.pool, self.unpool = MaxPooling2D(return_indices=True), MaxUnpooling2D()

        def call(self, x):
            return self.unpool(*self.pool(x))

    values, indices = max_pool(x, 2, return_indices=True)
    np.testing.assert_array_equal(Subclassed().predict(x, verbose=0), max_unpool(values, indices, 2))


def test_symbolic_functions_keep_the_data_format_they_were_built_with(tmp_path):
    keras.config.set_image_data_format("channels_first")
    inputs = keras.Input((2, 4, 6))
    values, indices = max_pool(inputs, 2, return_indices=True)
    model = keras.Model(inputs, [values, max_unpool(values, indices, 2)])
    model.save(tmp_path / "model.keras")
    keras.config.set_image_data_format("channels_last")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert [tensor.shape for tensor in again(np.ones((1, 2, 4, 6), "float32"))] == [(1, 2, 2, 3), (1, 2, 4, 6)]
    assert model_supports_jit(model)


def test_symbolic_output_size(rng):
    inputs, size = keras.Input((None, None, 2)), keras.Input(batch_shape=(2,), dtype="int32")
    values, indices = max_pool(inputs, 2, return_indices=True)
    model = keras.Model([inputs, size], max_unpool(values, indices, 2, output_size=size))
    assert model.output_shape == (None, None, None, 2)
    x = rng.normal(size=(1, 5, 7, 2)).astype("float32")
    assert model([x, np.array([5, 7], "int32")]).shape == (1, 5, 7, 2)


def test_specs_of_uncast_inputs_have_the_dtype_they_are_cast_to():
    for policy in ("mixed_float16", "float32", "float64"):
        layer = MaxPooling2D(dtype=policy)
        ours = layer.compute_output_spec(keras.KerasTensor((1, 4, 4, 1), "float32"))
        theirs = keras.layers.MaxPooling2D(dtype=policy).compute_output_spec(keras.KerasTensor((1, 4, 4, 1), "float32"))
        assert ours.dtype == theirs.dtype
        assert layer.compute_output_spec(keras.KerasTensor((1, 4, 4, 1), "uint8")).dtype == "uint8"


def test_keras_variables_are_inputs_too():
    x = keras.Variable(np.arange(16, dtype="float32").reshape(1, 4, 4, 1))
    values, indices = MaxPooling2D(return_indices=True)(x)
    np.testing.assert_array_equal(max_pool(x, 2), values)
    variable = keras.Variable(values)
    np.testing.assert_array_equal(MaxUnpooling2D()(variable, indices), max_unpool(variable, indices, 2))


def test_functions_are_nodes_of_functional_models(tmp_path, rng):
    x = rng.normal(size=(2, 8, 6, 2)).astype("float32")
    inputs = keras.Input((8, 6, 2))
    values, indices = max_pool(inputs, 2, return_indices=True)
    assert (values.dtype, indices.dtype) == ("float32", "int32")
    pooled_only = max_pool(inputs, 2)
    model = keras.Model(inputs, [max_unpool(values, indices, 2), pooled_only])
    model.save(tmp_path / "model.keras")
    values, indices = max_pool(x, 2, return_indices=True)
    for network in (model, keras.models.load_model(tmp_path / "model.keras")):
        unpooled, pooled = network(x)
        np.testing.assert_array_equal(unpooled, max_unpool(values, indices, 2))
        np.testing.assert_array_equal(pooled, values)


def test_gradient_of_an_inference_call(rng):
    """Grad-CAM asks a model called with training=False for gradients."""
    x = tf.constant(rng.normal(size=(1, 6, 6, 2)))
    layer = MaxPooling2D(3, 1, dtype="float64")
    gradients = []
    for training in (True, False, None):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x, training=training)
        gradients.append(tape.gradient(y, x).numpy())
    np.testing.assert_array_equal(gradients[0], gradients[1])
    np.testing.assert_array_equal(gradients[0], gradients[2])


def test_output_size_at_construction_and_at_call(rng):
    x = rng.normal(size=(1, 5, 5, 1)).astype("float32")
    values, indices = MaxPooling2D(2, return_indices=True)(x)
    assert MaxUnpooling2D(2)(values, indices).shape == (1, 4, 4, 1)
    assert MaxUnpooling2D(2, output_size=5)(values, indices).shape == (1, 5, 5, 1)
    assert MaxUnpooling2D(2, output_size=5)(values, indices, output_size=(4, 5)).shape == (1, 4, 5, 1)
    assert MaxUnpooling2D(2)(values, indices, output_size=tf.shape(x)[1:3]).shape == (1, 5, 5, 1)
    symbolic = MaxUnpooling2D(2)(keras.Input((2, 2, 1)), keras.Input((2, 2, 1), dtype="int32"), output_size=5)
    assert symbolic.shape == (None, 5, 5, 1)


def test_unpooling_without_indices_says_how_to_call_it():
    values, indices = MaxPooling2D(2, return_indices=True)(np.ones((1, 4, 4, 1), "float32"))
    symbolic = keras.Input((2, 2, 1))
    calls = [
        lambda: MaxUnpooling2D(2)([values, indices]),
        lambda: MaxUnpooling2D(2)(values),
        lambda: MaxUnpooling2D(2)(symbolic),
        lambda: MaxUnpooling2D(2)([symbolic, keras.Input((2, 2, 1), dtype="int32")]),
        lambda: MaxUnpooling2D(2)([values, indices], indices),
        lambda: MaxUnpooling2D(2)((symbolic, symbolic), keras.Input((2, 2, 1), dtype="int32")),
    ]
    for call in calls:
        with pytest.raises(ValueError, match=r"`indices` must be the tensor.*`layer\(inputs, indices\)`"):
            call()


def test_half_inputs_of_a_float32_layer_are_cast_as_keras_casts_them():
    x = np.ones((1, 4, 4, 1), "float16")
    assert MaxPooling2D()(x).dtype == keras.layers.MaxPooling2D()(x).dtype


@pytest.mark.parametrize(
    ("layer", "arguments", "message"),
    [
        (MaxPooling2D, {"pool_size": 0}, "`pool_size` must hold integers from 1"),
        (MaxPooling2D, {"pool_size": (2, 2, 2)}, "`pool_size` must be an integer or a tuple of 2 integers"),
        (MaxPooling2D, {"strides": 0}, "`strides` must hold integers from 1"),
        (MaxPooling2D, {"padding": "full"}, "`padding` must be"),
        (MaxPooling2D, {"padding": 2}, "`padding` must be smaller than the window"),
        (MaxPooling2D, {"data_format": "NCHW"}, "`data_format` must be"),
        (MaxPooling2D, {"index_dtype": "uint8"}, '`index_dtype` must be "int32" or "int64"'),
        (MaxPooling2D, {"dilation_rate": 0}, "`dilation_rate` must hold integers from 1"),
        (MaxUnpooling2D, {"duplicates": "first"}, '`duplicates` must be "last" or "sum"'),
        (MaxUnpooling2D, {"output_size": 2.5}, "`output_size` must be an integer or a tuple of 2 integers"),
        (OverlappingMaxPooling2D, {"strides": 3}, "`strides` must be smaller than `pool_size` on every axis"),
        (OverlappingMaxPooling2D, {"pool_size": (3, 2)}, "`strides` must be smaller than `pool_size` on every axis"),
    ],
)
def test_arguments_that_cannot_be(layer, arguments, message):
    with pytest.raises(ValueError, match=message):
        layer(**arguments)


@pytest.mark.parametrize("make", [keras.Input, lambda shape: np.zeros((1, *shape), "float32")])
def test_inputs_that_do_not_fit(make):
    with pytest.raises(ValueError, match="ndim=4"):
        MaxPooling2D()(make((4, 4)))
    with pytest.raises(ValueError, match="`pool_size` must not exceed the padded input"):
        MaxPooling2D(5)(make((4, 4, 1)))
    values = make((2, 2, 1))
    with pytest.raises(ValueError, match="`indices` must be of dtype int32 or int64"):
        MaxUnpooling2D()(values, values)
    indices = keras.Input((2, 3, 1), dtype="int32") if make is keras.Input else np.zeros((1, 2, 3, 1), "int32")
    with pytest.raises(ValueError, match="`indices` must have the shape of `inputs`"):
        MaxUnpooling2D()(values, indices)
    indices = indices[:, :, :2]
    with pytest.raises(ValueError, match="`output_size` must differ from the default by less than `strides`"):
        MaxUnpooling2D()(values, indices, output_size=9)


@pytest.mark.parametrize(
    "size", [tf.constant([5.9, 5.9]), tf.constant(5), tf.constant([5]), tf.constant([[5, 5]]), np.array([5.7, 5.7])]
)
def test_output_sizes_that_cannot_be(size):
    values, indices = MaxPooling2D(return_indices=True)(np.zeros((1, 5, 5, 1), "float32"))
    for call in (
        lambda: MaxUnpooling2D()(values, indices, output_size=size),
        lambda: max_unpool(values, indices, 2, output_size=size),
        lambda: tf.function(lambda: max_unpool(values, indices, 2, output_size=size))(),
    ):
        with pytest.raises(ValueError, match=r"`output_size` must be an integer.* Received: output_size"):
            call()


@pytest.mark.parametrize("size", [0, -8, (8, 0), [-1, 8]])
def test_output_sizes_that_no_tensor_has(size):
    x = np.zeros((1, 4, 4, 1), "float32")
    for call in (
        lambda: MaxUnpooling2D(output_size=size),
        lambda: max_unpool(x, x.astype("int32"), 2, output_size=size),
    ):
        with pytest.raises(ValueError, match=r"`output_size` must hold positive integers\. Received: output_size="):
            call()


@pytest.mark.parametrize("shape", [(), (4,), (4, 4), (1,) * 6])
def test_ranks_that_cannot_be(shape):
    for call in (lambda: max_pool(np.zeros(shape), 2), lambda: max_pool(keras.KerasTensor(shape), 2)):
        with pytest.raises(ValueError, match=rf"`inputs` must have rank 3, 4 or 5: .* of rank {len(shape)}"):
            call()


@pytest.mark.parametrize("dtype", ["bool", "complex64", "string"])
def test_dtypes_that_cannot_be(dtype):
    x = np.full((1, 4, 4, 1), "a") if dtype == "string" else np.zeros((1, 4, 4, 1), dtype)
    symbolic = keras.KerasTensor((1, 4, 4, 1), dtype)
    sequence, mask = x.reshape(1, 16, 1), np.ones((1, 16), bool)
    for call in (
        *(lambda: max_pool(x, 2), lambda: MaxPooling2D()(x), lambda: max_pool(symbolic, 2)),
        *(lambda: average_pool(x, 2), lambda: layers.AveragePooling2D(2)(x)),
        *(lambda: layers.GlobalAveragePooling1D()(sequence, mask=mask), lambda: layers.MaxUnpooling2D()(x, x)),
    ):
        with pytest.raises(ValueError, match=rf"`inputs` must be of dtype .* Received: inputs of dtype {dtype}"):
            call()
    with pytest.raises(ValueError, match=rf"`indices` must be of dtype int32 or int64.* of dtype {dtype}"):
        max_unpool(np.zeros((1, 4, 4, 1)), x, 2)


def test_index_dtypes_in_every_form():
    for index_dtype in ("int64", np.int64, np.dtype("int64"), tf.int64):
        layer = MaxPooling2D(return_indices=True, index_dtype=index_dtype)
        assert layer.get_config()["index_dtype"] == "int64"
    for wrong in ("foo", "float32", None, 3):
        with pytest.raises(ValueError, match="`index_dtype` must be"):
            max_pool(np.zeros((1, 4, 4, 1)), 2, index_dtype=wrong)


@pytest.mark.parametrize("layer", [MaxPooling2D, OverlappingMaxPooling2D, layers.AdaptiveMaxPooling2D])
def test_planes_past_int32(layer):
    arguments = {"output_size": 3} if layer is layers.AdaptiveMaxPooling2D else {}
    narrow, wide = (layer(**arguments, return_indices=True, index_dtype=dtype) for dtype in ("int32", "int64"))
    spec = tf.TensorSpec((None, 65536, 65536, 1))
    for call in (
        lambda: narrow(keras.Input((65536, 65536, 1))),
        lambda: max_pool(keras.Input((65536, 65536, 1)), 2, return_indices=True),
        lambda: tf.function(narrow).get_concrete_function(spec),
        lambda: narrow(tf.zeros((0, 65536, 65536, 1))),
    ):
        with pytest.raises(ValueError, match=r'more than 2147483647 elements needs `index_dtype="int64"`'):
            call()
    values, indices = wide(keras.Input((65536, 65536, 1)))
    assert (values.dtype, indices.dtype) == ("float32", "int64")
    assert tf.function(wide).get_concrete_function(spec).structured_outputs[1].dtype == "int64"
    assert layer(**arguments)(keras.Input((65536, 65536, 1))).shape == values.shape
