"""Gradients of the native ops are the same however they come about, and a tape keeps only what they need."""

import gc
import weakref

import numpy as np
import pytest
import tensorflow as tf
from conftest import run_python, same_bits, twice_differentiated

from kpool.ops import average_pool, global_max_pool, max_pool, max_unpool
from kpool.tf.library import ops

KNOWN, UNKNOWN = tf.TensorSpec((2, 18, 40, 3)), tf.TensorSpec((None,) * 4)


def pooled_by_indices(x):
    """A window of more elements than a byte can count."""
    return max_pool(x, 17)


def unpooled(x):
    values, indices = max_pool(x, 2, return_indices=True)
    return max_unpool(values, indices, 2)


def pooled(x):
    return max_pool(x, 3, 2)


def averaged(x):
    return average_pool(x, (2, 4))


FUNCTIONS = pytest.mark.parametrize("function", [pooled, pooled_by_indices, unpooled, averaged, global_max_pool])
POOLINGS = pytest.mark.parametrize("function", [pooled, pooled_by_indices, averaged])


@pytest.fixture
def x(rng):
    return tf.constant(rng.permutation(2 * 18 * 40 * 3).reshape(2, 18, 40, 3).astype("float32"))


def first_and_second(function, x):
    """A function's value, its gradient, and the gradient of that."""
    return twice_differentiated(function, x, sum_of_squares, sum_of_squares)


def sum_of_squares(x):
    return tf.reduce_sum(x**2)


@FUNCTIONS
def test_gradients_of_every_kind_are_the_same(function, x):
    """On a tape, in graphs that know their sizes or do not, and of a graph that is differentiated from outside."""
    expected = first_and_second(function, x)
    assert all(np.any(part) for part in expected)
    same_bits(function(x).numpy(), expected[0].numpy())
    for spec in (KNOWN, UNKNOWN):
        inside = tf.function(lambda x: first_and_second(function, x), input_signature=[spec], autograph=False)
        outside = tf.function(function, input_signature=[spec], autograph=False)
        for actual in (inside(x), first_and_second(outside, x)):
            for a, b in zip(actual, expected, strict=True):
                same_bits(a.numpy(), b.numpy())


@FUNCTIONS
def test_gradients_know_their_shape(function):
    shapes = []

    def gradients(x):
        shapes.extend(part.shape for part in first_and_second(function, x)[1:])

    for spec in (KNOWN, tf.TensorSpec((None, 18, 40, 3))):
        shapes.clear()
        tf.function(gradients, autograph=False).get_concrete_function(spec)
        assert [shape.as_list() for shape in shapes] == [spec.shape.as_list()] * 2


@FUNCTIONS
def test_forward_mode(function, x):
    with tf.autodiff.ForwardAccumulator(x, x) as accumulator:
        y = function(x)
    # Each function takes multiples to multiples.
    same_bits(accumulator.jvp(y).numpy(), y.numpy())


@POOLINGS
def test_a_gradient_that_is_sparse(function, x):
    """That of `tf.gather` names the rows it has."""
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(x)
        y = function(x)
        part = tf.gather(y, [1])
    dense = np.zeros_like(y)
    dense[1] = 1
    same_bits(tape.gradient(part, x).numpy(), tape.gradient(y, x, tf.constant(dense)).numpy())


@POOLINGS
def test_a_tape_keeps_nothing_of_what_was_pooled(function, x):
    scale = tf.Variable(2.0)
    with tf.GradientTape() as tape:
        scaled = x * scale
        kept = weakref.ref(scaled)
        y = function(scaled)
        del scaled
        gc.collect()
        assert kept() is None
    assert np.any(tape.gradient(y, scale))


def test_without_a_tape_nothing_is_kept_for_a_gradient(x, monkeypatch):
    op, calls = ops.kpool_max_pool, []

    def noted(*inputs, **attributes):
        calls.append((attributes["num_indices"], attributes["num_offsets"]))
        return op(*inputs, **attributes)

    monkeypatch.setattr(ops, "kpool_max_pool", noted)
    max_pool(x, 2)
    max_pool(x, 2, return_indices=True)
    global_max_pool(x)
    assert calls == [(0, 0), (1, 0), (0, 0)]


def test_without_the_means_to_see_a_tape():
    """They are not a public part of TensorFlow."""
    out = run_python(
        """
        import sys
        import tensorflow as tf
        sys.modules["tensorflow.python.eager.record"] = None
        import kpool
        x = tf.reshape(tf.range(16.0), (1, 4, 4, 1))
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = kpool.ops.max_pool(x, 2)
        print(kpool.ops.max_pool(x, 2).numpy().ravel(), tape.gradient(y, x).numpy().nonzero()[1:3])
        """
    ).stdout
    assert out == "[ 5.  7. 13. 15.] (array([1, 1, 3, 3]), array([1, 3, 1, 3]))\n"
