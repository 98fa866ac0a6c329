"""How invariant is pooling?

A little, and more with every stage. Let 1 be how far apart the maps of two different digits are; a shift by one pixel
then moves the pixels themselves by 0.52, and the maps, after one, two and three stages,

- of max pooling by 0.40, 0.35 and 0.32,
- of average pooling by 0.38, 0.32 and 0.25,
- of convolutions with strides by 0.44, 0.39 and 0.35.

Average pooling moves less, but max pooling knows more: shifted by three pixels, which training never showed, 80 % of
the held-out digits are known with max pooling, 72 % with average pooling and 53 % with strides; unshifted 96, 94 and
96 %. Means over three seeds and all four directions.

By hand: a bar in the right half of its windows, pooled 2/2, gives [[0, 8], [0, 9]], and so does the bar one pixel to
the right, where it is in the same windows. One pixel to the left it is in others, and gives [[8, 0], [9, 0]].

Run it from the repository's root, after `pip install ".[examples]"`:

    python examples/translation.py
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from shared import command, digits, models, picture

import keras
import numpy as np
from matplotlib.axes import Axes

import kpool

SHIFTS = (1, 2, 3, 4)
STAGES = (1, 2, 3)
FILTERS = (16, 32, 32)

BAR = np.array([[0, 0, 8, 0], [0, 0, 7, 0], [0, 0, 9, 0], [0, 0, 6, 0]], "float32")

# How each network halves its maps.
HALVINGS: dict[str, Callable[[int], keras.Layer]] = {
    "max pooling": lambda filters: kpool.layers.MaxPooling2D(2),
    "average pooling": lambda filters: kpool.layers.AveragePooling2D(2),
    "strided convolution": lambda filters: keras.layers.Conv2D(filters, 2, strides=2),
}
COLOURS = dict(zip(HALVINGS, (picture.BLUE, picture.ORANGE, picture.GREEN), strict=True))
MARKERS = dict(zip(HALVINGS, "os^", strict=True))


class Findings(NamedTuple):
    """Of each way to halve: changes (seed, stage, shift) and accuracies (seed, shift from 0 on)."""

    changes: dict[str, np.ndarray]
    accuracies: dict[str, np.ndarray]
    pixel_changes: np.ndarray
    digit: np.ndarray


def pool_by_hand() -> dict[str, np.ndarray]:
    """A bar, and the same bar one pixel to the right and to the left, after a 2x2 pool."""
    images = {"as it is": BAR, "one to the right": np.roll(BAR, 1, 1), "one to the left": np.roll(BAR, -1, 1)}
    return {name: kpool.ops.max_pool(bar[None, ..., None], 2)[0, ..., 0] for name, bar in images.items()}


def build_model(halving: Callable[[int], keras.Layer]) -> keras.Sequential:
    """Three stages of a convolution and what halves its maps: 28 -> 14 -> 7 -> 3."""
    model = keras.Sequential([keras.Input((28, 28, 1))])
    for number, filters in zip(STAGES, FILTERS, strict=True):
        model.add(keras.layers.Conv2D(filters, 3, padding="same", activation="relu"))
        layer = halving(filters)
        layer.name = f"stage_{number}"
        model.add(layer)
    for layer in (keras.layers.Flatten(), keras.layers.Dropout(0.25), keras.layers.Dense(10, activation="softmax")):
        model.add(layer)
    return model


def shifted(images: np.ndarray, shift: int) -> list[np.ndarray]:
    """The images moved so many pixels to each of the four sides. The digits have an empty margin of 4 pixels."""
    return [np.roll(images, sign * shift, axis) for axis in (1, 2) for sign in (1, -1)]


def change(maps: np.ndarray, of_shifted: np.ndarray) -> float:
    """How far a shift moves the maps, as a share of how far apart those of two different digits are."""
    count = len(maps)
    flat, moved = maps.reshape(count, -1), of_shifted.reshape(count, -1)
    to_another = np.linalg.norm(flat - np.roll(flat, 1, 0), axis=1)
    return float(np.mean(np.linalg.norm(moved - flat, axis=1)) / np.mean(to_another))


def measure(quick: bool) -> Findings:
    seeds = 1 if quick else 3
    changes = {name: np.zeros((seeds, len(STAGES), len(SHIFTS))) for name in HALVINGS}
    accuracies = {name: np.zeros((seeds, 1 + len(SHIFTS))) for name in HALVINGS}
    for seed in range(seeds):
        data = digits.small(seed, most=500 if quick else None)
        for name, halving in HALVINGS.items():
            model = models.trained(lambda halving=halving: build_model(halving), data, 3 if quick else 5, seed)
            measure_model(model, data, changes[name][seed], accuracies[name][seed])
    images = data.test_images
    pixel_changes = [np.mean([change(images, moved) for moved in shifted(images, shift)]) for shift in SHIFTS]
    return Findings(changes, accuracies, np.array(pixel_changes), images[0])


def measure_model(model: keras.Model, data: digits.Digits, changes: np.ndarray, accuracies: np.ndarray) -> None:
    """Fill in what a trained model's maps and its answers make of each shift."""
    outputs = [*(model.get_layer(f"stage_{number}").output for number in STAGES), model.outputs[0]]
    network = keras.Model(model.inputs[0], outputs)

    def see(images: np.ndarray) -> tuple[list[np.ndarray], float]:
        *maps, answers = network.predict(images, batch_size=500, verbose=0)
        return maps, float(np.mean(answers.argmax(-1) == data.test_labels))

    still, accuracies[0] = see(data.test_images)
    for place, shift in enumerate(SHIFTS):
        seen = [see(images) for images in shifted(data.test_images, shift)]
        changes[:, place] = np.mean([[*map(change, still, maps)] for maps, _ in seen], axis=0)
        accuracies[1 + place] = np.mean([accuracy for _, accuracy in seen])


