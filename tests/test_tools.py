"""What people do with a model besides training it: pipelines, callbacks, pictures, quantisation, profiles."""

import re

import keras
import numpy as np
import pydot
import pytest
import tensorflow as tf
from conftest import same_bits, small_integers

from kpool import layers
from kpool.ops import average_pool, max_pool, max_unpool


def classifier():
    keras.utils.set_random_seed(1)
    image = keras.Input((12, 12, 3), name="image")
    x = keras.layers.Conv2D(8, 3, padding="same", activation="relu")(image)
    values, indices = layers.MaxPooling2D(2, return_indices=True, name="pool")(x)
    x = layers.MaxUnpooling2D(2, name="unpool")(values, indices)
    x = layers.AveragePooling2D(3, name="mean")(x)
    return keras.Model(image, keras.layers.Dense(2)(keras.layers.Flatten()(x)))


@pytest.fixture
def data(rng):
    x = rng.normal(size=(32, 12, 12, 3)).astype("float32")
    return x, x.mean((1, 2))[:, :2]


def files_contain(folder, name):
    return any(re.search(name, path.read_bytes()) for path in folder.rglob("*") if path.is_file())


def test_pipelines_with_parallel_calls(rng):
    x = small_integers(rng, (64, 4, 9, 9, 2))

    def features(x):
        values, indices = max_pool(x, 2, return_indices=True)
        return values, indices, max_unpool(values, indices, 2, output_size=(9, 9)), average_pool(x, (1, 4))

    dataset = tf.data.Dataset.from_tensor_slices(x).map(features, num_parallel_calls=8).batch(64)
    (results,) = list(dataset)
    for actual, expected in zip(results, features(x.reshape(-1, 9, 9, 2)), strict=True):
        same_bits(actual.numpy().reshape(expected.shape), expected)


def test_a_persistent_tape(rng):
    x = tf.constant(small_integers(rng, (2, 6, 6, 3)))
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(x)
        values, indices = max_pool(x, 2, return_indices=True)
        unpooled = max_unpool(values, indices, 2)
        means = average_pool(x, 2)
    of_values, of_unpooled = (tape.gradient(y, x).numpy() for y in (values, unpooled))
    same_bits(of_values, max_unpool(np.ones_like(values), indices.numpy(), 2))
    same_bits(of_unpooled, of_values)
    same_bits(tape.gradient(means, x).numpy(), np.full_like(x, 0.25))
    same_bits(tape.gradient(values, x).numpy(), of_values)
    same_bits(tape.gradient([values, means], x).numpy(), of_values + 0.25)


def test_callbacks(data, tmp_path):
    model, (x, y) = classifier(), data
    model.compile("adam", "mse")
    seen = []
    callbacks = [
        keras.callbacks.ModelCheckpoint(tmp_path / "best.keras", monitor="loss", save_best_only=True),
        keras.callbacks.EarlyStopping(monitor="loss", patience=2, restore_best_weights=True),
        keras.callbacks.ReduceLROnPlateau(monitor="loss", patience=1),
        keras.callbacks.TerminateOnNaN(),
        keras.callbacks.CSVLogger(tmp_path / "log.csv"),
        keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: seen.append(logs["loss"])),
    ]
    losses = model.fit(x, y, epochs=4, callbacks=callbacks, verbose=0).history["loss"]
    assert losses == seen
    assert losses[-1] < losses[0]
    assert len((tmp_path / "log.csv").read_text().splitlines()) == 5
    best = keras.models.load_model(tmp_path / "best.keras")
    np.testing.assert_allclose(best.predict(x, verbose=0), model.predict(x, verbose=0), rtol=1e-6)


