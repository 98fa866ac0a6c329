"""Average pooling."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from kpool.ops.backend import as_tensor, functions, like, standard_dtype
from kpool.ops.geometry import Window, flag, integers, make_window
from kpool.ops.symbolic import works_in_models


@works_in_models
def average_pool(
    inputs: Any,
    pool_size: int | Sequence[int],
    strides: int | Sequence[int] | None = None,
    padding: str | int | Sequence[int] | Sequence[Sequence[int]] = "valid",
    data_format: str | None = None,
    *,
    dilation_rate: int | Sequence[int] = 1,
    ceil_mode: bool = False,
    count_include_pad: bool = False,
    divisor_override: int | None = None,
) -> Any:
    """Mean of each window of the input, over 1, 2 or 3 spatial axes.

    Padding is not counted, as in Keras: a window that hangs into it averages the elements it has. PyTorch counts
    padding as zeros by default; `count_include_pad=True` does so here. What hangs over the end in `ceil_mode` is
    never counted.

    Sums are taken in the dtype of the inputs, those of float16 and bfloat16 in float32. The gradient exists any number
    of times over.

    Args:
        inputs: Tensor of rank 3, 4 or 5: batch, 1 to 3 spatial axes and channels. A TensorFlow tensor, a symbolic
            Keras tensor or a NumPy array (the result then is one too), of any float or integer dtype.
        pool_size: int or tuple of integers, one per spatial axis: the window's size.
        strides: int or tuple of integers, the distance between windows. Defaults to `pool_size`.
        padding: `"valid"` (none), `"same"` (as much as makes the output `ceil(size / strides)` large, an odd pixel at
            the end), an int, one int per axis, or a pair (before, after) per axis. Explicit padding must be smaller
            than the window with its dilation.
        data_format: `"channels_last"` or `"channels_first"`. Defaults to `keras.config.image_data_format()`.
        dilation_rate: int or tuple of integers, the distance between the elements of a window.
        ceil_mode: Whether to round output sizes up instead of down. A window may then hang over the end of the input,
            if it starts inside the input or the leading padding (PyTorch's rule).
        count_include_pad: Whether the elements of a window that lie in the padding count, as zeros.
        divisor_override: int, what to divide each sum by instead of its number of elements; 1 gives the sums.

    Returns:
        The pooled tensor, of the dtype of `inputs`; for integers of Keras' default float dtype. Each spatial size is
        `floor((size + padding - ((pool_size - 1) * dilation_rate + 1)) / strides) + 1`.

    Raises:
        ValueError: If an argument has a wrong form or value, the rank is wrong, or the window does not fit.
        tf.errors.InvalidArgumentError: If that turns out only when a graph runs.

    Example:

    >>> x = np.array([[1, 3, 2, 4], [5, 7, 1, 1]], "float32").reshape(1, 2, 4, 1)
    >>> kpool.ops.average_pool(x, 2)[0, :, :, 0]
    array([[4., 2.]], dtype=float32)
    >>> kpool.ops.average_pool(x, 2, padding=((0, 0), (1, 1)))[0, :, :, 0]
    array([[3.  , 3.25, 2.5 ]], dtype=float32)
    >>> kpool.ops.average_pool(x, 2, padding=((0, 0), (1, 1)), count_include_pad=True)[0, :, :, 0]
    array([[1.5 , 3.25, 1.25]], dtype=float32)
    """
    tensor = as_tensor("inputs", inputs)
    window = make_window(tensor.shape.rank - 2, pool_size, strides, padding, data_format, dilation_rate, ceil_mode)
    return like(inputs, average_pool_tensors(tensor, window, count_include_pad, divisor_override))


def average_pool_tensors(
    inputs: Any, window: Window, count_include_pad: bool = False, divisor_override: int | None = None
) -> Any:
    """Average a tensor that `as_tensor` gave over a window."""
    padded, divisor = flag("count_include_pad", count_include_pad), check_divisor(divisor_override) or 0
    dtype = average_dtype(inputs.dtype)
    if inputs.dtype != dtype:
        inputs = keras.ops.cast(inputs, dtype)
    window.pooled_shape(inputs.shape)
    return functions.average_pool(inputs, window, padded, divisor)


def average_dtype(dtype: Any) -> str:
    """The dtype of an average: that of what is averaged, and Keras' default float dtype for integers."""
    dtype = standard_dtype(dtype)
    return dtype if "float" in dtype else str(keras.backend.result_type(dtype, float))


def check_divisor(divisor_override: Any) -> int | None:
    """None, or a positive integer."""
    if divisor_override is None:
        return None
    try:
        (divisor,) = integers("divisor_override", divisor_override, 1)
    except ValueError:
        divisor = 0
    if not 1 <= divisor <= 2**31 - 1:
        raise ValueError(
            "`divisor_override` must be None or an integer from 1 to 2147483647. "
            f"Received: divisor_override={divisor_override!r}"
        )
    return divisor
