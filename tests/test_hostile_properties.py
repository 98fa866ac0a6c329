"""Hypothesis feeds the native ops hostile attributes and tensors: each case ends in the right result or in an error.

A case begins as a call that is right in all its parts; up to three of them are then spoilt. It runs in a sandbox with
little memory, so that a crash is one failure, and what would be huge fails. What the op accepts all the same must be
what the oracle gives for it.
"""

from math import prod

import numpy as np
import pytest
import tensorflow as tf
from conftest import FLOATS, INTEGERS, LINUX, numpy_dtype, same_bits
from hypothesis import example, given
from hypothesis import strategies as st
from native import window
from reference import Pooling
from sandbox import with_memory
from strategies import adaptive_poolings, poolings

from kpool.kernels import driver
from kpool.tf.library import ops

EXTREMES = [-(2**63), -(2**31), -536870912, -1, 0, 1, 3, 2**31 - 1, 2**31, 2**32, 2**32 + 3, 2**40, 2**62, 2**63 - 1]
HOSTILE = st.one_of(st.sampled_from(EXTREMES), st.integers(-3, 12), st.integers(-(2**63), 2**63 - 1))
DTYPES = ["float16", "bfloat16", "float32", "float64", "int8", "uint8", "int32", "int64", "uint64", "bool"]
OPS = [
    "kpool_max_pool",
    "kpool_max_pool_backward",
    "kpool_max_pool_indices",
    "kpool_average_pool",
    "kpool_average_pool_backward",
    "kpool_max_unpool",
    "kpool_max_unpool_backward",
]
ERRORS = ("InvalidArgumentError", "NotFoundError", "ResourceExhaustedError", "ValueError")
MEMORY = 64 << 20
SMALL = 1 << 16  # elements of a result that the oracle checks


@st.composite
def calls(draw, op):
    """The inputs and attributes of a call that is right."""
    windows, oracle, shape, first = draw(st.one_of(poolings(), adaptive_poolings()))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    floats_only = "average" in op or op == "kpool_max_pool_backward"
    dtype = draw(st.sampled_from(FLOATS if floats_only else FLOATS + INTEGERS))
    pooled = (*shape[:2], *oracle.pooled) if first else (shape[0], *oracle.pooled, shape[-1])
    index_dtype = draw(st.sampled_from(["int32", "int64"]))
    flags = [int(draw(st.booleans())) for _ in range(2)]
    few_taps = prod(oracle.pool_size) <= 255
    large, small = (rng.integers(-4, 5, size).astype(numpy_dtype(dtype)) for size in (shape, pooled))
    # Indices of a window's own are met by asking it, others are followed.
    own = draw(st.booleans())
    anywhere = rng.integers(0, prod(oracle.spatial), pooled)
    indices = (own_indices(rng, oracle, pooled, first) if own else anywhere).astype(index_dtype)
    offsets = rng.integers(0, min(256, prod(oracle.pool_size)), pooled).astype("uint8")
    size = np.array(shape, "int64")
    divisor = {"count_include_pad": bool(flags[0]), "divisor_override": draw(st.sampled_from([0, 0, 1, 7]))}
    by_index = {"sum_duplicates": bool(flags[1])}
    inputs, attributes = {
        "kpool_max_pool": (
            [large],
            {"num_indices": flags[0], "num_offsets": flags[1] and int(few_taps), "Tindices": index_dtype},
        ),
        "kpool_max_pool_backward": ([small, offsets, size], {}),
        "kpool_max_pool_indices": ([offsets, size], {"Tindices": index_dtype}),
        "kpool_average_pool": ([large], divisor),
        "kpool_average_pool_backward": ([small, size], divisor),
        "kpool_max_unpool": ([small, indices, np.array(oracle.spatial, "int64")], by_index),
        "kpool_max_unpool_backward": ([large, indices], by_index),
    }[op]
    right = few_taps or op not in ("kpool_max_pool_backward", "kpool_max_pool_indices")
    met = own and op.startswith("kpool_max_unpool")
    return inputs, {"window": list(windows.attributes["window"]), **attributes}, right, met


