"""Gradients of the native ops themselves.

The functions of this package carry their own. These serve where TensorFlow looks at single ops: forward mode inside a
`tf.function`, and graphs that were saved without custom gradients.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from kpool.tf.library import ops

WINDOW = ("window",)
DIVISOR = ("count_include_pad", "divisor_override")


def _attributes(op: Any, names: tuple[str, ...]) -> dict[str, Any]:
    return {name: op.get_attr(name) for name in names}


def _shape(tensor: tf.Tensor) -> tf.Tensor:
    return tf.shape(tensor, out_type=tf.int64)


def _spatial(shape: Any, op: Any) -> Any:
    channels_first = op.get_attr("window")[0]
    return shape[2:] if channels_first else shape[1:-1]


@tf.RegisterGradient("KpoolMaxPool")
def _max_pool(op: Any, gradients: tf.Tensor, *_: Any) -> tf.Tensor | None:
    inputs, window = op.inputs[0], _attributes(op, WINDOW)
    if not inputs.dtype.is_floating:
        return None
    if op.get_attr("num_offsets"):
        return ops.kpool_max_pool_backward(gradients, op.outputs[-1], _shape(inputs), **window)
    if op.get_attr("num_indices"):
        indices = op.outputs[1]
    else:
        indices = ops.kpool_max_pool(inputs, num_indices=1, Tindices=tf.int64, **window).indices[0]
    size = _spatial(_shape(inputs), op)
    return ops.kpool_max_unpool(gradients, indices, size, sum_duplicates=True, **window)


@tf.RegisterGradient("KpoolMaxPoolBackward")
def _max_pool_backward(op: Any, gradients: tf.Tensor) -> tuple[tf.Tensor, None, None]:
    _, offsets, size = op.inputs
    window = _attributes(op, WINDOW)
    indices = ops.kpool_max_pool_indices(offsets, size, Tindices=tf.int64, **window)
    return ops.kpool_max_unpool_backward(gradients, indices, sum_duplicates=True, **window), None, None


@tf.RegisterGradient("KpoolMaxUnpool")
def _max_unpool(op: Any, gradients: tf.Tensor) -> tuple[tf.Tensor | None, None, None]:
    if not gradients.dtype.is_floating:
        return None, None, None
    rule = _attributes(op, (*WINDOW, "sum_duplicates"))
    return ops.kpool_max_unpool_backward(gradients, op.inputs[1], **rule), None, None


@tf.RegisterGradient("KpoolMaxUnpoolBackward")
def _max_unpool_backward(op: Any, gradients: tf.Tensor) -> tuple[tf.Tensor | None, None]:
    inputs, indices = op.inputs
    if not gradients.dtype.is_floating:
        return None, None
    rule = _attributes(op, (*WINDOW, "sum_duplicates"))
    return ops.kpool_max_unpool(gradients, indices, _spatial(_shape(inputs), op), **rule), None


@tf.RegisterGradient("KpoolAveragePool")
def _average_pool(op: Any, gradients: tf.Tensor) -> tf.Tensor:
    return ops.kpool_average_pool_backward(gradients, _shape(op.inputs[0]), **_attributes(op, WINDOW + DIVISOR))


@tf.RegisterGradient("KpoolAveragePoolBackward")
def _average_pool_backward(op: Any, gradients: tf.Tensor) -> tuple[tf.Tensor, None]:
    return ops.kpool_average_pool(gradients, **_attributes(op, WINDOW + DIVISOR)), None
