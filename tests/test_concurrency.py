"""Callers of every kind at once, and forks: right answers, no more threads than there may be, and no deadlock."""

import os
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import tensorflow as tf
from conftest import LINUX, run_python

import kpool
from kpool.kernels import threads

CALLERS = 16


def pooled_and_back(x):
    """Four ops, the pool's workers among those who do them."""
    values, indices = kpool.ops.max_pool(x, 3, 2, "same", return_indices=True)
    restored = kpool.ops.max_unpool(values, indices, 3, 2, "same", output_size=x.shape[1:3])
    summed = kpool.ops.max_unpool(values, indices, 3, 2, "same", output_size=x.shape[1:3], duplicates="sum")
    return values, restored, summed, kpool.ops.average_pool(x, 3, 2, "same")


@tf.function
def inner(x):
    with tf.GradientTape() as tape:
        tape.watch(x)
        results = pooled_and_back(x)
        total = tf.add_n([tf.reduce_sum(part) for part in results])
    return *results, tape.gradient(total, x)


@tf.function
def outer(x):
    return tf.while_loop(lambda i, *_: i < 3, lambda i, *_: (i + 1, *inner(x)), (0, *inner(x)))[1:]


def bits(parts):
    """Where everything stands counts, and its last bit."""
    return [np.asarray(part).tobytes() for part in parts]


def eagerly(x, expected):
    return [bits(pooled_and_back(x)) == expected[:4] for _ in range(8)]


def in_nested_graphs(x, expected):
    return [bits(outer(x)) == expected for _ in range(2)]


def in_a_dataset(x, expected):
    data = tf.data.Dataset.from_tensors(x).repeat(16).map(pooled_and_back, num_parallel_calls=8)
    return [bits(parts) == expected[:4] for parts in data]


def threads_at_rest():
    """How many threads there are when none has begun or ended for a second: a dataset's own end a while after it."""
    seen, since = set(), time.monotonic()
    deadline = since + 60
    while time.monotonic() < min(since + 1, deadline):
        if (now := set(os.listdir("/proc/self/task"))) != seen:
            seen, since = now, time.monotonic()
        time.sleep(0.01)
    return len(seen)


@LINUX
@pytest.mark.sandbox
def test_callers_of_every_kind_at_once():
    """16 threads; each round of one makes 32 calls eagerly, 64 or more in nested graphs and 64 in a dataset."""
    kpool.ops.max_pool(tf.zeros((1, 2, 2, 1)), 2)
    threads.set_num_threads(4)
    before = threads.num_workers()
    inputs = [
        tf.constant(np.random.default_rng(seed).integers(-9, 9, (2, 40, 33, 16)), tf.float32) for seed in range(CALLERS)
    ]
    expected = [bits(outer(x)) for x in inputs]

    def rounds(caller, count):
        right = []
        for number in range(count):
            for kind in np.roll([eagerly, in_nested_graphs, in_a_dataset], caller + number):
                right += kind(inputs[caller], expected[caller])
        return right

    with ThreadPoolExecutor(CALLERS) as callers:
        assert all(all(right) for right in callers.map(rounds, range(CALLERS), [1] * CALLERS))
        warm = threads_at_rest()
        results = list(callers.map(rounds, range(CALLERS), [4] * CALLERS))
        assert all(len(right) == 4 * (8 + 2 + 16) for right in results)
        assert all(all(right) for right in results)
        # The callers are alive: what each of them had started for itself would be too.
        assert threads_at_rest() == warm
    # Three for all callers, unless an earlier test has started more.
    assert threads.num_workers() == max(before, 3)


def test_forked_children_pool():
    """TensorFlow's own threads do not survive a fork, kpool's start anew: its ops work in the child."""
    out = run_python(
        """
        import faulthandler, multiprocessing, os, threading
        import numpy as np
        import tensorflow as tf
        from kpool.kernels import threads
        from kpool.tf.library import ops
        import kpool

        x = tf.constant(np.random.default_rng(0).normal(size=(8, 64, 64, 32)), tf.float32)
        size = tf.constant(x.shape, tf.int64)
        spatial = tf.constant((64, 64), tf.int64)
        window = {"window": [0, 0, 0, 0, 3, 2, 1, 0, 0, 3, 2, 1, 0, 0]}

        def bytes_of_every_op():
            y, (i,), (o,) = ops.kpool_max_pool(x, num_indices=1, num_offsets=1, Tindices=tf.int32, **window)
            return b"".join(part.numpy().tobytes() for part in (
                y, i, o,
                ops.kpool_max_pool_backward(y, o, size, **window),
                ops.kpool_average_pool_backward(ops.kpool_average_pool(x, **window), size, **window),
                ops.kpool_max_unpool(y, i, spatial, **window),
                ops.kpool_max_unpool_backward(x, i, **window),
            ))

        def in_child():
            faulthandler.dump_traceback_later(60, exit=True)
            before = threads.num_workers()
            right = bytes_of_every_op() == expected and threads.exercise(1 << 20) == 1 << 20
            os._exit(0 if right and before == 0 and threads.num_workers() == 2 else 3)

        def exercise_in_child():
            faulthandler.dump_traceback_later(60, exit=True)
            os._exit(0 if threads.exercise(1 << 20) == 1 << 20 and threads.num_workers() == 2 else 3)

        kpool.ops.max_pool(x, 2)
        threads.set_num_threads(3)
        expected = bytes_of_every_op()
        fork = multiprocessing.get_context("fork")

        def exit_code(target):
            child = fork.Process(target=target)
            child.start()
            child.join(70)
            return child.exitcode

        print([exit_code(in_child) for _ in range(3)], bytes_of_every_op() == expected)

        # The same while others keep the pool busy.
        busy = True
        done = []
        def keep_busy():
            while busy:
                done.append(threads.exercise(1 << 12) == 1 << 12)
        callers = [threading.Thread(target=keep_busy) for _ in range(4)]
        for caller in callers:
            caller.start()
        print([exit_code(exercise_in_child) for _ in range(10)])
        busy = False
        for caller in callers:
            caller.join()
        print(all(done), bytes_of_every_op() == expected)
        """
    ).stdout
    assert out == f"{[0] * 3} True\n{[0] * 10}\nTrue True\n"
