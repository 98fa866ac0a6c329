"""What broke the pooling ops of others, replayed on kpool's: each case is named after the advisories it replays.

The cases run in a sandbox, so that a crash is the failure of one of them. Most run three times, the last one because
XLA checked less: alone, in a graph, and in one for XLA to compile, which may refuse the op before it can see what is
wrong.
"""

import re

import numpy as np
import pytest
import tensorflow as tf
from conftest import same_bits
from native import (
    WINDOW,
    adaptive,
    average,
    average_backward,
    backward,
    image,
    indices_of,
    pool,
    unpool,
    unpool_backward,
    window,
)

import kpool
from kpool.tf.library import ops

pytestmark = pytest.mark.sandbox

POOLING = {
    "max_pool": pool,
    "max_pool_backward": backward,
    "max_pool_indices": indices_of,
    "average_pool": average,
    "average_pool_backward": average_backward,
}
UNPOOLING = {
    "max_unpool": lambda **attributes: unpool(np.zeros((1, 2, 2, 1)), **attributes),
    "max_unpool_backward": unpool_backward,
}
NATIVE = POOLING | UNPOOLING
PUBLIC = {
    "max_pool": lambda **arguments: kpool.ops.max_pool(image(1, 4, 4, 1), **arguments),
    "average_pool": lambda **arguments: kpool.ops.average_pool(image(1, 4, 4, 1), **arguments),
    "max_unpool": lambda **arguments: kpool.ops.max_unpool(
        image(1, 2, 2, 1), image(1, 2, 2, 1, dtype="int32"), **arguments
    ),
    "MaxPooling2D": lambda **arguments: kpool.layers.MaxPooling2D(**arguments)(image(1, 4, 4, 1)),
    "AveragePooling2D": lambda **arguments: kpool.layers.AveragePooling2D(**arguments)(image(1, 4, 4, 1)),
    "MaxUnpooling2D": lambda **arguments: kpool.layers.MaxUnpooling2D(**arguments)(
        image(1, 2, 2, 1), image(1, 2, 2, 1, dtype="int32")
    ),
}
MODES = ["eager", "graph", "xla"]
UNCOMPILED = "Detected unsupported operations when trying to compile graph"


def fails(call, message, mode="eager", errors=tf.errors.InvalidArgumentError):
    """The call fails with that message; where XLA is to compile it, perhaps since it cannot."""
    if mode == "xla":
        message = f"{message}|{UNCOMPILED}"
    with pytest.raises(errors, match=message):
        call() if mode == "eager" else tf.function(call, jit_compile=mode == "xla")()


# Sizes, strides and dilations --------------------------------------------------------------------------------------

ZERO_STRIDE = "CVE-2023-25669 TF#42205 CVE-2025-2953"
ZERO_WINDOW = "CVE-2023-25669 CVE-2021-41196 TF#42205"
NEGATIVE_WINDOW = "CVE-2022-35941 TF#59191 TF#76722"
BEYOND_INT32 = "TF#85251 TF#89848 PyTorch#140923,142459: beyond int32, and not narrowed before the check"
OVERFLOW = "PyTorch#73154,73192,91555: window x dilation overflows"

