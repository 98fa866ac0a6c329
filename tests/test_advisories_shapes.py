"""What broke the pooling ops of others, replayed on kpool's: tensors and shapes that do not belong together."""

from functools import partial

import numpy as np
import pytest
import tensorflow as tf
from advisories import AVERAGE_BACKWARD, NEGATIVE_DIMENSION, OTHER_SIZES, SECOND_ORDER, fails, rows
from native import average, average_backward, backward, image, indices_of, pool, unpool, unpool_backward, window

import kpool
from kpool.tf.library import ops

pytestmark = pytest.mark.sandbox


FITS = "must have the shape of the pooled input"
VECTOR = "`input_shape` must be a vector of at most 5 sizes"
NEGATIVE = "The shape must not hold negative sizes"
BYTES = r"Inputs and outputs must not exceed 2\^63 - 1 bytes"
SPAN = "A window must span at most 2147483647 elements in all"

# What the ops give for gradients of 1 to 4, by the offsets 3, 0, 2, 1 of windows of 2 x 2.
GOOD = {
    "max_pool_backward": [0, 0, 2, 0, 0, 1, 0, 0, 0, 0, 0, 4, 3, 0, 0, 0],
    "max_pool_indices": [5, 2, 12, 11],
    "average_pool_backward": [0.25, 0.25, 0.5, 0.5] * 2 + [0.75, 0.75, 1, 1] * 2,
}


def placed(shape, first):
    """A shape of images as it is in the format with channels first."""
    return (*shape[:1], *shape[3:], *shape[1:3]) if first and isinstance(shape, tuple) and len(shape) == 4 else shape


@pytest.mark.parametrize("op", GOOD)
@pytest.mark.parametrize("first", [0, 1])
@rows(
    [
        (f"{OTHER_SIZES} {AVERAGE_BACKWARD}: batch", (2, 2, 2, 1), (1, 4, 4, 1), FITS),
        (f"{OTHER_SIZES} {AVERAGE_BACKWARD}: batch", (1, 2, 2, 1), (2, 4, 4, 1), FITS),
        (f"{OTHER_SIZES}: batch 0", (0, 2, 2, 1), (1, 4, 4, 1), FITS),
        (f"{OTHER_SIZES}: batch 0", (1, 2, 2, 1), (0, 4, 4, 1), FITS),
        (f"{OTHER_SIZES} {AVERAGE_BACKWARD}: channels", (1, 2, 2, 3), (1, 4, 4, 1), FITS),
        (f"{OTHER_SIZES} {AVERAGE_BACKWARD}: channels", (1, 2, 2, 1), (1, 4, 4, 3), FITS),
        (f"{OTHER_SIZES}: another size", (1, 3, 2, 1), (1, 4, 4, 1), FITS),
        (f"{OTHER_SIZES}: another size", (1, 2, 2, 1), (1, 4, 6, 1), FITS),
        (f"{OTHER_SIZES}: a larger input", (1, 2, 2, 1), (1, 400, 400, 1), FITS),
        (f"{OTHER_SIZES}: a smaller input", (1, 2, 2, 1), (1, 1, 4, 1), "`pool_size` must not exceed the padded input"),
        (f"{OTHER_SIZES}: no input", (1, 2, 2, 1), (1, 0, 4, 1), "at least one element on every spatial axis"),
        (f"{OTHER_SIZES} {SECOND_ORDER}: nothing", (0,), (1, 4, 4, 1), FITS),
        (f"{OTHER_SIZES} {SECOND_ORDER}: nothing", (1, 0, 2, 1), (1, 4, 4, 1), FITS),
        (f"{OTHER_SIZES}: another rank", (1, 2, 2), (1, 4, 4, 1), FITS),
        (f"{OTHER_SIZES}: another rank", (4,), (1, 4, 4, 1), FITS),
        (f"{OTHER_SIZES}: another rank", (), (1, 4, 4, 1), FITS),
        (f"{OTHER_SIZES}: another rank", (1,) * 9, (1, 4, 4, 1), FITS),
        (f"{AVERAGE_BACKWARD}: a shape of another rank", (1, 2, 2, 1), (1, 4, 4), "must have rank 4.*rank 3"),
        (f"{AVERAGE_BACKWARD}: a shape that is none", (1, 2, 2, 1), (), "must have rank 4.*rank 0"),
        (f"{AVERAGE_BACKWARD}: a shape that is no vector", (1, 2, 2, 1), 4, VECTOR),
        (f"{AVERAGE_BACKWARD}: a shape that is no vector", (1, 2, 2, 1), [[1, 4], [4, 1]], VECTOR),
        (f"{AVERAGE_BACKWARD}: a long shape", (1, 2, 2, 1), (1, 4, 4, 1, 1, 1), VECTOR),
        (f"{AVERAGE_BACKWARD}: a long shape", (1, 2, 2, 1), (1, 4, 4, 1) * 1000, VECTOR),
        # In the first two what was pooled would fit.
        (f"{AVERAGE_BACKWARD}: an overflow", (0, 2**30, 2**30, 1), (0, 2**31, 2**31, 1), BYTES),
        (f"{AVERAGE_BACKWARD}: an overflow", (2**30, 2**30, 2, 0), (2**30, 2**31, 4, 0), BYTES),
        (f"{AVERAGE_BACKWARD}: an overflow", (1, 2, 2, 1), (2**62, 4, 4, 4), BYTES),
        (f"{AVERAGE_BACKWARD}: an overflow", (1, 2, 2, 1), (1, 2**61, 4, 1), r"No axis may exceed 2\^60 elements"),
        (f"{AVERAGE_BACKWARD} {NEGATIVE_DIMENSION}: negative", (1, 2, 2, 1), (-536870912, 4, 4, 1), NEGATIVE),
        (f"{AVERAGE_BACKWARD} {NEGATIVE_DIMENSION}: negative", (1, 2, 2, 1), (1, -4, -4, 1), NEGATIVE),
        (f"{AVERAGE_BACKWARD} {NEGATIVE_DIMENSION}: negative", (1, 2, 2, 1), (1, 4, 4, -(2**63)), NEGATIVE),
    ],
    "pooled",
    "shape",
    "message",
)
def test_gradients_of_another_shape(op, pooled, shape, message, first):
    call = partial(gradient_op, op, placed(pooled, first), placed(shape, first), **window(first=first))
    fails(call, message)
    fails(lambda: tf.function(call)(), message)
    # What came before has left nothing behind.
    good = gradient_op(op, placed((1, 2, 2, 1), first), placed((1, 4, 4, 1), first), **window(first=first))
    assert good.numpy().ravel().tolist() == GOOD[op]


