"""Average pooling of TensorFlow tensors."""

from __future__ import annotations

from typing import TYPE_CHECKING

import tensorflow as tf

from kpool.tf.library import follow_thread_settings, ops
from kpool.tf.recording import run
from kpool.tf.shapes import with_shape

if TYPE_CHECKING:
    from kpool.ops.geometry import Window


def average_pool(
    inputs: tf.Tensor, window: Window, count_include_pad: bool = False, divisor_override: int = 0
) -> tf.Tensor:
    """The pooled tensor. `divisor_override` 0 divides by the number of elements."""
    follow_thread_settings()
    outputs = run(
        ops.kpool_average_pool,
        inputs,
        count_include_pad=count_include_pad,
        divisor_override=divisor_override,
        **window.attributes,
    )
    return with_shape(outputs, window.pooled_shape, inputs.shape)
