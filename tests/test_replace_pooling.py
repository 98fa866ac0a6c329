"""kpool.replace_pooling: whole models with kpool's layers in place of Keras'."""

import keras
import numpy as np
import pytest
from conftest import numbers, same_bits

import kpool

SHAPE = (16, 16, 3)
MODULES = ("keras.src.layers.pooling", "kpool.layers")


def pooling_layers(model):
    """The modules that the pooling layers of a model come from, by their names."""
    return {
        layer.name: next((module for module in MODULES if type(layer).__module__.startswith(module)), "elsewhere")
        for layer in model._flatten_layers()
        if "Pooling" in type(layer).__name__
    }


def images(rng, size=4, shape=SHAPE):
    return rng.normal(size=(size, *shape)).astype("float32")


def sequential():
    return keras.Sequential(
        [
            keras.Input(SHAPE),
            keras.layers.Conv2D(4, 3, activation="relu"),
            keras.layers.MaxPooling2D(2, name="first"),
            keras.layers.AveragePooling2D(3, 2, padding="same", name="second"),
            keras.layers.BatchNormalization(),
            keras.layers.GlobalAveragePooling2D(name="third"),
            keras.layers.Dropout(0.5, seed=1),
            keras.layers.Dense(2),
        ],
        name="whole",
    )


def branched():
    """Branches, a pooling layer and a model that are used twice, models in models, a wrapper, a function."""
    inputs = keras.Input(SHAPE, name="image")
    shared = keras.layers.MaxPooling2D(2, name="shared")
    block = keras.Sequential(
        [keras.layers.Conv2D(3, 3, padding="same"), keras.layers.AveragePooling2D(2, name="inner")], name="block"
    )
    deep = keras.Input((8, 8, 3))
    deep = keras.Model(deep, keras.layers.MaxPooling2D(3, 1, "same", name="deep")(block(deep)), name="deeper")
    left = deep(shared(inputs))
    right = block(shared(keras.layers.Conv2D(3, 3, padding="same")(inputs)))
    rows = keras.layers.TimeDistributed(keras.layers.MaxPooling1D(4, name="wrapped"))(inputs)
    joined = [
        keras.layers.GlobalMaxPooling2D(name="global")(left),
        keras.layers.GlobalAveragePooling2D()(keras.layers.Lambda(lambda x: x * SCALE)(right)),
        keras.layers.Flatten()(rows),
    ]
    return keras.Model(inputs, {"a": keras.layers.Dense(2, name="a")(keras.layers.Concatenate()(joined)), "b": left})


SCALE = 2.0  # What a function of the model looks up where it was written.


@pytest.mark.parametrize("build", [sequential, branched])
def test_predictions_weights_and_names_are_kept(build, rng, capsys):
    model, x = build(), images(rng)
    for weight in model.weights:
        weight.assign(rng.uniform(0.1, 1, weight.shape))
    expected = model(x)
    before = pooling_layers(model)
    assert set(before.values()) == {MODULES[0]}
    copy = kpool.replace_pooling(model)
    # Means are summed up in another order.
    keras.tree.map_structure(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), copy(x), expected)
    assert pooling_layers(copy) == dict.fromkeys(before, MODULES[1])
    assert pooling_layers(model) == before
    assert type(copy) is type(model)
    assert copy.name == model.name
    assert [layer.name for layer in copy._flatten_layers()] == [layer.name for layer in model._flatten_layers()]
    assert [weight.path for weight in copy.weights] == [weight.path for weight in model.weights]
    assert not {id(weight) for weight in copy.weights} & {id(weight) for weight in model.weights}
    assert copy.output_shape == model.output_shape
    assert copy.input_shape == model.input_shape
    assert not copy.compiled
    out = capsys.readouterr().out.splitlines()
    assert len(out) == len(before)
    assert all(line.startswith("replaced  ") for line in out)
    assert kpool.replace_pooling(copy, verbose=False).get_config() == copy.get_config()
    assert not capsys.readouterr().out
    kpool.replace_pooling(copy)
    assert capsys.readouterr().out == "no pooling layer of Keras to replace\n"


def test_layers_inside_are_those_of_the_copy(rng):
    """The graph is the copy's own: models can be cut out of it."""
    copy, x = kpool.replace_pooling(sequential(), verbose=False), images(rng)
    part = keras.Model(copy.inputs[0], copy.get_layer("first").output)
    np.testing.assert_array_equal(part(x), copy.layers[1](copy.layers[0](x)))