# What no window can be, whatever it is laid over.
IMPOSSIBLE = [
    (ZERO_STRIDE, {"strides": (0, 1)}, "strides"),
    (ZERO_STRIDE, {"strides": (1, 0)}, "strides"),
    (ZERO_STRIDE, {"strides": (-1, 1)}, "strides"),
    (ZERO_STRIDE, {"strides": (2, -(2**40))}, "strides"),
    (ZERO_WINDOW, {"sizes": (0, 2)}, "pool_size"),
    (ZERO_WINDOW, {"sizes": (0, 0), "strides": (0, 0)}, "pool_size|strides"),
    (NEGATIVE_WINDOW, {"sizes": (-1, 2)}, "pool_size"),
    (NEGATIVE_WINDOW, {"sizes": (2, -536870912)}, "pool_size"),
    (BEYOND_INT32, {"sizes": (2**31, 2)}, "pool_size"),
    (BEYOND_INT32, {"sizes": (2**32 + 2, 2**32 + 2)}, "pool_size"),
    (BEYOND_INT32, {"strides": (2**32 + 2, 2)}, "strides"),
    (BEYOND_INT32, {"dilations": (2**32 + 1, 1)}, "dilation_rate"),
    (BEYOND_INT32, {"padding": ((2**32, 0), (0, 0))}, "padding"),
    (OVERFLOW, {"sizes": (1250999896764,) * 2, "dilations": (1250999896764,) * 2}, "pool_size|dilation_rate"),
    (OVERFLOW, {"sizes": (2**16, 2**16)}, "pool_size"),
]
# What the input of 4 x 4 is too small for. Unpooling has no such limit.
TOO_LARGE = [
    ("CVE-2022-35989 TF#85252: window larger than the input", {"sizes": (5, 2)}, "pool_size"),
    ("CVE-2022-35989 TF#85252: window larger than the input", {"sizes": (1, 2**31 - 1)}, "pool_size"),
    (OVERFLOW, {"dilations": (2**31 - 1, 1)}, "pool_size"),
    (OVERFLOW, {"sizes": (2**15, 2**15), "dilations": (2**31 - 1,) * 2}, "pool_size"),
]


def rows(table, *columns):
    """Parameters named after the advisories that they replay."""

    def name_of(advisory, first, *_):
        details = first.items() if isinstance(first, dict) else [("", first)]
        return " ".join([advisory, *(f"{key} {value}".strip() for key, value in details)])

    return pytest.mark.parametrize(columns, [pytest.param(*row[1:], id=name_of(*row)) for row in table])


def to_public(attributes):
    names = {"sizes": "pool_size", "dilations": "dilation_rate"}
    return {"pool_size": 2, **{names.get(name, name): value for name, value in attributes.items()}}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("op", NATIVE)
@rows(IMPOSSIBLE, "attributes", "names")
def test_impossible_windows_of_native_ops(attributes, names, op, mode):
    fails(lambda: NATIVE[op](**window(**attributes)), f"`({names})` must", mode)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("op", POOLING)
@rows(TOO_LARGE, "attributes", "names")
def test_windows_too_large_for_native_ops(attributes, names, op, mode):
    fails(lambda: POOLING[op](**window(**attributes)), f"`({names})` must", mode)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("function", PUBLIC)
@rows(IMPOSSIBLE + TOO_LARGE, "attributes", "names")
def test_windows_of_public_functions(attributes, names, function, mode):
    arguments = to_public(attributes)
    if "npool" in function and (attributes, names) in [row[1:] for row in TOO_LARGE]:
        # It is the output then that cannot be.
        arguments["output_size"], names = (4, 4), "output_size"
    fails(lambda: PUBLIC[function](**arguments), f"`({names})`", mode, ValueError)


@pytest.mark.parametrize("op", NATIVE)
def test_windows_that_see_only_padding(op):
    """Dilation 2, window 2, padding 1, length 1: harmless where indices alone say what goes where, else refused."""
    attributes = window((2, 2), (1, 1), (1, 2), ((0, 0), (1, 1)))
    shapes = {"shape": (1, 4, 1, 1)}
    calls = {
        "max_pool": lambda: pool(image(1, 4, 1, 1), **attributes),
        "max_pool_backward": lambda: backward((1, 3, 1, 1), (1, 3, 1, 1), **shapes, **attributes),
        "max_pool_indices": lambda: indices_of((1, 3, 1, 1), **shapes, **attributes),
        "average_pool": lambda: average(image(1, 4, 1, 1), **attributes),
        "average_pool_backward": lambda: average_backward((1, 3, 1, 1), **shapes, **attributes),
    }
    if op in calls:
        fails(calls[op], "Every window must see at least one element of the input, not only padding")
    elif op == "max_unpool":
        restored = unpool(np.reshape([3, 0, 2], (1, 3, 1, 1)), size=(4, 1), **attributes)
        same_bits(restored.numpy().ravel(), np.array([1, 0, 1, 1], "float32"))
    else:
        gathered = unpool_backward((1, 4, 1, 1), (1, 3, 1, 1), **attributes)
        same_bits(gathered.numpy(), np.zeros((1, 3, 1, 1), "float32"))