def gradient_op(op, pooled, shape, **attributes):
    calls = {
        "max_pool_backward": lambda: backward(pooled, pooled, shape, **attributes),
        "max_pool_indices": lambda: indices_of(pooled, shape, **attributes),
        "average_pool_backward": lambda: average_backward(pooled, shape, **attributes),
    }
    return calls[op]()


@pytest.mark.parametrize("op", GOOD)
def test_gradients_of_inputs_that_overflow_although_the_gradients_are_few(op):
    """CVE-2022-35968: four windows, 2^30 apart; the bytes of their input are 2^64, which is 0 in 64 bits."""
    apart = window(strides=(2**30, 2**30))
    fails(lambda: gradient_op(op, (1, 2, 2, 1), (1, 2**31, 2**31, 1), **apart), BYTES)


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
    assert unpool_backward(sum_duplicates=sums).numpy().ravel().tolist() == [4, 1, 3, 2]


def test_batches_without_images():
    """CVE-2021-29573, CVE-2021-29574: batch 0 throughout divides nothing by zero."""
    none, small = (0, 4, 4, 3), (0, 2, 2, 3)
    assert pool(image(*none)).outputs.shape == average(image(*none)).shape == small
    assert backward(small, small, none).shape == average_backward(small, none).shape == none
    assert indices_of(small, none).shape == small
    assert unpool(np.zeros(small)).shape == none
    assert unpool_backward(none, small).shape == small


@pytest.mark.parametrize("first", [0, 1])
def test_empty_shapes_whose_product_overflows(first):
    """CVE-2021-41206: the product overflows although the batch is 0."""
    shape = (0, 2**25, 2**25, 2**25)
    message = BYTES + r".*=\(0, 33554432, 33554432, 33554432\)"
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


@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize("count", [-1, 1, 2**31 - 1])
def test_empty_shapes_whose_product_overflows_in_adaptive_windows(count, first):
    """CVE-2021-41206: the same for as many windows as elements, for one (global pooling) and for as many as can be."""
    shape = (0, 2**25, 2**25, 2**25)
    count_of = 2**25 if count == -1 else count
    pooled = (0, 2**25, count_of, count_of) if first else (0, count_of, count_of, 2**25)
    whole = {"window": [first, 0, 0, 1, count, count]}
    fails(lambda: pool(image(*shape), **whole), BYTES)
    fails(lambda: average(image(*shape), **whole), BYTES)
    fails(lambda: backward(pooled, pooled, shape, **whole), BYTES)
    fails(lambda: indices_of(pooled, shape, **whole), BYTES)
    fails(lambda: average_backward(pooled, shape, **whole), BYTES)
    size, rule = tf.constant(shape[2:] if first else shape[1:3], tf.int64), {"sum_duplicates": True, **whole}
    fails(lambda: ops.kpool_max_unpool(image(*pooled), image(*pooled, dtype="int32"), size, **rule), BYTES)
    fails(lambda: ops.kpool_max_unpool_backward(image(*shape), image(*pooled, dtype="int32"), **rule), BYTES)
    data_format, x, size = "channels_first" if first else "channels_last", image(*shape), None if count == -1 else count
    for layer in (kpool.layers.AdaptiveMaxPooling2D, kpool.layers.AdaptiveAveragePooling2D):
        message, errors = (SPAN, ValueError) if count == 1 else (BYTES, tf.errors.InvalidArgumentError)
        fails(partial(layer(size, data_format), x), message, errors=errors)
    for layer in (kpool.layers.GlobalMaxPooling2D, kpool.layers.GlobalAveragePooling2D):
        fails(partial(layer(data_format), x), SPAN, errors=ValueError)
