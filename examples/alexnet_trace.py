"""What shapes do the classics have?

From pool to pool their maps become half as large or smaller, and an element of them sees more than twice as much; at
the last pool it sees almost all of the image in AlexNet and VGG-16. Where the last maps become a vector, 89 to 96 % of
the weights are dense. SegNet has VGG-16's encoder and no dense layer: its decoder goes back up by unpooling, which has
no weights at all.

| network | parameters | of them dense | last maps | an element of them sees | of an image of |
|---|---|---|---|---|---|
| LeNet-5 | 61,706 | 96 % | 5 x 5 | 16 x 16 | 32 x 32 |
| AlexNet | 60,965,224 | 96 % | 6 x 6 | 195 x 195 | 227 x 227 |
| VGG-16 | 138,357,544 | 89 % | 7 x 7 | 212 x 212 | 224 x 224 |
| SegNet | 29,465,852 | 0 % | 11 x 15 | 212 x 212 | 360 x 480 |

Run it from the repository's root, after `pip install ".[examples]"`:

    python examples/alexnet_trace.py
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from shared import command, picture

import keras
from matplotlib.axes import Axes
from matplotlib.patches import Patch

import kpool
from kpool.utils import trace_shapes

COLOURS = {
    "Conv2D": picture.SKY,
    "MaxPooling2D": picture.BLUE,
    "MaxUnpooling2D": picture.GREEN,
    "Dense": picture.ORANGE,
}
NAMES = {
    "Conv2D": "convolution",
    "MaxPooling2D": "pooling",
    "MaxUnpooling2D": "unpooling",
    "Dense": "dense",
}
DRAWN_AS = {"AveragePooling2D": "MaxPooling2D", "OverlappingMaxPooling2D": "MaxPooling2D"}
POOLS = ("MaxPooling2D", *DRAWN_AS)


class Summary(NamedTuple):
    """A network's figures."""

    rows: list[Any]
    parameters: int
    dense_parameters: int
    last_pool: Any


# The networks. No weight is ever used, so all are zero: drawing 138 million of them at random takes a while.


def convolution(filters: int, size: int, padding: str = "same", strides: int = 1, groups: int = 1) -> keras.Layer:
    return keras.layers.Conv2D(
        filters, size, strides, padding, groups=groups, activation="relu", kernel_initializer="zeros"
    )


def dense(units: int) -> keras.Layer:
    return keras.layers.Dense(units, activation="relu", kernel_initializer="zeros")


def lenet() -> keras.Model:
    """LeCun, Bottou, Bengio and Haffner (1998), with plain average pooling and every map connected."""
    return keras.Sequential(
        [
            keras.Input((32, 32, 1)),
            *(convolution(6, 5, "valid"), kpool.layers.AveragePooling2D(2)),
            *(convolution(16, 5, "valid"), kpool.layers.AveragePooling2D(2)),
            *(keras.layers.Flatten(), dense(120), dense(84), dense(10)),
        ]
    )


def alexnet() -> keras.Model:
    """Krizhevsky, Sutskever and Hinton (2012): overlapping pools, and convolutions in two groups for two GPUs."""
    return keras.Sequential(
        [
            keras.Input((227, 227, 3)),
            *(convolution(96, 11, "valid", strides=4), kpool.layers.OverlappingMaxPooling2D()),
            *(convolution(256, 5, groups=2), kpool.layers.OverlappingMaxPooling2D()),
            *(convolution(384, 3), convolution(384, 3, groups=2), convolution(256, 3, groups=2)),
            kpool.layers.OverlappingMaxPooling2D(),
            *(keras.layers.Flatten(), dense(4096), dense(4096), dense(1000)),
        ]
    )


VGG_BLOCKS = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))


def vgg() -> keras.Model:
    """Simonyan and Zisserman (2014), configuration D."""
    model = keras.Sequential([keras.Input((224, 224, 3))])
    for filters, depth in VGG_BLOCKS:
        for _ in range(depth):
            model.add(convolution(filters, 3))
        model.add(kpool.layers.MaxPooling2D(2))
    for layer in (keras.layers.Flatten(), dense(4096), dense(4096), dense(1000)):
        model.add(layer)
    return model


