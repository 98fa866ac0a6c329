"""TensorFlow graphs of every operation, for contenders that only bring the pooling."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from benchmarks.cases import (
    Case,
    Operation,
    channels_last,
    in_format,
    input_array,
    pooled_gradient,
    unpooled_gradient,
)
from benchmarks.contender import Call, LocalCall

Tensors = tuple[tf.Tensor, ...]
Function = Callable[..., Tensors]

MANY = 64
WITH_INDICES = (
    Operation.FORWARD_INDICES,
    Operation.GRAPH_OF_MANY_INDICES,
    Operation.GLOBAL_MAX_INDICES,
    Operation.EAGER_OP,
)
EAGER = (Operation.EAGER_OP, Operation.EAGER_FUNCTION, Operation.EAGER_LAYER)


def tensor(case: Case, array: np.ndarray) -> tf.Tensor:
    """An array with its channels last, as a tensor in the case's data format."""
    return tf.constant(in_format(case, array))


class Graphs:
    """A contender whose operations are compiled TensorFlow graphs.

    Heirs bring pooling in TensorFlow's tensors, and say in `operations` which operations they can do.
    """

    name: str
    operations: frozenset[Operation]
    jit_compile = False

    def prepare(self, case: Case) -> Call | None:
        if case.operation not in self.operations:
            return None
        function, tensors = self.build(case)
        if not case.eager and case.operation not in EAGER:
            function = tf.function(function, autograph=False, jit_compile=self.jit_compile)
            function = function.get_concrete_function(*tensors)
        return LocalCall(lambda: function(*tensors), lambda results: self.compared(case, results))

    def forget(self) -> None:
        """Graphs go with their calls."""

    def compared(self, case: Case, results: Tensors) -> list[np.ndarray]:
        """A call's results as arrays, the channels last and indices in kpool's convention."""
        arrays = [result.numpy() for result in results]
        if case.operation in (Operation.GRAPH_OF_MANY, Operation.GRAPH_OF_MANY_INDICES):
            kinds = len(arrays) // MANY
            arrays = [np.concatenate(arrays[kind::kinds]) for kind in range(kinds)]
        if case.operation in WITH_INDICES:
            arrays[1] = self.standard_indices(case, arrays[1])
        return [channels_last(case, array) for array in arrays]

    # The pooling that heirs bring.

    def pool(self, case: Case, x: tf.Tensor) -> tf.Tensor:
        """The maxima."""
        raise NotImplementedError

    def pool_with_indices(self, case: Case, x: tf.Tensor) -> Tensors:
        """The maxima and their indices."""
        raise NotImplementedError

    def standard_indices(self, case: Case, indices: np.ndarray) -> np.ndarray:
        """The indices of `pool_with_indices` in kpool's convention."""
        raise NotImplementedError

    def indices_to_unpool(self, case: Case, x: tf.Tensor) -> Tensors:
        """The maxima and their indices as `unpool` wants them."""
        raise NotImplementedError

    def unpool(self, case: Case, values: tf.Tensor, indices: tf.Tensor) -> tf.Tensor:
        """The maxima where they were."""
        raise NotImplementedError

    def average(self, case: Case, x: tf.Tensor) -> tf.Tensor:
        """The means."""
        raise NotImplementedError

    def pool_plane(self, case: Case, x: tf.Tensor) -> Tensors:
        """Global pooling of the case's kind."""
        raise NotImplementedError

    def kept(self, case: Case, x: tf.Tensor) -> Tensors:
        """What pooling keeps for its gradient."""
        raise NotImplementedError

    def pool_backward(self, case: Case, gradient: tf.Tensor, *kept: tf.Tensor) -> tf.Tensor:
        """The gradient of pooling alone."""
        raise NotImplementedError

    def average_backward(self, case: Case, gradient: tf.Tensor) -> tf.Tensor:
        """The gradient of averaging alone."""
        raise NotImplementedError

    def native_op(self, case: Case) -> Callable[[tf.Tensor], Tensors]:
        """The maxima and their indices, with as little Python around the op as there can be."""
        raise NotImplementedError

    def layer(self, case: Case) -> Callable[[tf.Tensor], tf.Tensor]:
        """The Keras layer."""
        raise NotImplementedError

    # The operations made of it.

    def build(self, case: Case) -> tuple[Function, Tensors]:
        """A case's function, and the tensors to call it with."""
        operation = case.operation
        x = tensor(case, input_array(case))
        if operation is Operation.IDENTITY:
            return lambda x: (tf.identity(x),), (x,)
        if operation in (Operation.FORWARD, Operation.EAGER_FUNCTION):
            return lambda x: (self.pool(case, x),), (x,)
        if operation is Operation.FORWARD_INDICES:
            return lambda x: self.pool_with_indices(case, x), (x,)
        if operation is Operation.EAGER_OP:
            return self.native_op(case), (x,)
        if operation is Operation.EAGER_LAYER:
            layer = self.layer(case)
            return lambda x: (layer(x),), (x,)
        if operation is Operation.GRAPH_OF_MANY:
            return lambda x: tuple(self.pool(case, part) for part in tf.split(x, MANY)), (x,)
        if operation is Operation.GRAPH_OF_MANY_INDICES:
            return lambda x: sum((self.pool_with_indices(case, part) for part in tf.split(x, MANY)), ()), (x,)
        if operation is Operation.FORWARD_BACKWARD:
            return lambda x, g: self.forward_backward(case, x, g), (x, tensor(case, pooled_gradient(case)))
        if operation is Operation.UNPOOL_STEP:
            return lambda x, g: self.unpool_step(case, x, g), (x, tensor(case, unpooled_gradient(case)))
        if operation is Operation.BACKWARD:
            kept = self.kept(case, x)
            return lambda *tensors: (self.pool_backward(case, *tensors),), (
                tensor(case, pooled_gradient(case)),
                *kept,
            )
        if operation is Operation.UNPOOL:
            return lambda *tensors: (self.unpool(case, *tensors),), self.indices_to_unpool(case, x)
        if operation is Operation.AVERAGE:
            return lambda x: (self.average(case, x),), (x,)
        if operation is Operation.AVERAGE_BACKWARD:
            return lambda g: (self.average_backward(case, g),), (tensor(case, pooled_gradient(case)),)
        return lambda x: self.pool_plane(case, x), (x,)

    def forward_backward(self, case: Case, x: tf.Tensor, gradient: tf.Tensor) -> Tensors:
        with tf.GradientTape() as tape:
            tape.watch(x)
            values = self.pool(case, x)
        return values, tape.gradient(values, x, gradient)

    def unpool_step(self, case: Case, x: tf.Tensor, gradient: tf.Tensor) -> Tensors:
        with tf.GradientTape() as tape:
            tape.watch(x)
            restored = self.unpool(case, *self.indices_to_unpool(case, x))
        return restored, tape.gradient(restored, x, gradient)
