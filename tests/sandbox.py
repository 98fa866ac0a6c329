"""A process of its own for what may kill it: a crash or a hang is the failure of one test, not the end of the run."""

import faulthandler
import multiprocessing
import os
import resource
import warnings
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool

import pytest


class Sandbox:
    """Calls functions in another process, which is kept from call to call, and replaced when it dies.

    What a function returns or raises comes back. Functions go by name, so they must be found in their modules. When
    the process dies, or takes more than `limit` seconds, the stacks of its threads are in the test's standard error.
    """

    def __init__(self, limit=120):
        self._limit = limit
        self._pool = None

    def __call__(self, function, /, *arguments, **options):
        if self._pool is None:
            self._pool = ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), _prepare)
        try:
            return self._pool.submit(_within, self._limit, warnings.filters[:], function, arguments, options).result()
        except BrokenProcessPool:
            self.close()
            call = f"{function.__name__}{arguments} {options}"
            pytest.fail(f"The process died, or took more than {self._limit} s: {call}")

    def close(self):
        if self._pool is not None:
            self._pool.shutdown()
            self._pool = None


def _prepare():
    # With oneDNN TensorFlow's allocator takes all memory that is left, and TensorFlow aborts where there is none.
    os.environ["TF_ENABLE_ONEDNN_OPTS"] = "0"
    faulthandler.enable()


def _within(limit, filters, function, arguments, options):
    faulthandler.dump_traceback_later(limit, exit=True)
    try:
        with warnings.catch_warnings():
            _filter_warnings(filters)
            return function(*arguments, **options)
    except pytest.fail.Exception as failure:
        # It would not survive the way back.
        raise AssertionError(str(failure)) from None
    finally:
        faulthandler.cancel_dump_traceback_later()


def _filter_warnings(filters):
    """Treat warnings as the process that calls does: by filters of which the first was set last."""
    for action, message, category, module, line in reversed(filters):
        patterns = [getattr(pattern, "pattern", pattern) or "" for pattern in (message, module)]
        warnings.filterwarnings(action, patterns[0], category, patterns[1], line)


def with_memory(extra, function, *arguments):
    """Call a function that may map no more than `extra` bytes beyond what the process has mapped already."""
    with open("/proc/self/statm") as file:
        mapped = int(file.read().split()[0]) * resource.getpagesize()
    limits = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (mapped + extra, limits[1]))
    try:
        return function(*arguments)
    finally:
        resource.setrlimit(resource.RLIMIT_AS, limits)
