"""Memory: calls and failed calls leave none behind, and running out of it is an error."""

import ctypes
import gc
import os
from contextlib import closing
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from conftest import LINUX, run_python
from hypothesis import settings
from native import WINDOW, average, image, indices_of, pool, unpool, unpool_backward, window
from sandbox import Sandbox, with_memory

import kpool
from kpool.tf.library import ops

BOTH = {"num_indices": 1, "num_offsets": 1}


class Heap(ctypes.Structure):
    """What `mallinfo2` tells."""

    _fields_ = [
        *((name, ctypes.c_size_t) for name in ("arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks")),
        *((name, ctypes.c_size_t) for name in ("uordblks", "fordblks", "keepcost")),
    ]


def in_use():
    """Bytes that the process has allocated, and bytes of it in memory."""
    gc.collect()
    libc = ctypes.CDLL(None)
    libc.malloc_trim(0)
    libc.mallinfo2.restype = Heap
    heap = libc.mallinfo2()
    resident = int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")
    return heap.uordblks + heap.hblkhd, resident


def every_op(x):
    """Ten calls, in which each op takes part, with all that it allocates."""
    size = tf.constant(x.shape, tf.int64)
    halves = tf.cast(x[:, ::2, ::2], tf.float16)
    spatial = size[1:3]

    def call():
        values, (indices,), (offsets,) = ops.kpool_max_pool(x, **BOTH, Tindices=tf.int64, **WINDOW)
        ops.kpool_max_pool_backward(values, offsets, size, **WINDOW)
        ops.kpool_max_pool_indices(offsets, size, Tindices=tf.int32, **WINDOW)
        means = ops.kpool_average_pool(x, **WINDOW)
        ops.kpool_average_pool_backward(means, size, **WINDOW)
        ops.kpool_max_unpool(values, indices, spatial, **WINDOW)
        ops.kpool_max_unpool(halves, indices, spatial, sum_duplicates=True, **WINDOW)
        ops.kpool_max_unpool_backward(x, indices, sum_duplicates=True, **WINDOW)
        ops.kpool_max_unpool_backward(x, indices, sum_duplicates=False, **WINDOW)
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = kpool.ops.max_pool(x, 2)
        tape.gradient(y, x, values)

    return call


def gradient_of_others(x):
    """The gradient of an op of TensorFlow's own; 2.16 forgets what it makes for the output that has none."""

    def call():
        with tf.GradientTape() as tape:
            tape.watch(x)
            y, _ = tf.nn.max_pool_with_argmax(x, 2, 2, "VALID")
        tape.gradient(y, x)

    return call


def failures(x):
    """Ten calls that fail, when the op has checked its inputs or when it has run, of tensors that would be missed."""
    bad = tf.fill((1, 32, 32, 16), tf.constant(2**32 + 3, tf.int64))
    values = tf.zeros(bad.shape)
    shape = tf.constant(x.shape, tf.int64)
    none = tf.constant((), tf.int64)
    halves = tf.cast(values, tf.float16)
    offsets = tf.zeros(bad.shape, tf.uint8)
    return [
        ("`pool_size` must not exceed", lambda: pool(x, **window(sizes=(65, 65)))),
        ("one-byte offsets", lambda: pool(x, **window(sizes=(16, 16)), num_offsets=1)),
        ("`pool_size` must not exceed", lambda: average(x, **window(dilations=(99, 1)))),
        ("`gradients` and `offsets`", lambda: ops.kpool_max_pool_backward(x, offsets, shape, **WINDOW)),
        ("rank 4", lambda: ops.kpool_max_pool_indices(offsets, shape[1:], Tindices=tf.int32, **WINDOW)),
        ("`gradients` must have the shape", lambda: ops.kpool_average_pool_backward(x, shape, **WINDOW)),
        ("must lie in", lambda: ops.kpool_max_unpool(values, bad, none, sum_duplicates=False, **WINDOW)),
        ("must lie in", lambda: ops.kpool_max_unpool(halves, bad, none, sum_duplicates=True, **WINDOW)),
        ("must lie in", lambda: ops.kpool_max_unpool_backward(x, bad, sum_duplicates=True, **WINDOW)),
        ("must lie in", lambda: ops.kpool_max_unpool_backward(x, bad, sum_duplicates=False, **WINDOW)),
    ]


