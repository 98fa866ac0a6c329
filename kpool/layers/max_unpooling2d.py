"""MaxUnpooling2D."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from kpool.layers.base_max_unpooling import BaseMaxUnpooling


@keras.saving.register_keras_serializable(package="kpool")
class MaxUnpooling2D(BaseMaxUnpooling):
    """Puts each element of a pooled image back where it was the maximum, and zero everywhere else.

    Called as `layer(inputs, indices)` with the indices of a `MaxPooling2D(..., return_indices=True)` that has the same
    window. Several input sizes pool to the same output size; `output_size` tells which one is meant. Where several
    windows share an index, which only overlapping ones do, the last in row-major order wins, and the gradient goes to
    it alone.

    Args:
        pool_size: int or tuple of 2 integers, the window's height and width.
        strides: int or tuple of 2 integers, the distance between windows. Defaults to `pool_size`.
        padding: `"valid"`, `"same"`, an int, one int per axis, or a pair (before, after) per axis.
        data_format: `"channels_last"` or `"channels_first"`. Defaults to `keras.config.image_data_format()`.
        output_size: int or tuple of 2 integers, the output's height and width. Any size that differs from the default
            by less than `strides` will do.
        **kwargs: `name`, `dtype` and the other arguments of `keras.layers.Layer`.

    Call arguments:
        inputs: Tensor of rank 4, of any float or integer dtype.
        indices: Tensor of the same shape, int32 or int64.
        output_size: As the argument above, which it overrides; here also an integer tensor of 2 elements, such as
            `tf.shape(x)[1:3]`.

    Input shape:
        `(batch, height, width, channels)`, with `"channels_first"` `(batch, channels, height, width)`.

    Output shape:
        The same with spatial sizes `output_size`, by default `(size - 1) * strides + pool_size - padding`, for
        `"same"` padding `size * strides`.

    Raises:
        ValueError: If an argument has a wrong form or value, shapes or dtypes do not fit, or `output_size` cannot be.
        tf.errors.InvalidArgumentError: If an index is out of range.

    Example:

    >>> x = np.arange(25, dtype="float32").reshape(1, 5, 5, 1)
    >>> values, indices = kpool.layers.MaxPooling2D(2, return_indices=True)(x)
    >>> kpool.layers.MaxUnpooling2D(2, output_size=5)(values, indices).shape
    TensorShape([1, 5, 5, 1])
    """

    def __init__(
        self,
        pool_size: int | Sequence[int] = (2, 2),
        strides: int | Sequence[int] | None = None,
        padding: str | int | Sequence[int] | Sequence[Sequence[int]] = "valid",
        data_format: str | None = None,
        name: str | None = None,
        *,
        output_size: int | Sequence[int] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(2, pool_size, strides, padding, data_format, name=name, output_size=output_size, **kwargs)
