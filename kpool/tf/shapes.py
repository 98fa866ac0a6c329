"""Shapes of TensorFlow tensors, known when a graph is built or only when it runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import tensorflow as tf

from kpool.kernels.geometry import LARGEST_INT32_PLANE, MOST_TAPS_OF_OFFSETS

if TYPE_CHECKING:
    from kpool.ops.geometry import Shape, Window

Tensors = TypeVar("Tensors", tf.Tensor, tuple[tf.Tensor, ...])


def size_of(tensor: tf.Tensor) -> list[int] | tf.Tensor:
    """The shape, as int64 wherever it is used: integers where they are known. The tensor itself is not kept."""
    if tensor.shape.is_fully_defined():
        return tensor.shape.as_list()
    return tf.shape(tensor, out_type=tf.int64)


def offsets_fit(shape: Any, window: Window) -> bool:
    """Whether one byte is sure to hold the offset of every window's winner."""
    taps = window.taps(shape)
    return taps is not None and taps <= MOST_TAPS_OF_OFFSETS


def index_dtype_for(shape: Any, window: Window) -> str:
    """The smallest index type that is sure to hold every position of an input's planes."""
    plane = 1
    for size in window.spatial(tuple(shape)):
        plane = LARGEST_INT32_PLANE + 1 if size is None else plane * size
    return "int32" if plane <= LARGEST_INT32_PLANE else "int64"


def with_shape(tensors: Tensors, shape: Shape | Callable[..., Shape], *arguments: Any) -> Tensors:
    """The tensors, with what is known of their shape. A native op cannot say it when a graph is built."""
    if not tf.executing_eagerly():
        known = shape(*arguments) if callable(shape) else shape
        for tensor in tensors if isinstance(tensors, tuple) else (tensors,):
            tensor.set_shape(known)
    return tensors