def tell(findings: Findings) -> None:
    print("A bar by hand, pooled 2x2:\n")
    for name, pooled in pool_by_hand().items():
        print(f"{name:<17}{pooled.tolist()}")
    print("\nHow far a shift moves the maps (1: as far as to another digit), after each stage:\n")
    print(f"{'shift in pixels':<30}" + "".join(f"{shift:>9}" for shift in SHIFTS))
    print(row("pixels", findings.pixel_changes))
    for stage in STAGES:
        for name, changes in findings.changes.items():
            print(row(f"{name}, stage {stage}", changes[:, stage - 1].mean(0)))
    print("\nHeld-out digits known:\n")
    print(f"{'shift in pixels':<30}" + "".join(f"{shift:>9}" for shift in (0, *SHIFTS)))
    for name, accuracies in findings.accuracies.items():
        print(f"{name:<30}" + "".join(f"{share:>9.1%}" for share in accuracies.mean(0)))


def row(name: str, values: np.ndarray) -> str:
    return f"{name:<30}" + "".join(f"{value:>9.2f}" for value in values)


def draw(findings: Findings, file: Path) -> None:
    figure = picture.figure(
        "Pooling dampens a shift, stage by stage, but does not cancel it",
        "Networks with three stages each, which never saw a shifted digit; shifts to all four sides. "
        "Lines are means over the seeds, bands their range.",
        size=(15, 7.5),
    )
    top, bottom = figure.subfigures(2, 1, height_ratios=[1, 2.6])
    for axes, shift in zip(top.subplots(1, 5), (0, *SHIFTS), strict=True):
        picture.show(axes, np.roll(findings.digit, shift, 1)[..., 0], f"shifted by {shift}" if shift else "a digit")
    *stages, answers = bottom.subplots(1, 4)
    for stage, axes in zip(STAGES, stages, strict=True):
        axes.plot(SHIFTS, findings.pixel_changes, color=picture.GREY, linestyle="--", label="the pixels themselves")
        for name, changes in findings.changes.items():
            draw_lines(axes, name, SHIFTS, changes[:, stage - 1])
        picture.tidy(axes, f"After {stage} stage{'s' if stage > 1 else ''}", "shift in pixels")
        axes.set_ylim(0, 1.1)
        axes.set_xticks(SHIFTS)
    stages[0].set_ylabel("change of the maps\n(1: as far as to another digit)")
    stages[0].legend(frameon=False, loc="lower right")
    for name, accuracies in findings.accuracies.items():
        draw_lines(answers, name, (0, *SHIFTS), 100 * accuracies)
    picture.tidy(answers, "What the network makes of it", "shift in pixels", "held-out digits known in %")
    answers.set_ylim(0, 102)
    picture.save(figure, file)


def draw_lines(axes: Axes, name: str, x: Sequence[int], values: np.ndarray) -> None:
    """The mean over the seeds, and what they span."""
    axes.plot(x, values.mean(0), color=COLOURS[name], marker=MARKERS[name], label=name)
    axes.fill_between(x, values.min(0), values.max(0), color=COLOURS[name], alpha=0.2, linewidth=0)


EXAMPLE = command.Example(__file__, __doc__, measure, tell, draw)

if __name__ == "__main__":
    sys.exit(EXAMPLE.main())
