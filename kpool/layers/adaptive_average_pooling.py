"""AdaptiveAveragePooling1D, AdaptiveAveragePooling2D, AdaptiveAveragePooling3D."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from kpool.layers.base_average_pooling import BaseAdaptiveAveragePooling


@keras.saving.register_keras_serializable(package="kpool")
class AdaptiveAveragePooling1D(BaseAdaptiveAveragePooling):
    """Adaptive average pooling of sequences, in place of `keras.layers.AdaptiveAveragePooling1D`.

    Takes the mean of each of `output_size` windows that divide the input as equally as can be, per channel. Window `o`
    of an axis reaches from `floor(o * size / output_size)` up to, not including, `ceil((o + 1) * size / output_size)`:
    Keras' rule, and PyTorch's. Where the sizes do not divide, neighbours may share an element.

    Args:
        output_size: int, the size of the output. None keeps an axis as it is.
        data_format: `"channels_last"` or `"channels_first"`. Defaults to `keras.config.image_data_format()`.
        **kwargs: `name`, `dtype` and the other arguments of `keras.layers.Layer`.

    Call arguments:
        inputs: Tensor of rank 3, of any float or integer dtype. Integers give means of Keras' default float dtype.

    Input shape:
        `(batch, steps, channels)`, with `"channels_first"` `(batch, channels, steps)`.

    Output shape:
        The same with the spatial sizes `output_size`.

    Raises:
        ValueError: If an argument has a wrong form or value.

    Example:

    >>> x = np.array([1, 4, 1, 3, 5], "float32").reshape(1, 5, 1)
    >>> kpool.layers.AdaptiveAveragePooling1D(2)(x).numpy()[0, :, 0]
    array([2., 3.], dtype=float32)
    """

    def __init__(
        self, output_size: int | Sequence[int | None] | None, data_format: str | None = None, **kwargs: Any
    ) -> None:
        super().__init__(1, output_size, data_format, **kwargs)


@keras.saving.register_keras_serializable(package="kpool")
class AdaptiveAveragePooling2D(BaseAdaptiveAveragePooling):
    """Adaptive average pooling of images, in place of `keras.layers.AdaptiveAveragePooling2D`.

    Takes the mean of each of `output_size` windows that divide the input as equally as can be, per channel. Window `o`
    of an axis reaches from `floor(o * size / output_size)` up to, not including, `ceil((o + 1) * size / output_size)`:
    Keras' rule, and PyTorch's. Where the sizes do not divide, neighbours may share an element.

    Args:
        output_size: int or tuple of 2 integers, the size of the output. None keeps an axis as it is.
        data_format: `"channels_last"` or `"channels_first"`. Defaults to `keras.config.image_data_format()`.
        **kwargs: `name`, `dtype` and the other arguments of `keras.layers.Layer`.

    Call arguments:
        inputs: Tensor of rank 4, of any float or integer dtype. Integers give means of Keras' default float dtype.

    Input shape:
        `(batch, height, width, channels)`, with `"channels_first"` `(batch, channels, height, width)`.

    Output shape:
        The same with the spatial sizes `output_size`.

    Raises:
        ValueError: If an argument has a wrong form or value.

    Example:

    >>> x = np.arange(25, dtype="float32").reshape(1, 5, 5, 1)
    >>> print(kpool.layers.AdaptiveAveragePooling2D(2)(x).numpy()[0, :, :, 0])
    [[ 6.  8.]
     [16. 18.]]
    """

    def __init__(
        self, output_size: int | Sequence[int | None] | None, data_format: str | None = None, **kwargs: Any
    ) -> None:
        super().__init__(2, output_size, data_format, **kwargs)


@keras.saving.register_keras_serializable(package="kpool")
class AdaptiveAveragePooling3D(BaseAdaptiveAveragePooling):
    """Adaptive average pooling of volumes, in place of `keras.layers.AdaptiveAveragePooling3D`.

    Takes the mean of each of `output_size` windows that divide the input as equally as can be, per channel. Window `o`
    of an axis reaches from `floor(o * size / output_size)` up to, not including, `ceil((o + 1) * size / output_size)`:
    Keras' rule, and PyTorch's. Where the sizes do not divide, neighbours may share an element.

    Args:
        output_size: int or tuple of 3 integers, the size of the output. None keeps an axis as it is.
        data_format: `"channels_last"` or `"channels_first"`. Defaults to `keras.config.image_data_format()`.
        **kwargs: `name`, `dtype` and the other arguments of `keras.layers.Layer`.

    Call arguments:
        inputs: Tensor of rank 5, of any float or integer dtype. Integers give means of Keras' default float dtype.

    Input shape:
        `(batch, depth, height, width, channels)`, with `"channels_first"` `(batch, channels, depth, height, width)`.

    Output shape:
        The same with the spatial sizes `output_size`.

    Raises:
        ValueError: If an argument has a wrong form or value.

    Example:

    >>> x = np.ones((1, 5, 6, 7, 2), "float32")
    >>> kpool.layers.AdaptiveAveragePooling3D((2, None, 3))(x).shape
    TensorShape([1, 2, 6, 3, 2])
    """

    def __init__(
        self, output_size: int | Sequence[int | None] | None, data_format: str | None = None, **kwargs: Any
    ) -> None:
        super().__init__(3, output_size, data_format, **kwargs)
