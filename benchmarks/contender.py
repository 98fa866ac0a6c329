"""What takes part in a race: something that prepares a case, and then is called and timed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter
from typing import Any, Protocol

import numpy as np


class Call(Protocol):
    """A case that a contender has prepared."""

    def results(self) -> list[np.ndarray] | None:
        """What one call gives, as arrays with the channels last and indices in kpool's convention.

        None if there is nothing to compare.
        """

    def seconds(self, calls: int, rehearse: bool) -> float:
        """The mean time of so many calls. With `rehearse` an untimed one goes ahead and warms the caches."""


class Contender(Protocol):
    """Somebody who can do what kpool does.

    Attributes:
        name: The column of the tables.
    """

    name: str

    def prepare(self, case: Any) -> Call | None:
        """Make everything ready for calls; None if the contender cannot do this."""

    def forget(self) -> None:
        """Let go of what was prepared."""


@dataclass(frozen=True)
class LocalCall:
    """A call in this process.

    Attributes:
        run: One call. What it returns is dropped, and its memory with it.
        compared: The arrays to compare, from what `run` returned.
    """

    run: Callable[[], Any]
    compared: Callable[[Any], list[np.ndarray] | None]

    def results(self) -> list[np.ndarray] | None:
        return self.compared(self.run())

    def seconds(self, calls: int, rehearse: bool) -> float:
        run = self.run
        if rehearse:
            run()
        begin = perf_counter()
        for _ in range(calls):
            run()
        return (perf_counter() - begin) / calls
