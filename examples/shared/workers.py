"""Train a classifier on several workers: each takes its share of every batch, and their gradients are added up.

What is random in an epoch is decided by the seed, the epoch and the worker. So a run that was broken off and is started
again comes to what it would have come to.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from shared.command import ExampleError
from shared.digits import Digits
from shared.models import compile_classifier
from shared.progress import Progress

import keras
import numpy as np
import tensorflow as tf

JOBS = ("chief", "worker")
JUDGED_AT_ONCE = 500


class Worker(NamedTuple):
    """One of the workers, each of which runs the same program.

    Attributes:
        strategy: Adds up what the workers have found.
        index: Its place among them; the first is the chief, which alone keeps what was learned.
        count: How many there are.
    """

    strategy: tf.distribute.Strategy
    index: int
    count: int

    @property
    def is_chief(self) -> bool:
        return self.index == 0

    def share(self, batch: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """This worker's part of a batch, and how much each element counts in the mean over the whole batch."""
        part = np.array_split(batch, self.count)[self.index]
        if len(part) == 0:
            # TensorFlow's convolutions refuse empty batches: an element that does not count stands in.
            return batch[:1], np.zeros(1, "float32")
        return part, np.full(len(part), 1 / len(batch), "float32")

    def total(self, value: tf.Tensor) -> tf.Tensor:
        """The sum of all workers' values."""
        return self.strategy.reduce("SUM", value, axis=None)

    def told_by_chief(self, value: tf.Tensor) -> tf.Tensor:
        """The chief's value, on every worker."""
        return self.total(value if self.is_chief else tf.zeros_like(value))


def join(count: int, tell: Callable[[str], object]) -> Worker:
    """Join the other workers as TF_CONFIG says. TensorFlow allows it only before it has computed anything.

    TensorFlow waits for those that have not started yet, so `tell` is called first with a line that says for whom.

    Raises:
        ExampleError: If TF_CONFIG is not one of so many workers.
    """
    try:
        configuration = json.loads(os.environ["TF_CONFIG"])
        addresses = [(job, i, a) for job in JOBS for i, a in enumerate(configuration["cluster"].get(job, []))]
        tasks = [(job, index) for job, index, _ in addresses]
        index = tasks.index((configuration["task"]["type"], int(configuration["task"]["index"])))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ExampleError(
            f"TF_CONFIG must name the cluster's workers, and one of them as the task: {error}."
        ) from error
    if len(tasks) != count:
        raise ExampleError(f"TF_CONFIG names {len(tasks)} workers, and --workers {count}.")
    tell(f"Waiting for {count} workers, at {', '.join(str(address) for *_, address in addresses)}")
    # kpool computes on CPUs; and each worker is one replica.
    tf.config.set_visible_devices([], "GPU")
    return Worker(tf.distribute.MultiWorkerMirroredStrategy(), index, count)


class Training(NamedTuple):
    """How to train.

    Attributes:
        epochs: How many passes over the training digits.
        batch_size: Digits per step, of all workers together.
        seed: Decides the order of the digits, and what dropout drops.
        folder: Where the chief keeps a checkpoint of the last finished epoch, from which a run goes on.
        tell: Called with a line about each epoch.
    """

    epochs: int
    batch_size: int
    seed: int
    folder: Path
    tell: Callable[[str], object]


def train(worker: Worker, model: keras.Model, digits: Digits, training: Training) -> dict[str, list[float]]:
    """Train as `fit` does, and return the figures of each epoch. On every worker the model has the same weights then.

    Raises:
        ExampleError: If another worker is lost, or the checkpoint is of another run.
    """
    with worker.strategy.scope():
        mirrored = keras.models.clone_model(model)
        compile_classifier(mirrored)
        mirrored.optimizer.build(mirrored.trainable_variables)
    mirrored.set_weights(model.get_weights())
    run = (training.seed, training.batch_size, len(digits.train_images))
    progress = Progress(mirrored, run, training.folder if worker.is_chief else None)
    try:
        go_through_epochs(worker, mirrored, digits, training, progress)
    except tf.errors.OpError as error:
        # Before the reason stands, in two pairs of braces, the name of a function that says nothing.
        reason = error.message.partition("\n")[0].rpartition("}} ")[-1]
        raise ExampleError(
            f"Worker {worker.index} of {worker.count} could not go on, as another was lost or something failed "
            f"({type(error).__name__}: {reason}). The same command, on every host, goes on after the last epoch that "
            "was finished."
        ) from error
    model.set_weights(mirrored.get_weights())
    return progress.history


