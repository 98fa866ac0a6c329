"""Loads the native ops, and sizes the worker pool as TensorFlow's own."""

from importlib.util import find_spec
from types import ModuleType

import tensorflow as tf

from kpool.kernels import threads


def _load() -> ModuleType:
    """Open the library of native ops, for TensorFlow first and for Python second (native.pyx says why)."""
    spec = find_spec("kpool.tf.native")
    if spec is None or spec.origin is None:
        raise ImportError("kpool is not built: its native ops are missing. Install it with `pip install .`")
    wrappers: ModuleType = tf.load_op_library(spec.origin)
    import kpool.tf.native  # noqa: F401

    return wrappers


class _ThreadSettings:
    """TensorFlow's number of threads inside one op, as last seen."""

    seen: int | None = None

    def follow(self) -> None:
        """Let the worker pool have as many threads, 0 meaning every core.

        TensorFlow lets the number change until it runs its first op, so every call from Python looks again.
        """
        wanted = tf.config.threading.get_intra_op_parallelism_threads()
        if wanted != self.seen:
            threads.set_num_threads(wanted)
            self.seen = wanted


ops = _load()
thread_settings = _ThreadSettings()
thread_settings.follow()
