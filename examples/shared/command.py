"""The command line of an example."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any


class ExampleError(Exception):
    """Something that ends the example, told in one sentence."""


def parser(description: str) -> argparse.ArgumentParser:
    """A parser of the option that every example has."""
    result = argparse.ArgumentParser(description=description)
    result.add_argument(
        "--out",
        type=Path,
        default=Path("output"),
        metavar="FOLDER",
        help="where the pictures go; made if it is not there (default: %(default)s)",
    )
    return result


def parse(documentation: str, arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The options of an example whose documentation begins with its question."""
    options = parser(documentation.splitlines()[0])
    options.add_argument("--quick", action="store_true", help="measure less, in seconds: the figures are rougher")
    return options.parse_args(arguments)


def run(example: Callable[[argparse.Namespace], Any], options: argparse.Namespace) -> int:
    """Run an example and return the exit code."""
    try:
        make_folder(options.out)
        example(options)
    except ExampleError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    return 0


def make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ExampleError(f"The folder {folder} could not be made: {error.strerror}.") from error
