"""MaxUnpooling1D, MaxUnpooling2D, MaxUnpooling3D."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from kpool.layers.base_max_unpooling import BaseMaxUnpooling


@keras.saving.register_keras_serializable(package="kpool")
class MaxUnpooling1D(BaseMaxUnpooling):
    """Puts each element of pooled sequences back where it was the maximum, and zero everywhere else.

    Called as `layer(inputs, indices)` with the indices of a `MaxPooling1D(..., return_indices=True)` that has the same
    window. Several input sizes pool to the same output size; `output_size` tells which one is meant. In a plane of
    another size than the indices' elements land elsewhere, without an error where they are in range.

    Args:
        pool_size: int, the size of the window.
        strides: int, the distance between windows. Defaults to `pool_size`.
        padding: `"valid"`, `"same"`, an int, one int per axis, or a pair (before, after) per axis.
        data_format: `"channels_last"` or `"channels_first"`. Defaults to `keras.config.image_data_format()`.
        dilation_rate: int, the distance between the elements of a window.
        output_size: int, the output's length. Any size that differs from the
            default by less than `strides` will do.
        duplicates: What happens where windows share an index, which only overlapping ones do: `"last"`, the last in
            row-major order wins, and the gradient goes to it alone; or `"sum"`, they add up.
        **kwargs: `name`, `dtype` and the other arguments of `keras.layers.Layer`.

    Call arguments:
        inputs: Tensor of rank 3, of any float or integer dtype.
        indices: Tensor of the same shape, int32 or int64.
        output_size: As the argument above, which it overrides; here also an integer tensor, such as a slice of
            `tf.shape(x)`.

    Input shape:
        `(batch, steps, channels)`, with `"channels_first"` `(batch, channels, steps)`.

    Output shape:
        The same with spatial sizes `output_size`, by default
        `(size - 1) * strides + (pool_size - 1) * dilation_rate + 1 - padding`, for `"same"` padding `size * strides`
        (where the window is no smaller).

    Raises:
        ValueError: If an argument has a wrong form or value, shapes or dtypes do not fit, or `output_size` cannot be.
        tf.errors.InvalidArgumentError: If an index is out of range.

    Example:

    >>> x = np.array([1, 4, 2, 3, 0], "float32").reshape(1, 5, 1)
    >>> values, indices = kpool.layers.MaxPooling1D(2, return_indices=True)(x)
    >>> print(kpool.layers.MaxUnpooling1D(2, output_size=5)(values, indices).numpy()[0, :, 0])
    [0. 4. 0. 3. 0.]
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
        output_size: int | Sequence[int] | None = None,
        duplicates: str = "last",
        **kwargs: Any,
    ) -> None:
        super().__init__(
            1,
            pool_size,
            strides,
            padding,
            data_format,
            dilation_rate,
            output_size=output_size,
            duplicates=duplicates,
            name=name,
            **kwargs,
        )


