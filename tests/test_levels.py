"""Kernels of every instruction set that the processor has: chosen as asked, and the same bits from each."""

import os
import platform
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from conftest import FLOATS, INTEGERS, LINUX, hostile, run_python, same_bits

import kpool
from kpool.kernels import driver
from kpool.ops.geometry import make_adaptive_window, make_window
from kpool.tf import average_pool, max_pool, max_unpool

WINDOWS = [
    make_window(2, 2, data_format="channels_last"),
    make_window(2, (3, 2), 1, "same", "channels_last"),
    make_window(2, (5, 4), (2, 3), 2, "channels_last", dilation_rate=(1, 2)),
    make_window(2, 3, 2, 1, "channels_first", ceil_mode=True),
    make_window(2, (16, 17), 1, "same", "channels_first"),
    make_adaptive_window(2, (5, 3), "channels_last"),
    make_adaptive_window(2, 1, "channels_first"),
]


@pytest.mark.parametrize("channels", [1, 3, 8, 37])
@pytest.mark.parametrize("dtype", FLOATS + INTEGERS)
def test_all_levels_give_the_same_bits(rng, dtype, channels, level):
    x = tf.constant(hostile(rng, (2, 19, 23, channels), dtype))
    driver.set_level("baseline")
    expected = list(results_of_every_op(x))
    assert len(expected) > len(WINDOWS)
    for name in driver.LEVELS:
        driver.set_level(name)
        # Results go past the cache where there is none.
        for cache_size in (1, 0):
            driver.set_cache_size(cache_size)
            for actual, other in zip(results_of_every_op(x), expected, strict=True):
                same_bits(actual, other)


def test_blocks_of_channels_past_the_cache(rng, level):
    """Parts of rows, which begin anywhere, go past the cache as whole rows do."""
    x = tf.constant(hostile(rng, (1, 2, 8, 2101), "float32"))
    expected = list(results_of_every_op(x))
    driver.set_cache_size(1)
    for actual, other in zip(results_of_every_op(x), expected, strict=True):
        same_bits(actual, other)


def results_of_every_op(x):
    """What every op gives for every window, forward and backward."""
    for window in WINDOWS:
        inputs = tf.transpose(x, [0, 3, 1, 2]) if window.channels_first else x
        with tf.GradientTape(persistent=True) as tape:
            tape.watch(inputs)
            values, indices = max_pool(inputs, window, "int32")
            averages = average_pool(inputs, window) if x.dtype.is_floating else values
        yield values
        yield indices
        yield averages
        if window.output_size is None:
            for duplicates in ("last", "sum"):
                with tf.GradientTape() as unpooling:
                    unpooling.watch(values)
                    unpooled = max_unpool(values, indices, window, window.spatial(tuple(inputs.shape)), duplicates)
                yield unpooled
                if x.dtype.is_floating:
                    yield unpooling.gradient(unpooled, values, inputs)
        if x.dtype.is_floating:
            yield tape.gradient(values, inputs, values)
            yield tape.gradient(averages, inputs, averages)


def test_the_best_level_is_the_default():
    result = run_python("from kpool.kernels import driver; print(driver.level(), *driver.LEVELS)")
    chosen, *levels = result.stdout.split()
    assert levels == list(driver.LEVELS)
    assert chosen == os.environ.get("KPOOL_SIMD", levels[-1])
    assert levels[0] == "baseline"


@LINUX
@pytest.mark.skipif(platform.machine() != "x86_64", reason="other machines have one level")
def test_this_processor_has_the_levels_that_it_says():
    flags = set(Path("/proc/cpuinfo").read_text().split())
    v3 = {"avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "abm", "movbe", "xsave"}
    v4 = {"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"}
    # A build for debugging may have fewer.
    built = {name for name in ("avx2", "avx512") if find_spec(f"kpool.kernels.forward_{name}")}
    assert ("avx2" in driver.LEVELS) == ("avx2" in built and v3 <= flags)
    assert ("avx512" in driver.LEVELS) == ("avx512" in built and v3 | v4 <= flags)


@pytest.mark.parametrize("name", driver.LEVELS)
def test_an_environment_variable_forces_a_level(name, monkeypatch):
    monkeypatch.setenv("KPOOL_SIMD", name)
    result = run_python("import kpool; kpool.show_config()")
    assert f"instruction set: {name}, of {', '.join(driver.LEVELS)};" in result.stdout


def test_an_unknown_level_is_refused(monkeypatch, level):
    message = "`level`, or the environment variable KPOOL_SIMD, must be an instruction set that this processor has"
    with pytest.raises(ValueError, match=message):
        driver.set_level("sse9")
    assert driver.level() == level
    monkeypatch.setenv("KPOOL_SIMD", "sse9")
    result = run_python("import kpool", check=False)
    assert result.returncode == 1
    assert message in result.stderr


def test_show_config_prints_versions_and_threads(capsys):
    kpool.show_config()
    printed = capsys.readouterr().out
    assert printed.startswith(f"kpool {kpool.__version__}, tensorflow {tf.__version__}, keras ")
    assert f"numpy {np.__version__}" in printed
    assert "\nthreads per call: " in printed
    assert f"\nlast-level cache of a core: {driver.cache_size() / 2**20:.0f} MiB\n" in printed


@pytest.mark.parametrize(("asked", "answer"), [("1", "on\n"), ("0", "off; TF_ENABLE_ONEDNN_OPTS=1 turns it on")])
def test_show_config_tells_whether_tensorflow_uses_onednn(asked, answer, monkeypatch):
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", asked)
    assert f"\nTensorFlow's oneDNN: {answer}" in run_python("import kpool; kpool.show_config()").stdout
