"""What broke the pooling ops of others, replayed on kpool's: indices out of range, of other planes, of no integers."""

import re

import numpy as np
import pytest
import tensorflow as tf
from advisories import BEYOND_OUTPUT, NATIVE, NEGATIVE_WINDOW, OTHER_SIZES, OUT_OF_RANGE, ZERO_WINDOW, fails, rows
from conftest import same_bits
from native import WINDOW, adaptive, image, unpool, window

import kpool
from kpool.tf.library import ops

pytestmark = pytest.mark.sandbox

# In a plane of 4 x 4. As int32 the last two would be 3.
NARROW = [-1, -(2**31), 16, 17, 2**31 - 1]
WIDE = [*NARROW, -(2**63), 2**31, 2**63 - 1, 2**32 + 3, -(2**32) + 3]


@pytest.mark.parametrize("sums", [False, True])
@pytest.mark.parametrize("channels", [1, 17, 40])
@rows(
    [
        (f"{OUT_OF_RANGE} {BEYOND_OUTPUT}: {dtype}", bad, dtype)
        for dtype, values in [("int32", NARROW), ("int64", WIDE)]
        for bad in values
    ],
    "bad",
    "dtype",
)
def test_indices_out_of_range(bad, dtype, channels, sums):
    """One, among those of the last element of each window of 2 x 2."""
    indices = np.broadcast_to(np.reshape([5, 7, 13, 15], (1, 2, 2, 1)), (3, 2, 2, channels)).astype(dtype)
    place = [1, 0, 1, channels - 1]
    indices[tuple(place)] = bad
    # The first is named.
    indices[2, 1, 1, 0] = 99
    message = rf"`indices` must lie in \[0, 16\), .*{re.escape(str(place))}={bad}\b"
    values, gradients = tf.ones(indices.shape), image(3, 4, 4, channels)
    duplicates = "sum" if sums else "last"
    rule = {"sum_duplicates": sums, **WINDOW}
    fails(lambda: unpool(indices, index_dtype=dtype, sum_duplicates=sums), message)
    fails(lambda: ops.kpool_max_unpool_backward(gradients, tf.constant(indices), **rule), message)
    fails(lambda: kpool.ops.max_unpool(values, indices, 2, duplicates=duplicates), message)
    fails(lambda: kpool.layers.MaxUnpooling2D(2, duplicates=duplicates)(values, tf.constant(indices)), message)
    # Known only when the graph runs, and in the other format.
    graph = tf.function(
        lambda x, i: kpool.ops.max_unpool(x, i, 2, data_format="channels_first", duplicates=duplicates),
        input_signature=[tf.TensorSpec((None,) * 4), tf.TensorSpec((None,) * 4, dtype)],
    )
    message = re.escape(f"indices[1, {channels - 1}, 0, 1]={bad}")
    fails(lambda: graph(*(tf.transpose(x, (0, 3, 1, 2)) for x in (values, indices))), message)


@pytest.mark.parametrize("source", ["kpool", "tensorflow", "tensorflow_with_batch", "onnx", "onnx_column_major"])
@rows([(f"{OUT_OF_RANGE}: index", bad) for bad in WIDE], "bad")
def test_indices_out_of_range_to_convert(bad, source):
    shape = (3, 4, 4, 5)
    indices = kpool.ops.convert_indices(np.full((3, 2, 2, 5), 5, "int64"), "kpool", source, shape)
    # As far from its own channel as the bad index is from the plane.
    beyond = (bad - 5) * (5 if "tensorflow" in source else 1)
    indices[1, 0, 1, 4] = bad if abs(beyond) > 2**62 else indices[1, 0, 1, 4] + beyond
    message = r"`indices` must lie in \[.* Received: indices\[1 0 1 4\]="
    fails(lambda: kpool.ops.convert_indices(indices, source, "kpool", shape), message)


