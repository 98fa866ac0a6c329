"""The trace of a model: what shape each layer gives, what it learns, and how much of the input it sees."""

from __future__ import annotations

from typing import Any, NamedTuple

import keras

from kpool.utils.graph import nodes_of
from kpool.utils.receptive_field import Field, receptive_field


class Row(NamedTuple):
    """One call of a layer.

    Attributes:
        layer: The layer's class.
        output_shape: The shape of the layer's (first) output, without the batch.
        parameters: How many weights the layer has; 0 where an earlier row has counted them.
        receptive_field: The part of the input that one output element can depend on: its size per spatial axis,
            `"whole"`, or `"unknown"` behind a layer whose reach is not known.
    """

    layer: str
    output_shape: tuple[int | None, ...]
    parameters: int
    receptive_field: Field


HEADINGS = ("Layer", "Output shape", "Parameters", "Receptive field")


def trace_shapes(model: keras.Model) -> list[Row]:
    """Print and return a model's trace: of each layer its output's shape, its parameters and its receptive field.

    The receptive field is the part of the input that one output element can depend on, where no border cuts it off.
    Where branches join, the largest counts. Where a layer's elements see different amounts, as behind an unpooling, it
    is the most that any of them can see; strides behind an unpooling may see less than is said.

    Args:
        model: A `keras.Sequential` with a known input shape, or a functional model.

    Returns:
        A list of rows `(layer, output_shape, parameters, receptive_field)`, one per call of a layer, each after those
        that it builds on. A model within the model is one row.

    Raises:
        ValueError: If `model` is neither, or has no input shape yet.

    Example:

    >>> model = keras.Sequential([keras.Input((28, 28, 1)), keras.layers.Conv2D(8, 3), kpool.layers.MaxPooling2D(2)])
    >>> rows = kpool.utils.trace_shapes(model)
    Layer         Output shape  Parameters  Receptive field
    InputLayer     28 x 28 x 1           0            1 x 1
    Conv2D         26 x 26 x 8          80            3 x 3
    MaxPooling2D   13 x 13 x 8           0            4 x 4
    80 parameters
    >>> rows[-1].receptive_field
    (4, 4)
    """
    rows = rows_of(model)
    lines = [HEADINGS, *((row.layer, *map(text, row[1:])) for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for layer, *cells in lines:
        aligned = (f"{cell:>{width}}" for cell, width in zip(cells, widths[1:], strict=True))
        print("  ".join([f"{layer:<{widths[0]}}", *aligned]))
    print(f"{sum(row.parameters for row in rows):,} parameters")
    return rows


def rows_of(model: keras.Model) -> list[Row]:
    """The rows of a model's trace."""
    rows = []
    counted = set()
    nodes = nodes_of(model)
    for number, node in enumerate(nodes):
        operation = node.operation
        is_new = isinstance(operation, keras.Layer) and id(operation) not in counted
        counted.add(id(operation))
        rows.append(
            Row(
                type(operation).__name__,
                tuple(node.output_tensors[0].shape[1:]),
                operation.count_params() if is_new else 0,
                receptive_field(nodes[: number + 1]),
            )
        )
    return rows


def text(cell: Any) -> str:
    """A cell as it is printed."""
    if isinstance(cell, int):
        return f"{cell:,}"
    return cell if isinstance(cell, str) else " x ".join(map(str, cell))
