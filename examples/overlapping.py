"""Does overlapping pooling help, and what does it cost?

FIGURES

Run it from the repository's root, after `pip install ".[examples]"`:

    python examples/overlapping.py
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from shared import command, digits, models, picture

import keras
import numpy as np

import kpool

# The last window of an axis may hang over the end, so that 26 elements become 13 in both.
POOLS: dict[str, Callable[[], keras.Layer]] = {
    "2/2": lambda: kpool.layers.MaxPooling2D(2),
    "3/2": lambda: kpool.layers.OverlappingMaxPooling2D(ceil_mode=True),
}
COLOURS = dict(zip(POOLS, (picture.GREY, picture.BLUE), strict=True))


class Findings(NamedTuple):
    """Of each pool the accuracy per seed, on the digits held out and on those trained with; and milliseconds."""

    held_out: dict[str, np.ndarray]
    training: dict[str, np.ndarray]
    parameters: dict[str, int]
    milliseconds: dict[str, float]

    @property
    def gains(self) -> np.ndarray:
        """What the overlap changes, per seed: both networks had the same digits and began with the same weights."""
        return self.held_out["3/2"] - self.held_out["2/2"]

    @property
    def standard_error(self) -> float:
        return float(np.std(self.gains, ddof=1) / len(self.gains) ** 0.5)


def build_model(pool: Callable[[], keras.Layer]) -> keras.Sequential:
    return models.mnist_model(models.convolution_and(pool))


def measure(quick: bool) -> Findings:
    seeds = 2 if quick else 8
    held_out = {name: np.zeros(seeds) for name in POOLS}
    training = {name: np.zeros(seeds) for name in POOLS}
    last = {}
    for seed in range(seeds):
        data = digits.small(seed, test_share=0.6, most=300 if quick else None)
        for name, pool in POOLS.items():
            model = models.trained(lambda pool=pool: build_model(pool), data, 4 if quick else 8, seed)
            held_out[name][seed] = models.accuracy(model, data.test_images, data.test_labels)
            training[name][seed] = models.accuracy(model, data.train_images, data.train_labels)
            last[name] = model
    batch = data.train_images[:128], data.train_labels[:128]
    seconds = models.medians({name: models.step_of(m, *batch) for name, m in last.items()}, 3 if quick else 100)
    return Findings(
        held_out,
        training,
        {name: model.count_params() for name, model in last.items()},
        {name: 1000 * value for name, value in seconds.items()},
    )


def tell(findings: Findings) -> None:
    print(f"{'pool':<7}{'parameters':>11}{'held out':>18}{'trained with':>18}{'training step':>16}")
    for name in POOLS:
        shares = models.percent(findings.held_out[name]), models.percent(findings.training[name])
        print(
            f"{name:<7}{findings.parameters[name]:>11,}{shares[0]:>18}{shares[1]:>18}"
            f"{findings.milliseconds[name]:>13.1f} ms"
        )
    print(f"\nGain by the overlap, seed by seed: {models.percent(findings.gains)}, mean +- standard deviation;")
    print(f"the mean's standard error is {100 * findings.standard_error:.2f}.")


def draw(findings: Findings, file: Path) -> None:
    figure = picture.figure("TITLE", "REMARK", size=(12, 5.5))
    accuracies, gains, times = figure.subplots(1, 3, width_ratios=[1.2, 1, 0.7])
    pairs = 100 * np.array([findings.held_out[name] for name in POOLS])
    for pair in pairs.T:
        accuracies.plot([0, 1], pair, color=picture.GREY, linewidth=1, zorder=1)
    for place, (name, shares) in enumerate(zip(POOLS, pairs, strict=True)):
        accuracies.scatter([place] * len(shares), shares, color=COLOURS[name], s=45, zorder=2)
        accuracies.annotate(
            f"{shares.mean():.2f} %",
            (place, shares.mean()),
            (-14 if place == 0 else 14, 0),
            textcoords="offset points",
            ha="right" if place == 0 else "left",
            va="center",
            fontweight="bold",
        )
    accuracies.set_xticks([0, 1], POOLS)
    accuracies.set_xlim(-0.6, 1.6)
    picture.tidy(accuracies, "Held-out digits known in %", "window/strides", grid="y")

    changes = 100 * findings.gains
    middle, margin = changes.mean(), 100 * 2 * findings.standard_error
    gains.axhline(0, color=picture.DARK, linewidth=1)
    gains.axhspan(middle - margin, middle + margin, color=picture.BLUE, alpha=0.15, linewidth=0)
    gains.axhline(middle, color=picture.BLUE, linewidth=2)
    gains.scatter(range(len(changes)), changes, color=picture.BLUE, s=45, zorder=2)
    gains.set_xticks(range(len(changes)))
    picture.tidy(gains, f"The overlap's gain: {middle:+.2f} +- {margin:.2f} points", "seed")

    bars = times.bar(list(POOLS), [findings.milliseconds[name] for name in POOLS], 0.6, color=list(COLOURS.values()))
    times.bar_label(bars, fmt="%.1f", padding=3)
    picture.tidy(times, "Training step in ms", "window/strides")
    picture.save(figure, file)


EXAMPLE = command.Example(__file__, __doc__, measure, tell, draw)

if __name__ == "__main__":
    sys.exit(EXAMPLE.main())
