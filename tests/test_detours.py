"""Indices that lie in their own windows are met by asking the windows; others are followed, with the same result."""

from itertools import product

import numpy as np
import pytest
import tensorflow as tf
from conftest import PAIRS, hostile, oriented, same_bits
from native import WINDOW
from reference import Pooling

from kpool.kernels import driver
from kpool.ops import max_pool, max_unpool
from kpool.tf.library import ops

# Where some rows and columns belong to several windows, to one, or to none.
WINDOWS = {
    "disjoint": ((2, 2), (2, 2), "valid", (1, 1)),
    "disjoint, of three axes": ((1, 2, 2), (1, 2, 2), "valid", (1, 1, 1)),
    "pairs behind half of one": ((2, 2), (2, 2), ((1, 0), (1, 0)), (1, 1)),
    "pairs that overlap in height": ((3, 2), (2, 2), "valid", (1, 1)),
    "pairs that overlap in depth": ((3, 2, 2), (2, 2, 2), "valid", (1, 1, 1)),
    "pairs apart": ((2, 2), (2, 2), "valid", (1, 3)),
    "overlapping": ((3, 3), (2, 2), ((1, 1), (1, 0)), (1, 1)),
    "gaps": ((2, 1), (3, 3), "valid", (1, 1)),
    "dilated": ((2, 3), (2, 1), "valid", (2, 3)),
    "dilated, disjoint": ((2, 2), (3, 3), "valid", (2, 2)),
    "dilated, disjoint, of three axes": ((2, 2, 1), (3, 3, 1), "valid", (2, 2, 1)),
    "one column": ((3, 11), (1, 11), "valid", (1, 1)),
}


@pytest.mark.parametrize("name", WINDOWS)
@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
@pytest.mark.parametrize(("dtype", "index_dtype"), [("float32", "int32"), ("float16", "int64"), ("uint8", "int32")])
def test_indices_of_pooling_are_met(name, data_format, dtype, index_dtype, rng):
    size, strides, padding, dilation = WINDOWS[name]
    for shape, channels in product([(2, 9, 11), (1, 40, 70)], [1, 3, 17, 40, 70]):
        shape = (*shape, 3)[: len(size) + 1]
        x = oriented(hostile(rng, (*shape, channels), dtype), data_format)
        arguments = (size, strides, padding, data_format)
        values, indices = max_pool(x, *arguments, dilation_rate=dilation, return_indices=True, index_dtype=index_dtype)
        oracle = Pooling(shape[1:], size, strides, PAIRS.get(padding, padding), dilation)
        first = data_format == "channels_first"
        before = driver.detours()
        values = tf.constant(values)
        with tf.GradientTape() as tape:
            tape.watch(values)
            unpooled = max_unpool(values, indices, *arguments, dilation_rate=dilation, output_size=shape[1:])
        same_bits(unpooled.numpy(), oracle.scatter(values.numpy(), np.asarray(indices), first))
        if dtype != "uint8":
            same_bits(
                tape.gradient(unpooled, values, tf.constant(x)).numpy(), oracle.gather(x, np.asarray(indices), first)
            )
        assert driver.detours() == before


@pytest.mark.parametrize(("images", "channels"), [(1, 17), (1, 40), (70, 300)])
def test_an_index_of_another_window_is_followed_there_and_back(images, channels):
    indices = np.zeros((images, 2, 2, channels), "int32")
    indices[:, 1] = 15
    indices[0, 0, 1, -1] = 1
    values = np.arange(indices.size, dtype="float32").reshape(indices.shape)
    gradients = np.arange(16.0 * images * channels, dtype="float32").reshape(images, 4, 4, channels) + 1
    oracle = Pooling((4, 4), (2, 2), (2, 2))
    before = driver.detours()
    same_bits(max_unpool(values, indices, 2), oracle.scatter(values, indices))
    assert driver.detours() == before + 1
    found = ops.kpool_max_unpool_backward(gradients, indices, sum_duplicates=False, **WINDOW)
    same_bits(found.numpy(), oracle.gather(gradients, indices))


def test_positions_that_differ_in_their_high_bits_alone():
    """In a plane of rows of 2^16 elements those of one column do."""
    values = np.arange(1.0, 2**15 * 32 + 1, dtype="float32").reshape(1, 1, 2**15, 32)
    indices = np.broadcast_to(np.arange(0, 2**16, 2, dtype="int32")[:, None], values.shape).copy()
    indices[..., 0, :] = 2**16 + 1
    tensor = tf.constant(values)
    before = driver.detours()
    with tf.GradientTape() as tape:
        tape.watch(tensor)
        unpooled = max_unpool(tensor, indices, 2)
    expected = np.zeros((1, 2, 2**16, 32), "float32")
    expected[0, 0, 2::2] = values[0, 0, 1:]
    expected[0, 1, 1] = values[0, 0, 0]
    same_bits(unpooled.numpy(), expected)
    gradients = np.arange(2.0**22, dtype="float32").reshape(expected.shape)
    expected = np.concatenate([gradients[:, 1:, 1:2], gradients[:, :1, 2::2]], axis=2)
    same_bits(tape.gradient(unpooled, tensor, tf.constant(gradients)).numpy(), expected)
    assert driver.detours() == before


@pytest.mark.parametrize("images", [1, 20])
@pytest.mark.parametrize("name", ["overlapping", "dilated"])
def test_gradients_of_shared_elements_are_met_in_several_blocks_of_channels(name, images, rng):
    """Blocks are narrower than all channels where rows are few, or where a line does not hold them."""
    size, strides, padding, dilation = WINDOWS[name]
    oracle = Pooling((5, 11), size, strides, PAIRS.get(padding, padding), dilation)
    x = hostile(rng, (images, 5, 11, 421), "float32")
    arguments = (size, strides, padding)
    values, indices = max_pool(x, *arguments, dilation_rate=dilation, return_indices=True)
    values = tf.constant(values)
    before = driver.detours()
    with tf.GradientTape() as tape:
        tape.watch(values)
        rule = {"dilation_rate": dilation, "output_size": (5, 11), "duplicates": "sum"}
        unpooled = max_unpool(values, indices, *arguments, **rule)
    gradients = tape.gradient(unpooled, values, tf.constant(x))
    same_bits(gradients.numpy(), oracle.gather(x, np.asarray(indices), duplicates="sum"))
    assert driver.detours() == before


def test_sizes_that_no_windows_explain_are_followed_at_once(rng):
    gradients = hostile(rng, (2, 5, 7, 64), "float32")
    indices = rng.integers(0, 35, (2, 2, 6, 64)).astype("int32")
    expected = np.take_along_axis(gradients.reshape(2, 35, 64), indices.reshape(2, 12, 64), 1).reshape(indices.shape)
    before = driver.detours()
    found = ops.kpool_max_unpool_backward(gradients, indices, sum_duplicates=True, **WINDOW)
    same_bits(found.numpy(), expected)
    assert driver.detours() == before
