"""Docstrings in Keras' style, for a site that knows Google's: call arguments become a list, examples a section."""

import re
from textwrap import indent
from typing import Any

import griffe

CALL_ARGUMENTS = re.compile(r"^Call arguments:\n((?: {4}.*\n?)+)", re.MULTILINE)
EXAMPLE = re.compile(r"^Example:\n\n(>>>.*)\Z", re.MULTILINE | re.DOTALL)


class KerasStyle(griffe.Extension):
    """Puts docstrings into the form that is known."""

    def on_object(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        if obj.docstring:
            text = CALL_ARGUMENTS.sub(_listed, obj.docstring.value)
            obj.docstring.value = EXAMPLE.sub(lambda example: "Examples:\n" + indent(example[1], "    "), text)


def _listed(section: re.Match[str]) -> str:
    return "Call arguments:\n" + re.sub(r"^ {4}(\w+): ", r"    - `\1`: ", section[1], flags=re.MULTILINE)