def go_through_epochs(
    worker: Worker, model: keras.Model, digits: Digits, training: Training, progress: Progress
) -> None:
    # Only the chief has to see the folder.
    for variable in [*model.weights, *model.optimizer.variables]:
        variable.assign(worker.told_by_chief(tf.identity(variable.value)))
    finished = int(worker.told_by_chief(tf.constant(progress.epochs)))
    if finished:
        training.tell(f"Going on after epoch {finished}; to train anew, remove {training.folder}")
    train_batch = across(worker, lambda *batch: train_step(model, *batch))
    judge_batch = across(worker, lambda *batch: judge_step(model, *batch))
    for epoch in range(finished, training.epochs):
        order = np.random.default_rng([training.seed, epoch]).permutation(len(digits.train_images))
        seed_dropout(model, np.random.SeedSequence([training.seed, epoch, worker.index]))
        trained = mean(worker, train_batch, digits.train_images, digits.train_labels, order, training.batch_size)
        every = np.arange(len(digits.test_images))
        judged = mean(worker, judge_batch, digits.test_images, digits.test_labels, every, JUDGED_AT_ONCE)
        progress.finish_epoch((*trained, *judged))
        training.tell(
            f"Epoch {epoch + 1}/{training.epochs}: loss {trained[0]:.4f}, accuracy {trained[1]:.2%}; held out: "
            f"loss {judged[0]:.4f}, accuracy {judged[1]:.2%}"
        )


Step = Callable[[tf.Tensor, tf.Tensor, tf.Tensor], tf.Tensor]


def across(worker: Worker, step: Step) -> Step:
    """A compiled step of one worker, in which the strategy can reach the others."""
    any_batch = [
        tf.TensorSpec([None, 28, 28, 1]),
        tf.TensorSpec([None], "int64"),
        tf.TensorSpec([None]),
    ]
    return tf.function(lambda *batch: worker.strategy.run(step, batch), input_signature=any_batch)


def mean(
    worker: Worker, step: Step, images: np.ndarray, labels: np.ndarray, order: np.ndarray, batch_size: int
) -> tuple[float, ...]:
    """The loss and the accuracy in the mean over all the digits, batch by batch."""
    found = tf.zeros([2])
    for batch in np.split(order, range(batch_size, len(order), batch_size)):
        part, weights = worker.share(batch)
        found += len(batch) * step(images[part], labels[part].astype("int64"), weights)
    return tuple((worker.total(found) / len(order)).numpy().tolist())


def train_step(model: keras.Model, images: tf.Tensor, labels: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
    """Train with one worker's share of a batch; returns its part of the batch's mean loss and accuracy."""
    with tf.GradientTape() as tape:
        predictions = model(images, training=True)
        loss = weighted_loss(labels, predictions, weights)
    # The optimizer adds up the gradients of all workers, and with them the parts of the mean.
    model.optimizer.apply(tape.gradient(loss, model.trainable_variables), model.trainable_variables)
    return tf.stack([loss, weighted_accuracy(labels, predictions, weights)])


def judge_step(model: keras.Model, images: tf.Tensor, labels: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
    """The same without training."""
    predictions = model(images, training=False)
    return tf.stack([weighted_loss(labels, predictions, weights), weighted_accuracy(labels, predictions, weights)])


def weighted_loss(labels: tf.Tensor, predictions: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
    return tf.reduce_sum(weights * keras.losses.sparse_categorical_crossentropy(labels, predictions))


def weighted_accuracy(labels: tf.Tensor, predictions: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
    return tf.reduce_sum(weights * tf.cast(tf.equal(tf.argmax(predictions, -1), labels), weights.dtype))


def seed_dropout(model: keras.Model, seeds: np.random.SeedSequence) -> None:
    states = [variable for variable in model.variables if variable.path.endswith("seed_generator_state")]
    for state, seed in zip(states, seeds.spawn(len(states)), strict=True):
        state.assign(seed.generate_state(2))
