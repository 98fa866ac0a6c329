"""Quiet imports, and what several test files share."""

import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

# Where the benchmark is, and test files as pytest names them, which other processes must find. Last, so that an
# installed kpool goes before the source.
sys.path.append(str(Path(__file__).parents[1]))

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")

import warnings

with warnings.catch_warnings():
    # Third-party modules warn about each other when they are imported; the tests begin after that.
    warnings.simplefilter("ignore")
    import keras
    import numpy as np
    import pytest
    import tensorflow as tf

from hypothesis import HealthCheck, settings
from sandbox import Sandbox

from kpool.kernels import driver, threads

# How many cases a property is tried on: `--hypothesis-profile=nightly` for many. A `@example` keeps each that failed.
settings.register_profile(
    "quick", max_examples=200, deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("nightly", settings.get_profile("quick"), max_examples=10_000)


def pytest_configure(config):
    # Not on import: test files import this one again, after the command line has been read.
    settings.load_profile(config.getoption("--hypothesis-profile") or "quick")


LINUX = pytest.mark.skipif(
    sys.platform != "linux", reason="/proc, limits on memory that are heeded, and the cores of a process are Linux' own"
)
CALLED_BY_XLA = pytest.mark.skipif(sys.platform != "linux", reason="XLA finds the kernels on Linux alone")

FLOATS = ["float16", "bfloat16", "float32", "float64"]
INTEGERS = ["int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"]


@pytest.fixture
def rng():
    return np.random.default_rng(20161115)


_sandbox = Sandbox()


@pytest.fixture
def sandbox():
    """Calls functions in another process, so that a crash is the failure of one test."""
    return _sandbox


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem):
    """Run a test marked `sandbox` there."""
    if pyfuncitem.get_closest_marker("sandbox") is None:
        return None
    _sandbox(pyfuncitem.obj, **(pyfuncitem.callspec.params if hasattr(pyfuncitem, "callspec") else {}))
    return True


def pytest_sessionfinish():
    _sandbox.close()


@pytest.fixture
def level():
    """The level in use is set back after the test."""
    chosen = driver.level()
    yield chosen
    driver.set_level(chosen)
    driver.set_cache_size(0)


@pytest.fixture
def thread_count():
    """Sets the number of threads, past TensorFlow's setting, for one test."""
    before = threads.num_threads()
    yield threads.set_num_threads
    threads.set_num_threads(before)


@pytest.fixture(autouse=True)
def fresh_keras():
    """No test sees names, policies or formats that another one set."""
    keras.utils.clear_session(free_memory=False)
    yield
    keras.config.set_dtype_policy("float32")
    keras.config.set_image_data_format("channels_last")


def numpy_dtype(name):
    return tf.as_dtype(name).as_numpy_dtype


def hostile(rng, shape, dtype):
    """Values that break careless code: ties, negatives, zeros of both signs, infinities, NaN."""
    dtype = numpy_dtype(dtype)
    if np.issubdtype(dtype, np.integer):
        limits = np.iinfo(dtype)
        pool = np.array([limits.min, limits.max, 0, 1, 1, limits.min + 1], dtype)
    else:
        pool = np.array([-np.inf, np.inf, np.nan, -0.0, 0.0, -1, -1, -2, 1, 3, -7.5], dtype)
    return rng.choice(pool, shape)


# Padding as the functions take it, and as the oracle does.
PAIRS = {"valid": None, "same": "same", 1: [(1, 1), (1, 1)], ((0, 1), (2, 1)): [(0, 1), (2, 1)]}


def numbers(version):
    """What versions are ordered by."""
    return [int(number) for number in re.findall(r"\d+", version)]


def oriented(x, data_format):
    return np.moveaxis(x, -1, 1) if data_format == "channels_first" else x


def small_integers(rng, shape, dtype="float32", most=8):
    return rng.integers(-most, most + 1, shape).astype(numpy_dtype(dtype))


def with_gradient(function, x, gradients=None):
    """What the function returns, and the gradient of its (first) result."""
    tensor = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(tensor)
        results = function(tensor)
    first = results[0] if isinstance(results, tuple) else results
    return keras.tree.map_structure(np.asarray, results), tape.gradient(first, tensor, gradients).numpy()


def twice_differentiated(function, x, of_value, of_gradient):
    """A function's value at x, the gradient of a scalar of it, and the gradient of a scalar of that."""
    with tf.GradientTape() as outer:
        outer.watch(x)
        with tf.GradientTape() as inner:
            inner.watch(x)
            y = function(x)
            scalar = of_value(y)
        gradient = inner.gradient(scalar, x)
        scalar = of_gradient(gradient)
    return y, gradient, outer.gradient(scalar, x)


def same_bits(actual, expected):
    """Equal to the sign of a zero, NaN counting as equal to NaN, and of the same dtype and shape."""
    actual, expected = np.asarray(actual), np.asarray(expected)
    assert actual.dtype == expected.dtype != np.dtype(object)
    assert actual.shape == expected.shape
    wide = np.float64 if actual.dtype.itemsize < 8 or actual.dtype.kind == "f" else actual.dtype
    actual, expected = actual.astype(wide), expected.astype(wide)
    np.testing.assert_array_equal(actual, expected)
    np.testing.assert_array_equal(np.signbit(actual) & (actual == 0), np.signbit(expected) & (expected == 0))


def run_python(code, check=True, **environment):
    """Run code in a fresh interpreter that imports the installed package, not the source tree around it."""
    command, environment = [sys.executable, "-P", "-c", textwrap.dedent(code)], {**os.environ, **environment}
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=check, env=environment)
