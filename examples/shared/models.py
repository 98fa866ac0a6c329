"""The documented Keras MNIST model, and what is measured of a model."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

from shared.digits import CLASSES, Digits

import keras
import numpy as np

Stage = Callable[[int], Sequence[keras.Layer]]


def mnist_model(stage: Stage, summary: Callable[[], keras.Layer] = keras.layers.Flatten) -> keras.Sequential:
    """The model of https://keras.io/examples/vision/mnist_convnet.

    Args:
        stage: Gives the layers of a stage with so many filters, of which there are two.
        summary: Gives the layer that makes a vector of the last maps.
    """
    return keras.Sequential(
        [
            keras.Input(shape=(28, 28, 1)),
            *stage(32),
            *stage(64),
            summary(),
            keras.layers.Dropout(0.5),
            keras.layers.Dense(CLASSES, activation="softmax"),
        ]
    )


def convolution_and(pool: Callable[[], keras.Layer]) -> Stage:
    """The documented stage: a convolution, and a layer that pools."""
    return lambda filters: [keras.layers.Conv2D(filters, 3, activation="relu"), pool()]


def compile_classifier(model: keras.Model) -> None:
    # The documented model has one-hot labels; the sparse loss is the same without them.
    model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])


def trained(build: Callable[[], keras.Model], digits: Digits, epochs: int, seed: int) -> keras.Model:
    """A classifier that has seen the training digits so many times; the seed decides all that is random."""
    return watched(build, digits, epochs, seed, None)[0]


def watched(
    build: Callable[[], keras.Model], digits: Digits, epochs: int, seed: int, validation: Any
) -> tuple[keras.Model, dict[str, list[float]]]:
    """The same, with the figures of each epoch; those of the validation data too, which decide nothing."""
    keras.utils.set_random_seed(seed)
    model = build()
    compile_classifier(model)
    fit = model.fit(
        digits.train_images,
        digits.train_labels,
        batch_size=32,
        epochs=epochs,
        validation_data=validation,
        validation_batch_size=500,
        verbose=0,
    )
    return model, fit.history


def accuracy(model: keras.Model, images: np.ndarray, labels: np.ndarray) -> float:
    return float(np.mean(model.predict(images, batch_size=500, verbose=0).argmax(-1) == labels))


def step_of(model: keras.Model, images: np.ndarray, labels: np.ndarray) -> Callable[[], object]:
    """One training step of a compiled model, always with the same data."""
    batch = keras.ops.convert_to_tensor(images), keras.ops.convert_to_tensor(labels)
    return lambda: model.train_on_batch(*batch)


def medians(calls: dict[Any, Callable[[], object]], rounds: int) -> dict[Any, float]:
    """The median of each call's seconds. They take turns, so that what disturbs one disturbs all."""
    seconds: dict[Any, list[float]] = {name: [] for name in calls}
    for call in calls.values():
        call()
    for _ in range(rounds):
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in seconds.items()}


def percent(shares: Sequence[float]) -> str:
    """The mean of shares and, if there are several, their standard deviation: "97.1 +- 0.3 %"."""
    spread = f" +- {100 * np.std(shares, ddof=1):.1f}" if len(shares) > 1 else ""
    return f"{100 * np.mean(shares):.1f}{spread} %"
