"""The command line of an example."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple


class ExampleError(Exception):
    """Something that ends the example, told in one sentence."""


class Example(NamedTuple):
    """An example that answers a question.

    Attributes:
        file: Its file, after which its picture is named.
        documentation: Its docstring, which begins with the question.
        measure: Finds the answer; called with whether to be quick about it.
        tell: Prints what was found.
        draw: Draws what was found into a file.
    """

    file: str
    documentation: str
    measure: Callable[[bool], Any]
    tell: Callable[[Any], None]
    draw: Callable[[Any, Path], None]

    def main(self, arguments: Sequence[str] | None = None) -> int:
        """Run the example and return the exit code."""
        options = parser(self.documentation.splitlines()[0])
        options.add_argument("--quick", action="store_true", help="take seconds: the figures are rougher")
        return run(self.find, options.parse_args(arguments))

    def find(self, options: argparse.Namespace) -> Any:
        """Find the answer, tell it and draw it."""
        findings = self.measure(options.quick)
        self.tell(findings)
        self.draw(findings, options.out / f"{Path(self.file).stem}.png")
        return findings


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


def run(example: Callable[[argparse.Namespace], Any], options: argparse.Namespace) -> int:
    """Run an example in a folder for its pictures, and return the exit code."""
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
