"""Operations as TensorFlow graphs that do them many times over: to call a graph costs more than the smallest do."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
import tensorflow as tf

from benchmarks.cases import Case, Operation, channels_last, in_format
from benchmarks.contender import Call, LocalCall
from benchmarks.library import Function, Library, Tensors

EAGER = (Operation.EAGER_OP, Operation.EAGER_FUNCTION, Operation.EAGER_LAYER)


def repeated(function: Function, steps: int, tensors: Tensors) -> Any:
    """A compiled graph that does the same so many times in a row, and gives the last results.

    Each step waits for the one before it, so that none is merged with another, and a number is taken from each of its
    results, so that none is left out.
    """

    def repeat(*tensors: tf.Tensor) -> tuple[Tensors, tf.Tensor]:
        results: Tensors = ()
        taken: list[tf.Tensor] = []
        for _ in range(steps):
            with tf.control_dependencies(taken[-len(results) :]):
                results = function(*tensors)
            taken += [tf.cast(result[0, 0, 0, 0], tf.float32) for result in results]
        return results, tf.stack(taken)

    return tf.function(repeat, autograph=False).get_concrete_function(*tensors)


class Graphs(Library):
    """A library with TensorFlow's tensors, whose operations are compiled unless their names say that they are eager."""

    jit_compile = False

    def prepare(self, case: Case) -> Call | None:
        if case.operation not in self.operations:
            return None
        function, tensors = self.build(case)
        if case.operation in EAGER:
            return LocalCall(
                lambda: function(*tensors), lambda results: self.compared(case, results), around=self.settings
            )
        if self.jit_compile:
            function = tf.function(function, autograph=False, jit_compile=True)
        once = repeated(function, 1, tensors)
        steps = LocalCall(lambda: once(*tensors)).steps_of_turn()
        graph = once if steps == 1 else repeated(function, steps, tensors)
        return LocalCall(lambda: graph(*tensors), lambda found: self.compared(case, found[0]), steps, self.settings)

    def settings(self) -> AbstractContextManager[None]:
        """What is in force during calls."""
        return nullcontext()

    def tensor(self, case: Case, array: np.ndarray) -> tf.Tensor:
        return tf.constant(in_format(case, array))

    def array(self, case: Case, tensor: tf.Tensor) -> np.ndarray:
        return channels_last(case, tensor.numpy())

    def forward_backward(self, case: Case, x: tf.Tensor, gradient: tf.Tensor) -> Tensors:
        with tf.GradientTape() as tape:
            tape.watch(x)
            values = self.pooling(case)(x)
        return values, tape.gradient(values, x, gradient)

    def unpool_step(self, case: Case, x: tf.Tensor, gradient: tf.Tensor) -> Tensors:
        with tf.GradientTape() as tape:
            tape.watch(x)
            restored = self.unpool(case, *self.indices_to_unpool(case, x))
        return restored, tape.gradient(restored, x, gradient)
