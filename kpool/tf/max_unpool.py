"""Unpooling of TensorFlow tensors: a scatter by index."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import tensorflow as tf

from kpool.tf.library import follow_thread_settings, ops
from kpool.tf.recording import run
from kpool.tf.shapes import with_shape

if TYPE_CHECKING:
    from kpool.ops.geometry import Window


def max_unpool(
    inputs: tf.Tensor, indices: tf.Tensor, window: Window, output_size: Any = None, duplicates: str = "last"
) -> tf.Tensor:
    """`inputs` at the positions `indices` of planes of `output_size`, by default those of the smallest pooled input.

    Where windows share an index the last one wins, or all add up ("sum").
    """
    follow_thread_settings()
    size = tf.constant((), tf.int64) if output_size is None else tf.cast(output_size, tf.int64)
    outputs = run(ops.kpool_max_unpool, inputs, indices, size, sum_duplicates=duplicates == "sum", **window.attributes)
    if tf.executing_eagerly():
        return outputs
    known = tf.get_static_value(size)
    if known is None:
        return with_shape(outputs, window.unpooled_shape_of_unknown_size, inputs.shape)
    return with_shape(outputs, window.unpooled_shape, inputs.shape, [int(n) for n in known] or None)