def segnet(classes: int = 12) -> keras.Model:
    """Badrinarayanan, Kendall and Cipolla (2015): VGG's encoder, and a decoder that mirrors it.

    360 rows are halved to 45, and 45 to 22: to go back, an unpooling must be told which size its pool had before it.
    """
    image = x = keras.Input((360, 480, 3))
    recorded = []
    for filters, depth in VGG_BLOCKS:
        for _ in range(depth):
            x = normalised_convolution(x, filters)
        size = x.shape[1:3]
        x, indices = kpool.layers.MaxPooling2D(2, return_indices=True)(x)
        recorded.append((indices, size))
    # Each block of the decoder ends as wide as the one that follows it begins.
    last_widths = [filters for filters, _ in VGG_BLOCKS[-2::-1]] + [classes]
    for (filters, depth), last_width, (indices, size) in zip(
        VGG_BLOCKS[::-1], last_widths, recorded[::-1], strict=True
    ):
        x = kpool.layers.MaxUnpooling2D(2, output_size=size)(x, indices)
        for width in [filters] * (depth - 1) + [last_width]:
            x = normalised_convolution(x, width)
    return keras.Model(image, x)


def normalised_convolution(x: keras.KerasTensor, filters: int) -> keras.KerasTensor:
    return keras.layers.BatchNormalization()(convolution(filters, 3)(x))


NETWORKS: dict[str, Callable[[], keras.Model]] = {
    "LeNet-5": lenet,
    "AlexNet": alexnet,
    "VGG-16": vgg,
    "SegNet": segnet,
}


# Their traces


def summarise(build: Callable[[], keras.Model]) -> Summary:
    """Print a network's trace, and find what there is to say of it."""
    rows = trace_shapes(build())
    return Summary(
        rows,
        sum(row.parameters for row in rows),
        sum(row.parameters for row in rows if row.layer == "Dense"),
        [row for row in rows if row.layer in POOLS][-1],
    )


def measure(quick: bool) -> dict[str, Summary]:
    """The networks' figures, for which nothing needs to run: there is nothing to be quicker about."""
    summaries = {}
    for name, build in NETWORKS.items():
        print(f"{name}\n")
        summaries[name] = summarise(build)
        print()
    return summaries


def tell(summaries: dict[str, Summary]) -> None:
    print(f"{'network':<9}{'parameters':>12}{'dense':>8}{'last maps':>12}{'an element sees':>17}{'of':>12}")
    for name, (rows, parameters, dense_parameters, last) in summaries.items():
        sizes = (last.output_shape[:2], last.receptive_field, rows[0].output_shape[:2])
        maps, field, image = (f"{height} x {width}" for height, width in sizes)
        print(f"{name:<9}{parameters:>12,}{dense_parameters / parameters:>8.0%}{maps:>12}{field:>17}{image:>12}")


# The picture


def draw(summaries: dict[str, Summary], file: Path) -> None:
    figure = picture.figure(
        "From pool to pool the maps halve, and an element sees more than twice as much",
        "Each bar is a layer, as high as its map has rows (dense layers have none), with the number of its channels. "
        "The line is how many rows of the image an element can see.",
        size=(13, 13),
    )
    grid = figure.add_gridspec(3, 2)
    places = [grid[0, 0], grid[0, 1], grid[1, :], grid[2, :]]
    for place, (name, summary) in zip(places, summaries.items(), strict=True):
        draw_network(figure.add_subplot(place), name, summary)
    first = figure.axes[0]
    bars = [Patch(color=colour, label=NAMES[layer]) for layer, colour in COLOURS.items()]
    first.legend(handles=[*bars, *first.lines], frameon=False, loc="upper right")
    picture.save(figure, file)


def draw_network(axes: Axes, name: str, summary: Summary) -> None:
    """A bar for each layer that computes something, and over them how far each sees."""
    rows = [row for row in summary.rows if kind(row.layer) in COLOURS]
    image = summary.rows[0].output_shape[0]
    for place, row in enumerate(rows):
        has_rows = len(row.output_shape) > 1
        height = row.output_shape[0] if has_rows else image / 12
        axes.bar(place, height, 0.8, color=COLOURS[kind(row.layer)])
        axes.annotate(
            f"{row.output_shape[-1]}",
            (place, height),
            (0, 2),
            textcoords="offset points",
            ha="center",
            va="bottom",
            fontsize=7.5,
            color=picture.DARK,
        )
    seen = [(place, row.receptive_field[0]) for place, row in enumerate(rows) if row.receptive_field != "whole"]
    axes.plot(*zip(*seen, strict=True), color=picture.RED, marker="o", markersize=3, label="receptive field")
    picture.tidy(axes, f"{name}: {summary.parameters:,} parameters", y="rows of the map, pixels seen")
    axes.set_xticks([])
    axes.set_xlim(-0.7, len(rows) - 0.3)


def kind(layer: str) -> str:
    return DRAWN_AS.get(layer, layer)


EXAMPLE = command.Example(__file__, __doc__, measure, tell, draw)

if __name__ == "__main__":
    sys.exit(EXAMPLE.main())
