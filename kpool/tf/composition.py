"""The native ops made of TensorFlow's own, for XLA where it cannot call the kernels: slower.

The results are the same, but for the last bits of means and the sign of a zero in sums. TensorFlow knows the gradients
of these. None of XLA's ops fails, so an index out of range leads nowhere.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from kpool.tf.windows import Window, lay, pooled_shape, shape_of, spatial, unpooled_shape


def max_pool(inputs: tf.Tensor, *, window: Window, **attributes: Any) -> list[tf.Tensor]:
    positions, inside, _ = _windows(window, shape_of(inputs))
    planes = _planes(inputs, window)
    elements = tf.gather(planes, positions, axis=1)
    lowest = tf.constant(-float("inf") if inputs.dtype.is_floating else inputs.dtype.min, inputs.dtype)
    largest = tf.reduce_max(tf.where(inside, elements, lowest), axis=2, keepdims=True)
    nan = inside & (elements != elements)
    wins = tf.where(tf.reduce_any(nan, axis=2, keepdims=True), nan, inside & (elements == largest))
    taps = _numbers(elements)
    first = tf.reduce_min(tf.where(wins, taps, taps.dtype.max), axis=2)
    indices = tf.reduce_sum(tf.where(taps == first[:, :, None], positions, 0), axis=2)
    values = tf.cast(tf.gather(_wide(planes), indices, axis=1, batch_dims=1), inputs.dtype)
    outputs = [values, tf.cast(indices, attributes["Tindices"])]
    return [_tensor(output, window, pooled_shape(window, shape_of(inputs))) for output in outputs]


def max_unpool(
    inputs: tf.Tensor,
    indices: tf.Tensor,
    output_size: tf.Tensor,
    *,
    window: Window,
    sum_duplicates: bool,
) -> list[tf.Tensor]:
    shape = unpooled_shape(window, shape_of(inputs), output_size)
    plane = tf.reduce_prod(spatial(window, shape))
    planes, places = _wide(_planes(inputs, window)), tf.cast(_planes(indices, window), tf.int64)
    row = tf.range(shape_of(planes)[0])[:, None]
    # Numbered through all planes. What has a negative number goes nowhere.
    places = tf.where((places >= 0) & (places < plane), row * plane + places, -1)
    if sum_duplicates:
        unpooled = tf.math.unsorted_segment_sum(planes, places, tf.reduce_prod(shape))
    else:
        last = tf.math.unsorted_segment_max(_numbers(planes), places, tf.reduce_prod(shape))
        last = tf.reshape(last, [shape_of(planes)[0], plane])
        unpooled = tf.gather(planes, tf.maximum(last, 0), axis=1, batch_dims=1)
        unpooled = tf.where(last >= 0, unpooled, tf.zeros_like(unpooled))
    return [_tensor(tf.cast(unpooled, inputs.dtype), window, shape)]


def average_pool(
    inputs: tf.Tensor, *, window: Window, count_include_pad: bool, divisor_override: int
) -> list[tf.Tensor]:
    positions, inside, padded = _windows(window, shape_of(inputs))
    elements = tf.gather(_wide(_planes(inputs, window)), positions, axis=1)
    sums = tf.reduce_sum(tf.where(inside, elements, tf.zeros_like(elements)), axis=2)
    counts = tf.reduce_sum(tf.cast(padded if count_include_pad else inside, sums.dtype), axis=1)
    means = sums / (tf.cast(divisor_override, sums.dtype) if divisor_override else counts)
    return [_tensor(tf.cast(means, inputs.dtype), window, pooled_shape(window, shape_of(inputs)))]


OPS: dict[str, Callable[..., list[tf.Tensor]]] = {
    "kpool_max_pool": max_pool,
    "kpool_max_unpool": max_unpool,
    "kpool_average_pool": average_pool,
}


def _windows(window: Window, shape: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Of each window's taps, in row-major order: where in the plane they are, 0 for those outside; which are inside;
    which are inside or in the padding. One row per window."""
    positions, inside, padded = tf.zeros((1, 1), tf.int64), tf.ones((1, 1), tf.bool), tf.ones((1, 1), tf.bool)
    for axis in lay(window, shape):
        positions = _crossed(tf.add, positions * axis.size, axis.positions)
        inside = _crossed(tf.logical_and, inside, axis.inside)
        padded = _crossed(tf.logical_and, padded, axis.padded)
    return tf.where(inside, positions, 0), inside, padded


def _crossed(function: Callable[..., tf.Tensor], a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
    """A function of every window and tap along the axes of `a` with every one along the axis of `b`."""
    return tf.reshape(function(a[:, None, :, None], b[None, :, None, :]), tf.shape(a) * tf.shape(b))


def _planes(tensor: tf.Tensor, window: Window) -> tf.Tensor:
    """A row for each image and channel, in it the elements of the spatial axes."""
    if not window[0]:
        axes = range(tensor.shape.rank)
        tensor = tf.transpose(tensor, [0, axes[-1], *axes[1:-1]])
    shape = tf.shape(tensor)
    return tf.reshape(tensor, [shape[0] * shape[1], tf.reduce_prod(shape[2:])])


def _tensor(planes: tf.Tensor, window: Window, shape: tf.Tensor) -> tf.Tensor:
    """The tensor of a shape that has these planes."""
    if window[0]:
        return tf.reshape(planes, shape)
    axes = range(shape.shape[0])
    tensor = tf.reshape(planes, tf.gather(shape, [0, axes[-1], *axes[1:-1]]))
    return tf.transpose(tensor, [0, *axes[2:], 1])


def _numbers(tensor: tf.Tensor) -> tf.Tensor:
    """0, 1, 2, ... along the last axis."""
    shape = shape_of(tensor)
    return tf.broadcast_to(tf.range(shape[-1]), shape)


def _wide(tensor: tf.Tensor) -> tf.Tensor:
    """In the dtype in which sums are taken."""
    return tf.cast(tensor, tf.float32) if tensor.dtype in (tf.float16, tf.bfloat16) else tensor
