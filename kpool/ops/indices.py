"""The indices of max pooling, in the conventions of kpool, PyTorch, TensorFlow and ONNX."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import keras

from kpool.ops.backend import INDEX_DTYPES, check_tensor, dense, functions, like
from kpool.ops.geometry import Shape, entries, standard_data_format
from kpool.ops.max_pool import standard_index_dtype
from kpool.ops.symbolic import works_in_models


@works_in_models
def convert_indices(
    indices: Any,
    source: str,
    target: str,
    input_shape: Sequence[int | None],
    data_format: str | None = None,
    *,
    index_dtype: str | None = None,
) -> Any:
    """Max pooling indices of one convention in another.

    An index says where in the input the maximum stood. For row `h`, column `w` and channel `c` of image `b`, it is

    - `"kpool"`, `"pytorch"`: `h * width + w`;
    - `"tensorflow"`: `(h * width + w) * channels + c`, the default of `tf.nn.max_pool_with_argmax`;
    - `"tensorflow_with_batch"`: that plus `b * height * width * channels`, from `include_batch_in_index=True`;
    - `"onnx"`: `(b * channels + c) * height * width + h * width + w`;
    - `"onnx_column_major"`: `(b * channels + c) * height * width + h + w * height`, from `storage_order=1`.

    With one spatial axis there is only `w`. With three, `d * height + h` takes the place of `h`; in the last convention
    `d + h * depth + w * depth * height` that of `h + w * height`.

    Values are converted, nothing is transposed: `indices` and the result have the layout `data_format`.

    Args:
        indices: Tensor of rank 3, 4 or 5: batch, 1 to 3 spatial axes and channels. A TensorFlow tensor, a symbolic
            Keras tensor or a NumPy array (the result then is one too), int32 or int64.
        source: The convention of `indices`.
        target: The convention of the result.
        input_shape: tuple of integers, the shape of the tensor that was pooled, batch and channels included, in the
            order of `data_format`. The batch may be None.
        data_format: `"channels_last"` or `"channels_first"`. Defaults to `keras.config.image_data_format()`.
        index_dtype: `"int32"` or `"int64"`, the dtype of the result. Defaults to that of `indices`. Where indices of
            the target can pass 2^31 - 1, it must be `"int64"`.

    Returns:
        The converted indices, of the shape of `indices`.

    Raises:
        ValueError: If an argument has a wrong form or value, shapes do not fit, or `"int64"` is needed.
        tf.errors.InvalidArgumentError: If an index does not point into its own channel (and image, where the source
            counts images), or an error turns out only when a graph runs. XLA does not look for either.

    Example:

    >>> x = np.array([[1, 3, 2, 4], [5, 6, 1, 2]], "float32").reshape(1, 2, 2, 2)
    >>> values, indices = tf.nn.max_pool_with_argmax(x, 2, 2, "VALID")
    >>> indices.numpy()[0, 0, 0]
    array([4, 5])
    >>> kpool.ops.convert_indices(indices, "tensorflow", "kpool", x.shape).numpy()[0, 0, 0]
    array([2, 2])
    """
    tensor = dense("indices", indices)
    conversion = make_conversion(tensor, source, target, input_shape, data_format, index_dtype)
    return like(indices, functions.convert_indices(tensor, conversion))


@dataclass(frozen=True)
class Numbering:
    """How a convention counts: `image * b + channel * c + step * p`, where `p` is the position in the channel's plane.

    Attributes:
        column_major: Whether `p` runs along the first spatial axis first, not along the last.
    """

    convention: str
    image: int
    channel: int
    step: int
    column_major: bool


@dataclass(frozen=True)
class Conversion:
    """A conversion of indices. Whoever holds one knows that it is possible, as far as sizes are known.

    Attributes:
        batch, channels, spatial: The sizes of the tensor that was pooled; the batch is None if it is unknown.
        channel_axis: The axis of the channels in it.
        index_dtype: The dtype of the result.
    """

    source: Numbering
    target: Numbering
    batch: int | None
    channels: int
    spatial: tuple[int, ...]
    channel_axis: int
    index_dtype: str

    @property
    def plane(self) -> int:
        """Number of positions in a channel's plane."""
        return prod(self.spatial)

    @property
    def largest_batch(self) -> int:
        """The largest batch whose indices fit their dtype."""
        elements = 2**31 if self.target.image and self.index_dtype == "int32" else 2**63 - 1
        return elements // max(1, self.channels * self.plane)


