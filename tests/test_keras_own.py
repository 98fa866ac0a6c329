"""Keras' own tests of its pooling layers, unmodified, as the installed Keras ships them, run on kpool's layers."""

import unittest
from functools import wraps
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import keras
import pytest
from keras.src import layers
from keras.src.layers import pooling
from keras.src.testing import TestCase

import kpool

FILES = {path.stem: path for path in sorted(Path(pooling.__file__).parent.glob("*_test.py"))}

# Keras' layer test trains a layer without weights, and feeds a generator to `fit` without shuffle=False.
pytestmark = pytest.mark.filterwarnings(
    "ignore:(`shuffle=True` was passed|The model does not have any trainable weights):UserWarning"
)


def cases_of(file):
    """The test cases of one of Keras' files, whose `layers` are kpool's: a name that kpool has not is an error."""
    spec = spec_from_file_location(f"keras_own_{file}", FILES[file])
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.layers is layers
    module.layers = kpool.layers
    classes = [thing for thing in vars(module).values() if isinstance(thing, type) and issubclass(thing, TestCase)]
    return [case(name) for case in classes for name in unittest.defaultTestLoader.getTestCaseNames(case)]


CASES = {file: cases_of(file) for file in FILES}


def parameters():
    for file, cases in CASES.items():
        for case in cases:
            name = case._testMethodName
            marks = getattr(getattr(case, name), "pytestmark", ())
            yield pytest.param(case, id=f"{file}-{type(case).__name__}-{name}", marks=marks)


@pytest.mark.parametrize("case", list(parameters()))
def test_of_keras(case, monkeypatch):
    create = keras.layers.Layer.__init__
    created = set()

    @wraps(create)
    def note(self, *args, **kwargs):
        created.add(type(self).__module__)
        create(self, *args, **kwargs)

    monkeypatch.setattr(keras.layers.Layer, "__init__", note)
    unittest.TestSuite([case]).debug()
    assert any(module.startswith("kpool.layers.") for module in created)
    assert not any(module.startswith(pooling.__name__) for module in created)


@pytest.mark.parametrize("file", FILES)
def test_no_test_of_keras_is_left_out(file):
    theirs = unittest.defaultTestLoader.loadTestsFromName(f"{pooling.__name__}.{file}").countTestCases()
    assert len(CASES[file]) == theirs > 0


def test_no_file_of_keras_is_left_out():
    if not FILES and keras.__version__ != "3.15.1":
        pytest.skip("this Keras comes without its tests; 3.15.1 came with them")
    expected = {"max_pooling_test", "average_pooling_test", "global_max_pooling_test", "global_average_pooling_test"}
    if hasattr(keras.layers, "AdaptiveMaxPooling1D"):
        expected |= {f"adaptive_pooling{rank}d_test" for rank in (1, 2, 3)}
    assert set(FILES) >= expected
