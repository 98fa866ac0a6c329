"""Where windows lie, as tensors: the rules of kpool.kernels.geometry for sizes that are not known yet.

XLA knows every size, but only when it compiles. What is computed of sizes here is a constant to it by then. Shapes are
vectors of int64; a window is the attribute that the native ops take.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import tensorflow as tf

Window = Sequence[int]

FLAGS = 4  # in front of the rows; kpool.ops.geometry.Window.attributes says what they are


class Axis(NamedTuple):
    """The windows along one spatial axis.

    Attributes:
        size: How many elements the axis has.
        positions: The position of each tap of each window, in rows, one per window.
        inside, padded: Whether a tap lies in the input; whether it lies in the input or its padding.
    """

    size: tf.Tensor
    positions: tf.Tensor
    inside: tf.Tensor
    padded: tf.Tensor


def shape_of(tensor: tf.Tensor) -> tf.Tensor:
    return tf.shape(tensor, out_type=tf.int64)


def spatial(window: Window, shape: tf.Tensor) -> tf.Tensor:
    """The spatial part of a shape."""
    return shape[2:] if window[0] else shape[1:-1]


def pooled_shape(window: Window, shape: tf.Tensor) -> tf.Tensor:
    """The shape of a pooled input."""
    return _with_spatial(window, shape, [_pooled_size(window, row, size) for row, size in _axes(window, shape)])


def unpooled_shape(window: Window, shape: tf.Tensor, output_size: tf.Tensor) -> tf.Tensor:
    """The shape of an unpooled input, with the spatial sizes `output_size` unless that is empty."""
    if output_size.shape[0] != 0:
        return _with_spatial(window, shape, output_size)
    return _with_spatial(window, shape, [_unpooled_size(window, row, size) for row, size in _axes(window, shape)])


def lay(window: Window, shape: tf.Tensor) -> list[Axis]:
    """The windows along each spatial axis of an input."""
    along = _lay_adaptive if window[3] else _lay
    return [along(window, row, size) for row, size in _axes(window, shape)]


def _axes(window: Window, shape: tf.Tensor) -> list[tuple[Window, tf.Tensor]]:
    """The part of the window that belongs to each spatial axis, and the axis' size."""
    sizes = tf.unstack(spatial(window, shape))
    width = (len(window) - FLAGS) // len(sizes)
    rows = [window[i : i + width] for i in range(FLAGS, len(window), width)]
    return list(zip(rows, sizes, strict=True))


def _with_spatial(window: Window, shape: tf.Tensor, sizes: tf.Tensor | list[tf.Tensor]) -> tf.Tensor:
    """A shape with other spatial sizes."""
    return tf.concat([shape[:2], sizes] if window[0] else [shape[:1], sizes, shape[-1:]], axis=0)


def _pooled_size(window: Window, row: Window, size: tf.Tensor) -> tf.Tensor:
    if window[3]:
        return size if row[0] == -1 else tf.constant(row[0], tf.int64)
    pool_size, stride, dilation, before, after = row
    if window[2]:
        return _ceil_div(size, stride)
    room = size + before + after - (pool_size - 1) * dilation - 1
    pooled = room // stride + 1
    if window[1]:
        # The last window must start inside the input or the leading padding.
        pooled = tf.minimum(_ceil_div(room, stride) + 1, _ceil_div(size + before, stride))
    # A negative size makes XLA refuse a window that does not fit, except -1, which tf.reshape would replace.
    return tf.where(room < 0, tf.constant(-2, tf.int64), pooled)


def _unpooled_size(window: Window, row: Window, pooled: tf.Tensor) -> tf.Tensor:
    pool_size, stride, dilation, before, after = row
    effective = (pool_size - 1) * dilation + 1
    padding = max(0, effective - stride) if window[2] else before + after
    return (pooled - 1) * stride + effective - padding


def _lay(window: Window, row: Window, size: tf.Tensor) -> Axis:
    pool_size, stride, dilation, before, after = row
    pooled = _pooled_size(window, row, size)
    if window[2]:
        padding = tf.maximum((pooled - 1) * stride + (pool_size - 1) * dilation + 1 - size, 0)
        before = padding // 2
        after = padding - before
    starts = tf.range(pooled) * stride - before
    positions = starts[:, None] + tf.range(pool_size, dtype=tf.int64) * dilation
    return Axis(size, positions, (positions >= 0) & (positions < size), positions < size + after)


def _lay_adaptive(window: Window, row: Window, size: tf.Tensor) -> Axis:
    pooled = _pooled_size(window, row, size)
    number = tf.range(pooled)
    starts, ends = number * size // pooled, _ceil_div((number + 1) * size, pooled)
    positions = starts[:, None] + tf.range(tf.reduce_max(ends - starts))
    inside = positions < ends[:, None]
    return Axis(size, positions, inside, inside)


def _ceil_div(a: tf.Tensor, b: tf.Tensor | int) -> tf.Tensor:
    return -(-a // b)
