"""Training on several workers comes to what training on one does, and survives the loss of one."""

import json
import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

from shared import command, digits, models, processes, progress, workers

import keras
import mnist
import numpy as np
import pytest
from conftest import run_python

import kpool

EPOCHS, BATCH_SIZE, SEED = 3, 33, 5
# Two whole batches of an odd size, and one that is too small for two workers.
DIGITS = 67

ONE_WORKER = f"""
    import os, signal, sys
    sys.path[:0] = [{str(Path(mnist.__file__).parent)!r}, {str(Path(__file__).parent)!r}]
    from pathlib import Path
    from shared import command, workers
    import numpy as np

    class Dying(workers.Worker):
        # Of the four batches of an epoch, one of which is judged, it does not finish the second in the third epoch.
        batches = 0

        def share(self, batch):
            Dying.batches += 1
            if self.index == int(sys.argv[2]) and Dying.batches == 10:
                os.kill(os.getpid(), signal.SIGKILL)
            return super().share(batch)

    tell = lambda line: print(line, flush=True)
    worker = workers.join(2, tell)
    from test_workers import BATCH_SIZE, EPOCHS, SEED, model_and_digits
    folder = Path(sys.argv[1])
    if sys.argv[2:]:
        worker = Dying(*worker)
    model, data = model_and_digits()
    training = workers.Training(EPOCHS, BATCH_SIZE, SEED, folder / "checkpoint", tell)
    try:
        workers.train(worker, model, data, training)
    except command.ExampleError as error:
        sys.exit(f"Error: {{error}}")
    np.savez(folder / f"weights{{worker.index}}.npz", *model.get_weights())
"""


def program(folder, *arguments):
    """What Python is to run as one worker, with the installed package and not the sources around it."""
    return ["-P", "-c", textwrap.dedent(ONE_WORKER), str(folder), *arguments]


def model_and_digits():
    """A model without dropout, which no two ways of training would do alike."""
    keras.utils.set_random_seed(SEED)
    model = models.mnist_model(models.convolution_and(lambda: kpool.layers.MaxPooling2D(2)))
    (dropout,) = [layer for layer in model.layers if isinstance(layer, keras.layers.Dropout)]
    dropout.rate = 0
    return model, digits.small(SEED, most=DIGITS)


@pytest.fixture(scope="module")
def expected():
    """The weights before and after Keras itself has trained with the whole batches."""
    model, data = model_and_digits()
    before = model.get_weights()
    models.compile_classifier(model)
    for epoch in range(EPOCHS):
        order = np.random.default_rng([SEED, epoch]).permutation(DIGITS)
        for batch in np.split(order, range(BATCH_SIZE, DIGITS, BATCH_SIZE)):
            model.train_on_batch(data.train_images[batch], data.train_labels[batch])
    return before, model.get_weights()


def check_weights(folder, expected):
    """Every worker has the same weights, and they are the expected ones to rounding."""
    first, second = (list(np.load(folder / f"weights{index}.npz").values()) for index in (0, 1))
    for before, after, actual, other in zip(*expected, first, second, strict=True):
        np.testing.assert_array_equal(actual, other)
        assert np.abs(after - before).max() > 1e-3
        np.testing.assert_allclose(actual, after, rtol=0, atol=5e-6)


def test_two_workers_follow_the_weights_of_one(tmp_path, expected, capfd):
    processes.run(program(tmp_path), 2)
    check_weights(tmp_path, expected)
    lines = capfd.readouterr().out.splitlines()
    assert re.fullmatch(r"Waiting for 2 workers, at 127\.0\.0\.1:\d+, 127\.0\.0\.1:\d+", lines.pop(0))
    assert [line.split(":")[0] for line in lines] == [f"Epoch {epoch}/{EPOCHS}" for epoch in (1, 2, 3)]


