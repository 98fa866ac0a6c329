"""What the documentation says is so: examples in docstrings run, and the README's snippets too."""

import doctest
import inspect
import re
from importlib import import_module
from pathlib import Path
from pkgutil import walk_packages

import keras
import numpy as np
import pytest
import tensorflow as tf

import kpool

README = Path(__file__).parents[1] / "README.md"

MODULES = [
    module.name
    for module in walk_packages(kpool.__path__, "kpool.")
    if module.name.startswith(("kpool.layers", "kpool.models", "kpool.ops", "kpool.utils"))
]


def public_objects():
    for package in (kpool.layers, kpool.ops, kpool.utils):
        for name in package.__all__:
            yield pytest.param(getattr(package, name), id=name)
    yield pytest.param(kpool.replace_pooling, id="replace_pooling")


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_docstrings(name):
    names = {"np": np, "keras": keras, "tf": tf, "kpool": kpool}
    results = doctest.testmod(import_module(name), extraglobs=names)
    assert results.failed == 0


@pytest.mark.parametrize("thing", list(public_objects()))
def test_public_objects_are_documented_in_keras_order(thing):
    text = inspect.getdoc(thing)
    headings = ["Args:", "Input shape:", "Output shape:", "Raises:", "Example:"]
    if not isinstance(thing, type):
        headings = ["Args:", "Returns:", "Raises:", "Example:"]
    places = [text.find(f"\n{heading}\n") for heading in headings]
    assert -1 not in places, dict(zip(headings, places, strict=True))
    assert places == sorted(places)
    assert text.index("\n") <= 120
    assert ">>> " in text


def test_snippets_of_the_readme():
    """Each Python block runs after the ones before it."""
    names = {}
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    assert len(blocks) >= 3
    for block in blocks:
        exec(compile(block, "README.md", "exec"), names)


def test_commands_of_the_readme():
    text = README.read_text()
    assert 'pip install ".[examples]" && python examples/mnist.py' in text
    assert 'pip install ".[test]" && pytest' in text
