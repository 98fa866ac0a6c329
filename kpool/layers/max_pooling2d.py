"""MaxPooling2D."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from kpool.layers.base_max_pooling import BaseMaxPooling


@keras.saving.register_keras_serializable(package="kpool")
class MaxPooling2D(BaseMaxPooling):
    """Max pooling of images, in place of `keras.layers.MaxPooling2D`.

    Takes the maximum of each window, per channel. With `return_indices` it also returns where each maximum was, for
    `MaxUnpooling2D` to put it back. Of equal elements the first in row-major order wins; a NaN wins over everything.

    Args:
        pool_size: int or tuple of 2 integers, the window's height and width.
        strides: int or tuple of 2 integers, the distance between windows. Defaults to `pool_size`.
        padding: `"valid"` (none), `"same"` (as much as makes the output `ceil(size / strides)` large, an odd pixel at
            the end), an int, one int per axis, or a pair (before, after) per axis. Padding is virtual: it never wins.
        data_format: `"channels_last"` or `"channels_first"`. Defaults to `keras.config.image_data_format()`.
        return_indices: Whether to return the indices as a second output: the position `h * width + w` in the
            channel's plane of the unpadded input, in both data formats (PyTorch's convention).
        index_dtype: `"int32"` or `"int64"`. A plane of more than 2^31 - 1 elements needs `"int64"`.
        **kwargs: `name`, `dtype` and the other arguments of `keras.layers.Layer`.

    Call arguments:
        inputs: Tensor of rank 4, of any float or integer dtype.
        training: `False` promises that no gradient is needed, so nothing is kept for one. If one is asked for all the
            same, the winners are found again from the inputs.

    Input shape:
        `(batch, height, width, channels)`, with `"channels_first"` `(batch, channels, height, width)`.

    Output shape:
        The same with each spatial size `floor((size + padding - pool_size) / strides) + 1`. With `return_indices` a
        tuple of two tensors of this shape, values and indices.

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
            name=name,
            return_indices=return_indices,
            index_dtype=index_dtype,
            **kwargs,
        )
