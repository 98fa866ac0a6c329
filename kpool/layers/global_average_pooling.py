"""GlobalAveragePooling1D, GlobalAveragePooling2D, GlobalAveragePooling3D."""

from __future__ import annotations

from typing import Any

import keras

from kpool.layers.base_average_pooling import BaseGlobalAveragePooling
from kpool.ops.average_pool import average_dtype, average_pool_tensors
from kpool.ops.backend import as_tensor


@keras.saving.register_keras_serializable(package="kpool")
class GlobalAveragePooling1D(BaseGlobalAveragePooling):
    """Global average pooling of sequences, in place of `keras.layers.GlobalAveragePooling1D`.

    Takes the mean of each channel. Masked steps are left out.

    Args:
        data_format: `"channels_last"` or `"channels_first"`. Defaults to `keras.config.image_data_format()`.
        keepdims: Whether to keep the axis of the steps, with size 1.
        **kwargs: `name`, `dtype` and the other arguments of `keras.layers.Layer`.

    Call arguments:
        inputs: Tensor of rank 3, of any float or integer dtype. Integers give means of Keras' default float dtype.
        mask: Tensor of shape `(batch, steps)` that says which steps count; Keras passes on that of the layers before.

    Input shape:
        `(batch, steps, channels)`, with `"channels_first"` `(batch, channels, steps)`.

    Output shape:
        `(batch, channels)`; with `keepdims` `(batch, 1, channels)`, with `"channels_first"` the channels before the
        ones.

    Raises:
        ValueError: If an argument has a wrong form or value.

    Example:

    >>> x = np.array([1, 4, 2, 3, 0, 5], "float32").reshape(1, 6, 1)
    >>> kpool.layers.GlobalAveragePooling1D()(x).numpy()
    array([[2.5]], dtype=float32)
    >>> kpool.layers.GlobalAveragePooling1D()(x, mask=np.array([[1, 1, 1, 0, 0, 1]])).numpy()
    array([[3.]], dtype=float32)
    """

    def __init__(self, data_format: str | None = None, keepdims: bool = False, **kwargs: Any) -> None:
        super().__init__(1, data_format, keepdims, **kwargs)
        self.supports_masking = True

    def call(self, inputs: Any, mask: Any = None) -> Any:
        if mask is None:
            return super().call(inputs)
        inputs = as_tensor("inputs", inputs)
        dtype = average_dtype(inputs.dtype)
        # Sums can be too large for a half type, and so can the number of steps.
        sum_dtype = "float64" if dtype == "float64" else "float32"
        mask = keras.ops.expand_dims(keras.ops.cast(mask, "bool"), 1 if self.window.channels_first else 2)
        inputs = keras.ops.cast(keras.ops.where(mask, inputs, keras.ops.zeros_like(inputs)), sum_dtype)
        sums = average_pool_tensors(inputs, self.window, divisor_override=1)
        counts = average_pool_tensors(keras.ops.cast(mask, sum_dtype), self.window, divisor_override=1)
        return self.finish(keras.ops.cast(sums / counts, dtype))

    def compute_output_spec(self, inputs: keras.KerasTensor, mask: Any = None) -> keras.KerasTensor:
        return super().compute_output_spec(inputs)

    def compute_mask(self, inputs: Any, mask: Any = None) -> None:
        # The steps are gone, and their mask with them.
        return None


@keras.saving.register_keras_serializable(package="kpool")
class GlobalAveragePooling2D(BaseGlobalAveragePooling):
    """Global average pooling of images, in place of `keras.layers.GlobalAveragePooling2D`.

    Takes the mean of each channel.

    Args:
        data_format: `"channels_last"` or `"channels_first"`. Defaults to `keras.config.image_data_format()`.
        keepdims: Whether to keep the spatial axes, with size 1.
        **kwargs: `name`, `dtype` and the other arguments of `keras.layers.Layer`.

    Call arguments:
        inputs: Tensor of rank 4, of any float or integer dtype. Integers give means of Keras' default float dtype.

    Input shape:
        `(batch, height, width, channels)`, with `"channels_first"` `(batch, channels, height, width)`.

    Output shape:
        `(batch, channels)`; with `keepdims` `(batch, 1, 1, channels)`, with `"channels_first"` the channels before the
        ones.

    Raises:
        ValueError: If an argument has a wrong form or value.

    Example:

    >>> x = np.array([[1, 3], [7, 1]], "float32").reshape(1, 2, 2, 1)
    >>> kpool.layers.GlobalAveragePooling2D()(x).numpy()
    array([[3.]], dtype=float32)
    """

    def __init__(self, data_format: str | None = None, keepdims: bool = False, **kwargs: Any) -> None:
        super().__init__(2, data_format, keepdims, **kwargs)


@keras.saving.register_keras_serializable(package="kpool")
class GlobalAveragePooling3D(BaseGlobalAveragePooling):
    """Global average pooling of volumes, in place of `keras.layers.GlobalAveragePooling3D`.

    Takes the mean of each channel.

    Args:
        data_format: `"channels_last"` or `"channels_first"`. Defaults to `keras.config.image_data_format()`.
        keepdims: Whether to keep the spatial axes, with size 1.
        **kwargs: `name`, `dtype` and the other arguments of `keras.layers.Layer`.

    Call arguments:
        inputs: Tensor of rank 5, of any float or integer dtype. Integers give means of Keras' default float dtype.

    Input shape:
        `(batch, depth, height, width, channels)`, with `"channels_first"` `(batch, channels, depth, height, width)`.

    Output shape:
        `(batch, channels)`; with `keepdims` `(batch, 1, 1, 1, channels)`, with `"channels_first"` the channels before
        the ones.

    Raises:
        ValueError: If an argument has a wrong form or value.

    Example:

    >>> x = np.arange(16, dtype="float32").reshape(1, 2, 2, 2, 2)
    >>> kpool.layers.GlobalAveragePooling3D(keepdims=True)(x).shape
    TensorShape([1, 1, 1, 1, 2])
    """

    def __init__(self, data_format: str | None = None, keepdims: bool = False, **kwargs: Any) -> None:
        super().__init__(3, data_format, keepdims, **kwargs)
