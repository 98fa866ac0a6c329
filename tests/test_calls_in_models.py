"""Calls of the functions on symbolic tensors: nodes of functional models, saved and loaded."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import same_bits, small_integers

from kpool.layers import AdaptiveAveragePooling2D, GlobalMaxPooling2D
from kpool.ops import (
    adaptive_average_pool,
    adaptive_max_pool,
    average_pool,
    global_average_pool,
    global_max_pool,
    max_pool,
    max_unpool,
)


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


def names_of_calls(model):
    """Without the operations that are Keras' own."""
    return [operation.name for operation in model.operations if type(operation).__module__.startswith("kpool.")]


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
    names = names_of_calls(model)
    assert len(set(names)) == len(names)
    assert {"average_pool", "average_pool_1", "global_max_pool", "max_unpool"} <= set(names)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert names_of_calls(again) == names
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
