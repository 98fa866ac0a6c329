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


def branch(x, rank, data_format):
    """Every kind of layer of a rank, with arguments that are not the defaults."""

    def layer(kind, *arguments, **options):
        name = f"{kind}_{rank}_{data_format}"
        return getattr(layers, f"{kind}{rank}D")(*arguments, data_format=data_format, name=name, **options)

    padding = ((1, 0),) + ((0, 0),) * (rank - 1)
    values, indices = layer("MaxPooling", 2, padding=padding, return_indices=True)(x)
    restored = layer("MaxUnpooling", 2, padding=padding, duplicates="sum")(values, indices)
    outputs = {
        "indices": indices,
        "wide": layer("OverlappingMaxPooling", 2, 1, dilation_rate=2, ceil_mode=True)(restored),
        "means": layer("AveragePooling", 2, 1, "same", count_include_pad=True)(restored),
        "thirds": layer("AdaptiveMaxPooling", 1, return_indices=True, index_dtype="int64")(x)[1],
        "adaptive_mean": layer("AdaptiveAveragePooling", 2)(x),
        "global_max": layer("GlobalMaxPooling", keepdims=True)(x),
        "global_mean": layer("GlobalAveragePooling")(x),
    }
    return {f"{name}_{rank}_{data_format}": tensor for name, tensor in outputs.items()}


def model() -> keras.Model:
    """Every layer, and a call of a function."""
    image = keras.Input(SHAPE, name="image")
    x = keras.layers.Conv2D(2, 1, name="mix")(image)
    outputs = {"by_function": ops.average_pool(x, 2, divisor_override=3)}
    for rank, shape in {1: (72, 2), 2: SHAPE, 3: (3, 4, 6, 2)}.items():
        outputs |= branch(keras.layers.Reshape(shape, name=f"rank_{rank}")(x), rank, "channels_last")
    outputs |= branch(keras.layers.Permute((3, 1, 2), name="channels_first")(x), 2, "channels_first")
    return keras.Model(image, outputs)


def results(x):
    """Every native op: values."""
    values, indices = ops.max_pool(x, 3, 2, "same", return_indices=True, index_dtype="int64")
    return {
        "values": values,
        "indices": indices,
        "unpooled": ops.max_unpool(values, indices, 3, 2, "same", output_size=tf.shape(x)[1:3]),
        "means": ops.average_pool(x, (2, 3), 1, ((1, 0), (0, 2)), dilation_rate=(2, 1), ceil_mode=True),
        "parts": ops.adaptive_average_pool(x, 3),
        "largest": ops.global_max_pool(x),
    }


def gradients(x):
    """Their gradients, and the gradients of those."""
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


def there_and_back(x, *arguments, duplicates="last", **options):
    values, indices = ops.max_pool(x, *arguments, return_indices=True, **options)
    spatial = tf.shape(x)[2:] if "data_format" in options else tf.shape(x)[1:-1]
    options.pop("ceil_mode", None)
    return ops.max_unpool(values, indices, *arguments, output_size=spatial, duplicates=duplicates, **options)


