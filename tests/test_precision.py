"""Models under Keras' dtype policies: dtypes of results, and training that gets where it should."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from kpool import layers

POLICIES = {"mixed_float16": "float16", "mixed_bfloat16": "bfloat16", "float64": "float64"}


def segmenter():
    """Every kind of layer: indices that are put to use, averages, adaptive and global windows."""
    image = keras.Input((12, 12, 2))
    x = keras.layers.Conv2D(6, 3, padding="same", activation="relu")(image)
    values, indices = layers.MaxPooling2D(2, return_indices=True, name="max")(x)
    wide = layers.OverlappingMaxPooling2D(3, 2, "same", name="overlapping")(x)
    x = layers.MaxUnpooling2D(2, name="unpool")(keras.layers.Add()([values, wide]), indices)
    means = layers.AveragePooling2D(3, 1, "same", name="average")(x)
    scene = layers.AdaptiveAveragePooling2D(1, name="adaptive")(means)
    best = layers.GlobalMaxPooling2D(keepdims=True, name="global")(means)
    mean = layers.GlobalAveragePooling2D(keepdims=True, name="global_average")(means)
    quarters, _ = layers.AdaptiveMaxPooling2D(2, return_indices=True, name="adaptive_max")(means)
    scene = keras.layers.UpSampling2D(12)(keras.layers.Add()([scene, best, mean]))
    x = keras.layers.Concatenate()([x, means, scene, keras.layers.UpSampling2D(6)(quarters)])
    return keras.Model(image, keras.layers.Conv2D(1, 1, dtype="float32")(x))


def train(policy):
    """A model trained under a policy, and its losses."""
    keras.config.set_dtype_policy(policy)
    model, rng = segmenter(), np.random.default_rng(1)
    for weight in model.weights:
        # Each dtype would draw others.
        weight.assign(rng.uniform(-0.4, 0.4, weight.shape))
    x = rng.normal(size=(64, 12, 12, 2)).astype("float32")
    y = x.mean(-1, keepdims=True) + x.max((1, 2, 3), keepdims=True)
    model.compile(keras.optimizers.Adam(0.01), "mse")
    return model, model.fit(x, y, batch_size=16, epochs=25, shuffle=False, verbose=0).history["loss"]


@pytest.fixture(scope="module")
def losses_in_float32():
    return train("float32")[1]


@pytest.mark.parametrize("policy", POLICIES)
def test_training_converges(policy, losses_in_float32):
    """To where it does in float32."""
    model, losses = train(policy)
    names = ["max", "overlapping", "unpool", "average", "adaptive", "adaptive_max", "global", "global_average"]
    for name in names:
        outputs = keras.tree.flatten(model.get_layer(name).output)
        assert [tensor.dtype for tensor in outputs] == [POLICIES[policy], "int32"][: len(outputs)]
    assert losses_in_float32[-1] < 0.2 * losses_in_float32[0]
    np.testing.assert_allclose(losses[-1], losses_in_float32[-1], rtol=0.05)
    results = keras.Model(model.inputs, model.get_layer("max").output)([np.ones((1, 12, 12, 2))])
    assert [tensor.dtype for tensor in results] == [POLICIES[policy], "int32"]


@pytest.mark.parametrize("policy", POLICIES)
def test_gradients_have_the_dtype_of_what_was_pooled(policy, rng):
    keras.config.set_dtype_policy(policy)
    x = tf.constant(rng.normal(size=(2, 6, 6, 3)), "float32")
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(x)
        inner = tf.cast(x, POLICIES[policy])
        tape.watch(inner)
        values, indices = layers.MaxPooling2D(return_indices=True)(inner)
        outputs = [values, layers.AveragePooling2D(2)(inner), layers.MaxUnpooling2D()(values, indices)]
    for output in outputs:
        assert output.dtype == POLICIES[policy]
        assert tape.gradient(output, inner).dtype == POLICIES[policy]
        gradient = tape.gradient(output, x)
        assert gradient.dtype == "float32"
        # Each mean shares 1 among 4; each maximum takes it all.
        assert float(tf.reduce_sum(gradient)) == 2 * 3 * 3 * 3
