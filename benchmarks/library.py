"""What a library that pools must bring, and the operations that are made of it."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.cases import GLOBAL, Case, Operation, input_array, pooled_gradient, unpooled_gradient
from benchmarks.contender import Arrays, Contender

Tensors = tuple[Any, ...]
Function = Callable[..., Tensors]

WITH_INDICES = (Operation.FORWARD_INDICES, Operation.GLOBAL_MAX_INDICES, Operation.EAGER_OP)


class Library(Contender):
    """A contender that has tensors, and functions on them.

    Heirs say in `operations` what they can do, and bring what that takes.
    """

    operations: frozenset[Operation]

    @abstractmethod
    def tensor(self, case: Case, array: np.ndarray) -> Any:
        """An array with its channels last, as a tensor in the case's data format."""

    @abstractmethod
    def array(self, case: Case, tensor: Any) -> np.ndarray:
        """A tensor in the case's data format, as an array with its channels last."""

    def pooling(self, case: Case) -> Callable[[Any], Any]:
        """The public function that gives the maxima, its arguments bound."""
        raise NotImplementedError

    def pool_with_indices(self, case: Case, x: Any) -> Tensors:
        """The maxima and their indices."""
        raise NotImplementedError

    def standard_indices(self, case: Case, indices: np.ndarray) -> np.ndarray:
        """The indices of `pool_with_indices` in kpool's convention."""
        return indices

    def indices_to_unpool(self, case: Case, x: Any) -> Tensors:
        """The maxima and their indices as `unpool` wants them."""
        return self.pool_with_indices(case, x)

    def unpool(self, case: Case, values: Any, indices: Any) -> Any:
        """The maxima where they were."""
        raise NotImplementedError

    def average(self, case: Case, x: Any) -> Any:
        """The means."""
        raise NotImplementedError

    def pool_plane(self, case: Case, x: Any) -> Tensors:
        """Global pooling of the case's kind."""
        raise NotImplementedError

    def kept(self, case: Case, x: Any) -> Tensors:
        """What pooling keeps for its gradient."""
        raise NotImplementedError

    def pool_backward(self, case: Case, gradient: Any, *kept: Any) -> Any:
        """The gradient of pooling alone."""
        raise NotImplementedError

    def average_backward(self, case: Case, gradient: Any, x: Any) -> Any:
        """The gradient of averaging `x` alone."""
        raise NotImplementedError

    def forward_backward(self, case: Case, x: Any, gradient: Any) -> Tensors:
        """The maxima, and the gradient through them."""
        raise NotImplementedError

    def unpool_step(self, case: Case, x: Any, gradient: Any) -> Tensors:
        """The maxima where they were, and the gradient through both."""
        raise NotImplementedError

    def native_op(self, case: Case) -> Function:
        """The maxima and their indices, with as little Python around the op as there can be."""
        raise NotImplementedError

    def layer(self, case: Case) -> Callable[[Any], Any]:
        """The Keras layer that gives the maxima."""
        raise NotImplementedError

    def build(self, case: Case) -> tuple[Function, Tensors]:
        """A case's function, and the tensors to call it with."""
        operation = case.operation
        x = self.tensor(case, input_array(case))
        if operation in (Operation.FORWARD, Operation.EAGER_FUNCTION, Operation.EAGER_LAYER):
            pool = self.layer(case) if operation is Operation.EAGER_LAYER else self.pooling(case)
            return lambda x: (pool(x),), (x,)
        if operation is Operation.FORWARD_INDICES:
            return lambda x: self.pool_with_indices(case, x), (x,)
        if operation is Operation.EAGER_OP:
            return self.native_op(case), (x,)
        if operation is Operation.AVERAGE:
            return lambda x: (self.average(case, x),), (x,)
        if operation in GLOBAL:
            return lambda x: self.pool_plane(case, x), (x,)
        if operation is Operation.UNPOOL:
            return lambda values, indices: (self.unpool(case, values, indices),), self.indices_to_unpool(case, x)
        if operation is Operation.UNPOOL_STEP:
            tensors = (x, self.tensor(case, unpooled_gradient(case)))
            return lambda x, g: self.unpool_step(case, x, g), tensors
        gradient = self.tensor(case, pooled_gradient(case))
        if operation is Operation.FORWARD_BACKWARD:
            return lambda x, g: self.forward_backward(case, x, g), (x, gradient)
        if operation is Operation.AVERAGE_BACKWARD:
            return lambda g, x: (self.average_backward(case, g, x),), (gradient, x)
        return lambda g, *kept: (self.pool_backward(case, g, *kept),), (gradient, *self.kept(case, x))

    def compared(self, case: Case, results: Tensors) -> Arrays:
        """An operation's results as arrays, the channels last and indices in kpool's convention."""
        arrays = [self.array(case, result) for result in results]
        if case.operation in WITH_INDICES:
            arrays[1] = self.standard_indices(case, arrays[1])
        return arrays
