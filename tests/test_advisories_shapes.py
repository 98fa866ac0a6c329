"""What broke the pooling ops of others, replayed on kpool's: tensors and shapes that do not belong together."""

import numpy as np
import pytest
import tensorflow as tf
from advisories import AVERAGE_BACKWARD, NEGATIVE_DIMENSION, OTHER_SIZES, SECOND_ORDER, fails, rows
from native import average, average_backward, backward, image, indices_of, pool, unpool, unpool_backward, window

import kpool
from kpool.tf.library import ops

pytestmark = pytest.mark.sandbox

BOTH = (ValueError, tf.errors.InvalidArgumentError)


@pytest.mark.parametrize("op", ["max_pool_backward", "max_pool_indices", "average_pool_backward"])
@rows(
    [
        (f"{OTHER_SIZES} {AVERAGE_BACKWARD}: batch", (2, 2, 2, 1), (1, 4, 4, 1)),
        (f"{OTHER_SIZES}: batch 0", (0, 2, 2, 1), (1, 4, 4, 1)),
        (f"{OTHER_SIZES}: batch 0", (1, 2, 2, 1), (0, 4, 4, 1)),
        (f"{OTHER_SIZES} {AVERAGE_BACKWARD}: channels", (1, 2, 2, 3), (1, 4, 4, 1)),
        (f"{OTHER_SIZES}: another size", (1, 3, 2, 1), (1, 4, 4, 1)),
        (f"{OTHER_SIZES}: a larger input", (1, 2, 2, 1), (1, 400, 400, 1)),
        (f"{OTHER_SIZES} {SECOND_ORDER}: nothing", (0,), (1, 4, 4, 1)),
        (f"{OTHER_SIZES} {SECOND_ORDER}: nothing", (1, 0, 2, 1), (1, 4, 4, 1)),
        (f"{OTHER_SIZES}: another rank", (1, 2, 2), (1, 4, 4, 1)),
        (f"{OTHER_SIZES}: another rank", (), (1, 4, 4, 1)),
        (f"{AVERAGE_BACKWARD}: a shape of another rank", (1, 2, 2, 1), (1, 4, 4)),
        (f"{AVERAGE_BACKWARD}: a shape that is none", (1, 2, 2, 1), ()),
        (f"{AVERAGE_BACKWARD}: a shape that is no vector", (1, 2, 2, 1), [[1, 4], [4, 1]]),
        (f"{AVERAGE_BACKWARD}: a long shape", (1, 2, 2, 1), (1, 4, 4, 1) * 1000),
        (f"{AVERAGE_BACKWARD}: an overflow", (1, 2, 2, 1), (1, 2**32, 2**32, 1)),
        (f"{AVERAGE_BACKWARD}: an overflow", (1, 2, 2, 1), (2**31, 2**31, 4, 1)),
        (f"{AVERAGE_BACKWARD}: an overflow", (1, 2, 2, 1), (2**62, 4, 4, 4)),
        (f"{AVERAGE_BACKWARD} {NEGATIVE_DIMENSION}: negative", (1, 2, 2, 1), (-536870912, 4, 4, 1)),
        (f"{AVERAGE_BACKWARD} {NEGATIVE_DIMENSION}: negative", (1, 2, 2, 1), (1, -4, -4, 1)),
        (f"{AVERAGE_BACKWARD} {NEGATIVE_DIMENSION}: negative", (1, 2, 2, 1), (1, 4, 4, -(2**63))),
    ],
    "pooled",
    "shape",
)
def test_gradients_of_another_shape(op, pooled, shape):
    calls = {
        "max_pool_backward": lambda: backward(pooled, pooled, shape),
        "max_pool_indices": lambda: indices_of(pooled, shape),
        "average_pool_backward": lambda: average_backward(pooled, shape),
    }
    message = "must (have|be a vector|not hold negative|not exceed)|No axis may exceed|at least one element"
    fails(calls[op], message)
    fails(lambda: tf.function(calls[op])(), message)


@rows(
    [
        (f"{OTHER_SIZES}: the offsets' batch", (1, 2, 2, 1), (2, 2, 2, 1), (2, 4, 4, 1)),
        (f"{OTHER_SIZES}: fewer offsets than gradients", (1, 2, 2, 9), (1, 2, 2, 1), (1, 4, 4, 1)),
        (f"{OTHER_SIZES}: fewer gradients than offsets", (1, 1, 1, 1), (1, 2, 2, 1), (1, 4, 4, 1)),
        (f"{OTHER_SIZES}: an empty gradient", (0, 2, 2, 1), (1, 2, 2, 1), (1, 4, 4, 1)),
        (f"{OTHER_SIZES}: no offsets", (1, 2, 2, 1), (0, 2, 2, 1), (0, 4, 4, 1)),
    ],
    "gradients",
    "offsets",
    "shape",
)
def test_gradients_and_offsets_of_different_shapes(gradients, offsets, shape):
    fails(lambda: backward(gradients, offsets, shape), "`gradients` and `offsets` must have the same shape")


