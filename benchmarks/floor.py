"""The floor: a plain copy of as many bytes as an operation must read and write.

Half of the bytes are read and half are written, from one buffer to another that are allocated and touched beforehand.
Each thread copies one contiguous slice with `np.copyto`, which is libc's `memmove` and lets go of Python's lock. Waking
another thread takes Python tens of microseconds; where that makes one thread the faster one, the floor is its time.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from statistics import median

import numpy as np

from benchmarks.cases import Case
from benchmarks.contender import Call, LocalCall

TRIALS = 9


class Copy:
    """A copy from buffer to buffer."""

    name = "copy"

    def __init__(self, threads: int) -> None:
        self.threads = threads
        # The caller copies a slice too.
        self.helpers = ThreadPoolExecutor(max(threads - 1, 1))

    def prepare(self, case: Case) -> Call | None:
        source = np.ones(case.bytes_moved // 2, np.uint8)
        destination = np.zeros_like(source)
        candidates = [LocalCall(self.copying(source, destination, n), lambda _: None) for n in {1, self.threads}]
        trials = [median(call.seconds(1, rehearse=True) for _ in range(TRIALS)) for call in candidates]
        return candidates[trials.index(min(trials))]

    def forget(self) -> None:
        """Buffers go with their calls."""

    def copying(self, source: np.ndarray, destination: np.ndarray, threads: int) -> Callable[[], None]:
        """A function that copies with so many threads."""
        (first, *others) = zip(np.array_split(destination, threads), np.array_split(source, threads), strict=True)

        def copy() -> None:
            waiting = [self.helpers.submit(np.copyto, *pair) for pair in others]
            np.copyto(*first)
            for helper in waiting:
                helper.result()

        return copy
