"""Max pooling, with the indices of the winners on request."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from kpool.ops.backend import INDEX_DTYPES, as_tensor, functions, like
from kpool.ops.geometry import Window, flag, make_window
from kpool.ops.symbolic import works_in_models


@works_in_models
def max_pool(
    inputs: Any,
    pool_size: int | Sequence[int],
    strides: int | Sequence[int] | None = None,
    padding: str | int | Sequence[int] | Sequence[Sequence[int]] = "valid",
    data_format: str | None = None,
    return_indices: bool = False,
    index_dtype: str = "int32",
    *,
    dilation_rate: int | Sequence[int] = 1,
    ceil_mode: bool = False,
) -> Any:
    """Maximum of each window of the input, over 1, 2 or 3 spatial axes.

    Of equal elements the first of the window in row-major order wins, and a NaN wins over everything. Padding is
    virtual: it never wins, and no index points at it.

    An index is the winner's position in its channel's plane of the unpadded input, `(d * height + h) * width + w`, in
    both data formats. This is PyTorch's convention.

    The gradient goes to the winners. It exists for float dtypes, any number of times over.

    Args:
        inputs: Tensor of rank 3, 4 or 5: batch, 1 to 3 spatial axes and channels. A TensorFlow tensor, a symbolic
            Keras tensor or a NumPy array (the result then is one too), of any float or integer dtype.
        pool_size: int or tuple of integers, one per spatial axis: the window's size.
        strides: int or tuple of integers, the distance between windows. Defaults to `pool_size`.
        padding: `"valid"` (none), `"same"` (as much as makes the output `ceil(size / strides)` large, an odd pixel at
            the end), an int, one int per axis, or a pair (before, after) per axis. Explicit padding must be smaller
            than the window with its dilation.
        data_format: `"channels_last"` or `"channels_first"`. Defaults to `keras.config.image_data_format()`.
        return_indices: Whether to return the indices as well.
        index_dtype: `"int32"` or `"int64"`. A plane of more than 2^31 - 1 elements needs `"int64"`.
        dilation_rate: int or tuple of integers, the distance between the elements of a window.
        ceil_mode: Whether to round output sizes up instead of down. A window may then hang over the end of the input,
            if it starts inside the input or the leading padding (PyTorch's rule).

    Returns:
        The pooled tensor, of the dtype of `inputs`; with `return_indices` a tuple of it and the indices. Each spatial
        size is `floor((size + padding - ((pool_size - 1) * dilation_rate + 1)) / strides) + 1`.

    Raises:
        ValueError: If an argument has a wrong form or value, the rank is wrong, or the window does not fit.
        tf.errors.InvalidArgumentError: If that turns out only when a graph runs.

    Example:

    >>> x = np.array([[1, 3, 2, 4], [5, 6, 1, 2], [3, 2, 0, 1], [1, 2, 4, 3]], "float32").reshape(1, 4, 4, 1)
    >>> values, indices = kpool.ops.max_pool(x, 2, return_indices=True)
    >>> values[0, :, :, 0]
    array([[6., 4.],
           [3., 4.]], dtype=float32)
    >>> indices[0, :, :, 0]
    array([[ 5,  3],
           [ 8, 14]], dtype=int32)
    """
    tensor = as_tensor("inputs", inputs)
    window = make_window(tensor.shape.rank - 2, pool_size, strides, padding, data_format, dilation_rate, ceil_mode)
    return like(inputs, max_pool_tensors(tensor, window, return_indices, index_dtype))


def standard_index_dtype(index_dtype: Any) -> str:
    """The name of an index dtype in any of its forms."""
    if type(index_dtype) is str and index_dtype in INDEX_DTYPES:
        return index_dtype
    try:
        name = keras.backend.standardize_dtype(index_dtype)
    except (TypeError, ValueError):
        name = None
    if name not in INDEX_DTYPES:
        raise ValueError(f'`index_dtype` must be "int32" or "int64". Received: index_dtype={index_dtype!r}')
    return str(name)


def max_pool_tensors(
    inputs: Any, window: Window, return_indices: bool, index_dtype: str = "int32", training: bool = True
) -> Any:
    """Pool a tensor that `as_tensor` gave over a window: the values, or a tuple of them and the indices."""
    index_dtype = standard_index_dtype(index_dtype)
    return_indices = flag("return_indices", return_indices)
    window.pooled_shape(inputs.shape)
    if return_indices:
        window.check_index_dtype(inputs.shape, index_dtype)
    return functions.max_pool(inputs, window, index_dtype if return_indices else None, training)
