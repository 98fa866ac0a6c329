"""What broke the pooling ops of others, replayed on kpool's: each case is named after the advisories it replays.

The cases run in a sandbox, so that a crash is the failure of one of them. Most run three times, the last one because
XLA checked less: alone, in a graph, and in one that XLA compiles.
"""

import numpy as np
import pytest
import tensorflow as tf
from advisories import BEYOND_INT32, NATIVE, NEGATIVE_WINDOW, OVERFLOW, POOLING, ZERO_STRIDE, ZERO_WINDOW, fails, rows
from conftest import CALLED_BY_XLA
from native import (
    average,
    average_backward,
    backward,
    image,
    indices_of,
    output_shape,
    pool,
    unpool,
    unpool_backward,
    window,
)

import kpool

pytestmark = pytest.mark.sandbox

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
KERNEL_MODES = ["eager", "graph", pytest.param("xla", marks=CALLED_BY_XLA)]

# What no window can be, whatever it is laid over.
IMPOSSIBLE = [
    (ZERO_STRIDE, {"strides": (0, 1)}, "strides"),
    (ZERO_STRIDE, {"strides": (1, 0)}, "strides"),
    (ZERO_STRIDE, {"strides": (-1, 1)}, "strides"),
    (ZERO_STRIDE, {"strides": (2, -(2**40))}, "strides"),
    (ZERO_WINDOW, {"sizes": (0, 2)}, "pool_size"),
    (ZERO_WINDOW, {"sizes": (0, 0), "strides": (0, 0)}, "pool_size"),
    (NEGATIVE_WINDOW, {"sizes": (-1, 2)}, "pool_size"),
    (NEGATIVE_WINDOW, {"sizes": (2, -536870912)}, "pool_size"),
    (BEYOND_INT32, {"sizes": (2**31, 2)}, "pool_size"),
    (BEYOND_INT32, {"sizes": (2**32 + 2, 2**32 + 2)}, "pool_size"),
    (BEYOND_INT32, {"strides": (2**32 + 2, 2)}, "strides"),
    (BEYOND_INT32, {"dilations": (2**32 + 1, 1)}, "dilation_rate"),
    (BEYOND_INT32, {"padding": ((2**32, 0), (0, 0))}, "padding"),
    (OVERFLOW, {"sizes": (1250999896764,) * 2, "dilations": (1250999896764,) * 2}, "pool_size"),
    (OVERFLOW, {"sizes": (2**16, 2**16)}, "pool_size"),
]
# What the input of 4 x 4 is too small for. Unpooling has no such limit.
TOO_LARGE = [
    ("CVE-2022-35989 TF#85252: window larger than the input", {"sizes": (5, 2)}, "pool_size"),
    ("CVE-2022-35989 TF#85252: window larger than the input", {"sizes": (1, 2**31 - 1)}, "pool_size"),
    (OVERFLOW, {"dilations": (2**31 - 1, 1)}, "pool_size"),
    (OVERFLOW, {"sizes": (2**15, 2**15), "dilations": (2**31 - 1,) * 2}, "pool_size"),
]
RANGE = "(hold integers from [01] to|span at most) 2147483647"


def to_public(attributes):
    names = {"sizes": "pool_size", "dilations": "dilation_rate"}
    return {"pool_size": 2, **{names.get(name, name): value for name, value in attributes.items()}}


@pytest.mark.parametrize("mode", KERNEL_MODES)
@pytest.mark.parametrize("op", NATIVE)
@rows(IMPOSSIBLE, "attributes", "name")
def test_impossible_windows_of_native_ops(attributes, name, op, mode):
    fails(lambda: NATIVE[op](**window(**attributes)), f"`{name}` must {RANGE}", mode)


@pytest.mark.parametrize("op", NATIVE)
@rows(IMPOSSIBLE, "attributes", "name")
def test_impossible_windows_of_native_ops_with_channels_first(attributes, name, op):
    fails(lambda: NATIVE[op](**window(first=1, **attributes)), f"`{name}` must {RANGE}")


@pytest.mark.parametrize("mode", KERNEL_MODES)
@pytest.mark.parametrize("op", POOLING)
@rows(TOO_LARGE, "attributes", "name")
def test_windows_too_large_for_native_ops(attributes, name, op, mode):
    fails(lambda: POOLING[op](**window(**attributes)), f"`{name}` must not exceed the padded input", mode)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("function", PUBLIC)
@rows(IMPOSSIBLE + TOO_LARGE, "attributes", "name")
def test_windows_of_public_functions(attributes, name, function, mode):
    arguments = to_public(attributes)
    if "npool" in function and (attributes, name) in [row[1:] for row in TOO_LARGE]:
        # It is the output then that cannot be.
        arguments["output_size"], name = (4, 4), "output_size"
    fails(lambda: PUBLIC[function](**arguments), f"`{name}` must", mode, ValueError)


