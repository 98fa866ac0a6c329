"""The gradients of the native ops. Each is made of native ops, which have gradients in turn: there is every order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from kpool.tf.library import ops
from kpool.tf.recording import Backward, call, gradient_of, run
from kpool.tf.shapes import size_of

Tensors = Sequence[tf.Tensor]
Attribute = Callable[[str], Any]


def _window(attribute: Attribute) -> dict[str, Any]:
    return {"window": tuple(attribute("window"))}


def _divisor(attribute: Attribute) -> dict[str, Any]:
    return {name: attribute(name) for name in ("count_include_pad", "divisor_override")}


def _spatial(size: Any, attribute: Attribute) -> Any:
    # A window without flags is refused when the op runs.
    channels_first = any(attribute("window")[:1])
    return size[2:] if channels_first else size[1:-1]


def _vector(size: Any) -> tf.Tensor:
    return tf.convert_to_tensor(size, tf.int64)


@gradient_of(ops.kpool_max_pool)
def _max_pool(inputs: Tensors, outputs: Tensors, attribute: Attribute) -> Backward:
    """By the offsets if they were kept, else by the indices; if neither was, the winners are found again."""
    window, size = _window(attribute), size_of(inputs[0])
    if attribute("num_offsets"):
        offsets = outputs[-1]
        return lambda gradient: run(ops.kpool_max_pool_backward, gradient, offsets, _vector(size), **window)
    kept = outputs[1] if attribute("num_indices") else inputs[0]

    def backward(gradient: tf.Tensor) -> tf.Tensor:
        indices = kept
        if not attribute("num_indices"):
            x = tf.stop_gradient(kept)
            indices = call(ops.kpool_max_pool, x, num_indices=1, Tindices=tf.int64, **window)[1]
        spatial = _vector(_spatial(size, attribute))
        return run(ops.kpool_max_unpool, gradient, indices, spatial, sum_duplicates=True, **window)

    return backward


@gradient_of(ops.kpool_max_pool_backward)
def _max_pool_backward(inputs: Tensors, outputs: Tensors, attribute: Attribute) -> Backward:
    window, (_, offsets, size) = _window(attribute), inputs

    def backward(gradient: tf.Tensor) -> tf.Tensor:
        (indices,) = call(ops.kpool_max_pool_indices, offsets, size, Tindices=tf.int64, **window)
        return run(ops.kpool_max_unpool_backward, gradient, indices, sum_duplicates=True, **window)

    return backward


@gradient_of(ops.kpool_max_unpool)
def _max_unpool(inputs: Tensors, outputs: Tensors, attribute: Attribute) -> Backward:
    indices, rule = inputs[1], {"sum_duplicates": attribute("sum_duplicates"), **_window(attribute)}
    return lambda gradient: run(ops.kpool_max_unpool_backward, gradient, indices, **rule)


@gradient_of(ops.kpool_max_unpool_backward)
def _max_unpool_backward(inputs: Tensors, outputs: Tensors, attribute: Attribute) -> Backward:
    indices, rule = inputs[1], {"sum_duplicates": attribute("sum_duplicates"), **_window(attribute)}
    size = _spatial(size_of(inputs[0]), attribute)
    return lambda gradient: run(ops.kpool_max_unpool, gradient, indices, _vector(size), **rule)


@gradient_of(ops.kpool_average_pool)
def _average_pool(inputs: Tensors, outputs: Tensors, attribute: Attribute) -> Backward:
    size, rule = size_of(inputs[0]), {**_divisor(attribute), **_window(attribute)}
    return lambda gradient: run(ops.kpool_average_pool_backward, gradient, _vector(size), **rule)


@gradient_of(ops.kpool_average_pool_backward)
def _average_pool_backward(inputs: Tensors, outputs: Tensors, attribute: Attribute) -> Backward:
    rule, size = {**_divisor(attribute), **_window(attribute)}, tf.get_static_value(inputs[1])

    def backward(gradient: tf.Tensor) -> tf.Tensor:
        # Unlike the others' second order, averages could be taken of any shape.
        return run(ops.kpool_average_pool, gradient if size is None else tf.ensure_shape(gradient, size), **rule)

    return backward
