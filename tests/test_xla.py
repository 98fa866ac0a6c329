"""What `jit_compile=True` computes: the same bits as the native ops, by the same kernels.

By TensorFlow's ops, where XLA cannot call the kernels, the same but for the last bits of means and the sign of zeros.
"""

import keras
import ml_dtypes
import numpy as np
import pytest
import tensorflow as tf
from conftest import (
    CALLED_BY_XLA,
    FLOATS,
    INTEGERS,
    hostile,
    numpy_dtype,
    same_bits,
    small_integers,
    twice_differentiated,
)
from native import WINDOW

from kpool import layers
from kpool.ops import (
    adaptive_average_pool,
    adaptive_max_pool,
    average_pool,
    convert_indices,
    max_pool,
    max_unpool,
)
from kpool.tf import xla

KERNELS = pytest.param("kernels", marks=CALLED_BY_XLA)


@pytest.fixture(params=[KERNELS, "composition"])
def path(request, monkeypatch):
    """Calls of the kernels, and what takes over where XLA cannot call them."""
    assert xla.calls_kernels or request.param != "kernels"
    monkeypatch.setattr(xla, "calls_kernels", request.param == "kernels")
    return request.param


def compiled(function, path, *specs):
    """The function compiled by XLA for these specs, and a check that it goes the way it should."""
    function = tf.function(function, jit_compile=True, autograph=False, input_signature=specs)
    graph = function.get_concrete_function().graph.as_graph_def()
    nodes = [*graph.node, *(node for f in graph.library.function for node in f.node_def)]
    ops = {node.op for node in nodes}
    assert ("XlaCallModule" in ops) == (path == "kernels")
    assert not any("Kpool" in op for op in ops)
    return function


def unknown(x, *axes):
    """The spec of an array whose sizes along some axes are not known."""
    return tf.TensorSpec([None if i in axes else size for i, size in enumerate(x.shape)], x.dtype)


def compare(function, path, *arrays, axes=((), (0,))):
    """Eager and compiled results agree, whichever sizes are unknown when the graph is built.

    The function returns lists by what they hold: `bits` that must be the same; `sums` that are exact but may lose the
    sign of a zero; `means`, which a composition may round otherwise, as XLA multiplies by the reciprocal of a constant.
    """
    expected = function(*map(tf.constant, arrays))
    for some in axes:
        actual = compiled(function, path, *(unknown(x, *some) for x in arrays))(*arrays)
        assert list(actual) == list(expected)
        for kind, results in actual.items():
            for a, e in zip(results, expected[kind], strict=True):
                if kind == "bits" or (kind == "means" and path == "kernels"):
                    same_bits(a, e)
                else:
                    assert a.dtype == e.dtype
                    tolerance = 2 * float(ml_dtypes.finfo(numpy_dtype(a.dtype)).eps) if kind == "means" else 0
                    np.testing.assert_allclose(*(tf.cast(x, tf.float64) for x in (a, e)), rtol=tolerance)


def weighted(tensor):
    """A sum whose gradient is small integers, different for each element."""
    weights = tf.cast(tf.range(tf.size(tensor)) * 7 % 5 - 2, tensor.dtype)
    return tf.reduce_sum(tf.reshape(weights, tf.shape(tensor)) * tensor)


def derivatives(function, x):
    """The first and the second derivative by a quadratic form of a function's result."""
    return twice_differentiated(function, x, lambda y: weighted(y * y), weighted)[1:]


