"""The native ops as compositions of TensorFlow's own: the same results for XLA where it cannot call the kernels. Slow.

Tensors become planes: one row per image and channel, in it the spatial elements. What a window holds is gathered; what
goes back to a plane is summed up by position.
"""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

from kpool.tf.windows import Window, lay, pooled_shape, shape_of, spatial, unpooled_shape


def max_pool(
    inputs: tf.Tensor,
    window: Window,
    Tindices: tf.DType,  # noqa: N803, the op's name for it
    num_indices: int = 0,
    num_offsets: int = 0,
) -> list[tf.Tensor]:
    shape = shape_of(inputs)
    positions, inside, _ = _windows(window, shape)
    planes = _planes(inputs, window)
    elements = tf.gather(planes, positions, axis=1)
    lowest = -float("inf") if inputs.dtype.is_floating else inputs.dtype.min
    largest = tf.reduce_max(tf.where(inside, elements, tf.constant(lowest, inputs.dtype)), axis=2, keepdims=True)
    nan = inside & (elements != elements)
    wins = tf.where(tf.reduce_any(nan, axis=2, keepdims=True), nan, inside & (elements == largest))
    number = tf.range(shape_of(positions)[1])
    taps = tf.reduce_min(tf.where(wins, number, tf.int64.max), axis=2)
    indices = _positions_of(taps, positions)
    outputs = [tf.gather(planes, indices, axis=1, batch_dims=1)]
    outputs += [tf.cast(indices, Tindices)] * num_indices + [tf.cast(taps, tf.uint8)] * num_offsets
    return [_tensor(output, window, pooled_shape(window, shape)) for output in outputs]


def max_pool_backward(
    gradients: tf.Tensor, offsets: tf.Tensor, input_shape: tf.Tensor, window: Window
) -> list[tf.Tensor]:
    positions, _, _ = _windows(window, input_shape)
    indices = _positions_of(_planes(offsets, window), positions)
    return [_summed(_planes(gradients, window), indices, window, input_shape)]


def max_pool_indices(
    offsets: tf.Tensor,
    input_shape: tf.Tensor,
    window: Window,
    Tindices: tf.DType,  # noqa: N803, the op's name for it
) -> list[tf.Tensor]:
    positions, _, _ = _windows(window, input_shape)
    indices = _positions_of(_planes(offsets, window), positions)
    return [tf.cast(_tensor(indices, window, shape_of(offsets)), Tindices)]


def max_unpool(
    inputs: tf.Tensor,
    indices: tf.Tensor,
    output_size: tf.Tensor,
    window: Window,
    sum_duplicates: bool = False,
) -> list[tf.Tensor]:
    """XLA cannot raise an error: elements whose index is out of range are left out."""
    shape = unpooled_shape(window, shape_of(inputs), output_size)
    planes, places = _planes(inputs, window), _planes(indices, window)
    if sum_duplicates:
        return [_summed(planes, places, window, shape)]
    last = _last(places, window, shape)
    values = tf.gather(planes, tf.maximum(last, 0), axis=1, batch_dims=1)
    return [_tensor(tf.where(last >= 0, values, tf.zeros((), inputs.dtype)), window, shape)]


def max_unpool_backward(
    gradients: tf.Tensor,
    indices: tf.Tensor,
    window: Window,
    sum_duplicates: bool = False,
) -> list[tf.Tensor]:
    shape = shape_of(gradients)
    places = tf.cast(_planes(indices, window), tf.int64)
    inside = (places >= 0) & (places < _plane(window, shape))
    places = tf.where(inside, places, 0)
    if not sum_duplicates:
        inside &= tf.gather(_last(places, window, shape), places, axis=1, batch_dims=1) == _numbers(places)
    values = tf.gather(_planes(gradients, window), places, axis=1, batch_dims=1)
    return [_tensor(tf.where(inside, values, tf.zeros((), gradients.dtype)), window, shape_of(indices))]


def average_pool(
    inputs: tf.Tensor, window: Window, count_include_pad: bool = False, divisor_override: int = 0
) -> list[tf.Tensor]:
    shape = shape_of(inputs)
    positions, inside, padded = _windows(window, shape)
    planes = _wide(_planes(inputs, window))
    elements = tf.where(inside, tf.gather(planes, positions, axis=1), tf.zeros((), planes.dtype))
    divisors = divisor_override or tf.reduce_sum(tf.cast(padded if count_include_pad else inside, tf.int64), axis=1)
    means = tf.reduce_sum(elements, axis=2) / tf.cast(divisors, planes.dtype)
    return [_tensor(tf.cast(means, inputs.dtype), window, pooled_shape(window, shape))]


