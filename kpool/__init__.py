"""Pooling layers for Keras, native in TensorFlow's graph."""

from importlib.metadata import version

from kpool import layers, ops

__all__ = ["__version__", "layers", "ops"]

__version__ = version("kpool")
