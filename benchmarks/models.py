"""Whole training steps: the documented Keras MNIST model, and a small SegNet, with the pooling of each contender."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

import kpool
from benchmarks.cases import Case, Operation, input_array
from benchmarks.contender import Arrays, Call, Contender, LocalCall
from benchmarks.contender_tensorflow import unpool_by_scatter

CLASSES = {Operation.MNIST_STEP: 10, Operation.SEGNET_STEP: 4}


class Layers(NamedTuple):
    """Makers of layers with a 2x2 window; None for what there is not."""

    pool: Callable[[], keras.Layer]
    pool_with_indices: Callable[[], keras.Layer] | None = None
    unpool: Callable[[], keras.Layer] | None = None


class ArgmaxPooling(keras.layers.Layer):
    """Pooling with TensorFlow's argmax."""

    def call(self, inputs: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        values, argmax = tf.nn.max_pool_with_argmax(inputs, 2, 2, "VALID", include_batch_in_index=True)
        return values, argmax


class ScatterUnpooling(keras.layers.Layer):
    """Unpooling by `tf.scatter_nd`."""

    def call(self, inputs: tf.Tensor, argmax: tf.Tensor) -> tf.Tensor:
        _, height, width, channels = inputs.shape
        return unpool_by_scatter(inputs, argmax, (tf.shape(inputs)[0], 2 * height, 2 * width, channels))


KPOOL = Layers(
    lambda: kpool.layers.MaxPooling2D(2),
    lambda: kpool.layers.MaxPooling2D(2, return_indices=True),
    lambda: kpool.layers.MaxUnpooling2D(2),
)
KERAS = Layers(lambda: keras.layers.MaxPooling2D(2))
SCATTER = Layers(lambda: keras.layers.MaxPooling2D(2), ArgmaxPooling, ScatterUnpooling)


def convolution(filters: int, size: int = 3, activation: str = "relu", padding: str = "same") -> keras.Layer:
    return keras.layers.Conv2D(filters, size, padding=padding, activation=activation)


def mnist_model(shape: tuple[int, ...], layers: Layers) -> keras.Model:
    """The model of https://keras.io/examples/vision/mnist_convnet."""
    return keras.Sequential(
        [
            keras.Input(shape),
            convolution(32, padding="valid"),
            layers.pool(),
            convolution(64, padding="valid"),
            layers.pool(),
            keras.layers.Flatten(),
            keras.layers.Dropout(0.5),
            keras.layers.Dense(CLASSES[Operation.MNIST_STEP], activation="softmax"),
        ]
    )


def segnet_model(shape: tuple[int, ...], layers: Layers) -> keras.Model | None:
    """Two poolings and two unpoolings, each before or after one convolution; a class for each pixel."""
    if layers.pool_with_indices is None or layers.unpool is None:
        return None
    image = keras.Input(shape)
    x, outer = layers.pool_with_indices()(convolution(16)(image))
    x, inner = layers.pool_with_indices()(convolution(32)(x))
    x = convolution(16)(layers.unpool()(convolution(32)(x), inner))
    x = convolution(16)(layers.unpool()(x, outer))
    return keras.Model(image, convolution(CLASSES[Operation.SEGNET_STEP], 1, "softmax")(x))


class Model(Contender):
    """A model with the layers of one contender, trained by Keras."""

    def __init__(self, name: str, layers: Layers, jit_compile: bool) -> None:
        self.name = name
        self.layers = layers
        self.jit_compile = jit_compile

    def prepare(self, case: Case) -> Call | None:
        mnist = case.operation is Operation.MNIST_STEP
        model = (mnist_model if mnist else segnet_model)(case.shape[1:], self.layers)
        if model is None:
            return None
        generator = np.random.default_rng(3)
        model.set_weights([generator.normal(0, 0.1, weights.shape) for weights in model.get_weights()])
        model.compile("adam", "sparse_categorical_crossentropy", jit_compile=self.jit_compile)
        images = tf.constant(input_array(case))
        *labelled, classes = model.compute_output_shape(case.shape)
        labels = tf.constant(generator.integers(0, classes, labelled))
        agreed = predictions_and_gradients(model, images, labels)
        return LocalCall(lambda: model.train_on_batch(images, labels), lambda _: agreed)

    def forget(self) -> None:
        """Let go of Keras' own references to models."""
        keras.utils.clear_session()


def predictions_and_gradients(model: keras.Model, images: tf.Tensor, labels: tf.Tensor) -> Arrays:
    """What the model makes of the images, and the loss's gradient for each weight; without dropout."""
    with tf.GradientTape() as tape:
        predictions = model(images, training=False)
        loss = tf.reduce_mean(keras.losses.sparse_categorical_crossentropy(labels, predictions))
    gradients: list[Any] = tape.gradient(loss, model.trainable_weights)
    return [predictions.numpy(), *(gradient.numpy() for gradient in gradients)]
