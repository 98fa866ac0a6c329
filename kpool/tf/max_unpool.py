"""Unpooling of TensorFlow tensors: a scatter by index, and the gather that is its gradient.

Each is the other's gradient, so both are differentiable any number of times.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import tensorflow as tf

from kpool.tf.library import follow_thread_settings, ops
from kpool.tf.shapes import size_of, unrecorded, with_shape

if TYPE_CHECKING:
    from kpool.ops.geometry import Window


def max_unpool(
    inputs: tf.Tensor, indices: tf.Tensor, window: Window, output_size: Any = None, duplicates: str = "last"
) -> tf.Tensor:
    """`inputs` at the positions `indices` of planes of `output_size`, by default those of the smallest pooled input."""
    follow_thread_settings()
    size = tf.cast([] if output_size is None else output_size, tf.int64)
    return scatter(inputs, indices, size, window, duplicates)


def scatter(inputs: tf.Tensor, indices: tf.Tensor, size: tf.Tensor, window: Window, duplicates: str) -> tf.Tensor:
    """Pooled to unpooled side. Where windows share an index the last one wins, or all add up ("sum")."""
    if inputs.dtype.is_floating:
        return _scatter_function(window, duplicates)(inputs, indices, size)
    return _scatter(inputs, indices, size, window, duplicates)


def _scatter(inputs: tf.Tensor, indices: tf.Tensor, size: tf.Tensor, window: Window, duplicates: str) -> tf.Tensor:
    outputs = ops.kpool_max_unpool(
        unrecorded(inputs), indices, size, sum_duplicates=duplicates == "sum", **window.attributes
    )
    known = tf.get_static_value(size)
    if known is None:
        return with_shape(outputs, window.unpooled_shape_of_unknown_size, inputs.shape)
    return with_shape(outputs, window.unpooled_shape, inputs.shape, [int(n) for n in known] or None)


@lru_cache(maxsize=256)
def _scatter_function(window: Window, duplicates: str) -> Callable[..., tf.Tensor]:
    @tf.custom_gradient
    def differentiable(
        inputs: tf.Tensor, indices: tf.Tensor, size: tf.Tensor
    ) -> tuple[tf.Tensor, Callable[..., tuple[tf.Tensor | None, ...]]]:
        def backward(gradients: tf.Tensor) -> tuple[tf.Tensor | None, ...]:
            return gather(gradients, indices, window, duplicates), None, None

        return _scatter(inputs, indices, size, window, duplicates), backward

    return differentiable


def gather(inputs: tf.Tensor, indices: tf.Tensor, window: Window, duplicates: str) -> tf.Tensor:
    """Unpooled to pooled side. Where windows share an index the last one gets the element, or all do ("sum")."""
    return _gather_function(window, duplicates)(inputs, indices)


@lru_cache(maxsize=256)
def _gather_function(window: Window, duplicates: str) -> Callable[..., tf.Tensor]:
    @tf.custom_gradient
    def differentiable(
        inputs: tf.Tensor, indices: tf.Tensor
    ) -> tuple[tf.Tensor, Callable[..., tuple[tf.Tensor | None, ...]]]:
        outputs = ops.kpool_max_unpool_backward(
            unrecorded(inputs), indices, sum_duplicates=duplicates == "sum", **window.attributes
        )
        size = window.spatial(size_of(inputs))

        def backward(gradients: tf.Tensor) -> tuple[tf.Tensor | None, ...]:
            return scatter(gradients, indices, tf.convert_to_tensor(size, tf.int64), window, duplicates), None

        return with_shape(outputs, tuple(indices.shape)), backward

    return differentiable