@rows(
    [
        (f"{SECOND_ORDER}: an empty gradient", (0,), (1, 2, 2, 1)),
        (f"{SECOND_ORDER}: an empty gradient", (1, 0, 4, 1), (1, 2, 2, 1)),
        (f"{SECOND_ORDER}: no indices", (1, 4, 4, 1), (0,)),
        (f"{SECOND_ORDER}: no indices", (1, 4, 4, 1), (1, 2, 0, 1)),
        (f"{SECOND_ORDER}: batch 0 of one", (0, 4, 4, 1), (1, 2, 2, 1)),
        (f"{SECOND_ORDER} PyTorch#197409: batch", (1, 4, 4, 1), (64, 2, 2, 1)),
        (f"{SECOND_ORDER}: channels", (1, 4, 4, 1), (1, 2, 2, 64)),
        ("PyTorch#78126: ranks", (1, 4, 4, 1), ()),
        ("PyTorch#78126: ranks", (), (7, 7, 7, 4, 4, 4, 7, 7)),
        ("PyTorch#78126: ranks", (1,) * 8, (1,) * 8),
    ],
    "gradients",
    "indices",
)
@pytest.mark.parametrize("sums", [False, True])
def test_indices_of_another_shape_in_the_second_order_op(gradients, indices, sums):
    fails(lambda: unpool_backward(gradients, indices, sum_duplicates=sums), "must (have|agree)")
    # What came before has left nothing behind.
    assert unpool_backward(sum_duplicates=sums).shape == (1, 2, 2, 1)


def test_batches_without_images():
    """CVE-2021-29573, CVE-2021-29574: batch 0 throughout divides nothing by zero."""
    none, small = (0, 4, 4, 3), (0, 2, 2, 3)
    assert pool(image(*none)).outputs.shape == average(image(*none)).shape == small
    assert backward(small, small, none).shape == average_backward(small, none).shape == none
    assert indices_of(small, none).shape == small
    assert unpool(np.zeros(small)).shape == none
    assert unpool_backward(none, small).shape == small


DIFFERENTIABLE = {
    "max_pool": lambda x: kpool.ops.max_pool(x, 2),
    "max_pool by indices": lambda x: kpool.ops.max_pool(tf.repeat(tf.repeat(x, 8, 1), 8, 2), 16),
    "average_pool": lambda x: kpool.ops.average_pool(x, 2),
    "adaptive_max_pool": lambda x: kpool.ops.adaptive_max_pool(x, 2),
    "adaptive_average_pool": lambda x: kpool.ops.adaptive_average_pool(x, 3),
    "max_unpool": lambda x: kpool.ops.max_unpool(x, tf.zeros(x.shape, tf.int32), 2),
    "max_unpool, sums": lambda x: kpool.ops.max_unpool(x, tf.zeros(x.shape, tf.int32), 2, duplicates="sum"),
}
WRONG = {
    "batch": lambda y: tf.repeat(y, 2, 0),
    "channels": lambda y: tf.repeat(y, 5, 3),
    "no images": lambda y: y[:0],
    "no rows": lambda y: y[:, :0],
    "rank": lambda y: y[0],
    "a number": lambda y: tf.constant(1.0),
}


@pytest.mark.parametrize("function", DIFFERENTIABLE)
@rows([(f"{OTHER_SIZES} {SECOND_ORDER} {AVERAGE_BACKWARD}:", wrong) for wrong in WRONG], "wrong")
def test_gradients_of_another_shape_in_public(function, wrong):
    x = tf.random.stateless_normal((2, 4, 4, 1), (0, 0))
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = DIFFERENTIABLE[function](x)
    fails(lambda: tape.gradient(y, x, WRONG[wrong](y)), "must (have|agree)")


@pytest.mark.parametrize("first", [0, 1])
def test_empty_shapes_whose_product_overflows(first):
    """CVE-2021-41206: the product overflows although the batch is 0."""
    shape = (0, 2**25, 2**25, 2**25)
    message = r"A tensor must not exceed 2\^63 - 1 bytes.*=\(0, 33554432, 33554432, 33554432\)"
    whole = window((1, 1), (1, 1), first=first)
    fails(lambda: pool(image(*shape), **whole), message)
    fails(lambda: average(image(*shape), **whole), message)
    fails(lambda: backward(shape, shape, shape, **whole), message)
    fails(lambda: indices_of(shape, shape, **whole), message)
    fails(lambda: average_backward(shape, shape, **whole), message)
    none, size = tf.zeros(shape, tf.int32), tf.constant((), tf.int64)
    fails(lambda: ops.kpool_max_unpool(image(*shape), none, size, **whole), message)
    fails(lambda: ops.kpool_max_unpool_backward(image(*shape), none, **whole), message)
    data_format = "channels_first" if first else "channels_last"
    x = image(*shape)
    fails(lambda: kpool.ops.max_pool(x, 1, data_format=data_format, return_indices=True, index_dtype="int64"), message)
    fails(lambda: kpool.ops.average_pool(x, 1, data_format=data_format), message)
    fails(lambda: kpool.ops.max_unpool(x, none, 1, data_format=data_format), message)
    fails(lambda: kpool.ops.adaptive_max_pool(x, 1, data_format), "must not exceed|must span", errors=BOTH)
    fails(lambda: kpool.ops.global_average_pool(x, data_format), "must not exceed|must span", errors=BOTH)