@pytest.mark.parametrize("rank", [1, 3])
@pytest.mark.parametrize("kind", ["MaxPooling", "OverlappingMaxPooling", "AveragePooling", "MaxUnpooling"])
@rows(
    [
        (ZERO_STRIDE, "strides", 0),
        (ZERO_STRIDE, "strides", -(2**40)),
        (ZERO_WINDOW, "pool_size", 0),
        (NEGATIVE_WINDOW, "pool_size", -536870912),
        (BEYOND_INT32, "pool_size", 2**32 + 3),
        (BEYOND_INT32, "strides", 2**32 + 2),
        (BEYOND_INT32, "dilation_rate", 2**32 + 1),
        (BEYOND_INT32, "padding", 2**32),
    ],
    "name",
    "value",
)
def test_impossible_windows_of_other_ranks(kind, rank, name, value):
    """The last axis is the impossible one; the other axes have room for what would become of it."""
    size = 2 if "Un" in kind else 5
    x = image(1, *[size] * rank, 1)
    inputs = (x, image(*x.shape, dtype="int32")) if "Un" in kind else (x,)
    layer = getattr(kpool.layers, f"{kind}{rank}D")
    right = {"pool_size": [3] * rank, "strides": [2] * rank}
    assert layer(**right)(*inputs).shape == (1, *[5 if "Un" in kind else 2] * rank, 1)
    usual = {"padding": 0, "dilation_rate": 1, **{key: numbers[0] for key, numbers in right.items()}}[name]
    arguments = {**right, name: (*[usual] * (rank - 1), value)}
    fails(lambda: layer(**arguments)(*inputs), f"`{name}` must", errors=ValueError)


ONLY_PADDING = "`padding` must leave at least one element of the input to every window, not only padding"


@pytest.mark.parametrize("mode", KERNEL_MODES)
@pytest.mark.parametrize("op", NATIVE)
def test_windows_that_see_only_padding(op, mode):
    """Dilation 2, window 2, padding 1, length 1: harmless where indices alone say what goes where, else refused."""
    attributes = window((2, 2), (1, 1), (1, 2), ((0, 0), (1, 1)))
    shapes = {"shape": (1, 4, 1, 1)}
    calls = {
        "max_pool": lambda: pool(image(1, 4, 1, 1), **attributes),
        "max_pool_backward": lambda: backward((1, 3, 1, 1), (1, 3, 1, 1), **shapes, **attributes),
        "max_pool_indices": lambda: indices_of((1, 3, 1, 1), **shapes, **attributes),
        "average_pool": lambda: average(image(1, 4, 1, 1), **attributes),
        "average_pool_backward": lambda: average_backward((1, 3, 1, 1), **shapes, **attributes),
        "max_unpool": lambda: unpool(np.reshape([3, 0, 2], (1, 3, 1, 1)), size=(4, 1), **attributes),
        # Of 1, 2, 3, 4 what stands at 3, 0, 2.
        "max_unpool_backward": lambda: unpool_backward((1, 4, 1, 1), (1, 3, 1, 1), **attributes),
    }
    harmless = {"max_unpool": ((1, 4, 1, 1), [2, 0, 3, 1]), "max_unpool_backward": ((1, 3, 1, 1), [4, 1, 3])}
    if op not in harmless:
        fails(calls[op], ONLY_PADDING, mode)
        return
    shape, expected = harmless[op]
    call = calls[op] if mode == "eager" else tf.function(calls[op], jit_compile=mode == "xla")
    with output_shape(shape):
        assert tf.nest.flatten(call())[0].numpy().ravel().tolist() == expected


ONLY_PADDING_1D = {"pool_size": 2, "strides": 1, "padding": 1, "dilation_rate": 2}
SEE_PADDING = {
    "max_pool": lambda x: kpool.ops.max_pool(x, **ONLY_PADDING_1D),
    "average_pool": lambda x: kpool.ops.average_pool(x, **ONLY_PADDING_1D),
    "MaxPooling1D": lambda x: kpool.layers.MaxPooling1D(**ONLY_PADDING_1D)(x),
    "AveragePooling1D": lambda x: kpool.layers.AveragePooling1D(**ONLY_PADDING_1D)(x),
    "OverlappingMaxPooling1D": lambda x: kpool.layers.OverlappingMaxPooling1D(**ONLY_PADDING_1D)(x),
}


@pytest.mark.parametrize("mode", KERNEL_MODES)
@pytest.mark.parametrize("function", SEE_PADDING)
def test_windows_that_see_only_padding_in_public(function, mode):
    """Dilation 2, window 2, padding 1, length 1; known when the function is called, or only when its graph runs."""
    fails(lambda: SEE_PADDING[function](image(1, 1, 1)), ONLY_PADDING, mode, errors=ValueError)
    if mode != "eager":
        signature = [tf.TensorSpec((None, None, None))]
        graph = tf.function(SEE_PADDING[function], signature, jit_compile=mode == "xla")
        errors = tf.errors.InternalError if mode == "xla" else tf.errors.InvalidArgumentError
        fails(lambda: graph(image(1, 1, 1)), ONLY_PADDING, errors=errors)
