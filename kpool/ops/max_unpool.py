"""Max unpooling: the inverse of max pooling, as far as there is one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from kpool.kernels.geometry import check_unpooled_sizes
from kpool.ops.backend import INDEX_DTYPES, as_tensor, dense, functions, is_symbolic, like, standard_dtype
from kpool.ops.geometry import Window, integers, make_window
from kpool.ops.symbolic import works_in_models


@works_in_models
def max_unpool(
    inputs: Any,
    indices: Any,
    pool_size: int | Sequence[int],
    strides: int | Sequence[int] | None = None,
    padding: str | int | Sequence[int] | Sequence[Sequence[int]] = "valid",
    data_format: str | None = None,
    output_size: Any = None,
    *,
    dilation_rate: int | Sequence[int] = 1,
    duplicates: str = "last",
) -> Any:
    """Put each element back where it was the maximum, and zero everywhere else.

    Takes the window with which the indices were made; it determines the size of the output. Several input sizes pool
    to the same output size, and `output_size` tells which one is meant. Indices are positions in a plane of that size:
    in one of another size elements land elsewhere, without an error where they are in range.

    Several windows can share an index, if they overlap. Then the last in row-major order wins, and the gradient goes
    to it alone; with `duplicates="sum"` they add up, and each gets the gradient.

    Args:
        inputs: Tensor of rank 3, 4 or 5, pooled: batch, 1 to 3 spatial axes and channels. A TensorFlow tensor, a
            symbolic Keras tensor or a NumPy array (the result then is one too), of any float or integer dtype.
        indices: Tensor of the same shape, int32 or int64, from `max_pool` or in its convention: the position
            `(d * height + h) * width + w` in one channel's plane of the output.
        pool_size: int or tuple of integers, one per spatial axis: the window's size.
        strides: int or tuple of integers, the distance between windows. Defaults to `pool_size`.
        padding: `"valid"`, `"same"`, an int, one int per axis, or a pair (before, after) per axis.
        data_format: `"channels_last"` or `"channels_first"`. Defaults to `keras.config.image_data_format()`.
        output_size: int, tuple of integers, or integer tensor with one element per spatial axis: the output's spatial
            sizes. Defaults to `(size - 1) * strides + (pool_size - 1) * dilation_rate + 1 - padding`, for `"same"`
            padding to `size * strides` (where the window is no smaller). Any size that differs from the default by
            less than `strides` will do.
        dilation_rate: int or tuple of integers, the distance between the elements of a window.
        duplicates: `"last"` or `"sum"`. Integer sums wrap around.

    Returns:
        The unpooled tensor, of the dtype of `inputs`.

    Raises:
        ValueError: If an argument has a wrong form or value, shapes or dtypes do not fit, or `output_size` cannot be.
        tf.errors.InvalidArgumentError: If an index is out of range, or an error turns out only when a graph runs.
            XLA raises tf.errors.InternalError instead.

    Example:

    >>> x = np.array([[1, 3], [5, 6]], "float32").reshape(1, 2, 2, 1)
    >>> values, indices = kpool.ops.max_pool(x, 2, return_indices=True)
    >>> kpool.ops.max_unpool(values, indices, 2)[0, :, :, 0]
    array([[0., 0.],
           [0., 6.]], dtype=float32)
    """
    check_duplicates(duplicates)
    tensor = as_tensor("inputs", inputs)
    window = make_window(tensor.shape.rank - 2, pool_size, strides, padding, data_format, dilation_rate)
    return like(inputs, max_unpool_tensors(tensor, indices, window, output_size, duplicates))


def max_unpool_tensors(
    inputs: Any, indices: Any, window: Window, output_size: Any = None, duplicates: str = "last"
) -> Any:
    """Unpool a tensor that `as_tensor` gave, by indices of any kind."""
    indices = dense("indices", indices)
    size = check_output_size(output_size, window)
    check_indices(inputs, indices)
    window.unpooled_shape(inputs.shape, None if is_tensor(size) else size)
    return functions.max_unpool(inputs, indices, window, size, duplicates)


def max_unpool_spec(
    inputs: keras.KerasTensor,
    indices: keras.KerasTensor,
    window: Window,
    output_size: Any = None,
    dtype: str | None = None,
) -> keras.KerasTensor:
    """What `max_unpool_tensors` would return, as a symbolic tensor; of `dtype` if the inputs are cast to it."""
    size = check_output_size(output_size, window)
    check_indices(inputs, indices)
    if is_tensor(size):
        return keras.KerasTensor(window.unpooled_shape_of_unknown_size(inputs.shape), dtype=dtype or inputs.dtype)
    return keras.KerasTensor(window.unpooled_shape(inputs.shape, size), dtype=dtype or inputs.dtype)


def is_tensor(output_size: Any) -> bool:
    """Whether an output size is known only when the graph runs."""
    if output_size is None or isinstance(output_size, tuple):
        # Keras takes its time to say so.
        return False
    return is_symbolic(output_size) or keras.ops.is_tensor(output_size)


def check_output_size(output_size: Any, window: Window) -> Any:
    """None, a tuple with one integer per spatial axis, or an integer tensor that holds as many."""
    if output_size is None:
        return None
    if isinstance(output_size, tuple | list) and any(is_tensor(size) for size in output_size):
        # What `keras.ops.shape` gives in a graph: integers where they are known, else tensors.
        output_size = keras.ops.stack([keras.ops.cast(size, "int64") for size in output_size])
    if not is_tensor(output_size):
        return fixed_output_size(output_size, window.rank)
    dtype, shape = keras.backend.standardize_dtype(output_size.dtype), tuple(output_size.shape)
    if "int" not in dtype or shape not in ((window.rank,), (None,)):
        raise ValueError(
            f"`output_size` must be an integer, a tuple of {window.rank} integers or an integer tensor of shape "
            f"({window.rank},). Received: output_size of shape {shape} and dtype {dtype}"
        )
    return output_size


def fixed_output_size(output_size: Any, rank: int) -> tuple[int, ...]:
    """A tuple with one positive integer per spatial axis."""
    sizes = integers("output_size", output_size, rank)
    check_unpooled_sizes(sizes)
    return sizes


def check_duplicates(duplicates: str) -> str:
    """The rule for duplicates, if it is one."""
    if not isinstance(duplicates, str) or duplicates not in ("last", "sum"):
        raise ValueError(f'`duplicates` must be "last" or "sum". Received: duplicates={duplicates!r}')
    return duplicates


def check_indices(inputs: Any, indices: Any) -> None:
    """Refuse indices that cannot belong to the inputs."""
    dtype = standard_dtype(indices.dtype)
    if dtype not in INDEX_DTYPES:
        raise ValueError(f"`indices` must be of dtype int32 or int64. Received: indices of dtype {dtype}")
    shapes = tuple(inputs.shape), tuple(indices.shape)
    if len(shapes[0]) != len(shapes[1]) or any(a != b for a, b in zip(*shapes, strict=True) if None not in (a, b)):
        raise ValueError(
            "`indices` must have the shape of `inputs`. "
            f"Received: inputs of shape {shapes[0]}, indices of shape {shapes[1]}"
        )
