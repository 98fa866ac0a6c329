"""Loads the native ops, and sizes the worker pool as TensorFlow's own."""

import os
from functools import cache
from importlib.util import find_spec
from types import ModuleType

import tensorflow as tf

from kpool.kernels import threads
from kpool.versions import require

require("TensorFlow", tf.__version__, "2.16")


def _load() -> tuple[ModuleType, bool]:
    """Open the library of native ops, for TensorFlow first and for Python second (native.pyx says why)."""
    path = find_spec("kpool.tf.native").origin  # type: ignore[union-attr]
    try:
        wrappers: ModuleType = tf.load_op_library(path)
        from kpool.tf.native import called_by_xla
    except (tf.errors.OpError, ImportError) as error:
        raise ImportError(
            f"TensorFlow {tf.__version__} cannot use kpool's native ops; build them anew where kpool is to run: in "
            f"kpool's source folder `pip install --force-reinstall --no-deps --no-cache-dir .`. Received: {error}"
        ) from error
    return wrappers, called_by_xla


@cache
def follow_thread_settings() -> None:
    """Let the worker pool have as many threads as TensorFlow uses inside one op, 0 meaning every core.

    Called before every op and run once: TensorFlow settles the number when it runs its first op. Reading it earlier
    would make TensorFlow look for its devices. A process that only runs loaded models keeps the default, every core.
    """
    configured = tf.config.threading.get_intra_op_parallelism_threads()
    threads.set_num_threads(configured or _threads_of_environment())


def _threads_of_environment() -> int:
    """TensorFlow's own variable, as TensorFlow reads it: what is no number, or one past int32, counts as unset."""
    try:
        number = int(os.environ.get("TF_NUM_INTRAOP_THREADS", ""))
    except ValueError:
        return 0
    return number if 0 < number < 2**31 else 0


ops, CALLED_BY_XLA = _load()
