"""Keras layers."""

from kpool.layers.max_pooling2d import MaxPooling2D
from kpool.layers.max_unpooling2d import MaxUnpooling2D
from kpool.layers.overlapping_max_pooling2d import OverlappingMaxPooling2D

__all__ = ["MaxPooling2D", "MaxUnpooling2D", "OverlappingMaxPooling2D"]
