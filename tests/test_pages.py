"""Memory that the ops are about to write is asked for in huge pages, where the system has them."""

import json
from pathlib import Path

import pytest
from conftest import run_python

HUGE_PAGES = pytest.mark.skipif(
    not Path("/sys/kernel/mm/transparent_hugepage").is_dir(), reason="this system has no transparent huge pages"
)

# In a process of its own: what another test has asked for would stay asked for.
ASKED = """
    import json
    from pathlib import Path
    import numpy as np
    import tensorflow as tf
    from kpool.tf.library import ops

    def flags():
        "Where each mapping begins and ends, and whether huge pages were asked for there."
        for line in Path("/proc/self/smaps").read_text().splitlines():
            first, *rest = line.split()
            if first == "VmFlags:":
                yield begin, end, "hg" in rest
            elif not first.endswith(":"):
                begin, end = (int(place, 16) for place in first.split("-"))

    def asked(tensor):
        "Whether huge pages were asked for wherever a tensor lies."
        data = np.frombuffer(memoryview(tensor), np.uint8)
        begin = data.ctypes.data
        return all(huge for low, high, huge in flags() if low < begin + data.size and high > begin)

    def every_result(*shape):
        x, window = tf.ones(shape), {"window": [0, 0, 0, 0] + 2 * [2, 2, 1, 0, 0]}
        size, none = tf.constant(shape, tf.int64), tf.constant([], tf.int64)
        values, (indices,), (offsets,) = ops.kpool_max_pool(
            x, num_indices=1, num_offsets=1, Tindices=tf.int32, **window)
        return {
            "values": values,
            "indices": indices,
            "offsets": offsets,
            "max_pool_backward": ops.kpool_max_pool_backward(values, offsets, size, **window),
            "max_pool_indices": ops.kpool_max_pool_indices(offsets, size, Tindices=tf.int64, **window),
            "average_pool": ops.kpool_average_pool(x, **window),
            "average_pool_backward": ops.kpool_average_pool_backward(values, size, **window),
            "max_unpool": ops.kpool_max_unpool(values, indices, none, sum_duplicates=False, **window),
            "max_unpool_backward": ops.kpool_max_unpool_backward(x, indices, sum_duplicates=False, **window),
        }

    results = every_result(*SHAPE)
    print(json.dumps({name: asked(result) for name, result in results.items()}))
"""


def asked(*shape):
    """For each result of each op on an input of a shape, whether huge pages were asked for."""
    return json.loads(run_python(f"SHAPE = {shape}" + ASKED.replace("\n    ", "\n")).stdout)


@HUGE_PAGES
def test_large_results_lie_in_huge_pages():
    results = asked(8, 128, 128, 64)
    assert len(results) == 9
    assert all(results.values()), results


@HUGE_PAGES
def test_small_results_do_not():
    results = asked(2, 16, 16, 8)
    assert len(results) == 9
    assert not any(results.values()), results