def test_training_goes_on_where_it_was_interrupted(data, tmp_path):
    (x, y), found = data, []
    for interrupted in (True, False):
        keras.utils.set_random_seed(1)
        model = classifier()
        model.compile("sgd", "mse")

        def interrupt(epoch, logs):
            if epoch == 1:
                raise KeyboardInterrupt

        backup = keras.callbacks.BackupAndRestore(tmp_path / f"backup of {interrupted}")
        if interrupted:
            stop = keras.callbacks.LambdaCallback(on_epoch_begin=interrupt)
            with pytest.raises(KeyboardInterrupt):
                model.fit(x, y, epochs=3, shuffle=False, callbacks=[backup, stop], verbose=0)
            model = classifier()
            model.compile("sgd", "mse")
        history = model.fit(x, y, epochs=3, shuffle=False, callbacks=[backup], verbose=0)
        assert history.epoch == ([1, 2] if interrupted else [0, 1, 2])
        found.append(model.get_weights())
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7)


def test_summary():
    lines = []
    classifier().summary(line_length=120, print_fn=lambda text, **_: lines.append(text))
    text = "\n".join(lines)
    for expected in ("pool (MaxPooling2D)", "(None, 6, 6, 8)", "unpool (MaxUnpooling2D)", "mean (AveragePooling2D)"):
        assert expected in text


def test_plot(tmp_path, monkeypatch):
    # Graphviz, which need not be here, would draw what it is told.
    drawn = []
    monkeypatch.setattr(pydot.Dot, "create", lambda dot, *_, **__: drawn.append(dot) or b"a picture")
    path = tmp_path / "model.png"
    keras.utils.plot_model(classifier(), path, show_shapes=True, show_dtype=True, show_layer_names=True)
    assert path.read_bytes() == b"a picture"
    dot = drawn[-1]
    # What Graphviz is told of all nodes stands there as a node without a label.
    nodes = [node.get_label() for node in dot.get_nodes() if node.get_label()]
    pool, unpool = (next(label for label in nodes if f">{name}<" in label) for name in ("pool", "unpool"))
    assert "MaxPooling2D" in pool
    assert "(None, 6, 6, 8)" in pool
    assert "int32" in pool
    assert "(None, 12, 12, 8)" in unpool
    assert len(dot.get_edges()) == 6


@pytest.mark.filterwarnings("ignore:Layer .* does not have a `quantize:UserWarning")
def test_the_other_layers_can_be_quantised(data, tmp_path):
    model, (x, _) = classifier(), data
    before = model.predict(x, verbose=0)
    model.quantize("int8")
    assert model.layers[-1].kernel.dtype == "int8"
    after = model.predict(x, verbose=0)
    assert 0 < np.abs(after - before).max() < 0.05 * np.abs(before).max()
    model.save(tmp_path / "model.keras")
    np.testing.assert_array_equal(keras.models.load_model(tmp_path / "model.keras").predict(x, verbose=0), after)


OPS = [b"KpoolMaxPool", b"KpoolMaxUnpool", b"KpoolAveragePool"]


def test_graphs_hold_the_ops_under_their_names(data, tmp_path):
    """In the form that TensorBoard reads."""
    model, (x, _) = classifier(), data
    graph = tf.function(model, autograph=False).get_concrete_function(tf.TensorSpec.from_tensor(tf.constant(x))).graph
    with tf.summary.create_file_writer(str(tmp_path)).as_default():
        tf.summary.graph(graph)
    for name in OPS:
        assert files_contain(tmp_path, name)


def test_tensorboard(data, tmp_path):
    """Keras' callback writes the model's layers."""
    model, (x, y) = classifier(), data
    model.compile("adam", "mse")
    model.fit(x, y, callbacks=[keras.callbacks.TensorBoard(tmp_path, write_graph=True)], verbose=0)
    for name in (b"kpool.layers.max_pooling", b"kpool.layers.max_unpooling", b"kpool.layers.average_pooling"):
        assert files_contain(tmp_path, name)


def test_ops_have_their_names_in_the_profiler(data, tmp_path):
    """Those of a training step: forward and backward."""
    model, (x, y) = classifier(), data
    model.compile("sgd", "mse")
    model.train_on_batch(x, y)
    with tf.profiler.experimental.Profile(str(tmp_path)):
        model.train_on_batch(x, y)
    for name in OPS:
        for op in (name, name + b"Backward"):
            # A longer name that begins so is another op's.
            assert files_contain(tmp_path, re.compile(op + rb"(?![A-Za-z])")), op