def own_indices(rng, oracle, pooled, first):
    """For each window the position of one of its elements."""
    batch, channels = pooled[0], pooled[1 if first else -1]
    planes = np.stack([rng.choice([at for _, at in window], batch * channels) for window in oracle.windows], 1)
    planes = planes.reshape(batch, channels, *oracle.pooled)
    return planes if first else np.moveaxis(planes, 1, -1)


@st.composite
def hostile_calls(draw, op):
    """The same, whether it is right still, and whether its indices are sure to lie in their own windows."""
    inputs, attributes, right, met = draw(calls(op))
    for _ in range(draw(st.integers(0, 3))):
        right = met = False
        part = draw(st.integers(-2, len(inputs) - 1))
        if part == -2:
            attributes["window"] = draw(spoilt_list(attributes["window"]))
        elif part == -1:
            name = draw(st.sampled_from(sorted(set(attributes) - {"window", "Tindices"}) or ["window"]))
            if name == "window":
                attributes[name] = draw(spoilt_list(attributes[name]))
            else:
                attributes[name] = draw(spoilt_number(name, attributes[name]))
        else:
            inputs[part] = draw(spoilt_tensor(inputs[part]))
    return inputs, attributes, right, met


def spoilt_number(name, value):
    if isinstance(value, bool):
        return st.booleans()
    # TensorFlow makes room for so many outputs, of any op, before the op can refuse them.
    return st.sampled_from([-1, 2, 3, 1000]) if name.startswith("num_") else HOSTILE


@st.composite
def spoilt_list(draw, values):
    values = list(values)
    how = draw(st.sampled_from(["value", "value", "value", "longer", "shorter", "other"]))
    if how == "value" and values:
        values[draw(st.integers(0, len(values) - 1))] = draw(HOSTILE)
    elif how == "longer":
        values += draw(st.lists(HOSTILE, min_size=1, max_size=20))
    elif how == "shorter":
        values = values[: draw(st.integers(0, len(values)))]
    elif how == "other":
        values = draw(st.lists(HOSTILE, max_size=24))
    return values


@st.composite
def spoilt_tensor(draw, tensor):
    if tensor.dtype == np.int64 and tensor.ndim == 1 and draw(st.booleans()):
        return np.array(draw(spoilt_list(tensor.tolist())), "int64")
    how = draw(st.sampled_from(["shape", "axis", "dtype", "element", "bits"]))
    if how == "shape":
        return np.resize(tensor, draw(st.lists(st.integers(0, 4), max_size=7)))
    if how == "axis" and tensor.ndim:
        shape = list(tensor.shape)
        shape[draw(st.integers(0, tensor.ndim - 1))] = draw(st.integers(0, 9))
        return np.resize(tensor, shape)
    if how == "dtype":
        with np.errstate(invalid="ignore", over="ignore"):
            return tensor.astype(numpy_dtype(draw(st.sampled_from(DTYPES))))
    tensor = np.array(tensor)
    if tensor.size and how == "element":
        value = np.array([draw(HOSTILE)], "int64")
        with np.errstate(invalid="ignore", over="ignore"):
            tensor.reshape(-1)[draw(st.integers(0, tensor.size - 1))] = value.astype(tensor.dtype)[0]
    elif tensor.size and tensor.dtype.kind in "iu":
        rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
        tensor = np.frombuffer(rng.bytes(tensor.nbytes), tensor.dtype).reshape(tensor.shape)
    return tensor