@keras.saving.register_keras_serializable(package="kpool")
class MaxUnpooling2D(BaseMaxUnpooling):
    """Puts each element of pooled images back where it was the maximum, and zero everywhere else.

    Called as `layer(inputs, indices)` with the indices of a `MaxPooling2D(..., return_indices=True)` that has the same
    window. Several input sizes pool to the same output size; `output_size` tells which one is meant. In a plane of
    another size than the indices' elements land elsewhere, without an error where they are in range.

    Args:
        pool_size: int or tuple of 2 integers, the size of the window.
        strides: int or tuple of 2 integers, the distance between windows. Defaults to `pool_size`.
        padding: `"valid"`, `"same"`, an int, one int per axis, or a pair (before, after) per axis.
        data_format: `"channels_last"` or `"channels_first"`. Defaults to `keras.config.image_data_format()`.
        dilation_rate: int or tuple of 2 integers, the distance between the elements of a window.
        output_size: int or tuple of 2 integers, the output's height and width. Any size that differs from the
            default by less than `strides` will do.
        duplicates: What happens where windows share an index, which only overlapping ones do: `"last"`, the last in
            row-major order wins, and the gradient goes to it alone; or `"sum"`, they add up.
        **kwargs: `name`, `dtype` and the other arguments of `keras.layers.Layer`.

    Call arguments:
        inputs: Tensor of rank 4, of any float or integer dtype.
        indices: Tensor of the same shape, int32 or int64.
        output_size: As the argument above, which it overrides; here also an integer tensor, such as a slice of
            `tf.shape(x)`.

    Input shape:
        `(batch, height, width, channels)`, with `"channels_first"` `(batch, channels, height, width)`.

    Output shape:
        The same with spatial sizes `output_size`, by default
        `(size - 1) * strides + (pool_size - 1) * dilation_rate + 1 - padding`, for `"same"` padding `size * strides`
        (where the window is no smaller).

    Raises:
        ValueError: If an argument has a wrong form or value, shapes or dtypes do not fit, or `output_size` cannot be.
        tf.errors.InvalidArgumentError: If an index is out of range.

    Example:

    >>> x = np.array([[1, 3], [5, 6]], "float32").reshape(1, 2, 2, 1)
    >>> values, indices = kpool.layers.MaxPooling2D(2, return_indices=True)(x)
    >>> print(kpool.layers.MaxUnpooling2D(2)(values, indices).numpy()[0, :, :, 0])
    [[0. 0.]
     [0. 6.]]
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
        output_size: int | Sequence[int] | None = None,
        duplicates: str = "last",
        **kwargs: Any,
    ) -> None:
        super().__init__(
            2,
            pool_size,
            strides,
            padding,
            data_format,
            dilation_rate,
            output_size=output_size,
            duplicates=duplicates,
            name=name,
            **kwargs,
        )


@keras.saving.register_keras_serializable(package="kpool")
class MaxUnpooling3D(BaseMaxUnpooling):
    """Puts each element of pooled volumes back where it was the maximum, and zero everywhere else.

    Called as `layer(inputs, indices)` with the indices of a `MaxPooling3D(..., return_indices=True)` that has the same
    window. Several input sizes pool to the same output size; `output_size` tells which one is meant. In a plane of
    another size than the indices' elements land elsewhere, without an error where they are in range.

    Args:
        pool_size: int or tuple of 3 integers, the size of the window.
        strides: int or tuple of 3 integers, the distance between windows. Defaults to `pool_size`.
        padding: `"valid"`, `"same"`, an int, one int per axis, or a pair (before, after) per axis.
        data_format: `"channels_last"` or `"channels_first"`. Defaults to `keras.config.image_data_format()`.
        dilation_rate: int or tuple of 3 integers, the distance between the elements of a window.
        output_size: int or tuple of 3 integers, the output's depth, height and width. Any size that differs from the
            default by less than `strides` will do.
        duplicates: What happens where windows share an index, which only overlapping ones do: `"last"`, the last in
            row-major order wins, and the gradient goes to it alone; or `"sum"`, they add up.
        **kwargs: `name`, `dtype` and the other arguments of `keras.layers.Layer`.

    Call arguments:
        inputs: Tensor of rank 5, of any float or integer dtype.
        indices: Tensor of the same shape, int32 or int64.
        output_size: As the argument above, which it overrides; here also an integer tensor, such as a slice of
            `tf.shape(x)`.

    Input shape:
        `(batch, depth, height, width, channels)`, with `"channels_first"` `(batch, channels, depth, height, width)`.

    Output shape:
        The same with spatial sizes `output_size`, by default
        `(size - 1) * strides + (pool_size - 1) * dilation_rate + 1 - padding`, for `"same"` padding `size * strides`
        (where the window is no smaller).

    Raises:
        ValueError: If an argument has a wrong form or value, shapes or dtypes do not fit, or `output_size` cannot be.
        tf.errors.InvalidArgumentError: If an index is out of range.

    Example:

    >>> x = np.arange(64, dtype="float32").reshape(1, 4, 4, 4, 1)
    >>> values, indices = kpool.layers.MaxPooling3D(2, return_indices=True)(x)
    >>> restored = kpool.layers.MaxUnpooling3D(2)(values, indices)
    >>> restored.shape, int(np.count_nonzero(restored))
    (TensorShape([1, 4, 4, 4, 1]), 8)
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
        output_size: int | Sequence[int] | None = None,
        duplicates: str = "last",
        **kwargs: Any,
    ) -> None:
        super().__init__(
            3,
            pool_size,
            strides,
            padding,
            data_format,
            dilation_rate,
            output_size=output_size,
            duplicates=duplicates,
            name=name,
            **kwargs,
        )