def make_conversion(
    indices: Any,
    source: str,
    target: str,
    input_shape: Sequence[int | None],
    data_format: str | None,
    index_dtype: str | None,
) -> Conversion:
    """The conversion that the arguments of `convert_indices` describe.

    Raises:
        ValueError: If an argument has a wrong form or value, shapes do not fit, or `"int64"` is needed.
    """
    dtype = keras.backend.standardize_dtype(indices.dtype)
    if dtype not in INDEX_DTYPES:
        raise ValueError(f"`indices` must be of dtype int32 or int64. Received: indices of dtype {dtype}")
    check_tensor("indices", dtype, indices.shape.rank)
    shape = tuple(indices.shape)
    channel_axis = 1 if standard_data_format(data_format) == "channels_first" else len(shape) - 1
    batch, channels, spatial = sizes_of_input(input_shape, shape, channel_axis)
    plane = prod(spatial)
    before, after = numbering("source", source, channels, plane), numbering("target", target, channels, plane)
    if index_dtype is not None:
        dtype = standard_index_dtype(index_dtype)
    largest = after.image * ((batch or 1) - 1) + after.channel * (channels - 1) + after.step * (plane - 1)
    if dtype == "int32" and largest >= 2**31:
        raise ValueError(
            f'"{target}" indices past 2147483647 need `index_dtype="int64"`. '
            f"Received: input_shape={input_shape}, indices of shape {shape}, index_dtype={index_dtype!r}"
        )
    return Conversion(before, after, batch, channels, spatial, channel_axis, dtype)


def sizes_of_input(input_shape: Any, shape: Shape, channel_axis: int) -> tuple[int | None, int, tuple[int, ...]]:
    """Batch, channels and spatial sizes of an input, and a check that indices of `shape` can belong to it."""
    received = f"Received: input_shape={input_shape}, indices of shape {shape}"
    try:
        first, *rest = entries(input_shape, 0)
        batch = shape[0] if first is None else operator.index(first)
        sizes = [operator.index(size) for size in rest]
        channels = sizes.pop(channel_axis - 1)
    except (TypeError, ValueError, IndexError):
        sizes = []
    if len(sizes) != len(shape) - 2 or min(batch or 0, channels) < 0 or min(sizes) < 1:
        raise ValueError(
            "`input_shape` must have one entry per axis of `indices`: a batch (or None), channels and positive spatial "
            f"sizes. {received}"
        )
    if shape[0] not in (None, batch) or shape[channel_axis] not in (None, channels):
        raise ValueError(f"`indices` must have the batch and the channels of `input_shape`. {received}")
    if prod(size or 1 for size in (batch, channels, *sizes)) >= 2**63:
        raise ValueError(f"`input_shape` must hold fewer than 2^63 elements. {received}")
    return batch, channels, tuple(sizes)


def numbering(name: str, convention: str, channels: int, plane: int) -> Numbering:
    """How a convention counts the elements of an input of these sizes; `name` is the argument that names it."""
    image = channels * plane
    counts = {
        "kpool": (0, 0, 1),
        "pytorch": (0, 0, 1),
        "tensorflow": (0, 1, channels),
        "tensorflow_with_batch": (image, 1, channels),
        "onnx": (image, plane, 1),
        "onnx_column_major": (image, plane, 1),
    }
    if not isinstance(convention, str) or convention not in counts:
        allowed = ", ".join(f'"{known}"' for known in counts)
        raise ValueError(f"`{name}` must be one of {allowed}. Received: {name}={convention!r}")
    return Numbering(convention, *counts[convention], column_major=convention == "onnx_column_major")
