"""Pooling functions for TensorFlow tensors, symbolic Keras tensors and NumPy arrays."""

from kpool.ops.max_pool import max_pool
from kpool.ops.max_unpool import max_unpool

__all__ = ["max_pool", "max_unpool"]
