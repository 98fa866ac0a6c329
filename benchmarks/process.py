"""A contender in a process of its own.

PyTorch gets one. Its OpenMP threads, TensorFlow's and the allocators of both would otherwise share a process, which
neither's users do, and one library's symbols could stand in for the other's. Turns are timed in there, between two
messages; rounds stay interleaved.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from typing import Any

from benchmarks.cases import Case
from benchmarks.contender import Arrays, Call, Contender

# A forked process would have TensorFlow's locks, but not its threads.
SPAWN = multiprocessing.get_context("spawn")

# In the process over there: the contender, and its calls by number.
_contender: Contender
_calls: list[Call] = []


class Elsewhere(Contender):
    """A contender that another process holds.

    Args:
        make: Makes the contender over there, from `arguments`. A function or class of a module.

    Raises:
        ImportError: If the contender cannot be imported.
    """

    def __init__(self, make: Callable[..., Contender], *arguments: Any) -> None:
        self._process = ProcessPoolExecutor(1, SPAWN)
        try:
            self.name = self.ask(_start, make, *arguments)
        except Exception:
            self.close()
            raise

    def ask(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Call a function over there, and wait for what it returns or raises."""
        return self._process.submit(function, *arguments).result()

    def prepare(self, case: Case) -> Call | None:
        number = self.ask(_prepare, case)
        return None if number is None else CallElsewhere(self, number)

    def forget(self) -> None:
        self.ask(_forget)

    def close(self) -> None:
        """End the process."""
        self._process.shutdown()


class CallElsewhere:
    """A call that another process holds, under a number."""

    def __init__(self, contender: Elsewhere, number: int) -> None:
        self._contender, self._number = contender, number

    def results(self) -> Arrays | None:
        return self._contender.ask(_results, self._number)

    def seconds(self) -> float:
        return self._contender.ask(_seconds, self._number)


def _start(make: Callable[..., Contender], *arguments: Any) -> str:
    global _contender
    _contender = make(*arguments)
    return _contender.name


def _prepare(case: Case) -> int | None:
    call = _contender.prepare(case)
    if call is None:
        return None
    _calls.append(call)
    return len(_calls) - 1


def _results(number: int) -> Arrays | None:
    return _calls[number].results()


def _seconds(number: int) -> float:
    return _calls[number].seconds()


def _forget() -> None:
    _calls.clear()
    _contender.forget()
