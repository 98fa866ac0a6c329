"""Average pooling of TensorFlow tensors, and its gradient: each is the other's, to any order."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING

import tensorflow as tf

from kpool.tf.library import follow_thread_settings, ops
from kpool.tf.shapes import size_of, unrecorded, with_shape

if TYPE_CHECKING:
    from kpool.ops.geometry import Shape, Window


def average_pool(
    inputs: tf.Tensor, window: Window, count_include_pad: bool = False, divisor_override: int = 0
) -> tf.Tensor:
    """The pooled tensor. `divisor_override` 0 divides by the number of elements."""
    follow_thread_settings()
    return _pool_function(window, count_include_pad, divisor_override)(inputs)


@lru_cache(maxsize=256)
def _pool_function(window: Window, count_include_pad: bool, divisor_override: int) -> Callable[..., tf.Tensor]:
    divisor = {"count_include_pad": count_include_pad, "divisor_override": divisor_override}

    @tf.custom_gradient
    def pool(inputs: tf.Tensor) -> tuple[tf.Tensor, Callable[..., tf.Tensor]]:
        outputs = ops.kpool_average_pool(unrecorded(inputs), **divisor, **window.attributes)
        static, size = tuple(inputs.shape), size_of(inputs)

        def backward(gradients: tf.Tensor) -> tf.Tensor:
            spread = _spread_function(window, count_include_pad, divisor_override, static)
            return spread(gradients, tf.convert_to_tensor(size, tf.int64))

        return with_shape(outputs, window.pooled_shape, inputs.shape), backward

    return pool


@lru_cache(maxsize=256)
def _spread_function(
    window: Window, count_include_pad: bool, divisor_override: int, static: Shape
) -> Callable[..., tf.Tensor]:
    """The gradient: every element gets its share from each window over it."""
    divisor = {"count_include_pad": count_include_pad, "divisor_override": divisor_override}

    @tf.custom_gradient
    def spread(gradients: tf.Tensor, size: tf.Tensor) -> tuple[tf.Tensor, Callable[..., tuple[tf.Tensor, None]]]:
        outputs = ops.kpool_average_pool_backward(unrecorded(gradients), size, **divisor, **window.attributes)

        def backward(gradients: tf.Tensor) -> tuple[tf.Tensor, None]:
            return _pool_function(window, count_include_pad, divisor_override)(gradients), None

        return with_shape(outputs, static), backward

    return spread
