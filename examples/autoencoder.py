"""What does max pooling throw away?

Where its maxima were, and a decoder misses it. A what-where autoencoder pools digits to 49 x 2 maxima of 4 x 4 windows.
Of the pixels' variance in held-out digits it then cannot restore

- 12 % if the decoder puts each maximum back where it was, by the recorded switches (11 to 13 % with three seeds);
- 21 % if it puts each into the middle of its window (15 to 30 %);
- 20 % if it is told no place, and each maximum fills its window (15 to 27 %).

The switches are no magic: they are 4 bits for each maximum, which go past the code.

Run it from the repository's root, after `pip install ".[examples]"`:

    python examples/autoencoder.py
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from shared import command, digits, picture

import keras
import numpy as np
from matplotlib.axes import Axes

import kpool

WINDOW = 4
CHANNELS = 2


class CentreUnpooling2D(keras.layers.Layer):
    """Unpooling that puts every element into the middle of its window, wherever it was."""

    def call(self, inputs: keras.KerasTensor) -> keras.KerasTensor:
        height, width = inputs.shape[1:3]
        rows, columns = (WINDOW * np.arange(count, dtype="int32") + WINDOW // 2 for count in (height, width))
        middles = np.add.outer(rows * WINDOW * width, columns)[np.newaxis, :, :, np.newaxis]
        return kpool.ops.max_unpool(inputs, keras.ops.broadcast_to(middles, keras.ops.shape(inputs)), WINDOW)


def by_switches(code: keras.KerasTensor, indices: keras.KerasTensor) -> keras.KerasTensor:
    return kpool.layers.MaxUnpooling2D(WINDOW)(code, indices)


def by_centres(code: keras.KerasTensor, indices: keras.KerasTensor) -> keras.KerasTensor:
    return CentreUnpooling2D()(code)


def by_copies(code: keras.KerasTensor, indices: keras.KerasTensor) -> keras.KerasTensor:
    return keras.layers.UpSampling2D(WINDOW)(code)


# How the decoder learns where a maximum was.
DECODERS: dict[str, Callable[..., keras.KerasTensor]] = {
    "recorded switches": by_switches,
    "the window's centre": by_centres,
    "no place at all": by_copies,
}
COLOURS = dict(zip(DECODERS, (picture.BLUE, picture.ORANGE, picture.GREEN), strict=True))


class Findings(NamedTuple):
    """The mean squared errors per seed, and some digits as each decoder draws them."""

    errors: dict[str, np.ndarray]
    blank: float
    originals: np.ndarray
    drawn: dict[str, np.ndarray]


def build_model(go_back: Callable[..., keras.KerasTensor]) -> keras.Model:
    """A what-where autoencoder: what is in each window goes through the code, and where past it or not at all."""
    image = keras.Input((28, 28, 1))
    x = keras.layers.Conv2D(12, 5, padding="same", activation="relu")(image)
    x = keras.layers.Conv2D(CHANNELS, 5, padding="same", activation="relu")(x)
    code, indices = kpool.layers.MaxPooling2D(WINDOW, return_indices=True, name="code")(x)
    x = go_back(code, indices)
    x = keras.layers.Conv2D(12, 5, padding="same", activation="relu")(x)
    return keras.Model(image, keras.layers.Conv2D(1, 5, padding="same", activation="sigmoid")(x))


def measure(quick: bool) -> Findings:
    seeds = 1 if quick else 3
    errors = {name: np.zeros(seeds) for name in DECODERS}
    drawn = {}
    for seed in range(seeds):
        data = digits.small(seed, test_share=0.5, most=640 if quick else None)
        for name, go_back in DECODERS.items():
            keras.utils.set_random_seed(seed)
            model = build_model(go_back)
            model.compile(keras.optimizers.Adam(0.003), "binary_crossentropy")
            model.fit(data.train_images, data.train_images, 32, epochs=12 if quick else 7, verbose=0)
            restored = model.predict(data.test_images, batch_size=500, verbose=0)
            errors[name][seed] = np.mean((restored - data.test_images) ** 2)
            drawn[name] = restored
    first = [int(np.flatnonzero(data.test_labels == digit)[0]) for digit in range(digits.CLASSES)]
    blank = float(np.mean((data.test_images - data.test_images.mean()) ** 2))
    return Findings(errors, blank, data.test_images[first], {name: images[first] for name, images in drawn.items()})


def tell(findings: Findings) -> None:
    windows = (28 // WINDOW) ** 2
    print(f"28 x 28 pixels through {windows} x {CHANNELS} maxima of {WINDOW} x {WINDOW} windows, and back by\n")
    for name, errors in findings.errors.items():
        share = errors / findings.blank
        print(
            f"{name:<20} mean squared error {errors.mean():.4f} +- {np.std(errors):.4f}, "
            f"{share.mean():.1%} of the pixels' variance"
        )


def draw(findings: Findings, file: Path) -> None:
    loss = {name: errors.mean() for name, errors in findings.errors.items()}
    times = min(loss["the window's centre"], loss["no place at all"]) / loss["recorded switches"]
    figure = picture.figure(
        f"Where the maxima were is worth keeping: without it {times:.1f} times as much of a digit is lost",
        f"Held-out digits, pooled to {CHANNELS} maps of {28 // WINDOW} x {28 // WINDOW} maxima and decoded again. "
        "Each dot is a seed.",
        size=(14, 6),
    )
    images, bars = figure.subfigures(1, 2, width_ratios=[3, 1])
    rows = {"digits": findings.originals, **findings.drawn}
    grid = images.subplots(len(rows), digits.CLASSES, squeeze=False)
    for line, (name, drawn) in zip(grid, rows.items(), strict=True):
        for axes, image in zip(line, drawn, strict=True):
            picture.show(axes, image[..., 0], vmin=0, vmax=1)
        line[0].set_ylabel(
            name, rotation=0, ha="right", va="center", fontsize=11, color=COLOURS.get(name, picture.DARK)
        )
    draw_errors(bars.subplots(), findings)
    picture.save(figure, file)


def draw_errors(axes: Axes, findings: Findings) -> None:
    shares = {name: 100 * errors / findings.blank for name, errors in findings.errors.items()}
    bars = axes.bar(list(shares), [share.mean() for share in shares.values()], color=list(COLOURS.values()))
    axes.bar_label(bars, fmt="%.1f %%", label_type="center", color="white", fontweight="bold")
    for place, share in enumerate(shares.values()):
        axes.scatter([place] * len(share), share, color=picture.DARK, s=12, zorder=3)
    axes.set_xticks(range(len(shares)), [name.split()[-1] if "all" not in name else "none" for name in shares])
    picture.tidy(axes, "Lost on held-out digits", y="squared error, % of the pixels' variance")


EXAMPLE = command.Example(__file__, __doc__, measure, tell, draw)

if __name__ == "__main__":
    sys.exit(EXAMPLE.main())
