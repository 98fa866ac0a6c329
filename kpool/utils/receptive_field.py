"""The receptive field: how much of the input an element can depend on.

Found by going back: a run of so many neighbouring elements of a layer's output depends on so many of its input.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import reduce
from typing import Any, Literal

import keras

from kpool.layers.base_max_unpooling import BaseMaxUnpooling
from kpool.layers.base_pooling import BaseAdaptivePooling, BaseGlobalPooling, BaseWindowPooling
from kpool.models import EQUIVALENTS
from kpool.ops.geometry import integers
from kpool.utils.graph import nodes_of

# Elements per spatial axis.
Field = tuple[int, ...] | Literal["whole", "unknown"]


def layers(text: str) -> tuple[type[keras.Layer], ...]:
    """The classes of these names, as far as this Keras has them."""
    return tuple(getattr(keras.layers, name) for name in text.split() if hasattr(keras.layers, name))


def keras_layers_like(base: type[keras.Layer]) -> tuple[type[keras.Layer], ...]:
    """Keras' layers whose equivalents here are of a kind."""
    return tuple(layer for layer, equivalent in EQUIVALENTS.items() if issubclass(equivalent, base))


ELEMENTWISE = layers(
    "Activation ReLU LeakyReLU PReLU ELU Softmax Identity Dropout SpatialDropout1D SpatialDropout2D SpatialDropout3D "
    "GaussianDropout GaussianNoise AlphaDropout ActivityRegularization BatchNormalization LayerNormalization "
    "Rescaling Normalization Dense Add Subtract Multiply Average Maximum Minimum Concatenate "
    # A shift changes where an element looks, not how far.
    "ZeroPadding1D ZeroPadding2D ZeroPadding3D Cropping1D Cropping2D Cropping3D"
)
CONVOLUTIONS = layers("Conv1D Conv2D Conv3D DepthwiseConv1D DepthwiseConv2D SeparableConv1D SeparableConv2D ")
TRANSPOSED_CONVOLUTIONS = layers("Conv1DTranspose Conv2DTranspose Conv3DTranspose")
POOLINGS = keras_layers_like(BaseWindowPooling)
GLOBAL_POOLINGS = keras_layers_like(BaseGlobalPooling)
UPSAMPLINGS = layers("UpSampling1D UpSampling2D UpSampling3D")


def receptive_field(nodes: list[Any]) -> Field:
    """How much of the model's input one element of the last node's output can depend on."""
    output = nodes[-1].output_tensors[0]
    return reached_inputs(nodes, {id(output): (1,) * (len(output.shape) - 2)})


def reached_inputs(nodes: list[Any], wanted: dict[int, Field]) -> Field:
    """How much of the model's input is needed for what is wanted of the tensors with these ids."""
    reached: list[Field] = []
    for node in reversed(nodes):
        runs = [wanted[id(tensor)] for tensor in node.output_tensors if id(tensor) in wanted]
        if not runs:
            continue
        run = largest(runs)
        if not node.input_tensors:
            reached.append(run)
            continue
        needed = reach(node, run)
        for tensor in node.input_tensors:
            wanted[id(tensor)] = largest([needed, wanted.get(id(tensor), needed)])
    return largest(reached)


def largest(fields: Iterable[Field]) -> Field:
    """A field that contains them all."""
    return reduce(larger, fields)


def larger(a: Field, b: Field) -> Field:
    if "whole" in (a, b):
        return "whole"
    if isinstance(a, str) or isinstance(b, str):
        return "unknown"
    return tuple(map(max, a, b)) if len(a) == len(b) else "unknown"


def reach(node: Any, run: Field) -> Field:
    """On how many neighbouring elements of a layer's input so many of its output can depend."""
    layer, shape = node.operation, node.input_tensors[0].shape
    if isinstance(layer, (BaseGlobalPooling, *GLOBAL_POOLINGS)):
        return "whole"
    if isinstance(layer, keras.layers.Dense) and len(shape) == 2:
        return "whole"
    return run if isinstance(run, str) else reach_of_run(layer, run, shape)


def reach_of_run(layer: Any, run: tuple[int, ...], shape: tuple[int | None, ...]) -> Field:
    """The same for a layer that has neighbours, and input of a shape."""
    match layer:
        case keras.Model():
            return reached_inputs(nodes_of(layer), {id(output): run for output in layer.outputs})
        case keras.layers.Flatten():
            return (1,) * (len(shape) - 2)
        case BaseAdaptivePooling():
            return adaptive(layer, run, shape)
        case BaseMaxUnpooling():
            return along_axes(backwards, run, layer.pool_size, layer.strides, layer.dilation_rate)
        case BaseWindowPooling():
            return along_axes(forwards, run, layer.pool_size, layer.strides, layer.dilation_rate)
    if isinstance(layer, ELEMENTWISE):
        return run
    if isinstance(layer, CONVOLUTIONS):
        return along_axes(forwards, run, layer.kernel_size, layer.strides, layer.dilation_rate)
    if isinstance(layer, TRANSPOSED_CONVOLUTIONS):
        return along_axes(backwards, run, layer.kernel_size, layer.strides, layer.dilation_rate)
    if isinstance(layer, POOLINGS):
        return along_axes(forwards, run, layer.pool_size, layer.strides, 1)
    if isinstance(layer, UPSAMPLINGS):
        return upsampled(layer, run)
    return "unknown"


def along_axes(rule: Callable[..., int], run: tuple[int, ...], *arguments: Any) -> Field:
    """A rule for each axis, with the axis' arguments; one integer stands for all axes."""
    return tuple(map(rule, run, *(integers("arguments", argument, len(run)) for argument in arguments)))


def forwards(run: int, size: int, stride: int, dilation: int) -> int:
    """The elements from the first of so many neighbouring windows to the last."""
    return (run - 1) * stride + (size - 1) * dilation + 1


def backwards(run: int, size: int, stride: int, dilation: int) -> int:
    """The most windows that can write to so many neighbouring elements."""
    return -(-(run + (size - 1) * dilation) // stride)


def adaptive(layer: BaseAdaptivePooling, run: tuple[int, ...], shape: tuple[int | None, ...]) -> Field:
    """Windows that divide the input are as wide as they are apart; others are not told from their number alone."""
    sizes = layer.window.spatial(shape)
    counts = layer.window.spatial(layer.window.pooled_shape(shape))
    if None in sizes or any(size % count for size, count in zip(sizes, counts, strict=True)):
        return "unknown"
    widths = tuple(size // count for size, count in zip(sizes, counts, strict=True))
    return along_axes(forwards, run, widths, widths, 1)


def upsampled(layer: keras.Layer, run: tuple[int, ...]) -> Field:
    """Each element becomes a window of copies, or with `"bilinear"` also fades into its neighbours."""
    sizes = integers("size", layer.size, len(run))
    interpolation = getattr(layer, "interpolation", "nearest")
    if interpolation == "nearest":
        return along_axes(backwards, run, sizes, sizes, 1)
    if interpolation == "bilinear":
        return along_axes(backwards, run, [2 * size - size % 2 for size in sizes], sizes, 1)
    return "unknown"
