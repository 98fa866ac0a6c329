"""Pooling, strided convolution, average, global average, softmax pooling: which, and why?

Max pooling, unless time is short: then a convolution with strides, which multiplies a third as often, takes half the
time, and knows three digits of a hundred fewer. The MNIST model after so few digits as 2,000, seen four times:

| | parameters | multiply-adds | training step | held-out digits known |
|---|---|---|---|---|
| max pooling | 34,826 | 2,440,960 | 20.0 ms | 94.2 +- 0.4 % |
| average pooling | 34,826 | 2,440,960 | 18.4 ms | 92.0 +- 0.2 % |
| softmax pooling | 34,826 | 2,440,960 | 32.7 ms | 93.0 +- 0.2 % |
| max pooling, global average | 19,466 | 2,425,600 | 20.9 ms | 44.3 +- 2.9 % |
| convolution with strides | 41,866 | 735,264 | 9.1 ms | 91.3 +- 0.6 % |
| one more convolution, 2/2 | 55,402 | 3,542,784 | 25.5 ms | 93.6 +- 0.6 % |

Softmax pooling lies between the mean and the maximum in what it computes and in what it reaches. A convolution that
learns how to pool needs more weights and time than max pooling to come close to it. The global average in place of the
last maps saves most of the weights, but forgets where in the image something was, and learns far more slowly.

Run it from the repository's root, after `pip install ".[examples]"`:

    python examples/alternatives.py
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from shared import command, digits, models, picture

import keras
import numpy as np

import kpool


class SoftmaxPooling2D(keras.layers.Layer):
    """The mean of each 2x2 window, weighted by the softmax of its elements: between the mean and the maximum.

    Out of two averages: of x * exp(x), and of exp(x), which must not overflow.
    """

    def __init__(self, **kwargs) -> None:
        super().__init__(**kwargs)
        self.average = kpool.layers.AveragePooling2D(2)

    def call(self, x):
        weights = keras.ops.exp(keras.ops.minimum(x, 50))
        return self.average(x * weights) / self.average(weights)

    def compute_output_shape(self, input_shape):
        return self.average.compute_output_shape(input_shape)


def convolution(filters: int, size: int = 3, strides: int = 1, activation: str | None = "relu") -> keras.Layer:
    return keras.layers.Conv2D(filters, size, strides, activation=activation)


# What stands in the place of pooling: a stage of so many filters, and what makes a vector of the last maps.
Alternative = tuple[models.Stage, Callable[[], keras.Layer]]
FLATTEN = keras.layers.Flatten
max_stage = models.convolution_and(lambda: kpool.layers.MaxPooling2D(2))
ALTERNATIVES: dict[str, Alternative] = {
    "max pooling": (max_stage, FLATTEN),
    "average pooling": (models.convolution_and(lambda: kpool.layers.AveragePooling2D(2)), FLATTEN),
    "softmax pooling": (models.convolution_and(SoftmaxPooling2D), FLATTEN),
    "max pooling, global average": (max_stage, kpool.layers.GlobalAveragePooling2D),
    "convolution with strides": (lambda filters: [convolution(filters, strides=2)], FLATTEN),
    "one more convolution, 2/2": (lambda filters: [convolution(filters), convolution(filters, 2, 2, None)], FLATTEN),
}


class Row(NamedTuple):
    """What one alternative costs and reaches; accuracies per seed."""

    parameters: int
    multiply_adds: int
    milliseconds: float
    accuracies: np.ndarray


def multiply_adds(model: keras.Sequential) -> int:
    """Multiplications of the convolutions and the dense layer for one image; pooling has next to none."""
    count = 0
    for layer in model.layers:
        if isinstance(layer, (keras.layers.Conv2D, keras.layers.Dense)):
            places = math.prod(layer.output.shape[1:-1])
            count += places * math.prod(layer.kernel.shape)
    return count


def measure(quick: bool) -> dict[str, Row]:
    seeds, epochs = (1, 3) if quick else (3, 4)
    accuracies = {name: np.zeros(seeds) for name in ALTERNATIVES}
    last = {}
    for seed in range(seeds):
        data = digits.small(seed, test_share=0.6, most=1000 if quick else None)
        for name, alternative in ALTERNATIVES.items():
            last[name] = models.trained(lambda made_of=alternative: models.mnist_model(*made_of), data, epochs, seed)
            accuracies[name][seed] = models.accuracy(last[name], data.test_images, data.test_labels)
    batch = data.train_images[:128], data.train_labels[:128]
    seconds = models.medians({name: models.step_of(m, *batch) for name, m in last.items()}, 2 if quick else 25)
    return {
        name: Row(model.count_params(), multiply_adds(model), 1000 * seconds[name], accuracies[name])
        for name, model in last.items()
    }


def tell(rows: dict[str, Row]) -> None:
    print(f"{'':<28}{'parameters':>12}{'multiply-adds':>15}{'training step':>15}{'held-out digits':>18}")
    for name, row in rows.items():
        print(
            f"{name:<28}{row.parameters:>12,}{row.multiply_adds:>15,}{row.milliseconds:>12.1f} ms"
            f"{models.percent(row.accuracies):>18}"
        )


def draw(rows: dict[str, Row], file: Path) -> None:
    best = max(rows, key=lambda name: rows[name].accuracies.mean())
    fastest = min(rows, key=lambda name: rows[name].milliseconds)
    figure = picture.figure(
        f"Most digits known: {best}. Fastest: {fastest}",
        "The MNIST model with each way to make its maps smaller; dots are seeds, lines their means.",
        size=(14, 5),
    )
    names = list(rows)[::-1]
    colours = [colour_of(name) for name in names]
    panels = {
        "Parameters in thousands": [rows[name].parameters / 1e3 for name in names],
        "Multiply-adds per digit, in millions": [rows[name].multiply_adds / 1e6 for name in names],
        "Milliseconds per training step": [rows[name].milliseconds for name in names],
    }
    accuracy, *others = figure.subplots(1, 4, sharey=True)
    for place, name in enumerate(names):
        shares = 100 * rows[name].accuracies
        accuracy.scatter(shares, [place] * len(shares), color=colours[place], s=25, alpha=0.6)
        accuracy.plot([shares.mean()] * 2, [place - 0.3, place + 0.3], color=colours[place], linewidth=3)
        side = -1 if shares.mean() > 70 else 1
        accuracy.annotate(
            f"{shares.mean():.1f}",
            (shares.min() if side < 0 else shares.max(), place),
            (8 * side, 0),
            textcoords="offset points",
            ha="right" if side < 0 else "left",
            va="center",
        )
    picture.tidy(accuracy, "Held-out digits known in %", grid="x")
    for axes, (title, values) in zip(others, panels.items(), strict=True):
        bars = axes.barh(names, values, color=colours)
        axes.bar_label(bars, fmt="%.1f", padding=3)
        axes.set_xlim(0, 1.25 * max(values))
        picture.tidy(axes, title, grid="x")
    picture.save(figure, file)


def colour_of(name: str) -> str:
    if name.startswith("max pooling"):
        return picture.BLUE
    return picture.SKY if "pooling" in name else picture.ORANGE


EXAMPLE = command.Example(__file__, __doc__, measure, tell, draw)

if __name__ == "__main__":
    sys.exit(EXAMPLE.main())
