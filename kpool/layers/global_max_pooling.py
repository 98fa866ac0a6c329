"""GlobalMaxPooling1D, GlobalMaxPooling2D, GlobalMaxPooling3D."""

from __future__ import annotations

from typing import Any

import keras

from kpool.layers.base_max_pooling import BaseGlobalMaxPooling


@keras.saving.register_keras_serializable(package="kpool")
class GlobalMaxPooling1D(BaseGlobalMaxPooling):
    """Global max pooling of sequences, in place of `keras.layers.GlobalMaxPooling1D`.

    Takes the maximum of each channel. With `return_indices` it also returns where each maximum was. Of equal elements
    the first in row-major order wins; a NaN wins over everything.

    Args:
        data_format: `"channels_last"` or `"channels_first"`. Defaults to `keras.config.image_data_format()`.
        keepdims: Whether to keep the axis of the steps, with size 1.
        return_indices: Whether to return the winners' indices as a second output, in both data formats in PyTorch's
            convention: positions in the channel's sequence.
        index_dtype: `"int32"` or `"int64"`. More than 2^31 - 1 elements per channel need `"int64"`.
        **kwargs: `name`, `dtype` and the other arguments of `keras.layers.Layer`.

    Call arguments:
        inputs: Tensor of rank 3, of any float or integer dtype.
        training: `False` promises that no gradient is needed, so nothing is kept for one. If one is asked for all the
            same, the winners are found again from the inputs.

    Input shape:
        `(batch, steps, channels)`, with `"channels_first"` `(batch, channels, steps)`.

    Output shape:
        `(batch, channels)`; with `keepdims` `(batch, 1, channels)`, with `"channels_first"` the channels before the
        ones. With `return_indices` a tuple of two tensors of this shape, values and indices.

    Raises:
        ValueError: If an argument has a wrong form or value.

    Example:

    >>> x = np.array([1, 4, 2, 5, 0, 5], "float32").reshape(1, 6, 1)
    >>> values, indices = kpool.layers.GlobalMaxPooling1D(return_indices=True)(x)
    >>> print(values.numpy(), indices.numpy())
    [[5.]] [[3]]
    """

    def __init__(
        self,
        data_format: str | None = None,
        keepdims: bool = False,
        *,
        return_indices: bool = False,
        index_dtype: str = "int32",
        **kwargs: Any,
    ) -> None:
        super().__init__(1, data_format, keepdims, return_indices=return_indices, index_dtype=index_dtype, **kwargs)


@keras.saving.register_keras_serializable(package="kpool")
class GlobalMaxPooling2D(BaseGlobalMaxPooling):
    """Global max pooling of images, in place of `keras.layers.GlobalMaxPooling2D`.

    Takes the maximum of each channel. With `return_indices` it also returns where each maximum was. Of equal elements
    the first in row-major order wins; a NaN wins over everything.

    Args:
        data_format: `"channels_last"` or `"channels_first"`. Defaults to `keras.config.image_data_format()`.
        keepdims: Whether to keep the spatial axes, with size 1.
        return_indices: Whether to return the winners' indices as a second output, in both data formats in PyTorch's
            convention: positions `h * width + w` in the channel's plane.
        index_dtype: `"int32"` or `"int64"`. More than 2^31 - 1 elements per channel need `"int64"`.
        **kwargs: `name`, `dtype` and the other arguments of `keras.layers.Layer`.

    Call arguments:
        inputs: Tensor of rank 4, of any float or integer dtype.
        training: `False` promises that no gradient is needed, so nothing is kept for one. If one is asked for all the
            same, the winners are found again from the inputs.

    Input shape:
        `(batch, height, width, channels)`, with `"channels_first"` `(batch, channels, height, width)`.

    Output shape:
        `(batch, channels)`; with `keepdims` `(batch, 1, 1, channels)`, with `"channels_first"` the channels before the
        ones. With `return_indices` a tuple of two tensors of this shape, values and indices.

    Raises:
        ValueError: If an argument has a wrong form or value.

    Example:

    >>> x = np.array([[1, 3], [7, 2]], "float32").reshape(1, 2, 2, 1)
    >>> values, indices = kpool.layers.GlobalMaxPooling2D(return_indices=True)(x)
    >>> print(values.numpy(), indices.numpy())
    [[7.]] [[2]]
    """

    def __init__(
        self,
        data_format: str | None = None,
        keepdims: bool = False,
        *,
        return_indices: bool = False,
        index_dtype: str = "int32",
        **kwargs: Any,
    ) -> None:
        super().__init__(2, data_format, keepdims, return_indices=return_indices, index_dtype=index_dtype, **kwargs)


@keras.saving.register_keras_serializable(package="kpool")
class GlobalMaxPooling3D(BaseGlobalMaxPooling):
    """Global max pooling of volumes, in place of `keras.layers.GlobalMaxPooling3D`.

    Takes the maximum of each channel. With `return_indices` it also returns where each maximum was. Of equal elements
    the first in row-major order wins; a NaN wins over everything.

    Args:
        data_format: `"channels_last"` or `"channels_first"`. Defaults to `keras.config.image_data_format()`.
        keepdims: Whether to keep the spatial axes, with size 1.
        return_indices: Whether to return the winners' indices as a second output, in both data formats in PyTorch's
            convention: positions `(d * height + h) * width + w` in the channel's volume.
        index_dtype: `"int32"` or `"int64"`. More than 2^31 - 1 elements per channel need `"int64"`.
        **kwargs: `name`, `dtype` and the other arguments of `keras.layers.Layer`.

    Call arguments:
        inputs: Tensor of rank 5, of any float or integer dtype.
        training: `False` promises that no gradient is needed, so nothing is kept for one. If one is asked for all the
            same, the winners are found again from the inputs.

    Input shape:
        `(batch, depth, height, width, channels)`, with `"channels_first"` `(batch, channels, depth, height, width)`.

    Output shape:
        `(batch, channels)`; with `keepdims` `(batch, 1, 1, 1, channels)`, with `"channels_first"` the channels before
        the ones. With `return_indices` a tuple of two tensors of this shape, values and indices.

    Raises:
        ValueError: If an argument has a wrong form or value.

    Example:

    >>> x = np.arange(16, dtype="float32").reshape(1, 2, 2, 2, 2)
    >>> kpool.layers.GlobalMaxPooling3D()(x).numpy()
    array([[14., 15.]], dtype=float32)
    """

    def __init__(
        self,
        data_format: str | None = None,
        keepdims: bool = False,
        *,
        return_indices: bool = False,
        index_dtype: str = "int32",
        **kwargs: Any,
    ) -> None:
        super().__init__(3, data_format, keepdims, return_indices=return_indices, index_dtype=index_dtype, **kwargs)
