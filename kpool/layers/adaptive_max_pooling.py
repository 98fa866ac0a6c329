"""AdaptiveMaxPooling1D, AdaptiveMaxPooling2D, AdaptiveMaxPooling3D."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from kpool.layers.base_max_pooling import BaseAdaptiveMaxPooling


@keras.saving.register_keras_serializable(package="kpool")
class AdaptiveMaxPooling1D(BaseAdaptiveMaxPooling):
    """Adaptive max pooling of sequences, in place of `keras.layers.AdaptiveMaxPooling1D`.

    Takes the maximum of each of `output_size` windows that divide the input as equally as can be, per channel. Window
    `o` of an axis reaches from `floor(o * size / output_size)` up to, not including, `ceil((o + 1) * size /
    output_size)`: Keras' rule, and PyTorch's. Where the sizes do not divide, neighbours may share an element. Of equal
    elements the first in row-major order wins; a NaN wins over everything.

    Args:
        output_size: int, the size of the output. None keeps an axis as it is.
        data_format: `"channels_last"` or `"channels_first"`. Defaults to `keras.config.image_data_format()`.
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
        The same with the spatial sizes `output_size`. With `return_indices` a tuple of two tensors of this shape,
        values and indices.

    Raises:
        ValueError: If an argument has a wrong form or value.

    Example:

    >>> x = np.array([1, 4, 1, 3, 5], "float32").reshape(1, 5, 1)
    >>> kpool.layers.AdaptiveMaxPooling1D(2)(x).numpy()[0, :, 0]
    array([4., 5.], dtype=float32)
    """

    def __init__(
        self,
        output_size: int | Sequence[int | None] | None,
        data_format: str | None = None,
        *,
        return_indices: bool = False,
        index_dtype: str = "int32",
        **kwargs: Any,
    ) -> None:
        super().__init__(1, output_size, data_format, return_indices=return_indices, index_dtype=index_dtype, **kwargs)


@keras.saving.register_keras_serializable(package="kpool")
class AdaptiveMaxPooling2D(BaseAdaptiveMaxPooling):
    """Adaptive max pooling of images, in place of `keras.layers.AdaptiveMaxPooling2D`.

    Takes the maximum of each of `output_size` windows that divide the input as equally as can be, per channel. Window
    `o` of an axis reaches from `floor(o * size / output_size)` up to, not including, `ceil((o + 1) * size /
    output_size)`: Keras' rule, and PyTorch's. Where the sizes do not divide, neighbours may share an element. Of equal
    elements the first in row-major order wins; a NaN wins over everything.

    Args:
        output_size: int or tuple of 2 integers, the size of the output. None keeps an axis as it is.
        data_format: `"channels_last"` or `"channels_first"`. Defaults to `keras.config.image_data_format()`.
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
        The same with the spatial sizes `output_size`. With `return_indices` a tuple of two tensors of this shape,
        values and indices.

    Raises:
        ValueError: If an argument has a wrong form or value.

    Example:

    >>> x = np.arange(25, dtype="float32").reshape(1, 5, 5, 1)
    >>> print(kpool.layers.AdaptiveMaxPooling2D(2)(x).numpy()[0, :, :, 0])
    [[12. 14.]
     [22. 24.]]
    """

    def __init__(
        self,
        output_size: int | Sequence[int | None] | None,
        data_format: str | None = None,
        *,
        return_indices: bool = False,
        index_dtype: str = "int32",
        **kwargs: Any,
    ) -> None:
        super().__init__(2, output_size, data_format, return_indices=return_indices, index_dtype=index_dtype, **kwargs)


@keras.saving.register_keras_serializable(package="kpool")
class AdaptiveMaxPooling3D(BaseAdaptiveMaxPooling):
    """Adaptive max pooling of volumes, in place of `keras.layers.AdaptiveMaxPooling3D`.

    Takes the maximum of each of `output_size` windows that divide the input as equally as can be, per channel. Window
    `o` of an axis reaches from `floor(o * size / output_size)` up to, not including, `ceil((o + 1) * size /
    output_size)`: Keras' rule, and PyTorch's. Where the sizes do not divide, neighbours may share an element. Of equal
    elements the first in row-major order wins; a NaN wins over everything.

    Args:
        output_size: int or tuple of 3 integers, the size of the output. None keeps an axis as it is.
        data_format: `"channels_last"` or `"channels_first"`. Defaults to `keras.config.image_data_format()`.
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
        The same with the spatial sizes `output_size`. With `return_indices` a tuple of two tensors of this shape,
        values and indices.

    Raises:
        ValueError: If an argument has a wrong form or value.

    Example:

    >>> x = np.ones((1, 5, 6, 7, 2), "float32")
    >>> kpool.layers.AdaptiveMaxPooling3D((2, None, 3))(x).shape
    TensorShape([1, 2, 6, 3, 2])
    """

    def __init__(
        self,
        output_size: int | Sequence[int | None] | None,
        data_format: str | None = None,
        *,
        return_indices: bool = False,
        index_dtype: str = "int32",
        **kwargs: Any,
    ) -> None:
        super().__init__(3, output_size, data_format, return_indices=return_indices, index_dtype=index_dtype, **kwargs)
