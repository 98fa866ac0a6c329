"""Start the workers of a run on this host, one process each, and end all of them when one fails."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from typing import IO

from shared.command import ExampleError

SECONDS_BETWEEN_LOOKS = 0.1


def configurations(count: int) -> list[str]:
    """A TF_CONFIG for each of so many workers, at ports of the loopback that were free a moment ago."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for listener in sockets:
            listener.bind(("127.0.0.1", 0))
        addresses = [f"127.0.0.1:{listener.getsockname()[1]}" for listener in sockets]
    return [
        json.dumps({"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}})
        for index in range(count)
    ]


def run(arguments: Sequence[str], count: int) -> None:
    """Run Python with these arguments once per worker, until all have ended.

    Only the output of the first worker, the chief, is shown; of another one only what it says when it fails.

    Raises:
        ExampleError: If a worker fails. The others, which would wait for it, are ended.
    """
    with contextlib.ExitStack() as stack:
        messages = [stack.enter_context(tempfile.TemporaryFile("w+")) for _ in range(count)]
        workers: list[subprocess.Popen[str]] = []
        stack.callback(end, workers)
        for index, configuration in enumerate(configurations(count)):
            workers.append(start(arguments, configuration, messages[index], shown=index == 0))
        failed = wait(workers)
        if failed is not None:
            messages[failed].seek(0)
            sys.stderr.write(messages[failed].read())
            raise ExampleError(
                f"Worker {failed} of {count} {how_it_ended(workers[failed].returncode)}, and so the run has ended. The "
                "same command goes on after the last epoch that was finished."
            )


def start(arguments: Sequence[str], configuration: str, messages: IO[str], shown: bool) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, *arguments],
        env={**os.environ, "TF_CONFIG": configuration},
        stdin=subprocess.DEVNULL,
        stdout=None if shown else subprocess.DEVNULL,
        stderr=messages,
        text=True,
    )


def wait(workers: Sequence[subprocess.Popen[str]]) -> int | None:
    """Wait until all workers have ended, or one has failed; which one, if any."""
    while True:
        codes = [worker.poll() for worker in workers]
        for index, code in enumerate(codes):
            if code:
                return index
        if None not in codes:
            return None
        time.sleep(SECONDS_BETWEEN_LOOKS)


def end(workers: Sequence[subprocess.Popen[str]]) -> None:
    for worker in workers:
        worker.kill()
        worker.wait()


def how_it_ended(code: int) -> str:
    return f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
