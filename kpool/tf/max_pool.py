"""Max pooling of TensorFlow tensors.

For the gradient, forward keeps one byte per window, the winner's offset in it, where a window has at most 255
elements; a larger window keeps the winners' indices. Without `training` it keeps nothing, and a gradient asked for all
the same finds the winners again from the input.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import tensorflow as tf

from kpool.tf.library import follow_thread_settings, ops
from kpool.tf.recording import may_be_differentiated, run
from kpool.tf.shapes import index_dtype_for, offsets_fit, with_shape

if TYPE_CHECKING:
    from kpool.ops.geometry import Window


def max_pool(
    inputs: tf.Tensor, window: Window, index_dtype: str | None = None, training: bool = True
) -> tf.Tensor | tuple[tf.Tensor, tf.Tensor]:
    """The pooled tensor; a tuple of it and the winners' indices if `index_dtype` names a type for them."""
    follow_thread_settings()
    offsets, kept_dtype = False, index_dtype
    if training and may_be_differentiated() and inputs.dtype.is_floating:
        offsets = offsets_fit(inputs.shape, window)
        kept_dtype = index_dtype if offsets else index_dtype or index_dtype_for(inputs.shape, window)
    outputs = run(
        ops.kpool_max_pool,
        inputs,
        wanted=2 if index_dtype else 1,
        num_indices=int(kept_dtype is not None),
        num_offsets=int(offsets),
        # By its name it would take several times as long.
        Tindices=tf.as_dtype(kept_dtype or "int32"),
        **window.attributes,
    )
    return with_shape(outputs, window.pooled_shape, inputs.shape)
