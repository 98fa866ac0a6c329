"""Does remembering where the maxima were help a decoder?

Much. A small SegNet whose decoder puts every element back where the encoder found it (`MaxUnpooling2D`) finds 64 % of
the digits' area (intersection over union), the same network with `UpSampling2D` 47 %; along the digits' edges 19
instead of 31 % of the pixels are wrong. Mean of three seeds, which differ by 2 points; the best of the one is behind
the worst of the other. Both have 49,537 weights, and a training step takes both 48 ms. The recipe without kpool,
`tf.nn.max_pool_with_argmax` and `tf.scatter_nd`, computes the same in 63 ms.

The data: real digits in colours of their own, pasted on pieces of the two photographs that scikit-learn ships. The
digits, and the parts of the photographs, that the networks are judged by are none of those that they were trained with.

Run it from the repository's root, after `pip install ".[examples]"`:

    python examples/segmentation.py
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from shared import command, digits, models, picture

import keras
import numpy as np
import tensorflow as tf
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from sklearn.datasets import load_sample_images

import kpool

SIZE = 48
TRAINING_PART = 0.6
FILTERS = (16, 32, 64)

Pooled = tuple[keras.KerasTensor, keras.KerasTensor | None]


class Scenes(NamedTuple):
    """Images (count, SIZE, SIZE, 3), and for each pixel whether it is part of a digit."""

    images: np.ndarray
    masks: np.ndarray


# The networks


class Way(NamedTuple):
    """How a network goes down, and up again."""

    pool: Callable[[keras.KerasTensor], Pooled]
    go_up: Callable[[keras.KerasTensor, keras.KerasTensor], keras.KerasTensor]


class ArgmaxPooling2D(keras.layers.Layer):
    """TensorFlow's pooling with indices."""

    def call(self, inputs: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return tuple(tf.nn.max_pool_with_argmax(inputs, 2, 2, "VALID", include_batch_in_index=True))


class ScatterUnpooling2D(keras.layers.Layer):
    """The usual recipe for unpooling without kpool."""

    def call(self, inputs: tf.Tensor, argmax: tf.Tensor) -> tf.Tensor:
        batch, (_, height, width, channels) = tf.shape(inputs)[0], inputs.shape
        size = tf.cast(4 * tf.size(inputs), argmax.dtype)
        flat = tf.scatter_nd(tf.reshape(argmax, (-1, 1)), tf.reshape(inputs, (-1,)), size[tf.newaxis])
        return tf.reshape(flat, (batch, 2 * height, 2 * width, channels))


REMEMBERED, FORGOTTEN, RECIPE = "MaxUnpooling2D", "UpSampling2D", "argmax + scatter_nd"
WAYS = {
    FORGOTTEN: Way(
        lambda x: (kpool.layers.MaxPooling2D(2)(x), None), lambda x, indices: keras.layers.UpSampling2D(2)(x)
    ),
    REMEMBERED: Way(
        lambda x: kpool.layers.MaxPooling2D(2, return_indices=True)(x),
        lambda x, indices: kpool.layers.MaxUnpooling2D(2)(x, indices),
    ),
    RECIPE: Way(lambda x: ArgmaxPooling2D()(x), lambda x, indices: ScatterUnpooling2D()(x, indices)),
}
COLOURS = {FORGOTTEN: picture.ORANGE, REMEMBERED: picture.BLUE, RECIPE: picture.GREY}


def build_model(way: Way) -> keras.Model:
    """A small SegNet: three times down, three times up, and for each pixel how likely it is part of a digit."""
    image = x = keras.Input((SIZE, SIZE, 3))
    recorded = []
    for filters in FILTERS:
        x, indices = way.pool(convolution(x, filters))
        recorded.append(indices)
    for filters, indices in zip((*FILTERS[-2::-1], FILTERS[0]), reversed(recorded), strict=True):
        # What goes up must have as many channels as what came down.
        x = convolution(way.go_up(x, indices), filters)
    return keras.Model(image, keras.layers.Conv2D(1, 1, activation="sigmoid")(x))


def convolution(x: keras.KerasTensor, filters: int) -> keras.KerasTensor:
    x = keras.layers.Conv2D(filters, 3, padding="same", use_bias=False)(x)
    return keras.layers.ReLU()(keras.layers.BatchNormalization(momentum=0.9)(x))


# The data


def make_scenes(images: np.ndarray, photographs: Sequence[np.ndarray], count: int, seed: int) -> Scenes:
    """A digit in a random colour, at a random place on a random piece of a photograph."""
    rng = np.random.default_rng(seed)
    scenes = np.empty((count, SIZE, SIZE, 3), "float32")
    masks = np.zeros((count, SIZE, SIZE, 1), "float32")
    for scene, mask in zip(scenes, masks, strict=True):
        photograph = photographs[rng.integers(len(photographs))]
        top, left = (rng.integers(size - SIZE) for size in photograph.shape[:2])
        scene[:] = photograph[top : top + SIZE, left : left + SIZE]
        digit = images[rng.integers(len(images))]
        top, left = rng.integers(SIZE - 28, size=2)
        piece = np.s_[top : top + 28, left : left + 28]
        scene[piece] = (1 - digit) * scene[piece] + digit * rng.uniform(size=3)
        mask[piece] = digit > 0.5
    return Scenes(scenes, masks)


def make_data(seed: int, training: int, held_out: int) -> tuple[Scenes, Scenes]:
    """Scenes to train with, and scenes of other digits on other parts of the photographs."""
    data = digits.small(seed)
    photographs = [image.astype("float32") / 255 for image in load_sample_images().images]
    borders = [int(TRAINING_PART * photograph.shape[1]) for photograph in photographs]
    left = [photograph[:, :border] for photograph, border in zip(photographs, borders, strict=True)]
    right = [photograph[:, border:] for photograph, border in zip(photographs, borders, strict=True)]
    return (
        make_scenes(data.train_images, left, training, 2 * seed),
        make_scenes(data.test_images, right, held_out, 2 * seed + 1),
    )


# What is measured


class Findings(NamedTuple):
    """Of both networks, per seed, the digits' IoU and the share of wrong pixels along their edges."""

    overlaps: dict[str, np.ndarray]
    edge_errors: dict[str, np.ndarray]
    milliseconds: dict[str, float]
    recipe_differs: float
    parameters: dict[str, int]
    scenes: Scenes
    predictions: dict[str, np.ndarray]


def overlap(predicted: np.ndarray, truth: np.ndarray) -> float:
    """Intersection over union, of all digits together."""
    return float(np.sum(predicted & truth) / np.sum(predicted | truth))


def edge_error(predicted: np.ndarray, truth: np.ndarray) -> float:
    """The share of wrong pixels among those with both kinds of pixel within one pixel."""
    grown = kpool.ops.max_pool(truth.astype("uint8"), 3, 1, "same") > 0
    shrunk = kpool.ops.max_pool((~truth).astype("uint8"), 3, 1, "same") == 0
    edge = grown & ~shrunk
    return float(np.mean((predicted != truth)[edge]))


def measure(quick: bool) -> Findings:
    seeds, epochs, training, held_out = (1, 4, 320, 200) if quick else (3, 7, 800, 300)
    overlaps = {name: np.zeros(seeds) for name in (FORGOTTEN, REMEMBERED)}
    edge_errors = {name: np.zeros(seeds) for name in overlaps}
    trained, predictions = {}, {}
    for seed in range(seeds):
        scenes, judged = make_data(seed, training, held_out)
        truth = judged.masks > 0.5
        for name in overlaps:
            keras.utils.set_random_seed(seed)
            trained[name] = model = compiled(WAYS[name])
            model.fit(scenes.images, scenes.masks, 16, epochs=epochs, verbose=0)
            predictions[name] = model.predict(judged.images, batch_size=100, verbose=0) > 0.5
            overlaps[name][seed] = overlap(predictions[name], truth)
            edge_errors[name][seed] = edge_error(predictions[name], truth)

    recipe = compiled(WAYS[RECIPE])
    recipe.set_weights(trained[REMEMBERED].get_weights())
    few = judged.images[:50]
    differs = np.max(np.abs(recipe.predict(few, verbose=0) - trained[REMEMBERED].predict(few, verbose=0)))
    batch = scenes.images[:32], scenes.masks[:32]
    steps = {name: models.step_of(model, *batch) for name, model in {**trained, RECIPE: recipe}.items()}
    seconds = models.medians(steps, 3 if quick else 40)
    return Findings(
        overlaps,
        edge_errors,
        {name: 1000 * value for name, value in seconds.items()},
        float(differs),
        {name: model.count_params() for name, model in trained.items()},
        judged,
        predictions,
    )


def compiled(way: Way) -> keras.Model:
    model = build_model(way)
    model.compile(keras.optimizers.Adam(0.003), "binary_crossentropy")
    return model


def tell(findings: Findings) -> None:
    print(f"{'decoder':<21}{'parameters':>11}{'IoU of the digits':>20}{'wrong along edges':>20}{'training step':>16}")
    for name, milliseconds in findings.milliseconds.items():
        figures = ("", "", "")
        if name in findings.overlaps:
            shares = findings.overlaps[name], findings.edge_errors[name]
            figures = (f"{findings.parameters[name]:,}", *map(models.percent, shares))
        print(f"{name:<21}{figures[0]:>11}{figures[1]:>20}{figures[2]:>20}{milliseconds:>13.1f} ms")
    print(f"\nWith the same weights the recipe's predictions differ by {findings.recipe_differs:.1g} at most.")


def draw(findings: Findings, file: Path) -> None:
    gain = 100 * np.mean(findings.overlaps[REMEMBERED] - findings.overlaps[FORGOTTEN])
    figure = picture.figure(
        f"A decoder that knows where the maxima were finds digits better: {gain:+.0f} points of IoU",
        "Held-out digits on pieces of photographs. Orange pixels are missed, light blue ones are too many. "
        "The networks have the same number of weights; each dot is a seed.",
        size=(13, 8),
    )
    images, bars = figure.subfigures(1, 2, width_ratios=[1.8, 1])
    count = 5
    grid = images.subplots(count, 4)
    for number, line in enumerate(grid):
        draw_scene(line, findings, number)
    for axes, title in zip(grid[0], ("input", "truth", FORGOTTEN, REMEMBERED), strict=True):
        axes.set_title(title, color=COLOURS.get(title, picture.DARK), fontweight="bold")
    overlaps, edges, times = bars.subplots(3, 1)
    draw_bars(overlaps, "IoU of the digits in %", findings.overlaps, 100)
    draw_bars(edges, "Wrong edge pixels in %", findings.edge_errors, 100)
    draw_bars(times, "Training step in ms", findings.milliseconds, 1)
    picture.save(figure, file)


def draw_scene(line: Sequence[Axes], findings: Findings, number: int) -> None:
    """An image, the truth, and what both networks make of it: missing pixels and those that are too many coloured."""
    colours = ListedColormap(["black", "white", picture.RED, picture.SKY])
    truth = findings.scenes.masks[number, ..., 0] > 0.5
    picture.show(line[0], findings.scenes.images[number])
    picture.show(line[1], truth, cmap=colours, vmin=0, vmax=3)
    for axes, name in zip(line[2:], (FORGOTTEN, REMEMBERED), strict=True):
        predicted = findings.predictions[name][number, ..., 0]
        kinds = np.select([truth & predicted, truth & ~predicted, ~truth & predicted], [1, 2, 3], 0)
        picture.show(axes, kinds, cmap=colours, vmin=0, vmax=3)


def draw_bars(axes: Axes, title: str, values: dict[str, np.ndarray | float], scale: float) -> None:
    names = list(values)[::-1]
    shown = {name: scale * np.atleast_1d(values[name]) for name in names}
    bars = axes.barh(names, [value.mean() for value in shown.values()], color=[COLOURS[name] for name in names])
    axes.bar_label(bars, fmt="%.1f", padding=12)
    for place, value in enumerate(shown.values()):
        if len(value) > 1:
            axes.scatter(value, [place] * len(value), color=picture.DARK, s=12, zorder=3)
    axes.set_xlim(0, 1.2 * max(value.max() for value in shown.values()))
    picture.tidy(axes, title, grid="x")


EXAMPLE = command.Example(__file__, __doc__, measure, tell, draw)

if __name__ == "__main__":
    sys.exit(EXAMPLE.main())
