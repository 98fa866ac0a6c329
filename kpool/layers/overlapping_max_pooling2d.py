"""OverlappingMaxPooling2D."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from kpool.layers.max_pooling2d import MaxPooling2D


@keras.saving.register_keras_serializable(package="kpool")
class OverlappingMaxPooling2D(MaxPooling2D):
    """Max pooling of images with windows that overlap: AlexNet's 3 and 2 by default.

    `MaxPooling2D` with other defaults, that refuses strides with which the windows would not overlap. Krizhevsky,
    Sutskever and Hinton (2012), section 3.4, found that networks with overlapping pooling overfit a little less.

    Args:
        pool_size: int or tuple of 2 integers, the window's height and width.
        strides: int or tuple of 2 integers, smaller than `pool_size` on both axes.
        padding, data_format, return_indices, index_dtype, **kwargs: As in `MaxPooling2D`.

    Input shape:
        `(batch, height, width, channels)`, with `"channels_first"` `(batch, channels, height, width)`.

    Output shape:
        As of `MaxPooling2D`.

    Raises:
        ValueError: If `strides` is not smaller than `pool_size`, or as `MaxPooling2D`.

    Example:

    >>> x = np.arange(25, dtype="float32").reshape(1, 5, 5, 1)
    >>> print(kpool.layers.OverlappingMaxPooling2D()(x).numpy()[0, :, :, 0])
    [[12. 14.]
     [22. 24.]]
    """

    def __init__(
        self,
        pool_size: int | Sequence[int] = 3,
        strides: int | Sequence[int] = 2,
        padding: str | int | Sequence[int] | Sequence[Sequence[int]] = "valid",
        data_format: str | None = None,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(pool_size, strides, padding, data_format, name, **kwargs)
        if any(stride >= size for stride, size in zip(self.strides, self.pool_size, strict=True)):
            raise ValueError(
                "`strides` must be smaller than `pool_size` on every axis for windows to overlap; use `MaxPooling2D` "
                f"for others. Received: strides={self.strides}, pool_size={self.pool_size}"
            )
