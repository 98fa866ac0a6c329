"""The floor: a plain copy of as many bytes as an operation must read and write.

Half of the bytes are read and half are written, from one buffer to another that are allocated and touched beforehand.
Each thread copies a slice of its own with `np.copyto`, which is libc's `memmove` and lets go of Python's lock, many
times in a row without waiting for the others. Where one thread is the faster one all the same, the floor is its time.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np

from benchmarks.cases import Case
from benchmarks.contender import Call, Contender, LocalCall


class Copy(Contender):
    """A copy from buffer to buffer."""

    name = "copy"

    def __init__(self, threads: int) -> None:
        self.threads = threads
        # The caller copies a slice too.
        self.helpers = ThreadPoolExecutor(max(threads - 1, 1))

    def prepare(self, case: Case) -> Call | None:
        source = np.ones(case.bytes_moved // 2, np.uint8)
        destination = np.zeros_like(source)
        return min((self.copying(source, destination, n) for n in {1, self.threads}), key=LocalCall.seconds)

    def copying(self, source: np.ndarray, destination: np.ndarray, threads: int) -> LocalCall:
        """A call that copies with so many threads."""
        first, *others = zip(np.array_split(destination, threads), np.array_split(source, threads), strict=True)

        def copy(times: int) -> None:
            waiting = [self.helpers.submit(copy_often, *slices, times) for slices in others]
            copy_often(*first, times)
            for helper in waiting:
                helper.result()

        steps = LocalCall(lambda: copy(1)).steps_of_turn()
        return LocalCall(lambda: copy(steps), steps=steps)


def copy_often(destination: np.ndarray, source: np.ndarray, times: int) -> None:
    for _ in range(times):
        np.copyto(destination, source)
