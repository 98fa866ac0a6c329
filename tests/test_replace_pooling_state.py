"""What a model with kpool's pooling has of the original's: what it learnt, and how it goes on learning."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from test_replace_pooling import SHAPE, branched, images, sequential

import kpool


def test_what_was_learnt_before_training_is_kept(rng):
    """Statistics and vocabularies, which are in no config; and quantised weights."""
    x, words = images(rng) * 3 + 5, np.array([[7], [9], [9], [8]])
    inputs = [keras.Input(SHAPE), keras.Input((1,), dtype="int64")]
    normal, lookup = keras.layers.Normalization(), keras.layers.IntegerLookup()
    normal.adapt(x)
    lookup.adapt(words)
    image = keras.layers.GlobalMaxPooling2D()(normal(inputs[0]))
    model = keras.Model(inputs, keras.layers.Dense(2)(image) + keras.ops.cast(lookup(inputs[1]), "float32"))
    expected = model([x, words])
    np.testing.assert_array_equal(kpool.replace_pooling(model, verbose=False)([x, words]), expected)
    next(layer for layer in model.layers if isinstance(layer, keras.layers.Dense)).quantize("int8")
    quantised = model([x, words])
    assert 0 < np.abs(quantised - expected).max() < 0.1
    np.testing.assert_array_equal(kpool.replace_pooling(model, verbose=False)([x, words]), quantised)


class Trainer(keras.Model):
    """A user's training step around a functional model."""

    def train_step(self, data):
        return {**super().train_step(data), "own": tf.constant(1.0)}


def test_a_training_step_of_the_users_stays(rng):
    inputs = keras.Input((4, 4, 1))
    model = Trainer(inputs, keras.layers.GlobalMaxPooling2D()(keras.layers.Conv2D(1, 1)(inputs)))
    model.compile("sgd", "mse")
    copy = kpool.replace_pooling(model, verbose=False)
    assert isinstance(copy, Trainer)
    x = images(rng, 4, (4, 4, 1))
    assert copy.fit(x, x.max((1, 2)), verbose=0).history["own"] == [1.0]


def own_loss(y, prediction):
    return keras.ops.mean((y - prediction) ** 2, -1)


def states(model):
    return [*model.optimizer.variables, *model.metrics_variables]


@pytest.mark.parametrize("policy", ["float32", "mixed_float16"])
def test_training_goes_on_where_it_was(policy, rng):
    """The same losses, metrics and weights from here on: the optimizer kept its slots, and drop-out its seeds."""
    keras.config.set_dtype_policy(policy)
    model = sequential()
    model.layers[0].trainable = False
    model.compile(
        keras.optimizers.Adam(keras.optimizers.schedules.ExponentialDecay(0.01, 2, 0.5)),
        own_loss,
        metrics=[keras.metrics.MeanAbsoluteError(name="error"), lambda y, p: keras.ops.max(p)],
    )
    x, y = images(rng, 12), rng.normal(size=(12, 2)).astype("float32")
    arguments = {"batch_size": 4, "shuffle": False, "verbose": 0}
    model.fit(x, y, epochs=2, **arguments)
    copy = kpool.replace_pooling(model, verbose=False)
    assert [weight.path for weight in copy.trainable_weights] == [weight.path for weight in model.trainable_weights]
    assert type(copy.optimizer) is type(model.optimizer)
    assert not {id(variable) for variable in states(copy)} & {id(variable) for variable in states(model)}
    for ours, theirs in zip(copy.optimizer.variables, model.optimizer.variables, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    ours, theirs = (network.fit(x, y, epochs=2, **arguments).history for network in (copy, model))
    assert list(ours) == list(theirs)
    tolerance = 1e-5 if policy == "float32" else 2e-2
    for name in theirs:
        np.testing.assert_allclose(ours[name], theirs[name], rtol=tolerance)
    for a, b in zip(copy.weights, model.weights, strict=True):
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance / 10)


