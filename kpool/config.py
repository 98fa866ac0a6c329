"""What kpool runs on."""

from __future__ import annotations

import platform

import keras
import numpy as np
import tensorflow as tf

from kpool import __version__
from kpool.kernels import driver, threads


def show_config() -> None:
    """Print the versions, the instruction set, the number of threads and the size of cache that kpool uses.

    The environment variable `KPOOL_SIMD` forces an instruction set, `tf.config.threading` sets the number of threads.
    Whether TensorFlow uses oneDNN matters to kpool as well: with it, the memory of large results is used again.

    Example:

    >>> kpool.show_config()  # doctest: +ELLIPSIS
    kpool ...
    """
    print(
        f"kpool {__version__}, tensorflow {tf.__version__}, keras {keras.__version__}, numpy {np.__version__} "
        f"on Python {platform.python_version()}"
    )
    print(f"instruction set: {driver.level()}, of {', '.join(driver.LEVELS)}; KPOOL_SIMD forces another")
    print(f"threads per call: {threads.num_threads()}")
    print(f"last-level cache of a core: {driver.cache_size() / 2**20:.0f} MiB")
    print(f"TensorFlow's oneDNN: {onednn()}")


def onednn() -> str:
    """Whether TensorFlow uses oneDNN, and how to turn it on."""
    try:  # It is not public.
        from tensorflow.python.util._pywrap_util_port import IsMklEnabled
    except ImportError:
        return "unknown"
    return "on" if IsMklEnabled() else "off; TF_ENABLE_ONEDNN_OPTS=1 turns it on, which makes convolutions faster too"
