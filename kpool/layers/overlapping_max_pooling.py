"""OverlappingMaxPooling1D, OverlappingMaxPooling2D, OverlappingMaxPooling3D."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from kpool.layers.base_max_pooling import BaseOverlappingMaxPooling


@keras.saving.register_keras_serializable(package="kpool")
class OverlappingMaxPooling1D(BaseOverlappingMaxPooling):
    """Max pooling of sequences with windows that overlap: AlexNet's 3 and 2 by default.

    `MaxPooling1D` with other defaults, that refuses strides with which the windows would not overlap. Krizhevsky,
    Sutskever and Hinton (2012), section 3.4, found that networks with overlapping pooling overfit a little less.

    Args:
        pool_size: int, the size of the window.
        strides: int, smaller than `pool_size` on every axis.
        padding, data_format, dilation_rate, ceil_mode, return_indices, index_dtype, **kwargs: As in `MaxPooling1D`.

    Input shape:
        `(batch, steps, channels)`, with `"channels_first"` `(batch, channels, steps)`.

    Output shape:
        As of `MaxPooling1D`.

    Raises:
        ValueError: If `strides` is not smaller than `pool_size`, or as `MaxPooling1D`.

    Example:

    >>> x = np.array([1, 4, 2, 3, 0, 5, 1], "float32").reshape(1, 7, 1)
    >>> print(kpool.layers.OverlappingMaxPooling1D()(x).numpy()[0, :, 0])
    [4. 3. 5.]
    """

    def __init__(
        self,
        pool_size: int | Sequence[int] = 3,
        strides: int | Sequence[int] | None = 2,
        padding: str | int | Sequence[int] | Sequence[Sequence[int]] = "valid",
        data_format: str | None = None,
        name: str | None = None,
        *,
        dilation_rate: int | Sequence[int] = 1,
        ceil_mode: bool = False,
        return_indices: bool = False,
        index_dtype: str = "int32",
        **kwargs: Any,
    ) -> None:
        super().__init__(
            1,
            pool_size,
            strides,
            padding,
            data_format,
            dilation_rate,
            ceil_mode,
            return_indices=return_indices,
            index_dtype=index_dtype,
            name=name,
            **kwargs,
        )


@keras.saving.register_keras_serializable(package="kpool")
class OverlappingMaxPooling2D(BaseOverlappingMaxPooling):
    """Max pooling of images with windows that overlap: AlexNet's 3 and 2 by default.

    `MaxPooling2D` with other defaults, that refuses strides with which the windows would not overlap. Krizhevsky,
    Sutskever and Hinton (2012), section 3.4, found that networks with overlapping pooling overfit a little less.

    Args:
        pool_size: int or tuple of 2 integers, the size of the window.
        strides: int or tuple of 2 integers, smaller than `pool_size` on every axis.
        padding, data_format, dilation_rate, ceil_mode, return_indices, index_dtype, **kwargs: As in `MaxPooling2D`.

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
        strides: int | Sequence[int] | None = 2,
        padding: str | int | Sequence[int] | Sequence[Sequence[int]] = "valid",
        data_format: str | None = None,
        name: str | None = None,
        *,
        dilation_rate: int | Sequence[int] = 1,
        ceil_mode: bool = False,
        return_indices: bool = False,
        index_dtype: str = "int32",
        **kwargs: Any,
    ) -> None:
        super().__init__(
            2,
            pool_size,
            strides,
            padding,
            data_format,
            dilation_rate,
            ceil_mode,
            return_indices=return_indices,
            index_dtype=index_dtype,
            name=name,
            **kwargs,
        )


@keras.saving.register_keras_serializable(package="kpool")
class OverlappingMaxPooling3D(BaseOverlappingMaxPooling):
    """Max pooling of volumes with windows that overlap: AlexNet's 3 and 2 by default.

    `MaxPooling3D` with other defaults, that refuses strides with which the windows would not overlap. Krizhevsky,
    Sutskever and Hinton (2012), section 3.4, found that networks with overlapping pooling overfit a little less.

    Args:
        pool_size: int or tuple of 3 integers, the size of the window.
        strides: int or tuple of 3 integers, smaller than `pool_size` on every axis.
        padding, data_format, dilation_rate, ceil_mode, return_indices, index_dtype, **kwargs: As in `MaxPooling3D`.

    Input shape:
        `(batch, depth, height, width, channels)`, with `"channels_first"` `(batch, channels, depth, height, width)`.

    Output shape:
        As of `MaxPooling3D`.

    Raises:
        ValueError: If `strides` is not smaller than `pool_size`, or as `MaxPooling3D`.

    Example:

    >>> x = np.arange(125, dtype="float32").reshape(1, 5, 5, 5, 1)
    >>> print(kpool.layers.OverlappingMaxPooling3D()(x).numpy()[0, 1, :, :, 0])
    [[112. 114.]
     [122. 124.]]
    """

    def __init__(
        self,
        pool_size: int | Sequence[int] = 3,
        strides: int | Sequence[int] | None = 2,
        padding: str | int | Sequence[int] | Sequence[Sequence[int]] = "valid",
        data_format: str | None = None,
        name: str | None = None,
        *,
        dilation_rate: int | Sequence[int] = 1,
        ceil_mode: bool = False,
        return_indices: bool = False,
        index_dtype: str = "int32",
        **kwargs: Any,
    ) -> None:
        super().__init__(
            3,
            pool_size,
            strides,
            padding,
            data_format,
            dilation_rate,
            ceil_mode,
            return_indices=return_indices,
            index_dtype=index_dtype,
            name=name,
            **kwargs,
        )