# Every window, with the shape of an input. The last axes of the spatial ones are channels.
WINDOWS = {
    "plain": ((2, 6, 8, 3), {"pool_size": 2}),
    "same": ((2, 7, 9, 2), {"pool_size": (4, 2), "strides": 2, "padding": "same"}),
    # On the second axis one more window would start in the padding behind the input.
    "ceil": ((2, 9, 6, 2), {"pool_size": (4, 2), "strides": 3, "padding": ((1, 1), (0, 1)), "ceil_mode": True}),
    "dilated": ((1, 9, 8, 2), {"pool_size": 2, "strides": 1, "padding": ((1, 2), (0, 1)), "dilation_rate": (3, 2)}),
    "channels_first": ((2, 3, 6, 7), {"pool_size": 2, "padding": "same", "data_format": "channels_first"}),
    "1d": ((3, 11, 2), {"pool_size": 4, "strides": 3, "padding": ((1, 2),)}),
    "3d": ((1, 4, 5, 6, 2), {"pool_size": 2, "strides": (1, 2, 2), "ceil_mode": True}),
    "large": ((1, 18, 20, 1), {"pool_size": 16, "strides": 2}),
    "empty": ((0, 6, 8, 3), {"pool_size": 2}),
}


@pytest.mark.parametrize("name", WINDOWS)
def test_pooling_and_back(name, path, rng):
    shape, window = WINDOWS[name]

    def pool(x, numbers):
        options = ({}, {"count_include_pad": True}, {"divisor_override": 3})
        return {
            "bits": max_pool(x, **window, return_indices=True, index_dtype="int64"),
            "means": [average_pool(x, **window, **option) for option in options],
            "sums": [
                *derivatives(lambda x: max_pool(x, **window), numbers),
                *derivatives(lambda x: average_pool(x, **window, divisor_override=4), numbers),
            ],
        }

    arrays = hostile(rng, shape, "float32"), small_integers(rng, shape)
    compare(pool, path, *arrays, axes=[(0,), range(len(shape))] if path == "kernels" else [range(len(shape))])


@pytest.mark.parametrize("value", [1, -np.inf])
def test_padding_never_wins(value, path):
    def pool(x):
        return {"bits": max_pool(x, 3, 2, padding=1, return_indices=True)}

    compare(pool, path, np.full((1, 5, 6, 2), value, "float32"), axes=[(0,)])


@pytest.mark.parametrize("name", ["same", "ceil", "channels_first", "3d"])
def test_unpooling_and_back(name, path, rng):
    shape, window = WINDOWS[name]
    values, indices = max_pool(small_integers(rng, shape), **window, return_indices=True)
    window = {key: value for key, value in window.items() if key != "ceil_mode"}
    window["output_size"] = shape[2:] if "data_format" in window else shape[1:-1]

    def unpool(values, indices):
        last, summed = (
            lambda x, rule=rule: max_unpool(x, indices, **window, duplicates=rule) for rule in ("last", "sum")
        )
        return {
            "bits": [last(values)],
            "sums": [summed(values), *derivatives(last, values), *derivatives(summed, values)],
        }

    compare(unpool, path, values, indices, axes=[(), (0,)] if path == "kernels" else [(0,)])


@pytest.mark.parametrize("output_size", [(3, 4), (None, 2), 5, 1])
def test_adaptive_pooling(output_size, path, rng):
    def pool(x, numbers):
        return {
            "bits": adaptive_max_pool(x, output_size, return_indices=True),
            "means": [adaptive_average_pool(x, output_size)],
            "sums": derivatives(lambda x: adaptive_max_pool(x, output_size), numbers),
        }

    shape = (2, 7, 8, 2)
    axes = [(0,), range(4)] if path == "kernels" else [range(4)]
    compare(pool, path, hostile(rng, shape, "float32"), small_integers(rng, shape), axes=axes)


def test_default_size_of_an_unpooled_input(path, rng):
    x = small_integers(rng, (1, 5, 6, 2))
    indices = max_pool(x, 2, padding="same", return_indices=True)[1]
    others = max_pool(x, 3, 2, return_indices=True)[1]

    def unpool(indices, others):
        ones = [tf.ones_like(i, tf.float32) for i in (indices, others)]
        sizes = max_unpool(ones[0], indices, 2, padding="same"), max_unpool(ones[1], others, 3, 2)
        return {"bits": [*sizes, max_unpool(ones[0], indices, 2, padding="same", output_size=(5, 6))]}

    compare(unpool, path, indices, others, axes=[range(4)])