def test_inputs_of_every_kind_are_kept(rng):
    """Their names, by which dictionaries are fed, dtypes, and that one may be missing."""
    # Older Keras takes none (3.8), or its own clones lose that it may (3.10).
    optional = {"optional": True} if numbers(keras.__version__)[:2] >= [3, 15] else {}
    image, scale = keras.Input((4, 4, 1), dtype="uint8", name="image"), keras.Input((1,), name="scale", **optional)
    double = keras.layers.Lambda(lambda pair: pair[0] if pair[1] is None else pair[0] * pair[1])
    x = keras.layers.GlobalMaxPooling2D()(keras.layers.Rescaling(2.0)(image))
    model = keras.Model({"image": image, "scale": scale}, double([x, scale]))
    copy = kpool.replace_pooling(model, verbose=False)
    x = rng.integers(0, 255, (2, 4, 4, 1)).astype("uint8")
    for factor in [np.full((2, 1), 3, "float32"), *([None] if optional else [])]:
        feed = {"image": x, "scale": factor}
        np.testing.assert_array_equal(copy(feed), model(feed))
    assert [tensor.dtype for tensor in copy.inputs] == ["uint8", "float32"]


def test_shared_layers_stay_shared(capsys):
    model = branched()
    copy = kpool.replace_pooling(model)
    assert len(copy.layers) == len(model.layers)
    assert copy.get_layer("deeper").get_layer("block") is copy.get_layer("block")
    assert len(copy.get_layer("shared")._inbound_nodes) == 2
    lines = capsys.readouterr().out.splitlines()
    assert "replaced  deeper/deep: MaxPooling2D" in lines
    assert sum("inner: AveragePooling2D" in line for line in lines) == 1
    assert "replaced  time_distributed/wrapped: MaxPooling1D" in lines


ARGUMENTS = {
    "MaxPooling": [{"pool_size": 2}, {"pool_size": 3, "strides": 1, "padding": "same"}],
    "AveragePooling": [{"pool_size": 2}, {"pool_size": 3, "strides": 2, "padding": "same"}],
    "GlobalMaxPooling": [{}, {"keepdims": True}],
    "GlobalAveragePooling": [{}, {"keepdims": True}],
    "AdaptiveMaxPooling": [{"output_size": 2}],
    "AdaptiveAveragePooling": [{"output_size": 3}],
}


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("name", ARGUMENTS)
def test_every_layer_of_keras_has_an_equivalent(name, rank, rng):
    if not hasattr(keras.layers, f"{name}{rank}D"):
        pytest.skip(f"Keras {keras.__version__} has no {name}{rank}D")
    layer = getattr(keras.layers, f"{name}{rank}D")
    for arguments in ARGUMENTS[name]:
        x = rng.integers(-9, 9, (2, *(6,) * rank, 3)).astype("float32")
        model = keras.Sequential([keras.Input(x.shape[1:]), layer(**arguments, name="pool")])
        copy = kpool.replace_pooling(model, verbose=False)
        pool = copy.get_layer("pool")
        assert type(pool) is getattr(kpool.layers, f"{name}{rank}D")
        np.testing.assert_allclose(copy(x), model(x), rtol=1e-6, atol=1e-6)


def test_no_pooling_layer_of_keras_is_forgotten():
    """A layer that a later Keras adds is an error here."""
    there_are = {thing for name, thing in vars(keras.layers).items() if "Pool" in name}
    assert set(kpool.models.EQUIVALENTS) == there_are


def test_formats_policies_and_casts_are_kept():
    keras.config.set_image_data_format("channels_first")
    layers = [
        keras.layers.MaxPooling2D(2, dtype="mixed_float16", name="half"),
        keras.layers.AveragePooling2D(2, data_format="channels_last", autocast=False, name="plain"),
        keras.layers.GlobalMaxPooling2D(dtype="float64", trainable=False, name="frozen"),
    ]
    model = keras.Sequential([keras.Input((8, 8, 8)), *layers], name="whole")
    keras.config.set_image_data_format("channels_last")
    keras.config.set_dtype_policy("mixed_bfloat16")
    copy = kpool.replace_pooling(model, verbose=False)
    inputs = np.zeros((1, 8, 8, 8), "float16")
    for layer in layers:
        again = copy.get_layer(layer.name)
        assert again.dtype_policy.name == layer.dtype_policy.name
        # Of what they compute: what Keras announces for a layer that does not cast differs between its versions.
        assert again(inputs).dtype == layer(inputs).dtype
        for attribute in ("data_format", "autocast", "trainable"):
            assert getattr(again, attribute) == getattr(layer, attribute)
    assert copy.dtype_policy.name == model.dtype_policy.name == "float32"
    assert copy.outputs[0].dtype == model.outputs[0].dtype


