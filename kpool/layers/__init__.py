"""Keras layers."""

from kpool.layers.max_pooling import MaxPooling1D, MaxPooling2D, MaxPooling3D
from kpool.layers.max_unpooling import MaxUnpooling1D, MaxUnpooling2D, MaxUnpooling3D
from kpool.layers.overlapping_max_pooling import (
    OverlappingMaxPooling1D,
    OverlappingMaxPooling2D,
    OverlappingMaxPooling3D,
)

# Keras' short names.
MaxPool1D = MaxPooling1D
MaxPool2D = MaxPooling2D
MaxPool3D = MaxPooling3D

__all__ = [
    "MaxPool1D",
    "MaxPool2D",
    "MaxPool3D",
    "MaxPooling1D",
    "MaxPooling2D",
    "MaxPooling3D",
    "MaxUnpooling1D",
    "MaxUnpooling2D",
    "MaxUnpooling3D",
    "OverlappingMaxPooling1D",
    "OverlappingMaxPooling2D",
    "OverlappingMaxPooling3D",
]
