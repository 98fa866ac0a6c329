"""What broke the pooling ops of others, replayed on kpool's: gradients of the first and the second order, in public."""

import pytest
import tensorflow as tf
from advisories import AVERAGE_BACKWARD, OTHER_SIZES, SECOND_ORDER, fails, rows
from native import image

import kpool

pytestmark = pytest.mark.sandbox

SHAPES = {1: (2, 32, 1), 2: (2, 32, 32, 1), 3: (2, 4, 6, 8, 1)}


def unpooled(x, **options):
    return kpool.ops.max_unpool(x, tf.zeros(x.shape, tf.int32), 2, **options)


# The rank, and what is differentiated.
DIFFERENTIABLE = {
    "max_pool": (2, lambda x: kpool.ops.max_pool(x, 2)),
    "max_pool by indices": (2, lambda x: kpool.ops.max_pool(x, 16)),
    "max_pool without training": (2, lambda x: kpool.layers.MaxPooling2D(2)(x, training=False)),
    "average_pool": (2, lambda x: kpool.ops.average_pool(x, 2)),
    "adaptive_max_pool": (2, lambda x: kpool.ops.adaptive_max_pool(x, 2)),
    "adaptive_average_pool": (2, lambda x: kpool.ops.adaptive_average_pool(x, 3)),
    "max_unpool": (2, unpooled),
    "max_unpool, sums": (2, lambda x: unpooled(x, duplicates="sum")),
    "MaxPooling1D": (1, lambda x: kpool.layers.MaxPooling1D(2)(x)),
    "MaxPooling3D": (3, lambda x: kpool.layers.MaxPooling3D(2)(x)),
    "AveragePooling1D": (1, lambda x: kpool.layers.AveragePooling1D(3, 2)(x)),
    "AveragePooling3D": (3, lambda x: kpool.layers.AveragePooling3D(2)(x)),
    "OverlappingMaxPooling1D": (1, lambda x: kpool.layers.OverlappingMaxPooling1D()(x)),
    "OverlappingMaxPooling2D": (2, lambda x: kpool.layers.OverlappingMaxPooling2D()(x)),
    "OverlappingMaxPooling3D": (3, lambda x: kpool.layers.OverlappingMaxPooling3D()(x)),
    "GlobalMaxPooling1D": (1, lambda x: kpool.layers.GlobalMaxPooling1D(keepdims=True)(x)),
    "GlobalMaxPooling2D": (2, lambda x: kpool.layers.GlobalMaxPooling2D(keepdims=True)(x)),
    "GlobalAveragePooling3D": (3, lambda x: kpool.layers.GlobalAveragePooling3D(keepdims=True)(x)),
    "AdaptiveMaxPooling1D": (1, lambda x: kpool.layers.AdaptiveMaxPooling1D(5)(x)),
    "AdaptiveMaxPooling3D": (3, lambda x: kpool.layers.AdaptiveMaxPooling3D(3)(x)),
    "AdaptiveAveragePooling3D": (3, lambda x: kpool.layers.AdaptiveAveragePooling3D((3, None, 1))(x)),
    "MaxUnpooling1D": (1, lambda x: kpool.layers.MaxUnpooling1D(2)(x, tf.zeros(x.shape, tf.int32))),
    "MaxUnpooling3D": (3, lambda x: kpool.layers.MaxUnpooling3D(2)(x, tf.zeros(x.shape, tf.int32))),
}
WRONG = {
    "batch": lambda y: tf.repeat(y, 2, 0),
    "channels": lambda y: tf.repeat(y, 5, -1),
    "no images": lambda y: y[:0],
    "no rows": lambda y: y[:, :0],
    "nothing": lambda y: tf.zeros(0),
    "rank": lambda y: y[0],
    "a number": lambda y: tf.constant(1.0),
}


@pytest.mark.parametrize("function", DIFFERENTIABLE)
@rows([(f"{OTHER_SIZES} {SECOND_ORDER} {AVERAGE_BACKWARD}:", wrong) for wrong in WRONG], "wrong")
def test_gradients_of_another_shape(function, wrong):
    rank, call = DIFFERENTIABLE[function]
    x = image(*SHAPES[rank])
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = call(x)
    fails(lambda: tape.gradient(y, x, WRONG[wrong](y)), "`(gradients|indices|inputs|output_size)`.* must (have|agree)")


@pytest.mark.parametrize("function", DIFFERENTIABLE)
@rows([(f"{SECOND_ORDER}:", wrong) for wrong in WRONG], "wrong")
def test_gradients_of_gradients_of_another_shape(function, wrong):
    rank, call = DIFFERENTIABLE[function]
    x = image(*SHAPES[rank])
    upstream = image(*call(x).shape)
    with tf.GradientTape(persistent=True) as outer:
        outer.watch(upstream)
        with tf.GradientTape() as inner:
            inner.watch(x)
            y = call(x)
        gradient = inner.gradient(y, x, upstream)
    average = "is not compatible with expected shape"
    message = average if "verage" in function else "`(gradients|indices|inputs|output_size)`.* must (have|agree)"
    fails(lambda: outer.gradient(gradient, upstream, WRONG[wrong](gradient)), message)
    # What came before has left nothing behind: pooling is linear in its gradient, and this is its transpose.
    back = outer.gradient(gradient, upstream, gradient)
    assert tf.reduce_sum(back * upstream).numpy() == pytest.approx(tf.reduce_sum(gradient * gradient).numpy(), rel=1e-6)