def test_what_was_frozen_after_compiling_stays_so():
    """An optimizer that knows more variables than are trained now."""
    model = branched()
    model.compile("adam", {"a": "mse", "b": "mse"}, metrics={"a": ["mae"]}, loss_weights={"a": 2.0, "b": 1.0})
    model.optimizer.build(model.trainable_variables)
    # With all that is in it, but for one layer.
    model.get_layer("deeper").trainable = False
    model.get_layer("block").layers[0].trainable = True
    model.get_layer("a").bias.trainable = False
    copy = kpool.replace_pooling(model, verbose=False)
    for ours, theirs in zip(copy._flatten_layers(), model._flatten_layers(), strict=True):
        assert ours.trainable == theirs.trainable or not ours.weights
    assert [v.path for v in copy.trainable_variables] == [v.path for v in model.trainable_variables]
    assert len(copy.optimizer.variables) == len(model.optimizer.variables) > 2 * len(copy.trainable_variables)
    ours, theirs = copy.get_compile_config(), model.get_compile_config()
    # It is noted as it was given, if only by name, or as float32 has it.
    del ours["optimizer"], theirs["optimizer"]
    assert ours == theirs
    assert copy.optimizer.get_config() == model.optimizer.get_config()
    assert model.compiled


class Adversary(keras.Model):
    """A user's compile() with one more optimizer, of whose arguments Keras knows nothing."""

    def compile(self, adversary=None, **arguments):
        super().compile(**arguments)
        self.adversary = adversary


class Restorable(Adversary):
    """One that can be compiled from its config, as Keras asks for."""

    def get_compile_config(self):
        return {"adversary": keras.optimizers.serialize(self.adversary)}

    def compile_from_config(self, config):
        optimizer = keras.optimizers.deserialize(config["adversary"])
        optimizer.build(self.trainable_variables)
        self.compile(optimizer, optimizer="adam", loss="mse")


def trained(kind, x):
    inputs = keras.Input((4, 4, 1))
    model = kind(inputs, keras.layers.GlobalMaxPooling2D()(keras.layers.Conv2D(1, 1)(inputs)))
    model.compile(keras.optimizers.SGD(momentum=0.5), optimizer="adam", loss="mse")
    model.fit(x, x.max((1, 2)), verbose=0)
    model.adversary.apply([tf.ones(v.shape) for v in model.trainable_variables], model.trainable_variables)
    return model


@pytest.mark.parametrize("policy", ["float32", "mixed_float16"])
def test_a_compile_of_the_users_goes_on_where_it_was(policy, rng, capsys):
    keras.config.set_dtype_policy(policy)
    x = images(rng, 4, (4, 4, 1))
    model = trained(Restorable, x)
    # Then the copy's optimizers, if they were built anew, would have fewer slots.
    model.layers[1].bias.trainable = False
    model.make_train_function(force=True)
    copy = kpool.replace_pooling(model)
    assert capsys.readouterr().out == "replaced  global_max_pooling2d: GlobalMaxPooling2D\n"
    assert copy.compiled
    for name in ("optimizer", "adversary"):
        ours, theirs = getattr(copy, name), getattr(model, name)
        assert type(ours) is type(theirs)
        assert not {id(v) for v in ours.variables} & {id(v) for v in theirs.variables}
        assert any(np.any(v) for v in theirs.variables[2:])
        for a, b in zip(ours.variables, theirs.variables, strict=True):
            np.testing.assert_array_equal(a, b)
    for network in (copy, model):
        network.fit(x, x.max((1, 2)), verbose=0)
    for a, b in zip(copy.weights, model.weights, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6 if policy == "float32" else 1e-3)


