"""AveragePooling1D, AveragePooling2D, AveragePooling3D."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from kpool.layers.base_average_pooling import BaseAveragePooling


@keras.saving.register_keras_serializable(package="kpool")
class AveragePooling1D(BaseAveragePooling):
    """Average pooling of sequences, in place of `keras.layers.AveragePooling1D`.

    Takes the mean of each window, per channel. Padding is not counted, as in Keras, unless `count_include_pad` asks for
    it; what hangs over the end in `ceil_mode` never is.

    Args:
        pool_size: int, the size of the window.
        strides: int, the distance between windows. Defaults to `pool_size`.
        padding: `"valid"` (none), `"same"` (as much as makes the output `ceil(size / strides)` large, an odd element at
            the end), an int, one int per axis, or a pair (before, after) per axis.
        data_format: `"channels_last"` or `"channels_first"`. Defaults to `keras.config.image_data_format()`.
        dilation_rate: int, the distance between the elements of a window.
        ceil_mode: Whether to round output sizes up instead of down. A window may then hang over the end of the input,
            if it starts inside the input or the leading padding (PyTorch's rule).
        count_include_pad: Whether the elements of a window that lie in the padding count, as zeros (PyTorch's default).
        divisor_override: int, what to divide each sum by instead of its number of elements; 1 gives the sums.
        **kwargs: `name`, `dtype` and the other arguments of `keras.layers.Layer`.

    Call arguments:
        inputs: Tensor of rank 3, of any float or integer dtype. Integers give means of Keras' default float dtype.

    Input shape:
        `(batch, steps, channels)`, with `"channels_first"` `(batch, channels, steps)`.

    Output shape:
        The same with each spatial size `floor((size + padding - ((pool_size - 1) * dilation_rate + 1)) / strides) + 1`,
        with `ceil_mode` `ceil`.

    Raises:
        ValueError: If an argument has a wrong form or value, or the window does not fit the inputs.

    Example:

    >>> x = np.array([1, 4, 2, 3, 0, 5], "float32").reshape(1, 6, 1)
    >>> kpool.layers.AveragePooling1D(2)(x).numpy()[0, :, 0]
    array([2.5, 2.5, 2.5], dtype=float32)
    """

    def __init__(
        self,
        pool_size: int | Sequence[int],
        strides: int | Sequence[int] | None = None,
        padding: str | int | Sequence[int] | Sequence[Sequence[int]] = "valid",
        data_format: str | None = None,
        name: str | None = None,
        *,
        dilation_rate: int | Sequence[int] = 1,
        ceil_mode: bool = False,
        count_include_pad: bool = False,
        divisor_override: int | None = None,
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
            count_include_pad=count_include_pad,
            divisor_override=divisor_override,
            name=name,
            **kwargs,
        )


@keras.saving.register_keras_serializable(package="kpool")
class AveragePooling2D(BaseAveragePooling):
    """Average pooling of images, in place of `keras.layers.AveragePooling2D`.

    Takes the mean of each window, per channel. Padding is not counted, as in Keras, unless `count_include_pad` asks for
    it; what hangs over the end in `ceil_mode` never is.

    Args:
        pool_size: int or tuple of 2 integers, the size of the window.
        strides: int or tuple of 2 integers, the distance between windows. Defaults to `pool_size`.
        padding: `"valid"` (none), `"same"` (as much as makes the output `ceil(size / strides)` large, an odd element at
            the end), an int, one int per axis, or a pair (before, after) per axis.
        data_format: `"channels_last"` or `"channels_first"`. Defaults to `keras.config.image_data_format()`.
        dilation_rate: int or tuple of 2 integers, the distance between the elements of a window.
        ceil_mode: Whether to round output sizes up instead of down. A window may then hang over the end of the input,
            if it starts inside the input or the leading padding (PyTorch's rule).
        count_include_pad: Whether the elements of a window that lie in the padding count, as zeros (PyTorch's default).
        divisor_override: int, what to divide each sum by instead of its number of elements; 1 gives the sums.
        **kwargs: `name`, `dtype` and the other arguments of `keras.layers.Layer`.

    Call arguments:
        inputs: Tensor of rank 4, of any float or integer dtype. Integers give means of Keras' default float dtype.

    Input shape:
        `(batch, height, width, channels)`, with `"channels_first"` `(batch, channels, height, width)`.

    Output shape:
        The same with each spatial size `floor((size + padding - ((pool_size - 1) * dilation_rate + 1)) / strides) + 1`,
        with `ceil_mode` `ceil`.

    Raises:
        ValueError: If an argument has a wrong form or value, or the window does not fit the inputs.

    Example:

    >>> x = np.arange(16, dtype="float32").reshape(1, 4, 4, 1)
    >>> print(kpool.layers.AveragePooling2D(2)(x).numpy()[0, :, :, 0])
    [[ 2.5  4.5]
     [10.5 12.5]]
    """

    def __init__(
        self,
        pool_size: int | Sequence[int],
        strides: int | Sequence[int] | None = None,
        padding: str | int | Sequence[int] | Sequence[Sequence[int]] = "valid",
        data_format: str | None = None,
        name: str | None = None,
        *,
        dilation_rate: int | Sequence[int] = 1,
        ceil_mode: bool = False,
        count_include_pad: bool = False,
        divisor_override: int | None = None,
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
            count_include_pad=count_include_pad,
            divisor_override=divisor_override,
            name=name,
            **kwargs,
        )


@keras.saving.register_keras_serializable(package="kpool")
class AveragePooling3D(BaseAveragePooling):
    """Average pooling of volumes, in place of `keras.layers.AveragePooling3D`.

    Takes the mean of each window, per channel. Padding is not counted, as in Keras, unless `count_include_pad` asks for
    it; what hangs over the end in `ceil_mode` never is.

    Args:
        pool_size: int or tuple of 3 integers, the size of the window.
        strides: int or tuple of 3 integers, the distance between windows. Defaults to `pool_size`.
        padding: `"valid"` (none), `"same"` (as much as makes the output `ceil(size / strides)` large, an odd element at
            the end), an int, one int per axis, or a pair (before, after) per axis.
        data_format: `"channels_last"` or `"channels_first"`. Defaults to `keras.config.image_data_format()`.
        dilation_rate: int or tuple of 3 integers, the distance between the elements of a window.
        ceil_mode: Whether to round output sizes up instead of down. A window may then hang over the end of the input,
            if it starts inside the input or the leading padding (PyTorch's rule).
        count_include_pad: Whether the elements of a window that lie in the padding count, as zeros (PyTorch's default).
        divisor_override: int, what to divide each sum by instead of its number of elements; 1 gives the sums.
        **kwargs: `name`, `dtype` and the other arguments of `keras.layers.Layer`.

    Call arguments:
        inputs: Tensor of rank 5, of any float or integer dtype. Integers give means of Keras' default float dtype.

    Input shape:
        `(batch, depth, height, width, channels)`, with `"channels_first"` `(batch, channels, depth, height, width)`.

    Output shape:
        The same with each spatial size `floor((size + padding - ((pool_size - 1) * dilation_rate + 1)) / strides) + 1`,
        with `ceil_mode` `ceil`.

    Raises:
        ValueError: If an argument has a wrong form or value, or the window does not fit the inputs.

    Example:

    >>> x = np.arange(64, dtype="float32").reshape(1, 4, 4, 4, 1)
    >>> print(kpool.layers.AveragePooling3D(2)(x).numpy()[0, 1, :, :, 0])
    [[42.5 44.5]
     [50.5 52.5]]
    """

    def __init__(
        self,
        pool_size: int | Sequence[int],
        strides: int | Sequence[int] | None = None,
        padding: str | int | Sequence[int] | Sequence[Sequence[int]] = "valid",
        data_format: str | None = None,
        name: str | None = None,
        *,
        dilation_rate: int | Sequence[int] = 1,
        ceil_mode: bool = False,
        count_include_pad: bool = False,
        divisor_override: int | None = None,
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
            count_include_pad=count_include_pad,
            divisor_override=divisor_override,
            name=name,
            **kwargs,
        )
