"""No exception can cross from the compiled code into C, nor into a worker: the compiler is told so everywhere."""

import re
from pathlib import Path

import pytest

SOURCES = Path(__file__).parents[1] / "kpool"
pytestmark = pytest.mark.skipif(not SOURCES.exists(), reason="the sources are not here")
# A function's head, to the end of its promise; functions are among the arguments of some.
FUNCTION = re.compile(
    r'^cdef (?P<name>[\w ,*\[\]]*?\w+)(?: "\w+" )?\((?:[^()]|\([^()]*\))*\)(?P<promise>[^:\n]*):?$', re.MULTILINE
)
FILES = sorted(SOURCES.glob("*/*.p[xy][idx]"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_compiled_functions_promise_no_exception(path):
    source = path.read_text()
    functions = [(match["name"], match["promise"].strip()) for match in FUNCTION.finditer(source)]
    # None is missed that begins with its arguments on a line of its own.
    assert len(functions) == len(re.findall(r"^cdef (?!extern|struct|enum|class)[^=\n]*\(", source, re.MULTILINE))
    assert [name for name, promise in functions if promise != "noexcept nogil"] == []


def test_functions_are_found():
    found = [match["name"] for path in FILES for match in FUNCTION.finditer(path.read_text())]
    assert {"void parallel_for", "void compute_max_pool", "void place_back", "bint max_unpool_backward"} <= set(found)


def test_functions_that_may_raise_are_noticed():
    promises = [
        FUNCTION.search(f"cdef int work(void (*call)(int)){promise}:\n")["promise"] for promise in ("", " nogil")
    ]
    assert promises == ["", " nogil"]
