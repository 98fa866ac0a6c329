"""MaxPooling1D, MaxPooling2D, MaxPooling3D."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from kpool.layers.base_max_pooling import BaseMaxPooling


@keras.saving.register_keras_serializable(package="kpool")
class MaxPooling1D(BaseMaxPooling):
    """Max pooling of sequences, in place of `keras.layers.MaxPooling1D`.

    Takes the maximum of each window, per channel. With `return_indices` it also returns where each maximum was, for
    `MaxUnpooling1D` to put it back. Of equal elements the first in row-major order wins; a NaN wins over everything.

    Args:
        pool_size: int, the size of the window.
        strides: int, the distance between windows. Defaults to `pool_size`.
        padding: `"valid"` (none), `"same"` (as much as makes the output `ceil(size / strides)` large, an odd element
            at the end), an int, one int per axis, or a pair (before, after) per axis. Padding is virtual: it never
            wins.
        data_format: `"channels_last"` or `"channels_first"`. Defaults to `keras.config.image_data_format()`.
        dilation_rate: int, the distance between the elements of a window.
        ceil_mode: Whether to round output sizes up instead of down. A window may then hang over the end of the input,
            if it starts inside the input or the leading padding (PyTorch's rule).
        return_indices: Whether to return the winners' indices as a second output, in both data formats in PyTorch's
            convention: positions in the channel's unpadded sequence.
        index_dtype: `"int32"` or `"int64"`. More than 2^31 - 1 elements per channel need `"int64"`.
        **kwargs: `name`, `dtype` and the other arguments of `keras.layers.Layer`.

    Call arguments:
        inputs: Tensor of rank 3, of any float or integer dtype.
        training: `False` promises that no gradient is needed, so nothing is kept for one. If one is asked for all the
            same, the winners are found again from the inputs.

    Input shape:
        `(batch, steps, channels)`, with `"channels_first"` `(batch, channels, steps)`.

    Output shape:
        The same with each spatial size `floor((size + padding - ((pool_size - 1) * dilation_rate + 1)) / strides) + 1`,
        with `ceil_mode` `ceil`. With `return_indices` a tuple of two tensors of this shape, values and indices.

    Raises:
        ValueError: If an argument has a wrong form or value, or the window does not fit the inputs.

    Example:

    >>> x = np.array([1, 4, 2, 3, 0, 5], "float32").reshape(1, 6, 1)
    >>> values, indices = kpool.layers.MaxPooling1D(2, return_indices=True)(x)
    >>> print(values.numpy()[0, :, 0], indices.numpy()[0, :, 0])
    [4. 3. 5.] [1 3 5]
    """

    def __init__(
        self,
        pool_size: int | Sequence[int] = 2,
        strides: int | Sequence[int] | None = None,
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
class MaxPooling2D(BaseMaxPooling):
    """Max pooling of images, in place of `keras.layers.MaxPooling2D`.

    Takes the maximum of each window, per channel. With `return_indices` it also returns where each maximum was, for
    `MaxUnpooling2D` to put it back. Of equal elements the first in row-major order wins; a NaN wins over everything.

    Args:
        pool_size: int or tuple of 2 integers, the size of the window.
        strides: int or tuple of 2 integers, the distance between windows. Defaults to `pool_size`.
        padding: `"valid"` (none), `"same"` (as much as makes the output `ceil(size / strides)` large, an odd element
            at the end), an int, one int per axis, or a pair (before, after) per axis. Padding is virtual: it never
            wins.
        data_format: `"channels_last"` or `"channels_first"`. Defaults to `keras.config.image_data_format()`.
        dilation_rate: int or tuple of 2 integers, the distance between the elements of a window.
        ceil_mode: Whether to round output sizes up instead of down. A window may then hang over the end of the input,
            if it starts inside the input or the leading padding (PyTorch's rule).
        return_indices: Whether to return the winners' indices as a second output, in both data formats in PyTorch's
            convention: positions `h * width + w` in the channel's unpadded plane.
        index_dtype: `"int32"` or `"int64"`. More than 2^31 - 1 elements per channel need `"int64"`.
        **kwargs: `name`, `dtype` and the other arguments of `keras.layers.Layer`.

    Call arguments:
        inputs: Tensor of rank 4, of any float or integer dtype.
        training: `False` promises that no gradient is needed, so nothing is kept for one. If one is asked for all the
            same, the winners are found again from the inputs.

    Input shape:
        `(batch, height, width, channels)`, with `"channels_first"` `(batch, channels, height, width)`.

    Output shape:
        The same with each spatial size `floor((size + padding - ((pool_size - 1) * dilation_rate + 1)) / strides) + 1`,
        with `ceil_mode` `ceil`. With `return_indices` a tuple of two tensors of this shape, values and indices.

    Raises:
        ValueError: If an argument has a wrong form or value, or the window does not fit the inputs.

    Example:

    >>> x = np.arange(16, dtype="float32").reshape(1, 4, 4, 1)
    >>> values, indices = kpool.layers.MaxPooling2D(2, return_indices=True)(x)
    >>> print(values.numpy()[0, :, :, 0])
    [[ 5.  7.]
     [13. 15.]]
    >>> print(indices.numpy()[0, :, :, 0])
    [[ 5  7]
     [13 15]]
    """

    def __init__(
        self,
        pool_size: int | Sequence[int] = (2, 2),
        strides: int | Sequence[int] | None = None,
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
class MaxPooling3D(BaseMaxPooling):
    """Max pooling of volumes, in place of `keras.layers.MaxPooling3D`.

    Takes the maximum of each window, per channel. With `return_indices` it also returns where each maximum was, for
    `MaxUnpooling3D` to put it back. Of equal elements the first in row-major order wins; a NaN wins over everything.

    Args:
        pool_size: int or tuple of 3 integers, the size of the window.
        strides: int or tuple of 3 integers, the distance between windows. Defaults to `pool_size`.
        padding: `"valid"` (none), `"same"` (as much as makes the output `ceil(size / strides)` large, an odd element
            at the end), an int, one int per axis, or a pair (before, after) per axis. Padding is virtual: it never
            wins.
        data_format: `"channels_last"` or `"channels_first"`. Defaults to `keras.config.image_data_format()`.
        dilation_rate: int or tuple of 3 integers, the distance between the elements of a window.
        ceil_mode: Whether to round output sizes up instead of down. A window may then hang over the end of the input,
            if it starts inside the input or the leading padding (PyTorch's rule).
        return_indices: Whether to return the winners' indices as a second output, in both data formats in PyTorch's
            convention: positions `(d * height + h) * width + w` in the channel's unpadded volume.
        index_dtype: `"int32"` or `"int64"`. More than 2^31 - 1 elements per channel need `"int64"`.
        **kwargs: `name`, `dtype` and the other arguments of `keras.layers.Layer`.

    Call arguments:
        inputs: Tensor of rank 5, of any float or integer dtype.
        training: `False` promises that no gradient is needed, so nothing is kept for one. If one is asked for all the
            same, the winners are found again from the inputs.

    Input shape:
        `(batch, depth, height, width, channels)`, with `"channels_first"` `(batch, channels, depth, height, width)`.

    Output shape:
        The same with each spatial size `floor((size + padding - ((pool_size - 1) * dilation_rate + 1)) / strides) + 1`,
        with `ceil_mode` `ceil`. With `return_indices` a tuple of two tensors of this shape, values and indices.

    Raises:
        ValueError: If an argument has a wrong form or value, or the window does not fit the inputs.

    Example:

    >>> x = np.arange(64, dtype="float32").reshape(1, 4, 4, 4, 1)
    >>> values, indices = kpool.layers.MaxPooling3D(2, return_indices=True)(x)
    >>> print(indices.numpy()[0, 1, :, :, 0])
    [[53 55]
     [61 63]]
    """

    def __init__(
        self,
        pool_size: int | Sequence[int] = (2, 2, 2),
        strides: int | Sequence[int] | None = None,
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
