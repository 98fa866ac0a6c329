"""The worker pool: same answers for any number of threads and callers, few threads, safe over fork."""

import multiprocessing
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from time import sleep

import numpy as np
import pytest
import tensorflow as tf
from conftest import FLOATS, LINUX, numpy_dtype, run_python

from kpool.kernels import driver, threads
from kpool.ops import adaptive_average_pool, adaptive_max_pool, average_pool, global_average_pool, max_pool, max_unpool
from kpool.ops.geometry import make_window
from kpool.tf import max_unpool as tensor_unpool
from kpool.tf.library import follow_thread_settings, ops


def bytes_of_every_op(x):
    """Every kernel over one input, as bytes."""
    x = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(x)
        values, indices = max_pool(x, 3, 2, "same", return_indices=True)
        unpooled = max_unpool(values, indices, 3, 2, "same", output_size=x.shape[1:3])
        loss = tf.reduce_sum(values * 0.1 + unpooled[:, ::2, ::2] * 0.3)
    gradient = tape.gradient(loss, x)
    window = make_window(2, 3, 2, "same")
    # Duplicates of the windows' own, and of indices that lie in no window of theirs.
    moved = [
        part
        for where in (indices, indices // 2)
        for rule in ("last", "sum")
        for part in (
            tensor_unpool(values, where, window, x.shape[1:3], rule),
            ops.kpool_max_unpool_backward(x, where, sum_duplicates=rule == "sum", **window.attributes),
        )
    ]
    parts = (values, indices, unpooled, gradient, *moved, *channels_first(x), *averages(x))
    return b"".join(part.numpy().tobytes() for part in parts)


def channels_first(x):
    """Overlapping pooling, unpooling by both rules, and their gradients, along contiguous planes."""
    window = make_window(2, 3, 2, 1, "channels_first")
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(x)
        values, indices = max_pool(x, 3, 2, 1, "channels_first", return_indices=True)
        unpooled = [tensor_unpool(values, indices, window, x.shape[2:], rule) for rule in ("last", "sum")]
    return values, indices, *unpooled, *(tape.gradient(part, x, part) for part in (values, *unpooled))


def averages(x):
    """Average and adaptive pooling, and their gradients."""
    parts = []
    for pool in (
        lambda x: average_pool(x, (3, 7), (1, 2), "same"),
        lambda x: average_pool(x, 3, 2, 1, "channels_first", ceil_mode=True, count_include_pad=True),
        lambda x: adaptive_average_pool(x, (7, 10)),
        lambda x: adaptive_max_pool(x, (7, 10)),
        global_average_pool,
    ):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = pool(x)
        parts += y, tape.gradient(y, x, y)
    return parts


def test_jobs_that_arrive_while_workers_fall_asleep(thread_count):
    """Callers that pause for about as long as a worker looks for work before it sleeps."""
    thread_count(3)

    def call(seed):
        rng = np.random.default_rng(seed)
        done = []
        for pause in rng.uniform(0, 4e-4, 500):
            sleep(pause)
            done.append(threads.exercise(64))
        return done

    with ThreadPoolExecutor(8) as callers:
        assert all(done == [64] * 500 for done in callers.map(call, range(8)))


@pytest.mark.parametrize("dtype", FLOATS)
def test_the_same_bits_for_any_number_of_threads(dtype, thread_count, level, rng):
    """On every instruction set, and every time."""
    x = rng.normal(size=(4, 33, 35, 40)).astype(numpy_dtype(dtype))
    results = set()
    for name in driver.LEVELS:
        driver.set_level(name)
        for count in (1, 2, 3, 7, 16):
            thread_count(count)
            results.update(bytes_of_every_op(x) for _ in range(3 if count > 1 else 1))
    assert len(results) == 1


def test_the_same_bits_where_channels_are_divided(thread_count, level, rng):
    """Few rows and many channels: threads share a row."""
    x = rng.normal(size=(1, 2, 40, 1000)).astype("float32")
    results = set()
    for name in driver.LEVELS:
        driver.set_level(name)
        for count in (1, 2, 3, 7, 16):
            thread_count(count)
            results.add(bytes_of_every_op(x))
    assert len(results) == 1


def test_subnormal_numbers_count_on_every_thread(thread_count):
    """TensorFlow's threads flush them to zero; a result must not depend on who computed it."""
    x = np.zeros((64, 32, 32, 8), "float32")
    x[:, 1::2, 1::2] = 1e-41
    for count in (1, 2):
        thread_count(count)
        values, indices = tf.function(lambda x: max_pool(x, 2, return_indices=True))(x)
        assert (values.numpy() == np.float32(1e-41)).all()
        assert indices[0, 0, 0, 0] == 33
        sums = tf.function(lambda x: average_pool(x, 2, divisor_override=1))(x)
        assert (sums.numpy() == np.float32(1e-41)).all()


def test_many_callers_get_right_answers_and_share_the_workers(thread_count, rng):
    before = threads.num_workers()
    thread_count(4)
    inputs = [rng.normal(size=(4, 64, 64, 32)).astype("float32") for _ in range(16)]
    expected = [bytes_of_every_op(x) for x in inputs]
    with ThreadPoolExecutor(16) as callers:
        for _ in range(5):
            assert list(callers.map(bytes_of_every_op, inputs)) == expected
    # Three for all callers; lowering the number ends no worker that another test has started.
    assert threads.num_workers() == max(before, 3)


@LINUX
def test_the_number_of_threads_in_the_process_is_bounded():
    out = run_python(
        """
        import os
        from concurrent.futures import ThreadPoolExecutor
        import tensorflow as tf
        tf.config.threading.set_intra_op_parallelism_threads(3)
        tf.config.threading.set_inter_op_parallelism_threads(4)
        import kpool
        from kpool.kernels import threads
        x = tf.random.normal((8, 64, 64, 32))
        pool = tf.function(lambda x: kpool.ops.max_pool(x, 2))
        pool(x)
        count = lambda: len(os.listdir("/proc/self/task"))
        before = count()
        with ThreadPoolExecutor(8) as callers:
            list(callers.map(lambda _: [pool(x) for _ in range(50)], range(8)))
            during = count() - before - 8
        print(during, threads.num_threads(), threads.num_workers())
        """
    ).stdout
    during, per_call, workers = map(int, out.split())
    assert per_call == 3
    assert workers == 2
    assert during <= 0


@pytest.mark.parametrize("when", ["before", "after"])
def test_tensorflows_setting_is_followed(when):
    out = run_python(
        f"""
        import tensorflow as tf
        if {when == "before"}: tf.config.threading.set_intra_op_parallelism_threads(5)
        import kpool
        if {when == "after"}: tf.config.threading.set_intra_op_parallelism_threads(5)
        kpool.ops.max_pool(tf.zeros((1, 2, 2, 1)), 2)
        from kpool.kernels import threads
        print(threads.num_threads())
        """
    ).stdout
    assert out == "5\n"


@LINUX
def test_without_a_setting_every_core_is_used():
    out = run_python("import kpool; from kpool.kernels import threads; print(threads.num_threads())").stdout
    assert out == f"{len(os.sched_getaffinity(0))}\n"


@LINUX
@pytest.mark.parametrize(("text", "count"), [("3", 3), (" 3 ", 3), ("0", 0), ("", 0), ("abc", 0), ("9" * 11, 0)])
def test_tensorflows_variable_is_followed(text, count, thread_count, monkeypatch):
    """And what TensorFlow passes over in it is none to kpool."""
    assert tf.config.threading.get_intra_op_parallelism_threads() == 0
    monkeypatch.setenv("TF_NUM_INTRAOP_THREADS", text)
    thread_count(1)
    follow_thread_settings.__wrapped__()
    assert threads.num_threads() == (count or len(os.sched_getaffinity(0)))


def test_small_tensors_wake_nobody():
    out = run_python(
        """
        import tensorflow as tf
        import kpool
        from kpool.kernels import threads
        for _ in range(100):
            kpool.ops.max_pool(tf.zeros((1, 8, 8, 8)), 2)
        print(threads.num_workers())
        """
    ).stdout
    assert out == "0\n"


def allowed_cores():
    """Of this thread, where they can be asked for."""
    return os.sched_getaffinity(0) if sys.platform == "linux" else None


def _kernel_in_child(queue):
    from kpool.kernels import threads

    # TensorFlow itself does not survive a fork, so the child runs the pool alone.
    cores, before = allowed_cores(), threads.num_workers()
    threads.set_num_threads(2)
    done = [threads.exercise(1 << 20) for _ in range(3)]
    # As many jobs as there were workers, and fewer workers: none may have been given to one that is gone.
    queue.put((before, done, threads.num_workers(), allowed_cores() == cores))


def test_a_forked_child_starts_its_own_workers(thread_count):
    thread_count(3)
    assert threads.exercise(1 << 20) == 1 << 20
    assert threads.num_workers() >= 2
    sleep(0.1)
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    child = context.Process(target=_kernel_in_child, args=(queue,))
    child.start()
    assert queue.get(timeout=60) == (0, [1 << 20] * 3, 1, True)
    child.join(60)
    assert child.exitcode == 0


@LINUX
@pytest.mark.parametrize("cores", [1, 2])
def test_a_worker_is_woken_on_another_core_and_may_then_run_on_all(cores):
    if len(os.sched_getaffinity(0)) < cores:
        pytest.skip("this process may not use that many cores")
    run_python(
        f"""
        import os
        from time import sleep
        from kpool.kernels import threads
        home = set(sorted(os.sched_getaffinity(0))[:{cores}])
        core = min(home)
        os.sched_setaffinity(0, home)
        tasks = lambda: set(os.listdir("/proc/self/task"))
        threads.set_num_threads(2)
        before = tasks()
        threads.exercise(2)
        [worker] = map(int, tasks() - before)
        os.sched_setaffinity(0, {{core}})
        seen = []
        for _ in range(200):
            sleep(1e-3)
            assert threads.exercise(2) == 2
            seen.append(os.sched_getaffinity(worker))
        elsewhere = home - {{core}} or home
        assert elsewhere in seen
        assert all(cores in (home, elsewhere) for cores in seen)
        sleep(0.1)
        assert os.sched_getaffinity(worker) == home
        """
    )


def test_the_interpreter_ends_while_the_pool_is_busy():
    run_python(
        """
        import threading
        import tensorflow as tf
        import kpool
        x = tf.random.normal((16, 128, 128, 32))
        def forever():
            while True:
                kpool.ops.max_pool(x, 3, 2)
        for _ in range(3):
            threading.Thread(target=forever, daemon=True).start()
        for _ in range(20):
            kpool.ops.max_pool(x, 3, 2)
        """
    )


@pytest.mark.parametrize("wrong", [-1, -100])
def test_numbers_of_threads_that_cannot_be(wrong):
    with pytest.raises(ValueError, match=r"`threads` must be .* Received: threads=-"):
        threads.set_num_threads(wrong)