@pytest.mark.parametrize("channels", [1, 37])
def test_indices_of_another_plane(channels):
    """ONNX Runtime PR #27432 and #27903: right for the 6 x 6 that was pooled, beyond the 5 x 5 that it becomes."""
    x = np.repeat(np.arange(36.0, dtype="float32").reshape(1, 6, 6, 1), channels, 3)
    whole, message = window((3, 3), (3, 3)), r"lie in \[0, 25\).*\[0, 1, 0, 0\]=32"
    values, indices = kpool.ops.max_pool(x, 3, return_indices=True)
    fails(lambda: kpool.ops.max_unpool(values, indices, 3, output_size=(5, 5)), message)
    fails(lambda: unpool(indices, values, (5, 5), **whole), message)
    fails(lambda: ops.kpool_max_unpool_backward(image(1, 5, 5, channels), indices, **whole), message)
    # An offset that its window does not have reaches nothing; the others still do.
    offsets = np.full((1, 2, 2, channels), 9, "uint8")
    offsets[0, 0, 1, -1] = 4
    size = tf.constant(x.shape, tf.int64)
    back = ops.kpool_max_pool_backward(image(*offsets.shape), offsets, size, **whole)
    expected = np.zeros(x.shape, "float32")
    expected[0, 1, 4, -1] = image(*offsets.shape)[0, 0, 1, -1]
    same_bits(back.numpy(), expected)


def test_indices_of_another_image():
    """Counted over the batch they are out of range; counted per plane they are as good as the image's own."""
    first, second = np.reshape([5, 7, 13, 15], (2, 2)), np.reshape([0, 2, 8, 10], (2, 2))
    over_batch = np.stack([first, second + 16])[..., None]
    values = np.arange(8, dtype="float32").reshape(2, 2, 2, 1)
    message = r"lie in \[0, 16\).*indices\[1, 0, 0, 0\]=16"
    fails(lambda: unpool(over_batch, values), message)
    fails(lambda: kpool.ops.max_unpool(values, over_batch, 2), message)
    fails(lambda: ops.kpool_max_unpool_backward(image(2, 4, 4, 1), tf.constant(over_batch), **WINDOW), message)
    wrong_image = kpool.ops.convert_indices(over_batch % 16, "kpool", "tensorflow_with_batch", (2, 4, 4, 1))[::-1]
    fails(
        lambda: kpool.ops.convert_indices(wrong_image, "tensorflow_with_batch", "kpool", (2, 4, 4, 1)),
        "positions of their own channel",
    )
    swapped = np.stack([second, first])[..., None]
    expected = np.zeros((2, 16), "float32")
    for image_number in range(2):
        expected[image_number, swapped[image_number].ravel()] = values[image_number].ravel()
    same_bits(kpool.ops.max_unpool(values, swapped, 2), expected.reshape(2, 4, 4, 1))


@rows(
    [
        ("PyTorch#78126,91555: dtype", dtype, value)
        for dtype in ("float16", "float32", "float64")
        for value in (-8695.0, 0.0, 0.5, np.nan, np.inf)
    ]
    + [("PyTorch#78126,91555: dtype", dtype, 1) for dtype in ("int8", "uint8", "int16", "uint64", "bool")],
    "dtype",
    "value",
)
def test_indices_that_are_no_integers(dtype, value):
    indices = tf.fill((1, 2, 2, 1), tf.cast(value, dtype))
    values = tf.ones((1, 2, 2, 1))
    message = "Tindices.*not in the list of allowed values: int32, int64"
    fails(lambda: ops.kpool_max_unpool(values, indices, tf.constant((), tf.int64), **WINDOW), message)
    fails(lambda: ops.kpool_max_unpool_backward(values, indices, **WINDOW), message)
    message = "`indices` must be of dtype int32 or int64. Received: indices of dtype"
    fails(lambda: kpool.ops.max_unpool(values, indices, 2), message, errors=ValueError)
    fails(lambda: kpool.layers.MaxUnpooling2D(2)(values, indices), message, errors=ValueError)
    fails(lambda: kpool.ops.convert_indices(indices, "kpool", "onnx", (1, 4, 4, 1)), message, errors=ValueError)