@pytest.mark.parametrize("dtype", FLOATS + INTEGERS)
def test_every_dtype(dtype, path, rng):
    def everything(x, numbers):
        values, indices = max_pool(x, 2, 2, "same", return_indices=True)
        last, summed = (
            max_unpool(values, indices, 2, 2, "same", output_size=(6, 5), duplicates=rule) for rule in ("last", "sum")
        )
        return {
            "bits": [values, indices, last],
            "means": [average_pool(numbers, 2, 2, "same")],
            "sums": [summed, *(derivatives(lambda x: max_pool(x, 3, 2), numbers) if dtype in FLOATS else [])],
        }

    x = hostile(rng, (2, 6, 5, 3), dtype)
    compare(everything, path, x, np.abs(small_integers(rng, x.shape, dtype, 3)), axes=[(0,)])


@pytest.mark.parametrize("duplicates", ["last", "sum"])
def test_index_out_of_range(duplicates, path):
    values, indices = tf.ones((1, 2, 2, 2)), tf.constant([0, 2, 5, 4, 16, 8, 10, 11], shape=(1, 2, 2, 2))
    function = compiled(
        lambda v, i: max_unpool(v, i, 2, duplicates=duplicates), path, unknown(values), unknown(indices)
    )
    if path == "kernels":
        # XLA says that an error is one of its own.
        message = r"`indices` must lie in \[0, 16\).*Received: indices\[0, 1, 0, 0\]=16"
        with pytest.raises(tf.errors.InternalError, match=message):
            function(values, indices)
    else:
        # XLA has no way to raise an error. What goes nowhere is left out.
        unpooled = function(values, indices).numpy().reshape(16, 2)
        assert [np.flatnonzero(plane).tolist() for plane in unpooled.T] == [[0, 5, 10], [2, 4, 8, 11]]


def test_window_that_turns_out_not_to_fit(path):
    function = compiled(lambda x: max_pool(x, 3), path, tf.TensorSpec((None, None, None, 1)))
    assert function(tf.ones((1, 4, 3, 1))).shape == (1, 1, 1, 1)
    with pytest.raises(tf.errors.InvalidArgumentError):
        function(tf.ones((1, 4, 2, 1)))


@pytest.mark.parametrize("path", [KERNELS], indirect=True)
@pytest.mark.parametrize(
    ("op", "attributes", "message"),
    [
        ("kpool_max_pool", {"num_indices": 5}, "must be 0 or 1"),
        ("kpool_max_pool", {"num_offsets": 2}, "must be 0 or 1"),
        ("kpool_average_pool", {"divisor_override": -1}, "`divisor_override` must"),
        ("kpool_average_pool", {"divisor_override": 2**31}, "`divisor_override` must"),
        ("kpool_average_pool_backward", {"window": WINDOW["window"] + [1] * 10}, "`window` must hold"),
        ("kpool_average_pool_backward", {"window": []}, "`window` must hold"),
    ],
)
def test_attributes_are_checked_in_programs_too(op, attributes, message, path):
    inputs = (tf.ones((1, 2, 2, 1)), tf.constant((1, 4, 4, 1), tf.int64))[: 1 + op.endswith("backward")]
    attributes = {**WINDOW, "Tindices": tf.int32, **attributes}
    with pytest.raises(tf.errors.InternalError, match=message):
        tf.function(lambda: xla.call(op, inputs, attributes), jit_compile=True)()


def test_indices_convert(path, rng):
    def convert(x):
        indices = max_pool(x, 2, return_indices=True)[1]
        return {"bits": [convert_indices(indices, "kpool", "onnx", x.shape)]}

    compare(convert, path, small_integers(rng, (2, 4, 6, 3)), axes=[()])


def test_tapes_around_compiled_functions(path, rng):
    x = tf.constant(small_integers(rng, (2, 6, 6, 2)))

    def square(x):
        return max_pool(x, 3, 2) ** 2

    function = compiled(square, path, tf.TensorSpec((None, 6, 6, 2)))
    for a, e in zip(derivatives(function, x), derivatives(square, x), strict=True):
        np.testing.assert_array_equal(a, e)


