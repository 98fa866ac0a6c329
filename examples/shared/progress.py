"""What the finished epochs of a run came to, kept in a folder from which the run can go on."""

from __future__ import annotations

from pathlib import Path

from shared.command import ExampleError

import keras
import tensorflow as tf

FIGURES = ("loss", "accuracy", "val_loss", "val_accuracy")


class Progress:
    """The model's weights, the optimizer's state and the figures of each finished epoch.

    Args:
        model: Compiled, and its optimizer built; it gets what the folder holds.
        run: Numbers that tell this run from another one.
        folder: Holds the last finished epoch, if any; None to keep nothing.
    """

    def __init__(self, model: keras.Model, run: tuple[int, ...], folder: Path | None) -> None:
        self._figures = tf.Variable(tf.zeros([0, len(FIGURES)]), shape=[None, len(FIGURES)])
        self._manager: tf.train.CheckpointManager | None = None
        if folder is None:
            return
        kept_run = tf.Variable(run, dtype="int64")
        checkpoint = tf.train.Checkpoint(model=model, optimizer=model.optimizer, figures=self._figures, run=kept_run)
        self._manager = tf.train.CheckpointManager(checkpoint, str(folder), max_to_keep=1)
        latest = self._manager.latest_checkpoint
        if latest is None:
            return
        try:
            checkpoint.restore(latest).assert_existing_objects_matched()
        except (tf.errors.OpError, ValueError, AssertionError) as error:
            raise ExampleError(f"The checkpoint in {folder} could not be read ({type(error).__name__}).") from error
        if tuple(kept_run.numpy()) != run:
            raise ExampleError(
                f"The checkpoint in {folder} is of a run with another seed, batch size or number of digits; remove it, "
                "or name another folder with --checkpoint."
            )

    @property
    def epochs(self) -> int:
        """How many are finished."""
        return len(self._figures.numpy())

    @property
    def history(self) -> dict[str, list[float]]:
        """The figures of the finished epochs, as `fit` returns them."""
        return dict(zip(FIGURES, self._figures.numpy().T.tolist(), strict=True))

    def finish_epoch(self, figures: tuple[float, ...]) -> None:
        """Keep an epoch's figures, and the weights after it."""
        self._figures.assign(tf.concat([self._figures, [figures]], 0))
        if self._manager is not None:
            self._manager.save()