def outcome(op, inputs, attributes):
    """The results of a native op, those that are large as their shapes alone, and the detours that it took.

    Where it fails, the error's type and message.
    """
    tensors = [tf.constant(x) for x in inputs]
    detours = driver.detours()
    try:
        results = with_memory(MEMORY, lambda: tf.nest.flatten(getattr(ops, op)(*tensors, **attributes)))
    except tf.errors.OpError as error:
        return type(error).__name__, error.message
    except ValueError as error:
        # TensorFlow refuses some dtypes and numbers of outputs before it makes the op.
        return type(error).__name__, str(error)
    small = [x.numpy() if x.shape.num_elements() <= SMALL else tuple(x.shape) for x in results]
    return small, driver.detours() - detours


def numbers(*shape):
    return np.arange(1, prod(shape) + 1, dtype="float32").reshape(shape)


BEHIND = window((1, 2), (1, 5), (1, 2))
SPARSE = window((8, 8), (2**31 - 1,) * 2)
TALL = window((16, 2), (1, 1))
BY_INDEX = {"sum_duplicates": True}
EIGHT = np.array((8, 8), "int64")
# Calls that were wrong once.
FAILED = {
    "kpool_max_pool": [
        # Rows of windows that are taken together, and three that are left.
        ([numbers(1, rows + 15, 5, 3)], {**TALL, "num_indices": 1, "num_offsets": 1, "Tindices": "int32"}, True, False)
        for rows in (3, 7, 11)
    ],
    "kpool_average_pool": [
        # More memory than the sandbox has, of which a sanitizer made an abort.
        (
            [np.ones((1, 1, 1), "float16")],
            {"window": [0, 0, 0, 1, 2**31 - 1], "count_include_pad": False, "divisor_override": 0},
            False,
            False,
        )
    ],
    "kpool_max_unpool": [
        ([numbers(1, 1, 1, 32), np.full((1, 1, 1, 32), 63, "int32"), EIGHT], {**SPARSE, **BY_INDEX}, True, True)
    ],
    "kpool_max_unpool_backward": [
        # The last window of a row begins behind its end.
        (
            [numbers(1, 2, 10, 32), np.repeat(np.array([0, 5, 10, 10, 15, 19], "int32"), 32).reshape(1, 2, 3, 32)],
            {**BEHIND, **BY_INDEX},
            True,
            False,
        ),
        ([numbers(1, 8, 8, 32), np.full((1, 1, 1, 32), 63, "int32")], {**SPARSE, **BY_INDEX}, True, True),
    ],
}


@LINUX
@pytest.mark.parametrize("op", OPS)
def test_hostile_calls(op, sandbox):
    @given(hostile_calls(op))
    def property_of_op(call):
        inputs, attributes, right, met = call
        result, more = sandbox(outcome, op, inputs, attributes)
        if isinstance(result, str):
            assert not right, more
            assert result in ERRORS, (result, more)
        else:
            check(op, inputs, attributes, result)
            assert more == 0 or not met

    for call in FAILED.get(op, []):
        property_of_op = example(call)(property_of_op)
    property_of_op()


def check(op, inputs, attributes, results):
    """What was accepted is right, if it is small enough to tell."""
    flags, numbers = attributes["window"][:4], attributes["window"][4:]
    small = all(isinstance(x, np.ndarray) for x in results) and all(-1 <= n <= 512 for n in numbers)
    if small and prod(results[0].shape):
        EXPECTED[op](inputs, attributes, results, oracle_of(op, inputs, flags, numbers, results), flags[0] == 1)


def oracle_of(op, inputs, flags, numbers, results):
    """The oracle for a window as the op took it, read here independently of the package."""
    first, ceil, same, divided = flags
    shape = {"kpool_max_unpool": results[0].shape}.get(op, inputs[0].shape)
    if op in ("kpool_max_pool_backward", "kpool_max_pool_indices", "kpool_average_pool_backward"):
        shape = inputs[-1].tolist()
    spatial = shape[2:] if first else shape[1:-1]
    if op.startswith("kpool_max_unpool"):
        # Indices alone count.
        oracle = Pooling(spatial, (1,) * len(spatial))
        pooled = inputs[1].shape
        oracle.pooled = tuple(pooled[2:] if first else pooled[1:-1])
        return oracle
    if divided:
        return Pooling.adaptive(spatial, [None if n == -1 else n for n in numbers])
    sizes, strides, dilations, before, after = zip(*np.reshape(numbers, (-1, 5)).tolist(), strict=True)
    pairs = list(zip(before, after, strict=True))
    return Pooling(spatial, sizes, strides, "same" if same else pairs, dilations, bool(ceil))