def refusals(x):
    """Ten nodes that cannot be made."""
    wrong = {
        "`strides` must": window(strides=(0, 1)),
        "1099511627776": window(sizes=(2**40, 1)),
        r"pool_size=\(0,\)": {"window": [0] * 9},
        "`window` must hold": {"window": []},
    }
    calls = [(message, partial(op, x, **wrong[message])) for op in (pool, average) for message in wrong]
    calls += [("`num_offsets`", partial(pool, x, num_offsets=2))]
    calls += [("`divisor_override`", partial(average, x, divisor_override=-1))]
    return calls


def failure_of_others(length):
    """An op of TensorFlow's own that fails, with a message of about so many characters."""
    condition = tf.constant(False)

    def failing(text):
        return "assertion failed", partial(tf.raw_ops.Assert, condition=condition, data=[tf.constant(text)])

    return failing("-" * (length - len(fails(*failing("")))))


def fails(message, call):
    with pytest.raises(tf.errors.InvalidArgumentError, match=message) as caught:
        call()
    return caught.value.message


def all_fail(calls, x):
    calls = calls(x)
    return lambda: [fails(*call) for call in calls]


def others_fail(calls, x):
    """As many failures of an op of TensorFlow's own, and with messages as long."""
    alike = [failure_of_others(len(fails(*call))) for call in calls(x)]
    return lambda: [fails(*call) for call in alike]


def in_use_after(maker, rounds):
    """What is in use after so many rounds of calls."""
    call = maker(tf.random.stateless_normal((1, 64, 64, 16), (0, 0)))
    for _ in range(rounds):
        call()
    del call
    return np.array(in_use())


