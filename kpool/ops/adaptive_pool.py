"""Adaptive pooling: as many windows as are asked for, whatever the size of the input."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kpool.ops.average_pool import average_pool_tensors
from kpool.ops.backend import as_tensor, like
from kpool.ops.geometry import make_adaptive_window
from kpool.ops.max_pool import max_pool_tensors
from kpool.ops.symbolic import works_in_models


@works_in_models
def adaptive_max_pool(
    inputs: Any,
    output_size: int | Sequence[int | None] | None,
    data_format: str | None = None,
    return_indices: bool = False,
    index_dtype: str = "int32",
) -> Any:
    """Maxima of `output_size` windows that divide the input as equally as can be.

    Window `o` of an axis reaches from `floor(o * size / output_size)` up to, not including,
    `ceil((o + 1) * size / output_size)`: PyTorch's rule, and Keras'. Where the sizes do not divide, neighbours may
    share an element. Ties, NaN and indices are as in `kpool.ops.max_pool`.

    Args:
        inputs: Tensor of rank 3, 4 or 5: batch, 1 to 3 spatial axes and channels. A TensorFlow tensor, a symbolic
            Keras tensor or a NumPy array (the result then is one too), of any float or integer dtype.
        output_size: int or tuple of integers, one per spatial axis: the output's size. None keeps an axis as it is.
        data_format: `"channels_last"` or `"channels_first"`. Defaults to `keras.config.image_data_format()`.
        return_indices: Whether to return the winners' indices as well.
        index_dtype: `"int32"` or `"int64"`. A plane of more than 2^31 - 1 elements needs `"int64"`.

    Returns:
        The pooled tensor, of the dtype of `inputs`; with `return_indices` a tuple of it and the indices.

    Raises:
        ValueError: If an argument has a wrong form or value, or the rank is wrong.
        tf.errors.InvalidArgumentError: If an error turns out only when a graph runs.

    Example:

    >>> x = np.array([1, 4, 2, 3, 0], "float32").reshape(1, 5, 1)
    >>> values, indices = kpool.ops.adaptive_max_pool(x, 2, return_indices=True)
    >>> print(values[0, :, 0], indices[0, :, 0])
    [4. 3.] [1 3]
    """
    tensor = as_tensor("inputs", inputs)
    window = make_adaptive_window(tensor.shape.rank - 2, output_size, data_format)
    return like(inputs, max_pool_tensors(tensor, window, return_indices, index_dtype))


@works_in_models
def adaptive_average_pool(
    inputs: Any, output_size: int | Sequence[int | None] | None, data_format: str | None = None
) -> Any:
    """Means of `output_size` windows that divide the input as equally as can be.

    Window `o` of an axis reaches from `floor(o * size / output_size)` up to, not including,
    `ceil((o + 1) * size / output_size)`: PyTorch's rule, and Keras'. Where the sizes do not divide, neighbours may
    share an element. Sums are taken as in `kpool.ops.average_pool`.

    Args:
        inputs: Tensor of rank 3, 4 or 5: batch, 1 to 3 spatial axes and channels. A TensorFlow tensor, a symbolic
            Keras tensor or a NumPy array (the result then is one too), of any float or integer dtype.
        output_size: int or tuple of integers, one per spatial axis: the output's size. None keeps an axis as it is.
        data_format: `"channels_last"` or `"channels_first"`. Defaults to `keras.config.image_data_format()`.

    Returns:
        The pooled tensor, of the dtype of `inputs`; for integers of Keras' default float dtype.

    Raises:
        ValueError: If an argument has a wrong form or value, or the rank is wrong.
        tf.errors.InvalidArgumentError: If an error turns out only when a graph runs.

    Example:

    >>> x = np.array([1, 4, 1, 3, 5], "float32").reshape(1, 5, 1)
    >>> print(kpool.ops.adaptive_average_pool(x, 2)[0, :, 0])
    [2. 3.]
    """
    tensor = as_tensor("inputs", inputs)
    window = make_adaptive_window(tensor.shape.rank - 2, output_size, data_format)
    return like(inputs, average_pool_tensors(tensor, window))
