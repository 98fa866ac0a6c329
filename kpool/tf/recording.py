"""Runs native ops so that their gradients are recorded: in a graph, on a tape, or not at all.

Each op has one rule for its gradient. A graph consists of ops, and finds their rules when it is asked for gradients.
A tape would keep all inputs and outputs of an op for that; `tf.custom_gradient` keeps what the rule needs. It takes
longer than a small op does, so where there is no tape the op runs alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import tensorflow as tf

from kpool.tf import xla
from kpool.tf.shapes import with_shape

try:
    from tensorflow.python.eager.record import could_possibly_record
except ImportError:  # It is not public. Always recording takes longer, and gives the same.

    def could_possibly_record() -> bool:
        return True


Op = Callable[..., Any]
# From the gradient of an op's first output to that of its first input. The others are integers.
Backward = Callable[[tf.Tensor], tf.Tensor]
Rule = Callable[[Sequence[tf.Tensor], Sequence[tf.Tensor], Callable[[str], Any]], Backward]

_RULES: dict[str, Rule] = {}  # by the ops' names


def gradient_of(op: Op) -> Callable[[Rule], Rule]:
    """Make a rule the gradient of a native op.

    A rule takes the op's inputs, its outputs and the reader of its attributes. A tape keeps the tensors that the
    function it returns refers to, and no others.
    """

    def register(rule: Rule) -> Rule:
        _RULES[op.__name__] = rule

        @tf.RegisterGradient("".join(word.capitalize() for word in op.__name__.split("_")))
        def gradient(node: tf.Operation, *gradients: tf.Tensor) -> list[tf.Tensor | None]:
            return _gradients(rule, node.inputs, node.outputs, node.get_attr)(*gradients)

        return rule

    return register


def _gradients_of_call(node: tf.Operation, *gradients: tf.Tensor) -> list[tf.Tensor | None]:
    """The gradients of an op that XLA calls. For programs that are not kpool's there are none, as TensorFlow has it."""
    op, inputs, attributes = xla.called_by(node)
    with xla.compiled():
        backward = _gradients(_RULES[op], inputs, node.outputs, attributes.__getitem__)
        return [None] * (len(node.inputs) - len(inputs)) + backward(*gradients)


xla.register_gradient(_gradients_of_call)


def may_be_differentiated() -> bool:
    """Whether what runs now may be asked for gradients: it is traced, or there may be a tape."""
    return could_possibly_record() or not tf.executing_eagerly()


def call(op: Op, *inputs: tf.Tensor, **attributes: Any) -> list[tf.Tensor]:
    """All outputs of a native op, or of what XLA can compile in its place."""
    if xla.is_compiled():
        return xla.call(op.__name__, inputs, attributes)
    return tf.nest.flatten(op(*inputs, **attributes))


def run(op: Op, *inputs: tf.Tensor, wanted: int = 1, **attributes: Any) -> Any:
    """The first outputs of a native op, as many as are wanted: a tensor, or a tuple of several."""
    # A tape, or what computes forward-mode products.
    if could_possibly_record() and tf.executing_eagerly() and inputs[0].dtype.is_floating:
        return _recorded(op, wanted, **attributes)(*inputs)
    return _first(wanted, call(op, *inputs, **attributes))


def _first(wanted: int, outputs: Sequence[tf.Tensor]) -> Any:
    return outputs[0] if wanted == 1 else tuple(outputs[:wanted])


@lru_cache(maxsize=256)
def _recorded(op: Op, wanted: int, **attributes: Any) -> Callable[..., Any]:
    """An op as a function of which a tape keeps what the op's rule needs."""

    @tf.custom_gradient
    def function(x: tf.Tensor, *others: tf.Tensor) -> tuple[Any, Callable[..., list[tf.Tensor | None]]]:
        # The tape is active in here as well, but loses the trace.
        inputs = tf.stop_gradient(x), *others
        outputs = tf.nest.flatten(op(*inputs, **attributes))
        return _first(wanted, outputs), _gradients(_RULES[op.__name__], inputs, outputs, attributes.__getitem__)

    return function


def _gradients(
    rule: Rule, inputs: Sequence[tf.Tensor], outputs: Sequence[tf.Tensor], attribute: Callable[[str], Any]
) -> Callable[..., list[tf.Tensor | None]]:
    """From the gradients of all outputs to those of all inputs."""
    others = [None] * (len(inputs) - 1)
    if not inputs[0].dtype.is_floating:
        return lambda *_: [None, *others]
    shape, backward = inputs[0].shape, rule(inputs, outputs, attribute)
    # A sparse gradient, as that of `tf.gather`, becomes dense.
    return lambda gradient, *_: [with_shape(backward(tf.convert_to_tensor(gradient)), shape), *others]
