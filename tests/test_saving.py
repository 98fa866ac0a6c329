"""Models saved in every form: loaded in a new process they predict and learn as before, if kpool is imported."""

import os
import re
import shutil
import zipfile
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import CALLED_BY_XLA, numbers, run_python, same_bits

import kpool
from kpool import layers
from kpool.ops import average_pool, max_pool, max_unpool
from kpool.tf import xla

DATA = Path(__file__).parent / "data"


def segmenter():
    image = keras.Input((8, 8, 3), name="image")
    x = keras.layers.Conv2D(4, 3, padding="same", activation="relu")(image)
    values, indices = layers.MaxPooling2D(2, return_indices=True)(x)
    x = layers.MaxUnpooling2D(2)(values, indices)
    x = layers.AveragePooling2D(3, 1, padding="same")(x)
    x = average_pool(layers.OverlappingMaxPooling2D(3, 1)(x), 2)
    return keras.Model(image, keras.layers.Dense(2)(layers.GlobalAveragePooling2D()(x)))


SPEC = [tf.TensorSpec([None, None, None, 3], name="x")]


class Module(tf.Module):
    """The functions without Keras, with a window too large for one byte of offsets among them."""

    def __init__(self):
        self.scale = tf.Variable(2.0)

    def compute(self, x):
        x = tf.tile(x * self.scale, [1, 3, 3, 1])
        values, indices = max_pool(x, 17, 3, return_indices=True)
        restored = max_unpool(values, indices, 17, 3, output_size=tf.shape(x)[1:3])
        return {"y": average_pool(restored, 5) + average_pool(max_pool(x, 3, 1, 1), 5)}

    __call__ = tf.function(compute, SPEC, autograph=False)


class Compiled(Module):
    """The same for XLA."""

    __call__ = tf.function(Module.compute, SPEC, autograph=False, jit_compile=True)


FORMS = {
    "exported": lambda model, path: model.export(path),
    **{
        f"saved_{'with' if gradients else 'without'}_gradients": lambda model, path, gradients=gradients: (
            tf.saved_model.save(
                model, path, options=tf.saved_model.SaveOptions(experimental_custom_gradients=gradients)
            )
        )
        for gradients in (True, False)
    },
}

