"""A tensor of more than 2^31 elements is pooled and unpooled up to its far end."""

from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from conftest import LINUX
from native import window
from sandbox import Sandbox

from kpool.tf.library import ops

LARGE = 2**31 + 2**17  # elements
NEEDED = 4 << 30  # bytes


def large_tensor(channels, index_dtype):
    """The far end of a tensor of more than 2^31 elements, pooled and unpooled; the most that the process held."""
    rows = LARGE // 2**15 // channels
    # Pages that nobody writes take no memory, if nobody copies them.
    x = np.zeros((1, rows, 2**15, channels), "uint8")
    x[0, 0, 1, 0] = 5
    x[0, -1, -2, -1] = 7
    whole = window((2, 2**14), (2, 2**14))
    tensor = tf.experimental.dlpack.from_dlpack(x.__dlpack__())
    values, (indices,), _ = ops.kpool_max_pool(tensor, num_indices=1, Tindices=index_dtype, **whole)
    assert values.shape == (1, rows // 2, 2, channels)
    np.testing.assert_array_equal(np.argwhere(values), [[0, 0, 0, 0], [0, rows // 2 - 1, 1, channels - 1]])
    last = rows * 2**15 - 2
    assert (indices[0, 0, 0, 0], indices[0, -1, -1, -1]) == (1, last)
    gathered = ops.kpool_max_unpool_backward(tensor, indices, sum_duplicates=True, **whole)
    np.testing.assert_array_equal(gathered, values)
    size = tf.constant((rows, 2**15), tf.int64)
    restored = np.frombuffer(ops.kpool_max_unpool(values, indices, size, sum_duplicates=False, **whole), "uint8")
    assert (restored[channels], restored[-channels - 1]) == (5, 7)
    assert np.count_nonzero(restored) == 2
    del restored
    wrong = indices.numpy()
    wrong[-1, -1, -1, -1] = rows * 2**15
    message = rf"indices\[0, {rows // 2 - 1}, 1, {channels - 1}\]={rows * 2**15}\b"
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        ops.kpool_max_unpool_backward(tensor, tf.constant(wrong), sum_duplicates=True, **whole)
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        ops.kpool_max_unpool(values, tf.constant(wrong), size, sum_duplicates=False, **whole)
    peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(peak.split()[1]) << 10


def available():
    if LINUX.args[0]:
        return 0
    lines = Path("/proc/meminfo").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith("MemAvailable"))


@LINUX
@pytest.mark.skipif(available() < NEEDED, reason="a tensor of more than 2^31 elements and its result take 4 GB")
@pytest.mark.parametrize(("channels", "index_dtype"), [(1, "int64"), (2, "int64"), (64, "int32")])
def test_more_than_two_to_the_31_elements(channels, index_dtype):
    """With one channel the plane is that large, and its indices; with more only the tensor is."""
    with closing(Sandbox()) as own:
        assert own(large_tensor, channels, index_dtype) < NEEDED
