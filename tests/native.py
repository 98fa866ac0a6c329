"""The native ops called directly, past the Python checks, with attributes that owe nothing to the package."""

from contextlib import contextmanager
from math import prod
from unittest import mock

import numpy as np
import tensorflow as tf

from kpool.tf import xla
from kpool.tf.library import ops

_claimed = (1, 2, 2, 1)


def run(op, *inputs, **attributes):
    """The op. Where XLA compiles it, a program that calls it, and that claims a shape of the output without a look."""
    if not xla.is_compiled():
        return op(*inputs, **attributes)
    with mock.patch.object(xla, "_output_shape", return_value=tf.constant(_claimed, tf.int64)):
        return xla.call(op.__name__, inputs, attributes)


@contextmanager
def output_shape(shape):
    """What programs of XLA claim."""
    global _claimed
    before, _claimed = _claimed, shape
    try:
        yield
    finally:
        _claimed = before


def cycle(numbers, shape, dtype):
    """The numbers in turn, over and over: where all were zeros, many a wrong result would be right."""
    dtype = tf.as_dtype(dtype).as_numpy_dtype
    # Sizes of nothing can have a product that overflows.
    return tf.constant(np.resize(np.array(numbers, dtype), shape)) if prod(shape) else tf.zeros(shape, dtype)


def image(*shape, dtype="float32"):
    """1, 2, 3 ..."""
    return cycle(range(1, 98), shape, dtype)


def marks(*shape, dtype):
    """Offsets of windows of four elements, or indices of planes of as many."""
    return cycle([3, 0, 2, 1], shape, dtype)


def window(sizes=(2, 2), strides=(2, 2), dilations=(1, 1), padding=((0, 0), (0, 0)), first=0, ceil=0, same=0):
    """A window's attribute, written out here independently of the package."""
    rows = np.column_stack([np.array([sizes, strides, dilations], object).T, np.array(padding, object)])
    return {"window": [first, ceil, same, 0, *rows.ravel().tolist()]}


def adaptive(*sizes):
    return {"window": [0, 0, 0, 1, *sizes]}


WINDOW = window()


def pool(x=None, **attributes):
    x = image(1, 4, 4, 1) if x is None else x
    return run(ops.kpool_max_pool, x, **{**WINDOW, "Tindices": tf.int32, **attributes})


def backward(gradients=(1, 2, 2, 1), offsets=(1, 2, 2, 1), shape=(1, 4, 4, 1), **attributes):
    return run(
        ops.kpool_max_pool_backward,
        image(*gradients),
        marks(*offsets, dtype="uint8"),
        tf.constant(shape, tf.int64),
        **{**WINDOW, **attributes},
    )


def indices_of(offsets=(1, 2, 2, 1), shape=(1, 4, 4, 1), **attributes):
    return run(
        ops.kpool_max_pool_indices,
        marks(*offsets, dtype="uint8"),
        tf.constant(shape, tf.int64),
        **{**WINDOW, "Tindices": tf.int64, **attributes},
    )


def average(x=None, **attributes):
    return run(ops.kpool_average_pool, image(1, 4, 4, 1) if x is None else x, **{**WINDOW, **attributes})


def average_backward(gradients=(1, 2, 2, 1), shape=(1, 4, 4, 1), **attributes):
    shape = tf.constant(shape, tf.int64)
    return run(ops.kpool_average_pool_backward, image(*gradients), shape, **{**WINDOW, **attributes})


def unpool(indices, values=None, size=(), index_dtype="int32", **attributes):
    indices = tf.constant(indices, index_dtype)
    values = image(*indices.shape) if values is None else values
    return run(ops.kpool_max_unpool, values, indices, tf.constant(size, tf.int64), **{**WINDOW, **attributes})


def unpool_backward(gradients=(1, 4, 4, 1), indices=(1, 2, 2, 1), **attributes):
    attributes = {"sum_duplicates": True, **WINDOW, **attributes}
    return run(ops.kpool_max_unpool_backward, image(*gradients), marks(*indices, dtype="int32"), **attributes)
