"""Pooling layers for Keras, native in TensorFlow's graph."""

from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

__version__ = "0.1.0"

if not all(
    any((Path(__file__).parent / f"{name}{suffix}").exists() for suffix in EXTENSION_SUFFIXES)
    for name in (
        *("kernels/geometry", "kernels/threads", "kernels/forward_baseline", "kernels/backward_baseline"),
        *("kernels/driver", "tf/native"),
    )
):
    raise ImportError(
        f"kpool in {Path(__file__).parent} is not built for this Python: it is kpool's source, or a package for "
        "another Python. Run `pip install .` in the source, and start Python in another folder or with -P."
    )

from kpool import layers, ops, utils
from kpool.config import show_config
from kpool.models import replace_pooling

__all__ = ["__version__", "layers", "ops", "replace_pooling", "show_config", "utils"]
