"""Conversion of max pooling indices, as TensorFlow tensors, from one convention to another."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import TYPE_CHECKING

import tensorflow as tf

from kpool.tf.xla import is_compiled

if TYPE_CHECKING:
    from kpool.ops.indices import Conversion, Numbering


def convert_indices(indices: tf.Tensor, conversion: Conversion) -> tf.Tensor:
    """The indices in the target's numbering, if in the source's each points into its own channel."""
    source, target, spatial = conversion.source, conversion.target, conversion.spatial
    shape = tf.shape(indices, tf.int64)
    if not indices.shape.is_fully_defined():
        _check_shape(shape, conversion)
    image, channel = _along(shape, 0), _along(shape, conversion.channel_axis)
    values = tf.cast(indices, tf.int64)
    first = _first(source, image, channel)
    position = (values - first) // source.step
    # The difference wraps around for an index far out of bounds, so compare those on their own.
    last = first + source.step * (conversion.plane - 1)
    good = (values >= first) & (values <= last) & (first + source.step * position == values)
    _check_indices(good, values, conversion)
    if source.column_major:
        position = _transposed(position, spatial[::-1])
    if target.column_major:
        position = _transposed(position, spatial)
    return tf.cast(_first(target, image, channel) + target.step * position, conversion.index_dtype)


def _along(shape: tf.Tensor, axis: int) -> tf.Tensor:
    """0, 1, 2, ... along one axis of a tensor of this shape."""
    return tf.reshape(tf.range(shape[axis]), [-1 if i == axis else 1 for i in range(shape.shape[0])])


def _first(numbering: Numbering, image: tf.Tensor, channel: tf.Tensor) -> tf.Tensor:
    """The index of the first position of a channel's plane."""
    return image * numbering.image + channel * numbering.channel


def _transposed(position: tf.Tensor, sizes: tuple[int, ...]) -> tf.Tensor:
    """A row-major position in a plane of these sizes, after the plane's axes are put in reverse order."""
    result, weight = tf.zeros_like(position), prod(sizes)
    for size in reversed(sizes):
        weight //= size
        result += position % size * weight
        position //= size
    return result


def _check_shape(shape: tf.Tensor, conversion: Conversion) -> None:
    """Refuse a batch or channels that became known only when the graph runs."""
    batch, channels = shape[0], shape[conversion.channel_axis]
    if conversion.batch is None:
        fits, allowed = batch <= conversion.largest_batch, f"at most {conversion.largest_batch}"
    else:
        fits, allowed = batch == conversion.batch, f"{conversion.batch}"
    _require(
        fits & (channels == conversion.channels),
        f"`indices` must have a batch of {allowed} and {conversion.channels} channels. "
        f"Received: indices of shape {{}}, target={conversion.target.convention}, index_dtype={conversion.index_dtype}",
        lambda: [shape],
    )


def _check_indices(good: tf.Tensor, values: tf.Tensor, conversion: Conversion) -> None:
    """Refuse indices unless all are good; name the first that is not."""
    source = conversion.source

    def details() -> list[tf.Tensor]:
        place = tf.where(~good)[0]
        first = _first(source, place[0], place[conversion.channel_axis])
        return [first, first + source.step * (conversion.plane - 1), place, tf.gather_nd(values, place)]

    steps = f" in steps of {source.step}" if source.step > 1 else ""
    _require(
        tf.reduce_all(good),
        f"`indices` must lie in [{{}}, {{}}]{steps}, the positions of their own channel in an input of `input_shape`. "
        f"Received: indices{{}}={{}}, source={source.convention}",
        details,
    )


def _require(condition: tf.Tensor, message: str, details: Callable[[], list[tf.Tensor]]) -> None:
    """Fail with the message, its details filled in, unless the condition holds. XLA has no op that fails."""
    if is_compiled():
        return

    def fail() -> tf.Operation | None:
        return tf.raw_ops.Assert(condition=False, data=[tf.strings.format(message, details())])

    tf.cond(condition, tf.no_op, fail)