@rows(
    [
        ("PyTorch#78126: ranks", (), (7, 7, 7, 4, 4, 4, 7, 7)),
        ("PyTorch#78126: ranks", (1, 2, 2, 1), ()),
        ("PyTorch#78126: ranks", (1, 2, 2, 1), (1, 2, 2)),
        ("PyTorch#78126: ranks", (1, 2, 2, 1), (1, 1, 2, 2, 1)),
        (f"{OTHER_SIZES}: fewer indices", (1, 2, 2, 64), (1, 2, 2, 1)),
        (f"{OTHER_SIZES}: fewer values", (1, 2, 2, 1), (1, 2, 2, 64)),
        (f"{OTHER_SIZES}: batch", (2, 2, 2, 1), (1, 2, 2, 1)),
        (f"{OTHER_SIZES}: no indices", (1, 2, 2, 1), (0, 2, 2, 1)),
        (f"{OTHER_SIZES}: no values", (0, 2, 2, 1), (1, 2, 2, 1)),
        (f"{OTHER_SIZES}: as many, elsewhere", (1, 2, 2, 1), (1, 4, 1, 1)),
    ],
    "values",
    "indices",
)
def test_indices_of_another_shape(values, indices):
    message = "`indices` must have the shape of `inputs`|must have rank"
    fails(lambda: unpool(np.zeros(indices), image(*values)), message)
    fails(lambda: kpool.ops.max_unpool(image(*values), image(*indices, dtype="int32"), 2), message, errors=ValueError)
    graph = tf.function(
        lambda x, i: kpool.ops.max_unpool(x, i, 2),
        input_signature=[tf.TensorSpec((None,) * 4), tf.TensorSpec((None,) * 4, tf.int32)],
    )
    if len(values) == len(indices) == 4:
        fails(lambda: graph(image(*values), image(*indices, dtype="int32")), message)


@rows(
    [
        ("PyTorch#73154,73192: negative output size", size)
        for size in [(-1, -1), (-4, 4), (4, -9995), (-(2**63), 4), (0, 0), (2**32 + 4, 4), (4,), (4, 4, 4)]
    ],
    "size",
)
def test_output_sizes(size):
    indices = np.zeros((1, 2, 2, 1), "int32")
    fails(lambda: unpool(indices, size=size), "`output_size` must")
    fails(
        lambda: kpool.ops.max_unpool(indices.astype("float32"), indices, 2, output_size=size),
        "`output_size` must",
        errors=ValueError,
    )
    graph = tf.function(
        lambda size: kpool.ops.max_unpool(indices.astype("float32"), indices, 2, output_size=size),
        input_signature=[tf.TensorSpec((None,), tf.int64)],
    )
    fails(lambda: graph(tf.constant(size, tf.int64)), "`output_size` must")


def adaptive_layer(kind, rank):
    make = getattr(kpool.layers, f"Adaptive{kind}Pooling{rank}D")
    return lambda size: make((*[2] * (rank - 1), size))(image(1, *[4] * rank, 1))


ADAPTIVE = {
    f"Adaptive{kind}Pooling{rank}D": adaptive_layer(kind, rank) for kind in ("Max", "Average") for rank in (1, 2, 3)
}


@rows(
    [
        (f"{ZERO_WINDOW} {NEGATIVE_WINDOW}: adaptive", size)
        for size in [0, -1, -(2**31), 2**31, 2**32 + 2, 125091515651, 2**62]
    ],
    "size",
)
@pytest.mark.parametrize("op", ["adaptive_max_pool", "adaptive_average_pool", *ADAPTIVE, *NATIVE])
def test_adaptive_output_sizes(size, op):
    functions = {
        **{name: lambda: ADAPTIVE[op](size) for name in ADAPTIVE},
        "adaptive_max_pool": lambda: kpool.ops.adaptive_max_pool(image(1, 4, 4, 1), (2, size)),
        "adaptive_average_pool": lambda: kpool.ops.adaptive_average_pool(image(1, 4, 4, 1), (2, size)),
    }
    if op in functions:
        fails(functions[op], "`output_size` must", errors=ValueError)
    elif size != -1:  # Which keeps the axis as it is.
        fails(lambda: NATIVE[op](**adaptive(2, size)), "`output_size` must")
