"""The sandbox itself: what kills or stops its process is one failure, and the next call finds another one."""

import faulthandler
import multiprocessing
import os
import time
import warnings

import pytest
from sandbox import Sandbox


@pytest.mark.parametrize(("function", "argument"), [(faulthandler._sigsegv, False), (os._exit, 0), (time.sleep, 60)])
def test_what_ends_the_process_is_one_failure(function, argument, capfd):
    sandbox = Sandbox(limit=1)
    try:
        first = sandbox(os.getpid)
        assert sandbox(os.getpid) == first != os.getpid()
        with pytest.raises(pytest.fail.Exception, match="The process died, or took more than 1 s: "):
            sandbox(function, argument)
        assert sandbox(os.getpid) not in (first, os.getpid())
    finally:
        sandbox.close()
    if function is not os._exit:
        assert "_within" in capfd.readouterr().err


def test_what_is_raised_comes_back():
    sandbox = Sandbox()
    try:
        with pytest.raises(ZeroDivisionError):
            sandbox(divmod, 1, 0)
        with pytest.raises(AssertionError, match=r"^nothing$"):
            sandbox(pytest.fail, "nothing")
        # A warning is an error there as well, but for what pyproject.toml lets pass.
        with pytest.raises(UserWarning, match=r"^nothing$"):
            sandbox(warnings.warn, "nothing")
        sandbox(warnings.warn, "__array__ implementation doesn't accept a copy keyword", DeprecationWarning)
    finally:
        sandbox.close()


@pytest.mark.sandbox
def test_a_file_of_tests_is_found_there():
    """Also where it is the only one that runs."""
    assert multiprocessing.parent_process() is not None
