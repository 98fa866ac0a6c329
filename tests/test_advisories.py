"""What broke the pooling ops of others, replayed on kpool's: each case is named after the advisories it replays.

The cases run in a sandbox, so that a crash is the failure of one of them. Most run three times, the last one because
XLA checked less: alone, in a graph, and in one that XLA compiles.
"""

import numpy as np
import pytest
import tensorflow as tf
from advisories import BEYOND_INT32, NATIVE, NEGATIVE_WINDOW, OVERFLOW, POOLING, ZERO_STRIDE, ZERO_WINDOW, fails, rows
from conftest import CALLED_BY_XLA, same_bits
from native import average, average_backward, backward, image, indices_of, pool, unpool, unpool_backward, window

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


def to_public(attributes):
    names = {"sizes": "pool_size", "dilations": "dilation_rate"}
    return {"pool_size": 2, **{names.get(name, name): value for name, value in attributes.items()}}


@pytest.mark.parametrize("mode", KERNEL_MODES)
@pytest.mark.parametrize("op", NATIVE)
@rows(IMPOSSIBLE, "attributes", "names")
def test_impossible_windows_of_native_ops(attributes, names, op, mode):
    fails(lambda: NATIVE[op](**window(**attributes)), f"`({names})` must", mode)


@pytest.mark.parametrize("mode", KERNEL_MODES)
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
        same_bits(restored.numpy().ravel(), np.array([2, 0, 3, 1], "float32"))
    else:
        # Of 1, 2, 3, 4 what stands at 3, 0, 2.
        gathered = unpool_backward((1, 4, 1, 1), (1, 3, 1, 1), **attributes)
        same_bits(gathered.numpy().ravel(), np.array([4, 1, 3], "float32"))


@pytest.mark.parametrize("function", [kpool.ops.max_pool, kpool.ops.average_pool])
def test_windows_that_see_only_padding_in_public(function):
    """Dilation 2, window 2, padding 1, length 1."""
    message = "Every window must see at least one element"
    fails(lambda: function(image(1, 1, 1), 2, 1, 1, dilation_rate=2), message, errors=ValueError)
    graph = tf.function(
        lambda x: function(x, 2, 1, 1, dilation_rate=2), input_signature=[tf.TensorSpec((None, None, None))]
    )
    fails(lambda: graph(image(1, 1, 1)), message)
