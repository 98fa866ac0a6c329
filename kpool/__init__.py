"""Pooling layers for Keras, native in TensorFlow's graph."""

from importlib.metadata import version
from pathlib import Path

if not any((Path(__file__).parent / "kernels").glob("geometry.*.so")):
    raise ImportError(
        f"kpool is not built in {Path(__file__).parent}: that is its source, not an installed package. Run "
        "`pip install .` there, and start Python in another folder or with -P."
    )

from kpool import layers, ops
from kpool.config import show_config

__all__ = ["__version__", "layers", "ops", "show_config"]

__version__ = version("kpool")
