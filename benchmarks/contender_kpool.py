"""kpool: its public functions in TensorFlow's graphs, and its native ops where a gradient is timed alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import tensorflow as tf

import kpool
from benchmarks.cases import LIBRARY_OPERATIONS, Case, Operation
from benchmarks.graphs import Graphs
from benchmarks.library import Function, Tensors
from kpool.kernels import threads
from kpool.ops.geometry import make_window
from kpool.tf.library import ops


def window(case: Case) -> dict[str, Any]:
    """The window as kpool's functions and layers take it."""
    return {
        "pool_size": case.window,
        "strides": case.strides,
        "padding": case.padding,
        "data_format": case.data_format,
    }


def attributes(case: Case) -> dict[str, Any]:
    """The window as kpool's native ops take it."""
    return make_window(2, **window(case)).attributes


def size(case: Case) -> tf.Tensor:
    """The input's shape as the native ops of gradients take it; a constant of the graph."""
    return tf.constant(case.formatted_shape, tf.int64)


class Kpool(Graphs):
    """kpool.

    Args:
        threads: How many threads it may use; None for as many as everyone.
    """

    operations = LIBRARY_OPERATIONS

    def __init__(self, name: str = "kpool", threads: int | None = None) -> None:
        self.name = name
        self.threads = threads

    @contextmanager
    def settings(self) -> Iterator[None]:
        before = threads.num_threads()
        threads.set_num_threads(self.threads or before)
        try:
            yield
        finally:
            threads.set_num_threads(before)

    def pooling(self, case: Case) -> Callable[[Any], Any]:
        arguments = window(case)
        return lambda x: kpool.ops.max_pool(x, **arguments)

    def pool_with_indices(self, case: Case, x: tf.Tensor) -> Tensors:
        return kpool.ops.max_pool(x, return_indices=True, **window(case))

    def unpool(self, case: Case, values: tf.Tensor, indices: tf.Tensor) -> tf.Tensor:
        return kpool.ops.max_unpool(values, indices, output_size=case.spatial, **window(case))

    def average(self, case: Case, x: tf.Tensor) -> tf.Tensor:
        return kpool.ops.average_pool(x, **window(case))

    def pool_plane(self, case: Case, x: tf.Tensor) -> Tensors:
        if case.operation is Operation.GLOBAL_AVERAGE:
            return (kpool.ops.global_average_pool(x, case.data_format, keepdims=True),)
        if case.operation is Operation.GLOBAL_MAX:
            return (kpool.ops.global_max_pool(x, case.data_format, keepdims=True),)
        return kpool.ops.global_max_pool(x, case.data_format, keepdims=True, return_indices=True)

    def kept(self, case: Case, x: tf.Tensor) -> Tensors:
        results = ops.kpool_max_pool(x, num_indices=0, num_offsets=1, Tindices=tf.int32, **attributes(case))
        return (results.offsets[0],)

    def pool_backward(self, case: Case, gradient: tf.Tensor, *kept: tf.Tensor) -> tf.Tensor:
        return ops.kpool_max_pool_backward(gradient, *kept, size(case), **attributes(case))

    def average_backward(self, case: Case, gradient: tf.Tensor, x: tf.Tensor) -> tf.Tensor:
        return ops.kpool_average_pool_backward(gradient, size(case), **attributes(case))

    def native_op(self, case: Case) -> Function:
        arguments = {"num_indices": 1, "num_offsets": 0, "Tindices": tf.int32, **attributes(case)}

        def call(x: tf.Tensor) -> Tensors:
            results = ops.kpool_max_pool(x, **arguments)
            return results.outputs, results.indices[0]

        return call

    def layer(self, case: Case) -> Callable[[Any], Any]:
        return kpool.layers.MaxPooling2D(**window(case))