FIRST = {"data_format": "channels_first"}
# Each attribute of the native ops, in a function whose results it changes.
ATTRIBUTES = {
    "divisor_override": lambda x: ops.average_pool(x, 3, divisor_override=5),
    "count_include_pad": lambda x: ops.average_pool(x, 3, 2, 1, count_include_pad=True),
    "padding_is_not_counted": lambda x: ops.average_pool(x, 3, 2, 1),
    "last_of_duplicates": lambda x: there_and_back(x, 3, 1),
    "sum_of_duplicates": lambda x: there_and_back(x, 3, 1, duplicates="sum"),
    "indices_kept_for_the_gradient": lambda x: ops.max_pool(tf.tile(x, [1, 2, 2, 1]), (17, 16)),
    "same": lambda x: there_and_back(x, (4, 3), 3, "same"),
    "ceil_mode": lambda x: there_and_back(x, 2, 2, ceil_mode=True),
    "dilation_rate": lambda x: there_and_back(x, 2, 1, ((2, 1), (0, 1)), dilation_rate=(3, 2)),
    "adaptive": lambda x: ops.adaptive_max_pool(x, (4, None)) + ops.adaptive_average_pool(x, (4, None)),
    "channels_first": lambda x: there_and_back(tf.transpose(x, [0, 3, 1, 2]), 3, 2, **FIRST),
    "means_channels_first": lambda x: ops.average_pool(tf.transpose(x, [0, 3, 1, 2]), 3, 2, "same", **FIRST),
    "rank_1": lambda x: there_and_back(tf.reshape(x, [-1, 72, 2]), 5, 4, ((2, 0),)),
    "means_rank_1": lambda x: ops.average_pool(tf.reshape(x, [-1, 72, 2]), 5, 4, ((2, 0),)),
    "rank_3": lambda x: there_and_back(tf.reshape(x, [-1, 9, 4, 2, 2]), (3, 2, 1), (2, 1, 1)),
    "means_rank_3": lambda x: ops.average_pool(tf.reshape(x, [-1, 9, 4, 2, 2]), (3, 2, 1), (2, 1, 1)),
}
FLOATS = ["float16", "bfloat16", "float64"]
INTEGERS = ["int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"]


def differentiated(function):
    """The function's values, and the gradient of their squares."""

    def both(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            values = function(x)
        return {"values": values, "gradient": tape.gradient(values, x, 2 * values)}

    return both


def of_dtype(dtype):
    """The functions in another dtype, with what they return in one that NumPy can store."""

    def function(x):
        values = there_and_back(tf.cast(tf.abs(x), dtype), 3, 2)
        return tf.cast(values, "float32") if dtype in FLOATS else {"values": values}

    return differentiated(function) if dtype in FLOATS else function


SIGNATURES = {
    "results": results,
    "gradients": gradients,
    **{name: differentiated(function) for name, function in ATTRIBUTES.items()},
}
# XLA's programs have the attributes and the window as text, the dtypes and ranks as types.
PROGRAMS = [
    "results",
    "gradients",
    "divisor_override",
    "count_include_pad",
    "sum_of_duplicates",
    "indices_kept_for_the_gradient",
    "ceil_mode",
    "channels_first",
    "rank_3",
]
DTYPES = {dtype: of_dtype(dtype) for dtype in FLOATS + INTEGERS}


def save(functions, path, jit_compile):
    module = tf.Module()
    module.functions = {
        name: tf.function(
            function,
            input_signature=[tf.TensorSpec([None, *SHAPE], name="x")],
            autograph=False,
            jit_compile=jit_compile,
        )
        for name, function in functions.items()
    }
    tf.saved_model.save(module, str(path), dict(module.functions))


def main() -> None:
    folder = Path(__file__).parent / kpool.__version__
    folder.mkdir()
    keras.utils.set_random_seed(1)
    x = np.random.default_rng(1).integers(-8, 9, (2, *SHAPE)).astype("float32")
    network = model()
    network.save(folder / "model.keras")
    save({**SIGNATURES, **DTYPES}, folder / "ops", jit_compile=False)
    # As programs for XLA, where it calls the kernels: on Linux.
    save({name: SIGNATURES[name] for name in PROGRAMS}, folder / "compiled", jit_compile=True)
    recorded = {"x": x, "versions": [f"keras {keras.__version__}", f"tensorflow {tf.__version__}"]}
    for name, function in {"model": network, **SIGNATURES, **DTYPES}.items():
        recorded |= {f"{name}/{part}": np.asarray(tensor) for part, tensor in function(tf.constant(x)).items()}
    np.savez_compressed(folder / "recorded.npz", **recorded)


if __name__ == "__main__":
    main()