# What a process that knows nothing of the code above makes of the files: predictions and gradients.
LOAD = """
    import sys
    import warnings
    from pathlib import Path
    import keras
    import numpy as np
    import tensorflow as tf
    print("ready", file=sys.stderr, flush=True)
    import kpool

    warnings.simplefilter("error")
    warnings.filterwarnings("ignore", "__array__ implementation doesn't accept a copy keyword")
    folder = Path({folder!r})
    x = tf.constant(np.load(folder / "x.npy"))
    found = {{}}

    def note(name, function, variables):
        # Files keep their order or not. No two have the same shape.
        variables = sorted(variables, key=lambda variable: str(tf.TensorShape(variable.shape)))
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = function(x)
        gradients = tape.gradient(y, [x, *variables])
        found[f"{{name}}/y"] = y
        for i, gradient in enumerate(gradients):
            found[f"{{name}}/gradient {{i}}"] = gradient
        optimizer = keras.optimizers.SGD(0.01)
        if path.suffix == ".keras":
            optimizer.apply(gradients[1:], variables)
        else:  # Keras' optimizers take its own variables only.
            for variable, gradient in zip(variables, gradients[1:], strict=True):
                variable.assign_sub(0.01 * gradient)
        found[f"{{name}}/after a step"] = function(x)
        for variable, gradient in zip(variables, gradients[1:], strict=True):
            variable.assign_add(0.01 * gradient)

    for path in sorted(folder.iterdir()):
        if path.suffix == ".keras":
            model = keras.models.load_model(path)
            note(path.name, model, model.trainable_variables)
        elif path.is_dir():
            loaded = tf.saved_model.load(str(path))
            serve = loaded.signatures["serving_default"]
            note(path.name, lambda x: next(iter(serve(x).values())), serve.trainable_variables)
            if "exported" in path.name:
                note(path.name + " endpoint", loaded.serve, serve.trainable_variables)
    np.savez(folder / "found.npz", **{{name: np.asarray(value) for name, value in found.items()}})
"""


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A folder with a model and a module in every form, and what they compute."""
    folder = tmp_path_factory.mktemp("saved")
    x = np.random.default_rng(3).normal(size=(2, 8, 8, 3)).astype("float32")
    np.save(folder / "x.npy", x)
    model, module = segmenter(), Module()
    model.save(folder / "model.keras")
    for form, save in FORMS.items():
        save(model, str(folder / f"model_{form}"))
        if form != "exported":
            save(module, str(folder / f"module_{form}"))
    tf.saved_model.save(Compiled(), str(folder / "module_compiled"))
    expected = {}
    for name, function in {"model": model, "module": lambda x: module(x)["y"]}.items():
        variables = model.trainable_variables if name == "model" else [module.scale]
        variables = sorted(variables, key=lambda variable: str(tf.TensorShape(variable.shape)))
        with tf.GradientTape() as tape:
            tensor = tf.constant(x)
            tape.watch(tensor)
            y = function(tensor)
        gradients = tape.gradient(y, [tensor, *variables])
        for variable, gradient in zip(variables, gradients[1:], strict=True):
            variable.assign_sub(0.01 * gradient)
        expected[name] = [y, *gradients, function(tensor)]
    return folder, expected


def test_a_new_process_predicts_and_learns(saved):
    folder, expected = saved
    result = run_python(LOAD.format(folder=str(folder)))
    # What TensorFlow says of the machine, in lines that begin so, is not about the models.
    of_machine = re.compile(r"[IWE]\d{4} |\d{4}-\d\d-\d\d [\d:.]+: [IWE] |WARNING: All log messages before absl")
    assert [line for line in result.stderr.split("ready\n")[1].splitlines() if not of_machine.match(line)] == []
    found = np.load(folder / "found.npz")
    names = {name.split("/")[0] for name in found}
    saved_models = {f"{what}_{form}" for what in ("model", "module") for form in FORMS} - {"module_exported"}
    assert names == saved_models | {"module_compiled", "model.keras", "model_exported endpoint"}
    for name in names:
        tensors = [found[f"{name}/y"]]
        while f"{name}/gradient {len(tensors) - 1}" in found:
            tensors.append(found[f"{name}/gradient {len(tensors) - 1}"])
        tensors.append(found[f"{name}/after a step"])
        wanted = expected[re.match("model|module", name)[0]]
        assert np.abs(wanted[-1] - wanted[0]).max() > 0.01
        for actual, value in zip(tensors, wanted, strict=True):
            assert np.any(value)
            np.testing.assert_allclose(actual, value, rtol=1e-4, atol=1e-5)


def test_without_kpool_the_message_names_it(saved):
    """But for a Keras that imports what a file needs by itself. A program for XLA has no op that could be missing."""
    folder, _ = saved
    result = run_python(
        f"""
        import sys
        from pathlib import Path
        import keras
        import tensorflow as tf

        def attempt(load, path):
            try:
                loaded = load(path)
                message = "loaded"
                if path.name == "module_compiled":
                    loaded(tf.zeros((1, 8, 8, 3)))
                    message = "called"
            except Exception as error:
                message = str(error).replace("\\n", " ")
            print(path.name, "kpool" in sys.modules, message, sep="\t")

        folder = Path({str(folder)!r})
        for path in sorted(folder.iterdir()):
            if path.is_dir():
                attempt(tf.saved_model.load, path)
        attempt(keras.models.load_model, folder / "model.keras")
        """
    )
    *saved_models, model = (line.split("\t") for line in result.stdout.splitlines() if "\t" in line)
    assert len(saved_models) == 6
    for name, imported, message in saved_models:
        assert imported == "False", name
        if name != "module_compiled":
            assert "Op type not registered 'Kpool" in message
        elif xla.calls_kernels:
            # To TensorFlow it is a program like any other, until it is called; 2.16 does not even name the call.
            unnamed = numbers(tf.__version__)[:2] == [2, 16]
            assert ("Symbol a_inference_" if unnamed else "untyped custom call to kpool") in message
        else:
            assert message == "called"
    _, imported, message = model
    if numbers(keras.__version__) < [3, 9]:
        # It imports whatever module a file names.
        assert (imported, message) == ("True", "loaded")
    else:
        assert imported == "False"
        assert "'registered_name': 'kpool>" in message


def test_weights_alone(tmp_path, rng):
    """They are the same with kpool's pooling layers and with Keras'."""

    def network(pooling):
        inputs = keras.Input((8, 8, 3))
        x = pooling.MaxPooling2D()(keras.layers.Conv2D(4, 3)(inputs))
        return keras.Model(inputs, keras.layers.Dense(2)(pooling.GlobalAveragePooling2D()(x)))

    keras.utils.set_random_seed(1)
    first, second, theirs = network(layers), network(layers), network(keras.layers)
    x = rng.normal(size=(2, 8, 8, 3)).astype("float32")
    first.save_weights(tmp_path / "a.weights.h5")
    for other in (second, theirs):
        assert np.abs(other(x) - first(x)).max() > 0.01
        other.load_weights(tmp_path / "a.weights.h5")
    same_bits(second(x).numpy(), first(x).numpy())
    # Means are summed up in another order.
    np.testing.assert_allclose(theirs(x), first(x), atol=1e-6)


def test_a_clone_computes_the_same(rng):
    model = segmenter()
    clone = keras.models.clone_model(model)
    clone.set_weights(model.get_weights())
    x = rng.normal(size=(2, 8, 8, 3)).astype("float32")
    same_bits(clone(x).numpy(), model(x).numpy())


VERSIONS = sorted((path.parent.name for path in DATA.glob("*/recorded.npz")), key=numbers)


def recorded(version):
    """What an earlier version computed and noted."""
    contents = dict(np.load(DATA / version / "recorded.npz"))
    written = {line.split()[0]: line.split()[1] for line in contents.pop("versions")}
    return contents.pop("x"), contents, written


def check(results, contents, name):
    wanted = {key.split("/")[1]: value for key, value in contents.items() if key.startswith(f"{name}/")}
    assert set(results) == set(wanted)
    for part, value in wanted.items():
        assert results[part].dtype == value.dtype
        np.testing.assert_allclose(results[part], value, rtol=1e-5, atol=1e-5, err_msg=part)


def test_there_are_files_of_every_version():
    """Of this one too: `python tests/data/write.py` writes them."""
    assert VERSIONS[0] == "0.1.0"
    assert VERSIONS[-1] == kpool.__version__


@pytest.mark.parametrize("version", VERSIONS)
def test_models_of_earlier_versions_load(version):
    x, contents, written = recorded(version)
    if numbers(keras.__version__)[:2] < numbers(written["keras"])[:2]:
        pytest.skip(f"the file is of Keras {written['keras']}, which this Keras need not read")
    check(keras.models.load_model(DATA / version / "model.keras")(x), contents, "model")


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("form", ["ops", pytest.param("compiled", marks=CALLED_BY_XLA)])
def test_ops_of_earlier_versions_load(form, version):
    """Every op and attribute that a graph may hold goes on meaning the same, in programs for XLA as well."""
    x, contents, _ = recorded(version)
    signatures = tf.saved_model.load(str(DATA / version / form)).signatures
    names = {key.split("/")[0] for key in contents} - {"model"}
    assert set(signatures) == names if form == "ops" else len(signatures) >= 9
    for name, function in signatures.items():
        check(function(tf.constant(x)), contents, name)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("form", ["ops", pytest.param("compiled", marks=CALLED_BY_XLA)])
def test_ops_of_earlier_versions_learn(form, version):
    """A tape around a loaded function finds what a tape inside it found."""
    x, contents, _ = recorded(version)
    signatures = tf.saved_model.load(str(DATA / version / form)).signatures
    names = [name for name in signatures if f"{name}/gradient" in contents]
    assert len(names) >= 7
    for name in names:
        with tf.GradientTape() as tape:
            tensor = tf.constant(x)
            tape.watch(tensor)
            values = signatures[name](tensor)["values"]
        assert np.any(contents[f"{name}/gradient"])
        check({"gradient": tape.gradient(values, tensor, 2 * values), "values": values}, contents, name)


def test_the_files_hold_every_native_op():
    from kpool.tf.library import ops

    graph, programs = ((DATA / VERSIONS[-1] / form / "saved_model.pb").read_bytes() for form in ("ops", "compiled"))
    names = {name for name in dir(ops) if name.startswith("kpool_") and not name.endswith("_eager_fallback")}
    assert len(names) >= 7
    for name in names:
        assert "".join(word.capitalize() for word in name.split("_")).encode() in graph, name
        assert f'backend_config = "{name} '.encode() in programs, name


def test_the_files_hold_every_layer():
    with zipfile.ZipFile(DATA / VERSIONS[-1] / "model.keras") as file:
        config = file.read("config.json").decode()
    assert len(layers.__all__) > 20
    for name in {getattr(layers, name).__name__ for name in layers.__all__}:
        assert f'"class_name": "{name}"' in config, name


def test_the_script_that_writes_the_files_works(tmp_path):
    """In a folder of its own, and it computes what it did."""
    shutil.copy(DATA / "write.py", tmp_path)
    run_python(f"import runpy; runpy.run_path({str(tmp_path / 'write.py')!r}, run_name='__main__')")
    (folder,) = (path for path in tmp_path.iterdir() if path.is_dir())
    assert sorted(os.listdir(folder)) == sorted(os.listdir(DATA / VERSIONS[-1]))
    again, before = (dict(np.load(path / "recorded.npz")) for path in (folder, DATA / VERSIONS[-1]))
    assert set(again) == set(before)
    for name in set(before) - {"versions"}:
        assert again[name].dtype == before[name].dtype
        np.testing.assert_allclose(again[name], before[name], rtol=1e-5, atol=1e-5, err_msg=name)