@pytest.mark.parametrize("lost", [0, 1])
def test_a_lost_worker_costs_the_epoch_and_no_more(lost, tmp_path, expected, capfd):
    """As on separate hosts, where nobody watches the processes: the worker that is left ends by itself.

    The first is the chief, whose checkpoint it is.
    """
    others = [
        subprocess.Popen(
            [sys.executable, *program(tmp_path, str(lost))],
            env={**os.environ, "TF_CONFIG": configuration},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for configuration in processes.configurations(2)
    ]
    try:
        outputs = [worker.communicate(timeout=90) for worker in others]
    finally:
        processes.end(others)
    assert others[lost].returncode == -9
    left = 1 - lost
    out, error = outputs[left]
    assert others[left].returncode == 1
    assert "Epoch 2/3" in out
    assert "Epoch 3/3" not in out
    assert f"\nError: Worker {left} of 2 could not go on" in f"\n{error}"

    processes.run(program(tmp_path), 2)
    check_weights(tmp_path, expected)
    lines = capfd.readouterr().out.splitlines()
    assert [line.partition(":")[0].partition(";")[0] for line in lines[1:]] == ["Going on after epoch 2", "Epoch 3/3"]


def test_mnist_trains_on_two_workers(tmp_path, capfd):
    assert mnist.main(["--workers", "2", "--epochs", "1", "--batch-size", "32", "--out", str(tmp_path)]) == 0
    out = capfd.readouterr().out
    assert "predictions of 1,000 held-out digits: largest difference 0\n" in out
    assert out.count("Held-out accuracy: ") == 1
    assert float(out.split("Held-out accuracy: ")[1].split("%")[0]) > 80
    assert {"training.png", "pooling.png", "checkpoint"} == {path.name for path in tmp_path.iterdir()}


def test_each_process_is_told_who_it_is(tmp_path, capfd):
    code = f"""
        import os
        from pathlib import Path
        configuration = os.environ["TF_CONFIG"]
        print(configuration)
        Path({str(tmp_path)!r}, str(os.getpid())).write_text(configuration)
    """
    processes.run(["-c", textwrap.dedent(code)], 3)
    told = [json.loads(path.read_text()) for path in tmp_path.iterdir()]
    told.sort(key=lambda configuration: configuration["task"]["index"])
    assert [configuration["task"] for configuration in told] == [{"type": "worker", "index": i} for i in range(3)]
    clusters = [configuration["cluster"] for configuration in told]
    assert clusters[0] == clusters[1] == clusters[2]
    assert len(set(clusters[0]["worker"])) == 3
    assert json.loads(capfd.readouterr().out) == told[0]


@pytest.mark.parametrize("failing", [0, 1])
@pytest.mark.parametrize(
    ("end", "told"),
    [("os.kill(os.getpid(), 9)", "was ended by SIGKILL"), ("sys.exit('no digits')", "ended with exit code 1")],
)
def test_one_process_that_fails_ends_all(end, told, failing, tmp_path, capfd):
    code = f"""
        import json, os, sys, time
        from pathlib import Path
        other = Path({str(tmp_path)!r}, "other")
        if json.loads(os.environ["TF_CONFIG"])["task"]["index"] != {failing}:
            other.with_suffix(".new").write_text(str(os.getpid()))
            other.with_suffix(".new").rename(other)
            time.sleep(20)
            other.with_suffix(".survived").touch()
        while not other.exists():
            time.sleep(0.01)
        {end}
    """
    with pytest.raises(command.ExampleError, match=f"^Worker {failing} of 2 {told}"):
        processes.run(["-c", textwrap.dedent(code)], 2)
    assert ("no digits\n" in capfd.readouterr().err) == ("exit code" in told)
    assert [path.name for path in tmp_path.iterdir()] == ["other"]
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "other").read_text()), 0)


TWO = {"worker": ["127.0.0.1:1", "127.0.0.1:2"]}