class Own(keras.layers.MaxPooling2D):
    """A user's pooling layer."""


class Composite(keras.layers.Layer):
    """A user's layer with layers that it makes itself, and one that it is given."""

    def __init__(self, given, **kwargs):
        super().__init__(**kwargs)
        self.given, self.made = given, keras.layers.AveragePooling2D(2, name="made")

    def call(self, x):
        return self.made(self.given(x))

    def get_config(self):
        return {**super().get_config(), "given": keras.saving.serialize_keras_object(self.given)}

    @classmethod
    def from_config(cls, config):
        return cls(**{**config, "given": keras.saving.deserialize_keras_object(config["given"])})


def test_layers_of_users_are_kept(rng, capsys):
    given = keras.layers.MaxPooling2D(2, name="given")
    model = keras.Sequential([keras.Input(SHAPE), Own(2, name="own"), Composite(given, name="composite")])
    x = images(rng)
    copy = kpool.replace_pooling(model)
    np.testing.assert_array_equal(copy(x), model(x))
    assert type(copy.get_layer("own")) is Own
    assert pooling_layers(copy) == {"given": MODULES[1], "made": MODULES[0]}
    assert capsys.readouterr().out.splitlines() == [
        "kept      own: Own",
        "replaced  composite/given: MaxPooling2D",
        "kept      composite/made: AveragePooling2D",
    ]


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.pool = keras.layers.MaxPooling2D()

    def call(self, x):
        return self.pool(x)


@pytest.mark.parametrize("thing", [Subclassed(), keras.layers.MaxPooling2D(), keras.Function, None])
def test_what_is_not_a_graph_of_layers_is_refused(thing):
    with pytest.raises(ValueError, match=rf"`model` must be .* Received: model of type {type(thing).__name__}"):
        kpool.replace_pooling(thing)


def test_a_model_without_layers_is_refused():
    with pytest.raises(ValueError, match=r"`model` must have layers\. Received: model="):
        kpool.replace_pooling(keras.Sequential())


def test_a_model_without_input_shape():
    model = keras.Sequential([keras.layers.MaxPooling2D(name="pool"), keras.layers.Flatten(), keras.layers.Dense(1)])
    copy = kpool.replace_pooling(model, verbose=False)
    assert not copy.built
    model.build((None, 4, 4, 1))
    copy = kpool.replace_pooling(model, verbose=False)
    assert copy.built
    np.testing.assert_array_equal(copy.get_weights()[0], model.get_weights()[0])


@pytest.mark.parametrize(
    ("name", "size", "replaced"),
    [("VGG16", 32, 6), ("ResNet50", 32, 2), ("InceptionV3", 75, 14), ("DenseNet121", 32, 5)],
)
def test_applications_of_keras(name, size, replaced, rng, capsys):
    shape = (size, size, 3)
    model = getattr(keras.applications, name)(weights=None, include_top=False, pooling="avg", input_shape=shape)
    copy = kpool.replace_pooling(model)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == replaced
    for line, layer in zip(lines, pooling_layers(model), strict=True):
        assert line.startswith(f"replaced  {layer}: ")
    assert set(pooling_layers(copy).values()) == {MODULES[1]}
    x = images(rng, 1, shape)
    expected = model(x, training=False)
    assert np.abs(expected).max() > 0
    np.testing.assert_allclose(copy(x, training=False), expected, rtol=1e-5, atol=1e-6 * np.abs(expected).max())
    if name == "VGG16":
        # Up to the mean at its end it has maxima alone, which leave no room for rounding.
        features = [keras.Model(network.input, network.layers[-2].output) for network in (model, copy)]
        same_bits(*(network(x, training=False).numpy() for network in features))