def forgotten(sandbox, maker, calls):
    """Bytes that each of so many calls leaves allocated, and in memory."""
    before = sandbox(in_use_after, maker, 100)
    for _ in range(max(1, calls // 2000)):
        after = sandbox(in_use_after, maker, 200)
    return (after - before) / calls


MIB = 1 << 20
MANY = settings.default.max_examples * 100  # calls: 20,000 in a quick run, a million in a nightly one
GLIBC = pytest.mark.skipif(
    not hasattr(ctypes.CDLL(None), "mallinfo2"), reason="only glibc from 2.33 tells what is in use"
)


@GLIBC
def test_calls_leave_no_memory_behind(sandbox):
    allocated, resident = forgotten(sandbox, every_op, MANY)
    # The least that a call could forget, its status, has 48 bytes.
    assert allocated < 4
    # Nor do they grow with the number of calls: a million take no more than that either. Pages come and go, some
    # hundred at a time; what is forgotten stays, and shows in each of three attempts.
    others = max(0, forgotten(sandbox, gradient_of_others, MANY)[1])
    most = others + min(48, 4 * MIB / MANY)
    assert resident < most or any(forgotten(sandbox, every_op, MANY)[1] < most for _ in range(2))


@GLIBC
@pytest.mark.parametrize("calls", [failures, refusals])
def test_calls_that_fail_leave_no_memory_behind(calls, sandbox):
    """TensorFlow keeps some 700 bytes of every failure, and more of a long message, whatever op it is."""
    # What TensorFlow keeps differs by some 30 bytes with the op. A status, of 48 bytes, can hide in that: the test
    # above sees those of calls, that of a node none. An `Attributes` or a tensor cannot.
    others = forgotten(sandbox, partial(others_fail, calls), MANY // 5)[0]
    assert forgotten(sandbox, partial(all_fail, calls), MANY // 5)[0] < others + 50


# What a call may take beyond its inputs, and a call that wants more: at each place where an op allocates.
SHORT = {
    "max_pool": (32, lambda: pool(image(1, 8192, 8192, 1, dtype="uint8"), **window((1, 1), (1, 1)))),
    "max_pool, indices": (
        64,
        lambda: pool(image(1, 8192, 8192, 1, dtype="uint8"), num_indices=1, Tindices=tf.int64),
    ),
    "max_pool, offsets": (
        96,
        lambda: pool(image(1, 8192, 8192, 1, dtype="uint8"), num_offsets=1, **window((1, 1), (1, 1))),
    ),
    "max_pool_backward": (
        32,
        lambda: backward_of(ops.kpool_max_pool_backward, 512, tf.zeros((1, 512, 512, 1), "uint8")),
    ),
    "max_pool_indices": (64, lambda: indices_of((1, 4096, 4096, 1), (1, 4096, 4096, 1), **window((1, 1), (1, 1)))),
    "average_pool": (32, lambda: average(image(1, 4096, 4096, 1), **window((1, 1), (1, 1)))),
    "average_pool_backward": (32, lambda: backward_of(ops.kpool_average_pool_backward, 512)),
    "max_unpool": (32, lambda: unpool(np.zeros((1, 512, 512, 1)), **window((8, 8), (8, 8)))),
    "max_unpool, sums": (
        48,
        lambda: unpool(
            np.zeros((1, 512, 512, 1)),
            image(1, 512, 512, 1, dtype="float16"),
            sum_duplicates=True,
            **window((8, 8), (8, 8)),
        ),
    ),
    "max_unpool_backward": (32, lambda: unpool_backward((1, 4, 4, 1), (1, 4096, 4096, 1))),
    "max_unpool_backward, last": (
        32,
        lambda: ops.kpool_max_unpool_backward(
            image(1, 8192, 8192, 1, dtype="uint8"), tf.zeros((1, 2, 2, 1), tf.int32), sum_duplicates=False, **WINDOW
        ),
    ),
}


def backward_of(op, size, *offsets):
    shape = tf.constant((1, 8 * size, 8 * size, 1), tf.int64)
    return op(image(1, size, size, 1), *offsets, shape, **window((8, 8), (8, 8)))


def short_of_memory(place):
    """The error where memory is short, and whether the same op works right after."""
    megabytes, call = SHORT[place]
    enough = with_memory_for_ops(None, call)
    with pytest.raises(tf.errors.ResourceExhaustedError) as caught:
        with_memory_for_ops(megabytes * MIB, call)
    again = with_memory_for_ops(None, call)
    tf.nest.map_structure(lambda a, b: np.testing.assert_array_equal(a[0, -1, -1], b[0, -1, -1]), enough, again)
    return caught.value.message


def with_memory_for_ops(extra, call):
    """Call, and let the native op in it have no more than `extra` bytes; its inputs can be as large as they are."""
    native = {name: getattr(ops, name) for name in dir(ops) if name.startswith("kpool_")}
    if extra is None:
        return call()
    for name, op in native.items():
        setattr(ops, name, lambda *x, op=op, **attributes: with_memory(extra, lambda: op(*x, **attributes)))
    try:
        return call()
    finally:
        for name, op in native.items():
            setattr(ops, name, op)


@LINUX
@pytest.mark.parametrize("place", SHORT)
def test_too_little_memory_is_an_error(place):
    """Each place in a process of its own: what others had and left free would hide that memory is short."""
    with closing(Sandbox()) as sandbox:
        assert "llocat" in sandbox(short_of_memory, place)


@LINUX
def test_workers_that_cannot_start():
    """The callers do what is to be done; once workers can start they do. Stacks do not follow the user's limits."""
    out = run_python(
        f"""
        import ctypes, sys
        sys.path.insert(0, {str(Path(__file__).parent)!r})
        from sandbox import Sandbox, with_memory
        from kpool.kernels import threads

        libc = ctypes.CDLL(None)
        attributes = ctypes.create_string_buffer(64)
        assert libc.pthread_getattr_default_np(attributes) == 0
        libc.pthread_attr_setstacksize(attributes, ctypes.c_size_t(48 << 10))
        assert libc.pthread_setattr_default_np(attributes) == 0
        threads.set_num_threads(9)
        work = lambda: threads.exercise(1 << 20)
        print(with_memory(512 << 10, work), threads.num_workers())
        print(with_memory(3 << 20, work), threads.num_workers() in (1, 2))
        print(work(), threads.num_workers())

        import kpool, tensorflow
        for dtype in ("float32", "int8", "uint64"):
            x = tensorflow.ones((32, 64, 64, 32), dtype)
            print(kpool.ops.max_pool(x, 3, 2, return_indices=True)[0].numpy().all())
        """
    ).stdout
    assert out == f"{1 << 20} 0\n{1 << 20} True\n{1 << 20} 8\nTrue\nTrue\nTrue\n"
