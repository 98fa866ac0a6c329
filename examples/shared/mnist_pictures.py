"""The pictures of the MNIST example: how training went, and one digit's way through the first pool."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from shared import picture

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator, PercentFormatter


class Pooled(NamedTuple):
    """One image's way through the first pooling layer; every map is of one channel and has two axes."""

    image: np.ndarray
    feature_map: np.ndarray
    pooled_map: np.ndarray
    indices: np.ndarray
    unpooled_map: np.ndarray


def draw_training(history: dict[str, list[float]], file: Path) -> None:
    """Accuracy and loss over the epochs, on the training and on the held-out digits."""
    figure = picture.figure(
        "The documented Keras MNIST model, trained with kpool.layers.MaxPooling2D",
        "Training figures are means over each epoch, with dropout; held-out figures are measured after it, without.",
    )
    accuracy, loss = figure.subplots(1, 2)
    draw_curves(accuracy, history, "accuracy", f"{history['val_accuracy'][-1]:.1%} of the held-out digits at the end")
    accuracy.yaxis.set_major_formatter(PercentFormatter(xmax=1, decimals=0))
    draw_curves(loss, history, "loss", f"{history['val_loss'][-1]:.3f} on the held-out digits at the end")
    picture.save(figure, file)


def draw_curves(axes: Axes, history: dict[str, list[float]], metric: str, last: str) -> None:
    """One metric's two curves."""
    epochs = range(1, len(history[metric]) + 1)
    axes.plot(epochs, history[metric], color=picture.GREY, marker="o", markersize=4, label="training digits")
    axes.plot(epochs, history[f"val_{metric}"], color=picture.BLUE, marker="o", markersize=4, label="held-out digits")
    picture.tidy(axes, f"{metric.capitalize()}: {last}", "Epoch", grid="both")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(frameon=False, loc="center right")


def draw_pooling(pooled: Pooled, label: int, file: Path) -> None:
    """One image's way through the first pooling layer and back."""
    figure = picture.figure(
        "What max pooling keeps of a digit, and where max unpooling puts it back", size=(18, 4.5), layout="compressed"
    )
    figure.get_layout_engine().set(wspace=0.03)
    digit, *maps = figure.subplots(1, 5)
    picture.show(digit, pooled.image, f"A held-out digit, a {label}\n28 x 28 pixels")
    activations = {
        "One feature map of\nthe first convolution, 26 x 26": pooled.feature_map,
        "Where the winners are:\nthe largest of each 2 x 2 window": pooled.feature_map,
        "Pooled: the winners alone,\n13 x 13": pooled.pooled_map,
        "Unpooled: the winners back\nin their places, 26 x 26": pooled.unpooled_map,
    }
    strongest = pooled.feature_map.max()
    for axes, (title, activation) in zip(maps, activations.items(), strict=True):
        drawn = picture.show(axes, activation, title, cmap=picture.MAP, vmin=0, vmax=strongest)
    draw_winners(maps[1], pooled)
    figure.colorbar(drawn, cax=maps[-1].inset_axes([1.04, 0, 0.05, 1]), label="Activation")
    picture.save(figure, file)


def draw_winners(axes: Axes, pooled: Pooled) -> None:
    """The windows, and a point on each winner; windows without activation have no winner worth a point."""
    height, width = pooled.feature_map.shape
    rows, columns = np.divmod(pooled.indices[pooled.pooled_map > 0], width)
    axes.scatter(columns, rows, s=14, color="cyan", edgecolors="black", linewidths=0.5)
    axes.hlines(np.arange(2, height, 2) - 0.5, -0.5, width - 0.5, color="white", linewidth=0.4, alpha=0.5)
    axes.vlines(np.arange(2, width, 2) - 0.5, -0.5, height - 0.5, color="white", linewidth=0.4, alpha=0.5)
