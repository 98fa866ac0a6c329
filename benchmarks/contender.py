"""What takes part in a race: something that prepares a case, and then is called and timed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from math import ceil
from time import perf_counter
from typing import Any, Protocol

import numpy as np

from benchmarks.cases import Case

Arrays = list[np.ndarray]

# A turn is at least this long: short calls are repeated, and their mean is the turn's time.
TURN = 0.01
# The untimed call that goes ahead of a turn to warm the caches is the turn, if it takes this long: no cache helps it.
LONG = 0.05
# Operations in one call, at most.
MOST_STEPS = 64


class Call(Protocol):
    """A case that a contender has prepared."""

    def results(self) -> Arrays | None:
        """What an operation gives, with the channels last and kpool's indices; None if there is nothing to compare."""

    def seconds(self) -> float:
        """The mean time of an operation during one turn."""


class Contender(ABC):
    """Somebody who can do what kpool does.

    Attributes:
        name: How races call it.
    """

    name: str

    @abstractmethod
    def prepare(self, case: Case) -> Call | None:
        """Make everything ready for calls; None if the contender cannot do this."""

    def forget(self) -> None:  # noqa: B027 - most have nothing to forget: what they prepared goes with the calls.
        """Let go of what was prepared."""


@dataclass(frozen=True)
class LocalCall:
    """A call in this process.

    Attributes:
        run: One call. What it returns is dropped, and its memory with it.
        compared: The arrays to compare, from what `run` returned.
        steps: How many operations one call does, one after the other.
        around: Settings that are in force during calls.
    """

    run: Callable[[], Any]
    compared: Callable[[Any], Arrays | None] = lambda _: None
    steps: int = 1
    around: Callable[[], AbstractContextManager[Any]] = nullcontext

    def results(self) -> Arrays | None:
        with self.around():
            return self.compared(self.run())

    def seconds(self) -> float:
        with self.around():
            spent, calls = self.spend(1), 1
            if spent < LONG:
                calls = ceil(TURN / spent)
                spent = self.spend(calls)
        return spent / (calls * self.steps)

    def spend(self, calls: int) -> float:
        """The seconds that so many calls take."""
        run = self.run
        begin = perf_counter()
        for _ in range(calls):
            run()
        return perf_counter() - begin

    def steps_of_turn(self) -> int:
        """How many operations a call should do: a turn's worth, as far as `MOST_STEPS` allows."""
        self.run()
        return min(ceil(TURN / self.spend(1)), MOST_STEPS)