def max_pool_is_right(inputs, attributes, results, oracle, first):
    values, indices, taps = oracle.max_pool(inputs[0], first)
    same_bits(results[0], values)
    if attributes["num_indices"]:
        same_bits(results[1], indices.astype(attributes["Tindices"]))
    if attributes["num_offsets"]:
        same_bits(results[-1], taps.astype("uint8"))


def positions_of(offsets, oracle, first):
    """Where each offset of a window points in its plane, -1 where the window has no such element."""
    planes, restore = oracle._planes(offsets, first, oracle.pooled)
    places = [dict(window) for window in oracle.windows]
    return restore(np.array([[place.get(int(tap), -1) for place, tap in zip(places, p, strict=True)] for p in planes]))


def max_pool_backward_is_right(inputs, attributes, results, oracle, first):
    positions = positions_of(inputs[1], oracle, first)
    gradients = np.where(positions < 0, 0, inputs[0].astype("float64"))
    expected = oracle.scatter(gradients, positions.clip(0), first, "sum")
    tolerance = {"float16": 2e-3, "bfloat16": 2e-2}.get(results[0].dtype.name, 1e-6)
    with np.errstate(over="ignore"):
        np.testing.assert_allclose(results[0].astype("float64"), expected, tolerance, tolerance)


def max_pool_indices_are_right(inputs, attributes, results, oracle, first):
    positions = positions_of(inputs[0], oracle, first)
    same_bits(np.where(positions < 0, -1, results[0].astype("int64")), positions)


def average_is_right(inputs, attributes, results, oracle, first, backward=False):
    rule = {"count_include_pad": attributes["count_include_pad"]}
    rule["divisor_override"] = attributes["divisor_override"] or None
    average = oracle.average_pool_backward if backward else oracle.average_pool
    expected = average(inputs[0].astype("float64"), first, **rule)
    tolerance = {"float16": 2e-3, "bfloat16": 2e-2}.get(results[0].dtype.name, 1e-5)
    with np.errstate(over="ignore"):
        expected = expected.astype(results[0].dtype).astype("float64")
    np.testing.assert_allclose(results[0].astype("float64"), expected, tolerance, tolerance)


def average_backward_is_right(*arguments):
    average_is_right(*arguments, backward=True)


def max_unpool_is_right(inputs, attributes, results, oracle, first):
    duplicates = "sum" if attributes["sum_duplicates"] else "last"
    wide = inputs[0].dtype if inputs[0].dtype.kind in "iu" else "float64"
    with np.errstate(over="ignore"):
        expected = oracle.scatter(inputs[0].astype(wide), inputs[1], first, duplicates).astype(inputs[0].dtype)
    same_bits(results[0] + 0, expected + 0)


def max_unpool_backward_is_right(inputs, attributes, results, oracle, first):
    duplicates = "sum" if attributes["sum_duplicates"] else "last"
    same_bits(results[0], oracle.gather(inputs[0], inputs[1], first, duplicates))


EXPECTED = {
    "kpool_max_pool": max_pool_is_right,
    "kpool_max_pool_backward": max_pool_backward_is_right,
    "kpool_max_pool_indices": max_pool_indices_are_right,
    "kpool_average_pool": average_is_right,
    "kpool_average_pool_backward": average_backward_is_right,
    "kpool_max_unpool": max_unpool_is_right,
    "kpool_max_unpool_backward": max_unpool_backward_is_right,
}
