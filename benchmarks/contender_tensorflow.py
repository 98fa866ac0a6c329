"""TensorFlow's own pooling, and what is built on it: unpooling by `tf.scatter_nd`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from benchmarks.cases import LIBRARY_OPERATIONS, Case, Operation
from benchmarks.contender import Call, Contender, LocalCall
from benchmarks.graphs import Graphs
from benchmarks.library import Function, Tensors


def window(case: Case) -> dict[str, Any]:
    """The window as TensorFlow's functions take it."""
    return {"ksize": case.window, "strides": case.strides, "padding": case.padding.upper()}


def attributes(case: Case) -> dict[str, Any]:
    """The window as TensorFlow's native ops take it."""
    return {
        "ksize": [1, case.window, case.window, 1],
        "strides": [1, case.strides, case.strides, 1],
        "padding": case.padding.upper(),
    }


class TensorFlow(Graphs):
    """TensorFlow, channels last.

    It has no gradient of max pooling that is worth timing alone: in a graph with the pooling it becomes another op.
    """

    name = "TensorFlow"
    argmax_dtype = tf.int64
    operations = LIBRARY_OPERATIONS - {Operation.BACKWARD, Operation.GLOBAL_MAX_INDICES}

    def prepare(self, case: Case) -> Call | None:
        # On a CPU TensorFlow pools NHWC alone.
        return None if case.channels_first else super().prepare(case)

    def pooling(self, case: Case) -> Callable[[Any], Any]:
        arguments = window(case)
        return lambda x: tf.nn.max_pool2d(x, **arguments)

    def argmax(self, case: Case, x: tf.Tensor, include_batch_in_index: bool) -> Tensors:
        arguments = {"output_dtype": self.argmax_dtype, "include_batch_in_index": include_batch_in_index}
        return tuple(tf.nn.max_pool_with_argmax(x, **window(case), **arguments))

    def pool_with_indices(self, case: Case, x: tf.Tensor) -> Tensors:
        return self.argmax(case, x, include_batch_in_index=False)

    def standard_indices(self, case: Case, indices: np.ndarray) -> np.ndarray:
        return indices // case.shape[-1]

    def indices_to_unpool(self, case: Case, x: tf.Tensor) -> Tensors:
        return self.argmax(case, x, include_batch_in_index=True)

    def unpool(self, case: Case, values: tf.Tensor, indices: tf.Tensor) -> tf.Tensor:
        return unpool_by_scatter(values, indices, case.shape)

    def average(self, case: Case, x: tf.Tensor) -> tf.Tensor:
        return tf.nn.avg_pool2d(x, **window(case))

    def pool_plane(self, case: Case, x: tf.Tensor) -> Tensors:
        reduce = tf.reduce_mean if case.operation is Operation.GLOBAL_AVERAGE else tf.reduce_max
        return (reduce(x, (1, 2), keepdims=True),)

    def average_backward(self, case: Case, gradient: tf.Tensor, x: tf.Tensor) -> tf.Tensor:
        return tf.raw_ops.AvgPoolGrad(orig_input_shape=list(case.shape), grad=gradient, **attributes(case))

    def native_op(self, case: Case) -> Function:
        arguments = {"Targmax": self.argmax_dtype, **attributes(case)}
        return lambda x: tf.raw_ops.MaxPoolWithArgmax(input=x, **arguments)

    def layer(self, case: Case) -> Callable[[Any], Any]:
        return keras.layers.MaxPooling2D(case.window, case.strides, case.padding)


class TensorFlowInt32(TensorFlow):
    """TensorFlow with an argmax of half the default's size: a faster kernel, which has no gradient."""

    name = "TensorFlow int32"
    argmax_dtype = tf.int32
    operations = frozenset({Operation.FORWARD_INDICES})


class XLA(TensorFlow):
    """TensorFlow under XLA, which cannot compile `max_pool_with_argmax`."""

    name = "TensorFlow XLA"
    jit_compile = True
    operations = frozenset(
        {
            Operation.FORWARD,
            Operation.FORWARD_BACKWARD,
            Operation.AVERAGE,
            Operation.AVERAGE_BACKWARD,
            Operation.GLOBAL_MAX,
            Operation.GLOBAL_AVERAGE,
        }
    )


class CopyOp(Contender):
    """The floor's copy as one op of TensorFlow, which allocates its result anew in every call, as all ops must.

    What this is slower than the floor by is the price of fresh memory.
    """

    name = "TensorFlow's copy"

    def prepare(self, case: Case) -> Call | None:
        source = tf.ones(case.bytes_moved // 2, tf.uint8)
        return LocalCall(lambda: tf.raw_ops.DeepCopy(x=source))


def unpool_by_scatter(values: tf.Tensor, indices: tf.Tensor, shape: Any) -> tf.Tensor:
    """The usual recipe: `values` at the flat `indices` of a tensor of zeros; equal indices add up."""
    size = tf.cast(tf.reduce_prod(shape), indices.dtype)[tf.newaxis]
    flat = tf.scatter_nd(tf.reshape(indices, (-1, 1)), tf.reshape(values, (-1,)), size)
    return tf.reshape(flat, shape)