@pytest.mark.parametrize(
    "configuration",
    [
        "",
        "[]",
        "{}",
        json.dumps({"cluster": TWO}),
        json.dumps({"cluster": TWO, "task": {"type": "worker", "index": 2}}),
        json.dumps({"cluster": TWO, "task": {"type": "ps", "index": 0}}),
        json.dumps({"cluster": {"chief": ["127.0.0.1:3"], **TWO}, "task": {"type": "chief", "index": 0}}),
    ],
)
def test_a_cluster_that_cannot_be_is_refused(configuration, monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("TF_CONFIG", configuration)
    assert mnist.main(["--workers", "2", "--out", str(tmp_path)]) == 1
    error = capsys.readouterr().err.strip()
    assert error.startswith("Error: TF_CONFIG ")
    assert len(error.splitlines()) == 1


def test_a_checkpoint_without_workers_is_refused(capsys):
    with pytest.raises(SystemExit) as exit_info:
        mnist.main(["--checkpoint", "folder"])
    assert exit_info.value.code == 2
    assert "--checkpoint" in capsys.readouterr().err


def compiled_model():
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile(optimizer="adam")
    model.optimizer.build(model.trainable_variables)
    return model


def test_progress_is_kept(tmp_path):
    first, second = compiled_model(), compiled_model()
    kept = progress.Progress(first, (1, 2), tmp_path)
    assert kept.epochs == 0
    first.optimizer.iterations.assign(7)
    kept.finish_epoch((1, 2, 3, 4))
    first.layers[0].kernel.assign([[5], [6]])
    kept.finish_epoch((0.5, 2, 3, 4))

    found = progress.Progress(second, (1, 2), tmp_path)
    assert found.epochs == 2
    assert found.history == kept.history
    assert found.history == {"loss": [1, 0.5], "accuracy": [2, 2], "val_loss": [3, 3], "val_accuracy": [4, 4]}
    np.testing.assert_array_equal(second.layers[0].kernel, [[5], [6]])
    assert second.optimizer.iterations == 7


def test_progress_of_another_run_is_refused(tmp_path):
    progress.Progress(compiled_model(), (1, 2), tmp_path).finish_epoch((1, 2, 3, 4))
    with pytest.raises(command.ExampleError, match="another seed"):
        progress.Progress(compiled_model(), (1, 3), tmp_path)


def test_damaged_progress_is_refused(tmp_path):
    progress.Progress(compiled_model(), (1, 2), tmp_path).finish_epoch((1, 2, 3, 4))
    for file in tmp_path.glob("*.index"):
        file.write_bytes(b"damaged")
    with pytest.raises(command.ExampleError, match="could not be read"):
        progress.Progress(compiled_model(), (1, 2), tmp_path)


def test_dropout_depends_on_the_seeds_alone():
    model = models.mnist_model(models.convolution_and(lambda: kpool.layers.MaxPooling2D(2)))
    images = digits.small(SEED, most=3).train_images

    def predictions(*seeds):
        workers.seed_dropout(model, np.random.SeedSequence(seeds))
        return np.asarray(model(images, training=True))

    first = predictions(1, 2, 3)
    assert not np.array_equal(first, predictions(1, 2, 4))
    np.testing.assert_array_equal(first, predictions(1, 2, 3))


def test_fit_mirrors_a_model_over_devices():
    """Keras' `fit` on two logical devices comes to what it comes to on one."""
    run = run_python(
        """
        import keras
        import numpy as np
        import tensorflow as tf
        import kpool

        cpu, = tf.config.list_physical_devices("CPU")
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)

        def model():
            image = keras.Input((8, 8, 2))
            x = keras.layers.Conv2D(4, 3, padding="same")(image)
            pooled, indices = kpool.layers.MaxPooling2D(2, return_indices=True)(x)
            x = kpool.layers.MaxUnpooling2D(2)(pooled, indices)
            x = kpool.layers.AveragePooling2D(2)(x)
            x = kpool.layers.GlobalMaxPooling2D()(x)
            result = keras.Model(image, keras.layers.Dense(3)(x))
            result.compile(keras.optimizers.SGD(0.1), "mse")
            return result

        strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
        assert strategy.num_replicas_in_sync == 2
        with strategy.scope():
            mirrored = model()
        single = model()
        single.set_weights(mirrored.get_weights())
        before = single.get_weights()
        rng = np.random.default_rng(0)
        x, y = rng.normal(size=(48, 8, 8, 2)), rng.normal(size=(48, 3))
        for m in (mirrored, single):
            m.fit(x, y, batch_size=16, epochs=2, shuffle=False, verbose=0)
        for b, actual, expected in zip(before, mirrored.get_weights(), single.get_weights()):
            assert np.abs(expected - b).max() > 1e-3
            np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-6)
        np.testing.assert_allclose(mirrored.predict(x, verbose=0), single.predict(x, verbose=0), rtol=0, atol=1e-5)
        """,
        check=False,
    )
    assert run.returncode == 0, run.stderr
