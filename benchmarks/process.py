"""A contender in a process of its own.

PyTorch gets one. Its OpenMP threads, TensorFlow's and the allocators of both would otherwise share a process, which
neither's users do, and one library's symbols could stand in for the other's. Calls are timed in there, between two
messages; rounds stay interleaved.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

from benchmarks.cases import Case
from benchmarks.contender import Call, Contender

SPAWN = multiprocessing.get_context("spawn")


class Elsewhere:
    """A contender that another process holds.

    Args:
        make: Makes the contender over there, from `arguments`. A function or class of a module.

    Raises:
        ImportError: If the contender cannot be imported.
    """

    def __init__(self, make: Callable[..., Contender], *arguments: Any) -> None:
        self._connection, theirs = SPAWN.Pipe()
        self._process = SPAWN.Process(target=serve, args=(theirs, make, arguments), daemon=True)
        self._process.start()
        theirs.close()
        self.name: str = self._receive()

    def ask(self, method: str, *arguments: Any) -> Any:
        """Let the process over there do something, and wait for its answer."""
        self._connection.send((method, arguments))
        return self._receive()

    def _receive(self) -> Any:
        answer = self._connection.recv()
        if isinstance(answer, Exception):
            raise answer
        return answer

    def prepare(self, case: Case) -> Call | None:
        number = self.ask("prepare", case)
        return None if number is None else CallElsewhere(self, number)

    def forget(self) -> None:
        self.ask("forget")

    def close(self) -> None:
        """End the process."""
        self._connection.close()
        self._process.join()


class CallElsewhere:
    """A call that another process holds, under a number."""

    def __init__(self, contender: Elsewhere, number: int) -> None:
        self._contender, self._number = contender, number

    def results(self) -> list[np.ndarray] | None:
        return self._contender.ask("results", self._number)

    def seconds(self, calls: int, rehearse: bool) -> float:
        return self._contender.ask("seconds", self._number, calls, rehearse)


class Server:
    """The contender and its prepared calls, in the process that holds them."""

    def __init__(self, contender: Contender) -> None:
        self._contender = contender
        self._calls: list[Call] = []

    def prepare(self, case: Case) -> int | None:
        call = self._contender.prepare(case)
        if call is None:
            return None
        self._calls.append(call)
        return len(self._calls) - 1

    def results(self, number: int) -> list[np.ndarray] | None:
        return self._calls[number].results()

    def seconds(self, number: int, calls: int, rehearse: bool) -> float:
        return self._calls[number].seconds(calls, rehearse)

    def forget(self) -> None:
        self._calls.clear()
        self._contender.forget()


def serve(connection: Connection, make: Callable[..., Contender], arguments: tuple[Any, ...]) -> None:
    """Do what is asked until the other side hangs up."""
    try:
        contender = make(*arguments)
        server = Server(contender)
        connection.send(contender.name)
        while True:
            method, parameters = connection.recv()
            connection.send(attempt(getattr(server, method), parameters))
    except EOFError:
        pass
    except ImportError as error:
        connection.send(error)


def attempt(function: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
    """What a function returns, or the exception that it raises."""
    try:
        return function(*arguments)
    except Exception as error:
        return error


def in_fresh_process(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call a function of a module in a process that has done nothing else."""
    ours, theirs = SPAWN.Pipe(duplex=False)
    process = SPAWN.Process(target=send_result, args=(theirs, function, arguments))
    process.start()
    theirs.close()
    try:
        result = ours.recv()
    finally:
        process.join()
    if isinstance(result, Exception):
        raise result
    return result


def send_result(connection: Connection, function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    connection.send(attempt(function, arguments))