def average_pool_backward(
    gradients: tf.Tensor,
    input_shape: tf.Tensor,
    window: Window,
    count_include_pad: bool = False,
    divisor_override: int = 0,
) -> list[tf.Tensor]:
    positions, inside, padded = _windows(window, input_shape)
    planes = _wide(_planes(gradients, window))
    divisors = divisor_override or tf.reduce_sum(tf.cast(padded if count_include_pad else inside, tf.int64), axis=1)
    shares = planes / tf.cast(divisors, planes.dtype)
    everywhere = tf.broadcast_to(shares[:, :, None], tf.concat([tf.shape(shares), tf.shape(positions)[1:]], 0))
    places = tf.broadcast_to(tf.where(inside, positions, -1), tf.shape(everywhere))
    flat = tf.stack([tf.shape(shares)[0], tf.size(positions)])
    summed = _summed(tf.reshape(everywhere, flat), tf.reshape(places, flat), window, input_shape)
    return [tf.cast(summed, gradients.dtype)]


def _windows(window: Window, shape: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """For each window and each of its taps, in row-major order: its position in the plane, or 0 where it is outside;
    whether it is inside the plane; whether it is inside the plane or its padding."""
    positions, inside, padded = tf.zeros((1, 1), tf.int64), tf.ones((1, 1), tf.bool), tf.ones((1, 1), tf.bool)
    for axis in lay(window, shape):
        positions = _crossed(tf.add, positions * axis.size, axis.positions)
        inside = _crossed(tf.logical_and, inside, axis.inside)
        padded = _crossed(tf.logical_and, padded, axis.padded)
    return tf.where(inside, positions, 0), inside, padded


def _crossed(function: Callable[..., tf.Tensor], a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
    """A function of every window and tap along the axes of `a` with every one along the axis of `b`."""
    return tf.reshape(function(a[:, None, :, None], b[None, :, None, :]), tf.shape(a) * tf.shape(b))


def _positions_of(taps: tf.Tensor, positions: tf.Tensor) -> tf.Tensor:
    """The position of one tap of each window."""
    taps = tf.cast(taps, tf.int64)
    return tf.gather(tf.reshape(positions, [-1]), _numbers(taps) * shape_of(positions)[1] + taps)


def _numbers(planes: tf.Tensor) -> tf.Tensor:
    """The number of each element in its plane."""
    return tf.broadcast_to(tf.range(shape_of(planes)[1]), tf.shape(planes))


def _plane(window: Window, shape: tf.Tensor) -> tf.Tensor:
    """How many elements a plane has."""
    return tf.reduce_prod(spatial(window, shape))


def _planes(tensor: tf.Tensor, window: Window) -> tf.Tensor:
    if not window[0]:
        axes = range(tensor.shape.rank)
        tensor = tf.transpose(tensor, [0, axes[-1], *axes[1:-1]])
    shape = tf.shape(tensor)
    return tf.reshape(tensor, [shape[0] * shape[1], tf.reduce_prod(shape[2:])])


def _tensor(planes: tf.Tensor, window: Window, shape: tf.Tensor) -> tf.Tensor:
    """A tensor of this shape, from its planes."""
    if window[0]:
        return tf.reshape(planes, shape)
    axes = range(shape.shape[0])
    tensor = tf.reshape(planes, tf.gather(shape, [0, axes[-1], *axes[1:-1]]))
    return tf.transpose(tensor, [0, *axes[2:], 1])


def _ids(places: tf.Tensor, plane: tf.Tensor) -> tf.Tensor:
    """The number of each place in all planes together, -1 where it is outside its own."""
    places = tf.cast(places, tf.int64)
    row = tf.range(shape_of(places)[0])[:, None]
    return tf.where((places >= 0) & (places < plane), row * plane + places, -1)


def _summed(planes: tf.Tensor, places: tf.Tensor, window: Window, shape: tf.Tensor) -> tf.Tensor:
    """Each element added to its place in planes of zeros: a tensor of this shape."""
    plane = _plane(window, shape)
    summed = tf.math.unsorted_segment_sum(_wide(planes), _ids(places, plane), tf.reduce_prod(shape))
    return _tensor(tf.cast(summed, planes.dtype), window, shape)


def _last(places: tf.Tensor, window: Window, shape: tf.Tensor) -> tf.Tensor:
    """For each place in planes of this shape the number of the last element that goes there, negative if none does."""
    plane = _plane(window, shape)
    last = tf.math.unsorted_segment_max(_numbers(places), _ids(places, plane), tf.reduce_prod(shape))
    return tf.reshape(last, [-1, plane])


def _wide(x: tf.Tensor) -> tf.Tensor:
    """In the type in which sums are taken."""
    return tf.cast(x, tf.float32) if x.dtype in (tf.float16, tf.bfloat16) else x


OPS: dict[str, Callable[..., list[tf.Tensor]]] = {
    f"kpool_{function.__name__}": function
    for function in (
        *(max_pool, max_pool_backward, max_pool_indices, max_unpool, max_unpool_backward),
        *(average_pool, average_pool_backward),
    )
}
