"""The command line: `python -m benchmarks --help`."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

from benchmarks.facts import facts
from benchmarks.goals import GOALS, judge
from benchmarks.picture import draw
from benchmarks.races import GROUPS
from benchmarks.report import report


def positive_integer(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a positive integer. Received: {text}")
    return int(text)


def writable_file(text: str) -> Path:
    """A file that can be written, which is better known before the run than after it."""
    file = Path(text)
    if not file.parent.is_dir() or file.is_dir():
        raise argparse.ArgumentTypeError(f"must be a file in a folder that exists. Received: {text}")
    return file


def parse_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Time kpool, its peers and a plain copy side by side, and say which goals are met. Ends with 1 if "
        "anyone's results are wrong; a goal that is missed is a finding, not an error.",
    )
    parser.add_argument("--quick", action="store_true", help="few rounds, only what goals need: under two minutes")
    parser.add_argument(
        "--only", nargs="+", choices=list(GROUPS), metavar="GROUP", help=f"run only these groups: {', '.join(GROUPS)}"
    )
    parser.add_argument("--rounds", type=positive_integer, metavar="COUNT", help="turns that everyone has in a race")
    parser.add_argument("--threads", type=positive_integer, metavar="COUNT", help="for everyone; default: one per core")
    parser.add_argument("--json", type=writable_file, metavar="FILE", help="write all measurements and verdicts")
    parser.add_argument("--picture", type=writable_file, metavar="FILE", help="draw them (needs matplotlib)")
    options = parser.parse_args(arguments)
    if options.picture and not find_spec("matplotlib"):
        parser.error("argument --picture: needs matplotlib, which is not installed")
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    options = parse_arguments(arguments)
    # Imported late: the processes that a run starts import this module too, and PyTorch's is to be without TensorFlow.
    from benchmarks.runner import FULL, QUICK, everybody, run_groups, use_threads

    begin = time.monotonic()
    threads = use_threads(options.threads)
    conditions = facts(threads)
    effort = QUICK if options.quick else FULL
    if options.rounds:
        effort = replace(effort, rounds=options.rounds, budget=float("inf"))

    def say(line: str) -> None:
        print(f"{time.monotonic() - begin:5.0f} s  {line}", file=sys.stderr, flush=True)

    results = run_groups(options.only or GROUPS, everybody(threads, say), effort, threads, say)
    verdicts = [judge(goal, results) for goal in GOALS]
    kind = "quick, only what goals need" if options.quick else "full"
    conditions["effort"] = f"{kind}, at most {effort.rounds} rounds, {time.monotonic() - begin:.0f} s"
    print(report(conditions, results, verdicts))
    if options.json:
        found = {
            "facts": conditions,
            "goals": [verdict.as_json() for verdict in verdicts],
            "measurements": [measurement.as_json() for measurement in results.measurements],
            "wrong results": [mismatch.as_json() for mismatch in results.mismatches],
        }
        options.json.write_text(json.dumps(found, indent=1) + "\n")
    if options.picture:
        draw(results, options.picture)
    return 1 if results.mismatches else 0


if __name__ == "__main__":
    raise SystemExit(main())