@pytest.mark.parametrize("function", [kpool.ops.max_pool, kpool.ops.average_pool])
def test_windows_that_see_only_padding_in_public(function):
    """Dilation 2, window 2, padding 1, length 1."""
    message = "Every window must see at least one element"
    fails(lambda: function(image(1, 1, 1), 2, 1, 1, dilation_rate=2), message, errors=ValueError)
    graph = tf.function(
        lambda x: function(x, 2, 1, 1, dilation_rate=2), input_signature=[tf.TensorSpec((None, None, None))]
    )
    fails(lambda: graph(image(1, 1, 1)), message)


# Shapes ------------------------------------------------------------------------------------------------------------

OTHER_SIZES = "CVE-2021-29570 CVE-2021-29573 CVE-2021-29579 CVE-2021-37674"
SECOND_ORDER = "CVE-2021-29574 CVE-2021-29576"
AVERAGE_BACKWARD = "CVE-2021-29577 CVE-2022-35959 CVE-2022-35968 CVE-2023-25664 PyTorch#197409"
NEGATIVE_DIMENSION = "CVE-2021-41196 CVE-2022-35941"


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


# Indices -----------------------------------------------------------------------------------------------------------

OUT_OF_RANGE = "TF#58272 TF#59083 TF#59357 TF#61652 TF#66764"
BEYOND_OUTPUT = "ONNX Runtime PR#27432 PR#27903"
# In a plane of 4 x 4. As int32 the last two would be 3.
NARROW = [-1, -(2**31), 16, 17, 2**31 - 1]
WIDE = [*NARROW, -(2**63), 2**31, 2**63 - 1, 2**32 + 3, -(2**32) + 3]
BOTH = (ValueError, tf.errors.InvalidArgumentError)


@pytest.mark.parametrize("sums", [False, True])
@pytest.mark.parametrize("channels", [1, 5, 40])
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


def test_indices_of_another_plane():
    """ONNX Runtime PR #27432 and #27903: right for the 6 x 6 that was pooled, beyond the 5 x 5 that it becomes."""
    x = np.arange(36.0, dtype="float32").reshape(1, 6, 6, 1)
    values, indices = kpool.ops.max_pool(x, 3, return_indices=True)
    fails(lambda: kpool.ops.max_unpool(values, indices, 3, output_size=(5, 5)), r"lie in \[0, 25\).*\[0, 1, 0, 0\]=32")
    fails(lambda: unpool(indices, values, (5, 5), **window((3, 3), (3, 3))), r"lie in \[0, 25\).*\[0, 1, 0, 0\]=32")
    fails(
        lambda: ops.kpool_max_unpool_backward(image(1, 5, 5, 1), indices, **window((3, 3), (3, 3))),
        r"lie in \[0, 25\).*\[0, 1, 0, 0\]=32",
    )
    # An offset that its window does not have reaches nothing.
    offsets = tf.fill((1, 2, 2, 1), tf.constant(9, tf.uint8))
    back = ops.kpool_max_pool_backward(
        tf.ones((1, 2, 2, 1)), offsets, tf.constant((1, 6, 6, 1), tf.int64), **window((3, 3), (3, 3))
    )
    same_bits(back.numpy(), np.zeros((1, 6, 6, 1), "float32"))


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


@rows(
    [
        (f"{ZERO_WINDOW} {NEGATIVE_WINDOW}: adaptive", size)
        for size in [0, -1, -(2**31), 2**31, 2**32 + 2, 125091515651, 2**62]
    ],
    "size",
)
@pytest.mark.parametrize("op", ["adaptive_max_pool", "adaptive_average_pool", *NATIVE])
def test_adaptive_output_sizes(size, op):
    functions = {
        "adaptive_max_pool": lambda: kpool.ops.adaptive_max_pool(image(1, 4, 4, 1), (2, size)),
        "adaptive_average_pool": lambda: kpool.ops.adaptive_average_pool(image(1, 4, 4, 1), (2, size)),
    }
    if op in functions:
        fails(functions[op], "`output_size` must", errors=ValueError)
    elif size != -1:  # Which keeps the axis as it is.
        fails(lambda: NATIVE[op](**adaptive(2, size)), "`output_size` must")
