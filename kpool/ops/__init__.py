"""Pooling functions for TensorFlow tensors, symbolic Keras tensors and NumPy arrays."""

from kpool.ops.adaptive_pool import adaptive_average_pool, adaptive_max_pool
from kpool.ops.average_pool import average_pool
from kpool.ops.global_pool import global_average_pool, global_max_pool
from kpool.ops.indices import convert_indices
from kpool.ops.max_pool import max_pool
from kpool.ops.max_unpool import max_unpool

__all__ = [
    "adaptive_average_pool",
    "adaptive_max_pool",
    "average_pool",
    "convert_indices",
    "global_average_pool",
    "global_max_pool",
    "max_pool",
    "max_unpool",
]