def test_a_compile_of_the_users_that_must_be_called_again(rng, capsys):
    """Where Keras cannot compile a model that it loads from a file either."""
    model = trained(Adversary, images(rng, 4, (4, 4, 1)))
    with pytest.warns(UserWarning, match=r"`compile\(\)` was not called"):
        copy = kpool.replace_pooling(model)
    assert not copy.compiled
    assert capsys.readouterr().out.splitlines()[-1] == f"not compiled  {model.name}: call its compile()"
    for a, b in zip(copy.weights, model.weights, strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_nested_model_keeps_its_own_compile_state():
    inner = sequential()
    inner.compile("sgd", "mse")
    model = keras.Sequential([keras.Input(SHAPE), inner])
    copy = kpool.replace_pooling(model, verbose=False)
    assert copy.layers[0].compiled
    assert isinstance(copy.layers[0].optimizer, keras.optimizers.SGD)
    assert inner.compiled
    assert not copy.compiled
    assert not model.compiled


def test_a_model_that_cannot_be_copied_is_left_as_it_was():
    class Unknown(keras.layers.Layer):
        def __init__(self, value):
            super().__init__()

        def call(self, x):
            return x

    model = keras.Sequential([keras.Input(SHAPE), Unknown(object())])
    model.compile("sgd", "mse")
    with pytest.raises(NotImplementedError, match="get_config"):
        kpool.replace_pooling(model)
    assert model.compiled


class Forgetful(keras.layers.Layer):
    """A user's layer whose config lacks what it was made with."""

    def __init__(self, units=1, **kwargs):
        super().__init__(**kwargs)
        self.dense = [keras.layers.Dense(4) for _ in range(units)]

    def call(self, x):
        return x + sum(dense(x) for dense in self.dense)

    def get_config(self):
        config = super().get_config()
        assert "units" not in config
        return config


@pytest.mark.parametrize("units", [2, 0])
def test_a_layer_that_its_config_does_not_make_again_is_named(units):
    """With fewer variables than it had, and with more."""
    inner = keras.Sequential([keras.Input((4,)), Forgetful(units, name="forgetful")], name="inner")
    model = keras.Sequential([keras.Input((4,)), inner, keras.layers.Dense(1)])
    with pytest.raises(ValueError, match=r"`model` must consist of .*'inner/forgetful' makes one .* Received: a layer"):
        kpool.replace_pooling(model)


def test_an_optimizer_of_layers_that_are_gone():
    model = sequential()
    model.compile("adam", "mse")
    model.optimizer.build(model.trainable_variables)
    last = model.layers[-1].name
    model.pop()
    with pytest.raises(
        ValueError, match=rf"`model` must have every variable of its optimizer.*Received.*{last}/kernel"
    ):
        kpool.replace_pooling(model)
    assert model.compiled


class ForgetfulSGD(keras.optimizers.SGD):
    """A user's optimizer whose config lacks what it was made with."""

    def get_config(self):
        return {**super().get_config(), "momentum": 0.0}


def test_an_optimizer_that_its_config_does_not_make_again():
    model = sequential()
    model.compile(ForgetfulSGD(momentum=0.9), "mse")
    model.optimizer.build(model.trainable_variables)
    with pytest.raises(ValueError, match=r"an optimizer that its config makes again\. That of ForgetfulSGD"):
        kpool.replace_pooling(model)


class Later(keras.layers.Lambda):
    """Keras' layer without what is not public in it."""

    def __init__(self, function, **kwargs):
        super().__init__(function, **kwargs)
        del self._output_shape

    def get_config(self):
        return {**keras.layers.Layer.get_config(self), "function": None}

    def compute_output_shape(self, input_shape):
        return input_shape


def test_functions_of_a_keras_that_keeps_their_shapes_elsewhere(rng):
    model = keras.Sequential([keras.Input(SHAPE), Later(lambda x: x * 2), keras.layers.GlobalMaxPooling2D()])
    x = images(rng)
    np.testing.assert_array_equal(kpool.replace_pooling(model, verbose=False)(x), model(x))
