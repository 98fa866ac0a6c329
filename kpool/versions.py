"""What kpool needs of the packages it stands on."""

from __future__ import annotations

import re


def require(package: str, version: str, least: str) -> None:
    """Refuse a package that is too old.

    Raises:
        ImportError: If it is.
    """

    def numbers(text: str) -> list[int]:
        return [int(number) for number in re.findall(r"\d+", text)[:2]]

    if numbers(version) < numbers(least):
        raise ImportError(
            f"kpool needs {package} {least} or newer: run `pip install --upgrade {package.lower()}`. "
            f"Received: {package} {version}"
        )
