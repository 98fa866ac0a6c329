"""kpool, as it is called in a TensorFlow graph."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

import kpool
from benchmarks.cases import Case, Operation
from benchmarks.contender import Call
from benchmarks.graphs import Graphs, Tensors
from kpool.kernels import threads
from kpool.ops.geometry import Window, make_window
from kpool.tf.library import ops


def window_of(case: Case) -> Window:
    return make_window(2, case.window, case.strides, case.padding, case.data_format)


def arguments(case: Case) -> dict[str, Any]:
    """The window as kpool's functions and layers take it."""
    return {
        "pool_size": case.window,
        "strides": case.strides,
        "padding": case.padding,
        "data_format": case.data_format,
    }


def size_of(case: Case) -> tf.Tensor:
    """The input's shape, as the native ops of the gradients take it."""
    batch, height, width, channels = case.shape
    shape = (batch, channels, height, width) if case.channels_first else case.shape
    return tf.constant(shape, tf.int64)


@dataclass(frozen=True)
class WithThreads:
    """A call during which kpool uses so many threads."""

    call: Call
    threads: int

    def results(self) -> list[np.ndarray] | None:
        return self.call.results()

    def seconds(self, calls: int, rehearse: bool) -> float:
        before = threads.num_threads()
        threads.set_num_threads(self.threads)
        try:
            return self.call.seconds(calls, rehearse)
        finally:
            threads.set_num_threads(before)


class Kpool(Graphs):
    """kpool's public functions; the gradients alone are its native ops."""

    name = "kpool"
    operations = frozenset(Operation) - {
        Operation.IDENTITY,
        Operation.MNIST_STEP,
        Operation.SEGNET_STEP,
        Operation.KEPT,
        Operation.PEAK,
    }

    def prepare(self, case: Case) -> Call | None:
        call = super().prepare(case)
        return WithThreads(call, case.threads) if call and case.threads else call

    def pool(self, case: Case, x: tf.Tensor) -> tf.Tensor:
        return kpool.ops.max_pool(x, **arguments(case))

    def pool_with_indices(self, case: Case, x: tf.Tensor) -> Tensors:
        return kpool.ops.max_pool(x, return_indices=True, **arguments(case))

    def standard_indices(self, case: Case, indices: np.ndarray) -> np.ndarray:
        return indices

    def indices_to_unpool(self, case: Case, x: tf.Tensor) -> Tensors:
        return self.pool_with_indices(case, x)

    def unpool(self, case: Case, values: tf.Tensor, indices: tf.Tensor) -> tf.Tensor:
        return kpool.ops.max_unpool(values, indices, output_size=case.spatial, **arguments(case))

    def average(self, case: Case, x: tf.Tensor) -> tf.Tensor:
        return kpool.ops.average_pool(x, **arguments(case))

    def pool_plane(self, case: Case, x: tf.Tensor) -> Tensors:
        if case.operation is Operation.GLOBAL_AVERAGE:
            return (kpool.ops.global_average_pool(x, case.data_format, keepdims=True),)
        if case.operation is Operation.GLOBAL_MAX:
            return (kpool.ops.global_max_pool(x, case.data_format, keepdims=True),)
        values, indices = kpool.ops.global_max_pool(x, case.data_format, keepdims=True, return_indices=True)
        return values, indices

    def kept(self, case: Case, x: tf.Tensor) -> Tensors:
        results = ops.kpool_max_pool(x, num_indices=0, num_offsets=1, Tindices=tf.int32, **window_of(case).attributes)
        return (results.offsets[0],)

    def pool_backward(self, case: Case, gradient: tf.Tensor, *kept: tf.Tensor) -> tf.Tensor:
        return ops.kpool_max_pool_backward(gradient, *kept, size_of(case), **window_of(case).attributes)

    def average_backward(self, case: Case, gradient: tf.Tensor) -> tf.Tensor:
        return ops.kpool_average_pool_backward(gradient, size_of(case), **window_of(case).attributes)

    def native_op(self, case: Case) -> Callable[[tf.Tensor], Tensors]:
        attributes = {"num_indices": 1, "num_offsets": 0, "Tindices": tf.int32, **window_of(case).attributes}

        def call(x: tf.Tensor) -> Tensors:
            results = ops.kpool_max_pool(x, **attributes)
            return results.outputs, results.indices[0]

        return call

    def layer(self, case: Case) -> Callable[[tf.Tensor], tf.Tensor]:
        return kpool.layers.MaxPooling2D(**arguments(case))
