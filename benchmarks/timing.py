"""Interleaved timing: in every round each contender has one turn, and nobody always follows the same other."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from time import perf_counter, sleep
from typing import TypeVar

from benchmarks.contender import Call

Key = TypeVar("Key")

# A turn is at least this long: short calls are repeated, and their mean is the turn's time.
TURN = 0.002
# Before a turn the threads of the one before it have this long to stop spinning.
PAUSE = 0.01
# Calls longer than this are not rehearsed: no cache keeps what they leave behind.
LONG = 0.05
# Rounds there are in any case, however slow a contender is.
FEWEST_ROUNDS = 3


def interleaved(calls: Mapping[Key, Call], rounds: int, budget: float) -> dict[Key, list[float]]:
    """The seconds that one call took in each round, for each contender.

    Args:
        rounds: How often everyone has a turn.
        budget: Seconds after which no further round begins, if there were `FEWEST_ROUNDS`.
    """
    times: dict[Key, list[float]] = {key: [] for key in calls}
    with without_garbage_collection():
        estimates = {key: call.seconds(1, rehearse=True) for key, call in calls.items()}
        begin = perf_counter()
        for number in range(rounds):
            if number >= FEWEST_ROUNDS and perf_counter() - begin > budget:
                break
            for key in rotated(list(calls), number):
                sleep(PAUSE)
                repeats = max(1, round(TURN / max(estimates[key], 1e-7)))
                times[key].append(calls[key].seconds(repeats, rehearse=estimates[key] < LONG))
    return times


def rotated(keys: Sequence[Key], number: int) -> Sequence[Key]:
    """The keys in another order for each number: from another one on, every other time backwards."""
    first = number // 2 % max(len(keys), 1)
    order = [*keys[first:], *keys[:first]]
    return order[::-1] if number % 2 else order


@contextmanager
def without_garbage_collection() -> Iterator[None]:
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
