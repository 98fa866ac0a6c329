"""Max pooling of TensorFlow tensors, differentiable any number of times.

For the gradient, forward keeps one byte per window, the winner's offset in it, where a window has at most 255
elements; a larger window keeps the winners' indices. Without `training` it keeps nothing, and a gradient asked for all
the same finds the winners again from the input.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import tensorflow as tf

from kpool.tf.library import follow_thread_settings, ops
from kpool.tf.max_unpool import gather, scatter
from kpool.tf.shapes import index_dtype_for, offsets_fit, size_of, unrecorded, with_shape

if TYPE_CHECKING:
    from kpool.ops.geometry import Shape, Window


def max_pool(
    inputs: tf.Tensor, window: Window, index_dtype: str | None = None, training: bool = True
) -> tuple[tf.Tensor, ...]:
    """The pooled tensor, followed by the winners' indices if `index_dtype` names a type for them."""
    follow_thread_settings()
    dtype = tf.as_dtype(index_dtype) if index_dtype else None
    if not inputs.dtype.is_floating:
        return _forward(inputs, window, dtype, offsets=False)
    outputs = _pool_function(window, dtype, training)(inputs)
    return tuple(outputs) if index_dtype else (outputs,)


def _forward(inputs: tf.Tensor, window: Window, index_dtype: tf.DType | None, offsets: bool) -> tuple[tf.Tensor, ...]:
    """The pooled tensor, then indices and offsets as wanted."""
    results = ops.kpool_max_pool(
        unrecorded(inputs),
        num_indices=int(index_dtype is not None),
        num_offsets=int(offsets),
        Tindices=index_dtype or tf.int32,
        **window.attributes,
    )
    tensors = (results.outputs, *results.indices, *results.offsets)
    return with_shape(tensors, window.pooled_shape, inputs.shape)


@lru_cache(maxsize=256)
def _pool_function(window: Window, index_dtype: tf.DType | None, training: bool) -> Callable[..., Any]:
    """Pooling and its gradient for one window. Returns a single tensor where there are no indices."""

    @tf.custom_gradient
    def pool(inputs: tf.Tensor) -> tuple[tf.Tensor | tuple[tf.Tensor, ...], Callable[..., tf.Tensor]]:
        offsets = offsets_fit(inputs.shape, window)
        if not training:
            outputs, kept = _forward(inputs, window, index_dtype, offsets=False), inputs
        else:
            kept_dtype = index_dtype if offsets else index_dtype or index_dtype_for(inputs.shape, window)
            results = _forward(inputs, window, kept_dtype, offsets)
            outputs, kept = results[: 2 if index_dtype else 1], results[-1]
        static, size = tuple(inputs.shape), size_of(inputs)

        def backward(gradients: tf.Tensor, *_: Any) -> tf.Tensor:
            winners = kept
            if not training:
                winners = _forward(kept, window, None if offsets else index_dtype_for(static, window), offsets)[-1]
            if offsets:
                return _send_function(window, static)(gradients, winners, tf.convert_to_tensor(size, tf.int64))
            spatial = tf.convert_to_tensor(window.spatial(size), tf.int64)
            return with_shape(scatter(gradients, winners, spatial, window, "sum"), static)

        return outputs if index_dtype else outputs[0], backward

    return pool


@lru_cache(maxsize=256)
def _send_function(window: Window, static: Shape) -> Callable[..., tf.Tensor]:
    """The gradient of pooling by offsets, and its own gradient: a gather from where the winners stood."""

    @tf.custom_gradient
    def send(
        gradients: tf.Tensor, offsets: tf.Tensor, size: tf.Tensor
    ) -> tuple[tf.Tensor, Callable[..., tuple[tf.Tensor | None, ...]]]:
        outputs = ops.kpool_max_pool_backward(unrecorded(gradients), offsets, size, **window.attributes)

        def backward(gradients: tf.Tensor) -> tuple[tf.Tensor | None, ...]:
            dtype = index_dtype_for(static, window)
            indices = ops.kpool_max_pool_indices(offsets, size, Tindices=dtype, **window.attributes)
            indices = with_shape(indices, window.pooled_shape, static)
            return gather(gradients, indices, window, "sum"), None, None

        return with_shape(outputs, static), backward

    return send