def test_functions_control_flow_and_jacobians_in_compiled_functions(path, rng):
    x = tf.constant(small_integers(rng, (1, 4, 4, 1)))
    pool = tf.function(lambda x: max_pool(x, 2, 1))

    def nested(x):
        once = tf.cond(tf.reduce_sum(x) > 1e6, lambda: x[:, 1:, 1:], lambda: pool(x))
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = pool(x)
        return once, tape.jacobian(y, x)

    once, jacobian = compiled(nested, path, unknown(x))(x)
    same_bits(once, max_pool(x, 2, 1))
    assert jacobian.shape == (1, 3, 3, 1, 1, 4, 4, 1)
    np.testing.assert_array_equal(tf.reduce_sum(jacobian, axis=(4, 5, 6, 7)), np.ones((1, 3, 3, 1)))


def test_compiled_functions_are_saved_with_their_gradients(path, rng, tmp_path):
    x = tf.constant(small_integers(rng, (2, 6, 6, 2)))
    module = tf.Module()
    module.square = compiled(lambda x: max_pool(x, 3, 2) ** 2, path, tf.TensorSpec((None, 6, 6, 2)))
    tf.saved_model.save(module, tmp_path)
    again = tf.saved_model.load(tmp_path)
    for a, e in zip(derivatives(again.square, x), derivatives(module.square, x), strict=True):
        np.testing.assert_array_equal(a, e)


def test_other_programs_still_have_no_gradient():
    with tf.Graph().as_default():
        x = tf.zeros(1)
        (y,) = xla.call_module([x], version=9, module="module @other", Sout=[(1,)], Tout=[tf.float32])
        with pytest.raises(LookupError, match="gradient registry has no entry for: XlaCallModule"):
            tf.gradients(y, x)


def segmenter(pool, unpool=None):
    """A model that pools and, with an unpooling layer, goes back."""
    inputs = keras.Input((None, 8, 2))
    x = keras.layers.Conv2D(4, 3, padding="same", activation="relu", kernel_initializer="ones")(inputs)
    x = unpool(*pool(x)) if unpool else pool(x)
    return keras.Model(inputs, keras.layers.Conv2D(1, 3, padding="same", kernel_initializer="ones")(x))


@pytest.mark.parametrize(
    ("policy", "path"),
    [
        *[
            pytest.param(policy, "kernels", marks=CALLED_BY_XLA)
            for policy in ("float32", "mixed_float16", "mixed_bfloat16", "float64")
        ],
        ("mixed_float16", "composition"),
    ],
    indirect=["path"],
)
def test_models_train_as_they_do_uncompiled(policy, path, rng):
    keras.config.set_dtype_policy(policy)
    x = small_integers(rng, (6, 8, 8, 2), most=2)
    changes = []
    for jit_compile in (True, False):
        model = segmenter(layers.MaxPooling2D(3, 1, return_indices=True), layers.MaxUnpooling2D(3, 1))
        model.compile("sgd", "mse", jit_compile=jit_compile, auto_scale_loss=False)
        assert model.jit_compile == jit_compile
        before = model.get_weights()
        history = model.fit(x, x[..., :1], batch_size=4, epochs=2, shuffle=False, verbose=0).history["loss"]
        assert history[1] < history[0]
        changes.append([after - b for after, b in zip(model.get_weights(), before, strict=True)])
    rounding = float(ml_dtypes.finfo(numpy_dtype(model.compute_dtype)).eps)
    for actual, expected in zip(*changes, strict=True):
        np.testing.assert_allclose(actual, expected, rtol=0, atol=8 * rounding * np.abs(expected).max())


def test_layers_say_that_xla_can_compile_them():
    inputs = keras.Input((4, 4, 1))
    model = keras.Model(inputs, [max_pool(inputs, 2), layers.AveragePooling2D(2)(inputs)])
    assert all(layer.supports_jit for layer in model.layers)
