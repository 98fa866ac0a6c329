"""Traces of models: shapes, parameters, and receptive fields as large as what really reaches an output."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import kpool
from kpool.utils import trace_shapes

layers = keras.layers


def chain(shape, *stack):
    return keras.Sequential([keras.Input(shape), *stack])


def fields(model):
    return [row.receptive_field for row in trace_shapes(model)]


def test_the_documented_model(capsys):
    model = chain(
        (28, 28, 1),
        layers.Conv2D(32, 3, activation="relu"),
        kpool.layers.MaxPooling2D(2),
        layers.Conv2D(64, 3, activation="relu"),
        layers.MaxPooling2D(2),
        layers.Flatten(),
        layers.Dropout(0.5),
        layers.Dense(10, activation="softmax"),
    )
    rows = trace_shapes(model)
    assert rows == [
        ("InputLayer", (28, 28, 1), 0, (1, 1)),
        ("Conv2D", (26, 26, 32), 320, (3, 3)),
        ("MaxPooling2D", (13, 13, 32), 0, (4, 4)),
        ("Conv2D", (11, 11, 64), 18_496, (8, 8)),
        ("MaxPooling2D", (5, 5, 64), 0, (10, 10)),
        ("Flatten", (1600,), 0, (10, 10)),
        ("Dropout", (1600,), 0, (10, 10)),
        ("Dense", (10,), 16_010, "whole"),
    ]
    assert rows[3].output_shape == (11, 11, 64)
    assert rows[3].parameters == 18_496
    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == "Layer         Output shape  Parameters  Receptive field"
    assert printed[4] == "Conv2D        11 x 11 x 64      18,496            8 x 8"
    assert printed[-1] == "34,826 parameters"


def pool_and_unpool(x):
    x, indices = kpool.layers.MaxPooling2D(2, return_indices=True)(x)
    x = layers.Conv2D(1, 3, padding="same")(x)
    return layers.Conv2D(1, 3, padding="same")(kpool.layers.MaxUnpooling2D(2)(x, indices))


def two_branches(x):
    return layers.Add()(
        [layers.Conv2D(1, 5, padding="same")(x), layers.Conv2D(1, 3, dilation_rate=3, padding="same")(x)]
    )


def a_model_within(x):
    within = chain((None, None, 1), layers.Conv2D(1, 3), kpool.layers.MaxPooling2D(3, 2), layers.ZeroPadding2D(1))
    return layers.AveragePooling2D(2)(within(x))


def unequal_axes(x):
    x = layers.DepthwiseConv2D((1, 5), dilation_rate=(1, 2))(x)
    return kpool.layers.AveragePooling2D((3, 2), (2, 3), dilation_rate=(2, 1))(x)


# Of each model what is between input and output, applied one after the other.
MODELS = {
    "pools": [kpool.layers.OverlappingMaxPooling2D(), layers.Conv2D(1, 3, 2), layers.MaxPooling2D(2, 1)],
    "unequal axes": [unequal_axes],
    "dilation": [kpool.layers.MaxPooling2D(3, 1, dilation_rate=2), layers.SeparableConv2D(1, 3), layers.ReLU()],
    "unpooling": [pool_and_unpool],
    "upsampling": [layers.AveragePooling2D(4), layers.UpSampling2D(4), layers.Conv2D(1, 4, padding="same")],
    "upsampling by 2 and 3": [
        *(layers.AveragePooling2D(6), layers.UpSampling2D(2), layers.Conv2D(1, 3)),
        *(layers.UpSampling2D(3), layers.Conv2D(1, 3)),
    ],
    "bilinear": [layers.AveragePooling2D(2), layers.UpSampling2D(2, interpolation="bilinear")],
    "bilinear by 3": [layers.AveragePooling2D(3), layers.UpSampling2D(3, interpolation="bilinear")],
    "transposed": [layers.MaxPooling2D(2), layers.Conv2DTranspose(1, 5, 2), layers.Conv2D(1, 2)],
    "transposed, apart": [layers.Conv2DTranspose(1, 2, 3)],
    "branches": [two_branches, kpool.layers.MaxPooling2D(2)],
    "a model within": [a_model_within],
    "adaptive": [kpool.layers.AdaptiveAveragePooling2D(6), layers.Conv2D(1, 2)],
}


@pytest.mark.parametrize("name", MODELS)
def test_as_large_as_what_reaches_an_output(name):
    """The input elements that get a gradient from one output element, where no border cuts them off."""
    image = outputs = keras.Input((36, 36, 1))
    for layer in MODELS[name]:
        outputs = layer(outputs)
    model = keras.Model(image, outputs)
    for weights in model.weights:
        weights.assign(tf.ones_like(weights))

    # Several images, since a maximum lets only one element of a window through.
    images = tf.constant(np.random.default_rng(0).uniform(1, 2, (60, 36, 36, 1)).astype("float32"))
    height, width = outputs.shape[1:3]
    extents = []
    for row in range(height):
        with tf.GradientTape() as tape:
            tape.watch(images)
            element = model(images)[:, row, row * width // height]
        reached = np.any(tape.gradient(element, images).numpy()[..., 0], axis=0)
        extents.append([extent(reached.any(axis)) for axis in (1, 0)])
    assert trace_shapes(model)[-1].receptive_field == tuple(np.max(extents, axis=0))


def extent(reached):
    places = np.flatnonzero(reached)
    return places[-1] - places[0] + 1 if len(places) else 0


@pytest.mark.parametrize(
    "layer",
    [
        kpool.layers.GlobalMaxPooling2D(keepdims=True),
        kpool.layers.AdaptiveMaxPooling2D(1),
        layers.GlobalAveragePooling2D(),
    ],
)
def test_global_pooling_sees_the_whole(layer):
    expected = (8, 8) if isinstance(layer, kpool.layers.AdaptiveMaxPooling2D) else "whole"
    assert fields(chain((8, 8, 3), layer))[-1] == expected


def test_the_whole_stays_the_whole():
    model = chain((8, 8, 3), layers.Flatten(), layers.Dense(4), layers.Reshape((2, 2, 1)), layers.ReLU())
    assert fields(model) == [(1, 1), (1, 1), "whole", "whole", "whole"]


def test_dense_on_images_is_a_small_convolution():
    assert fields(chain((8, 8, 3), layers.Conv2D(2, 3), layers.Dense(4)))[-1] == (3, 3)


@pytest.mark.parametrize(
    "layer",
    [
        layers.Permute((2, 1, 3)),
        layers.UpSampling2D(2, interpolation="bicubic"),
        layers.RandomFlip(),
        kpool.layers.AdaptiveAveragePooling2D(3),
    ],
)
def test_what_is_not_known_is_said_and_stays_so(layer):
    assert fields(chain((8, 8, 3), layer, layers.Conv2D(1, 2))) == [(1, 1), "unknown", "unknown"]


def test_the_whole_contains_what_is_not_known():
    image = keras.Input((8, 8, 3))
    branches = [kpool.layers.GlobalMaxPooling2D(keepdims=True)(image), layers.Permute((2, 1, 3))(image)]
    assert fields(keras.Model(image, layers.Add()(branches)))[-1] == "whole"


def test_volumes_and_sequences():
    assert fields(chain((9, 9, 9, 1), kpool.layers.MaxPooling3D((1, 2, 3))))[-1] == (1, 2, 3)
    assert fields(chain((9, 2), layers.Conv1D(3, 3), kpool.layers.MaxPooling1D(2), layers.UpSampling1D(2)))[-1] == (4,)


def test_channels_first():
    pool = kpool.layers.AdaptiveAveragePooling2D((2, 4), data_format="channels_first")
    rows = trace_shapes(chain((3, 8, 12), pool))
    assert (rows[-1].output_shape, rows[-1].receptive_field) == ((3, 2, 4), (4, 3))


def test_unknown_sizes(capsys):
    assert fields(chain((None, None, 1), layers.Conv2D(2, 3))) == [(1, 1), (3, 3)]
    assert "None x None x 2" in capsys.readouterr().out


def test_a_layer_called_twice_is_two_rows_and_counted_once():
    shared = layers.Conv2D(1, 3)
    image = keras.Input((9, 9, 1))
    model = keras.Model(image, shared(shared(image)))
    rows = trace_shapes(model)
    assert [row.parameters for row in rows] == [0, 10, 0]
    assert [row.receptive_field for row in rows] == [(1, 1), (3, 3), (5, 5)]


def test_a_layer_is_traced_where_the_model_calls_it():
    """Not where another model called it before."""
    shared = layers.Conv2D(1, 3)
    chain((99, 99, 1), layers.MaxPooling2D(4), shared)
    assert trace_shapes(chain((9, 9, 1), shared))[-1] == ("Conv2D", (7, 7, 1), 10, (3, 3))


def test_several_inputs_and_outputs():
    one, other = keras.Input((8, 8, 1)), keras.Input((8, 8, 1))
    pooled, indices = kpool.layers.MaxPooling2D(2, return_indices=True)(one)
    joined = layers.Concatenate()([pooled, layers.AveragePooling2D(4, 2, "same")(other)])
    rows = trace_shapes(keras.Model([one, other], [joined, indices]))
    assert [(row.layer, row.receptive_field) for row in rows] == [
        ("InputLayer", (1, 1)),
        ("MaxPooling2D", (2, 2)),
        ("InputLayer", (1, 1)),
        ("AveragePooling2D", (4, 4)),
        ("Concatenate", (4, 4)),
    ]


@pytest.mark.parametrize("model", [keras.Sequential([layers.Dense(1)]), layers.Dense(1), "model"])
def test_what_has_no_graph_is_refused(model):
    with pytest.raises(ValueError, match=r"`model` must be .* Received: model="):
        trace_shapes(model)
