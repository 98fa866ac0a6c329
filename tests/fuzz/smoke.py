"""Random bytes for every target, from several threads at once: `python smoke.py 20` goes on for 20 seconds."""

import random
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import alone  # noqa: F401
import entry

from kpool.kernels import threads

THREADS = 3


def run(seed: int, until: float) -> int:
    rng = random.Random(seed)
    targets = list(entry.TARGETS.values())
    count = 0
    while time.monotonic() < until:
        data = bytearray(rng.randbytes(rng.randint(1, 60)))
        # Numbers of 64 bits are mostly refused.
        for i in range(len(data)):
            data[i] = min(data[i], rng.choice((199, 254, 255)))
        for target in targets:
            target(bytes(data))
        # Few of the jobs are worth waking a worker.
        if threads.exercise(1 << 10) != 1 << 10:
            sys.exit("The pool lost items.")
        count += len(targets)
    return count


if __name__ == "__main__":
    threads.set_num_threads(THREADS)
    until = time.monotonic() + float(sys.argv[1])
    with ThreadPoolExecutor(4) as callers:
        counts = list(callers.map(lambda seed: run(seed, until), range(4)))
    print(f"{sum(counts)} calls, {threads.num_workers()} workers")
    if threads.num_workers() != THREADS - 1:
        sys.exit(f"{THREADS - 1} workers were to take part.")
