"""Global pooling: one window, the whole plane."""

from __future__ import annotations

from typing import Any

import keras

from kpool.ops.average_pool import average_pool_tensors
from kpool.ops.backend import as_tensor, like
from kpool.ops.geometry import Window, flag, make_adaptive_window
from kpool.ops.max_pool import max_pool_tensors
from kpool.ops.symbolic import works_in_models


@works_in_models
def global_max_pool(
    inputs: Any,
    data_format: str | None = None,
    keepdims: bool = False,
    return_indices: bool = False,
    index_dtype: str = "int32",
) -> Any:
    """Maximum of each channel. Ties, NaN and indices are as in `kpool.ops.max_pool`.

    Args:
        inputs: Tensor of rank 3, 4 or 5: batch, 1 to 3 spatial axes and channels. A TensorFlow tensor, a symbolic
            Keras tensor or a NumPy array (the result then is one too), of any float or integer dtype.
        data_format: `"channels_last"` or `"channels_first"`. Defaults to `keras.config.image_data_format()`.
        keepdims: Whether to keep the spatial axes, with size 1.
        return_indices: Whether to return the winners' indices as well.
        index_dtype: `"int32"` or `"int64"`.

    Returns:
        Tensor of shape `(batch, channels)`, or with the spatial axes of size 1, and the dtype of `inputs`; with
        `return_indices` a tuple of it and the indices.

    Raises:
        ValueError: If an argument has a wrong form or value, or the rank is wrong.
        tf.errors.InvalidArgumentError: If a plane has more than 2^31 - 1 elements, the most that a window may have, or
            an error turns out only when a graph runs.

    Example:

    >>> x = np.array([[1, 3], [7, 2]], "float32").reshape(1, 2, 2, 1)
    >>> kpool.ops.global_max_pool(x, return_indices=True)
    (array([[7.]], dtype=float32), array([[2]], dtype=int32))
    """
    keepdims = flag("keepdims", keepdims)
    tensor = as_tensor("inputs", inputs)
    window = make_adaptive_window(tensor.shape.rank - 2, 1, data_format)
    results = max_pool_tensors(tensor, window, return_indices, index_dtype)
    return like(inputs, results if keepdims else without_spatial_axes(results, window))


@works_in_models
def global_average_pool(inputs: Any, data_format: str | None = None, keepdims: bool = False) -> Any:
    """Mean of each channel. Sums are taken as in `kpool.ops.average_pool`.

    Args:
        inputs: Tensor of rank 3, 4 or 5: batch, 1 to 3 spatial axes and channels. A TensorFlow tensor, a symbolic
            Keras tensor or a NumPy array (the result then is one too), of any float or integer dtype.
        data_format: `"channels_last"` or `"channels_first"`. Defaults to `keras.config.image_data_format()`.
        keepdims: Whether to keep the spatial axes, with size 1.

    Returns:
        Tensor of shape `(batch, channels)`, or with the spatial axes of size 1, and the dtype of `inputs`; for integers
        of Keras' default float dtype.

    Raises:
        ValueError: If an argument has a wrong form or value, or the rank is wrong.
        tf.errors.InvalidArgumentError: If a plane has more than 2^31 - 1 elements, the most that a window may have, or
            an error turns out only when a graph runs.

    Example:

    >>> x = np.array([[1, 3], [7, 1]], "float32").reshape(1, 2, 2, 1)
    >>> kpool.ops.global_average_pool(x)
    array([[3.]], dtype=float32)
    """
    keepdims = flag("keepdims", keepdims)
    tensor = as_tensor("inputs", inputs)
    window = make_adaptive_window(tensor.shape.rank - 2, 1, data_format)
    result = average_pool_tensors(tensor, window)
    return like(inputs, result if keepdims else without_spatial_axes(result, window))


def without_spatial_axes(results: Any, window: Window) -> Any:
    """A pooled tensor, or a tuple of several, without its spatial axes, which have size 1."""
    if isinstance(results, tuple):
        return tuple(without_spatial_axes(result, window) for result in results)
    return keras.ops.squeeze(results, axis=window.spatial(tuple(range(window.rank + 2))))
