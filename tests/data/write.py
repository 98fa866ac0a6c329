"""Writes the files that every later version of kpool must load, and what they compute, to a folder of its own.

Run for a release, `python tests/data/write.py`: what an earlier version wrote stays as it is.
"""

from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

import kpool
from kpool import layers, ops

SHAPE = (9, 8, 2)


def model() -> keras.Model:
    """Every kind of layer, in 2-D, and a call of a function."""
    image = keras.Input(SHAPE, name="image")
    x = keras.layers.Conv2D(2, 1, name="mix")(image)
    values, indices = layers.MaxPooling2D(2, padding=((1, 0), (0, 0)), return_indices=True, name="max")(x)
    restored = layers.MaxUnpooling2D(2, padding=((1, 0), (0, 0)), duplicates="sum", name="unpool")(values, indices)
    wide = layers.OverlappingMaxPooling2D(dilation_rate=(1, 2), ceil_mode=True, name="overlapping")(restored)
    means = layers.AveragePooling2D(3, 2, "same", count_include_pad=True, name="average")(restored)
    outputs = {
        "wide": wide,
        "means": means,
        "by_function": ops.average_pool(means, 2, divisor_override=3),
        "adaptive_max": layers.AdaptiveMaxPooling2D((2, None), name="adaptive_max")(x),
        "adaptive_mean": layers.AdaptiveAveragePooling2D(3, name="adaptive_mean")(x),
        "global_max": layers.GlobalMaxPooling2D(keepdims=True, name="global_max")(x),
        "global_mean": layers.GlobalAveragePooling2D(name="global_mean")(x),
        "indices": indices,
    }
    return keras.Model(image, outputs)


class Module(tf.Module):
    """Every native op: values, their gradients and the gradients of those."""

    @tf.function(input_signature=[tf.TensorSpec([None, None, None, 2], name="x")], autograph=False)
    def results(self, x):
        values, indices = ops.max_pool(x, 3, 2, "same", return_indices=True, index_dtype="int64")
        return {
            "values": values,
            "indices": indices,
            "unpooled": ops.max_unpool(values, indices, 3, 2, "same", output_size=tf.shape(x)[1:3]),
            "means": ops.average_pool(x, (2, 3), 1, ((1, 0), (0, 2)), dilation_rate=(2, 1), ceil_mode=True),
            "parts": ops.adaptive_average_pool(x, 3),
            "largest": ops.global_max_pool(x),
        }

    @tf.function(input_signature=[tf.TensorSpec([None, *SHAPE], name="x")], autograph=False)
    def gradients(self, x):
        with tf.GradientTape() as outer:
            outer.watch(x)
            with tf.GradientTape() as inner:
                inner.watch(x)
                # A window of more elements than a byte can count keeps indices.
                wide = ops.max_pool(tf.tile(x, [1, 2, 2, 1]), (17, 16))
                values, indices = ops.max_pool(x, 2, return_indices=True)
                parts = [values, wide, ops.max_unpool(values, indices, 2), ops.average_pool(x, 3, 2, "same")]
                loss = sum(tf.reduce_sum(part**3) for part in parts)
            first = inner.gradient(loss, x)
            loss = tf.reduce_sum(first**2)
        return {"first": first, "second": outer.gradient(loss, x)}


def main() -> None:
    folder = Path(__file__).parent / kpool.__version__
    folder.mkdir()
    keras.utils.set_random_seed(1)
    x = np.random.default_rng(1).integers(-8, 9, (2, *SHAPE)).astype("float32")
    network, module = model(), Module()
    network.save(folder / "model.keras")
    tf.saved_model.save(module, str(folder / "ops"), {"results": module.results, "gradients": module.gradients})
    recorded = {"x": x, "versions": [f"keras {keras.__version__}", f"tensorflow {tf.__version__}"]}
    for name, results in {"model": network(x), "results": module.results(x), "gradients": module.gradients(x)}.items():
        recorded |= {f"{name}/{part}": np.asarray(tensor) for part, tensor in results.items()}
    np.savez_compressed(folder / "recorded.npz", **recorded)


if __name__ == "__main__":
    main()
