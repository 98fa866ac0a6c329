"""What kpool consists of, and that nothing of it is missing from the package or from the tests.

The table below is the product. Each layer, function, dtype and parameter of it is looked for in the package, and the
package for anything that the table has not; each parameter must do what it is for, and each dtype be computed rightly.
"""

from inspect import Parameter, signature
from itertools import product

import keras
import numpy as np
import pytest
import tensorflow as tf
import test_run_layer
from conftest import FLOATS, INTEGERS, numpy_dtype, same_bits

import kpool
from kpool.ops.backend import FLOAT_DTYPES, INTEGER_DTYPES

RANKS = [1, 2, 3]
DTYPES = {
    *("float16", "bfloat16", "float32", "float64"),
    *("int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"),
}

# Of every layer its function and its parameters.
WINDOW = ["pool_size", "strides", "padding", "data_format", "dilation_rate"]
INDICES = ["return_indices", "index_dtype"]
PRODUCT = {
    "MaxPooling": ("max_pool", [*WINDOW, "ceil_mode", *INDICES]),
    "OverlappingMaxPooling": ("max_pool", [*WINDOW, "ceil_mode", *INDICES]),
    "MaxUnpooling": ("max_unpool", [*WINDOW, "output_size", "duplicates"]),
    "AveragePooling": ("average_pool", [*WINDOW, "ceil_mode", "count_include_pad", "divisor_override"]),
    "GlobalMaxPooling": ("global_max_pool", ["data_format", "keepdims", *INDICES]),
    "GlobalAveragePooling": ("global_average_pool", ["data_format", "keepdims"]),
    "AdaptiveMaxPooling": ("adaptive_max_pool", ["output_size", "data_format", *INDICES]),
    "AdaptiveAveragePooling": ("adaptive_average_pool", ["output_size", "data_format"]),
}
SHORT_NAMES = {
    "MaxPool": "MaxPooling",
    "AvgPool": "AveragePooling",
    "GlobalMaxPool": "GlobalMaxPooling",
    "GlobalAvgPool": "GlobalAveragePooling",
}


def layer_class(name, rank):
    return getattr(kpool.layers, f"{name}{rank}D")


def function_of(name):
    return getattr(kpool.ops, PRODUCT[name][0])


# What there is.


def test_the_layers_are_these():
    names = {f"{name}{rank}D" for name, rank in product([*PRODUCT, *SHORT_NAMES], RANKS)}
    assert set(kpool.layers.__all__) == names
    assert {name for name in dir(keras.layers) if "Pool" in name} <= names


def test_the_functions_are_these():
    assert set(kpool.ops.__all__) == {function for function, _ in PRODUCT.values()} | {"convert_indices"}


@pytest.mark.parametrize(("short", "rank"), list(product(SHORT_NAMES, RANKS)))
def test_short_names_are_the_same_classes(short, rank):
    assert layer_class(short, rank) is layer_class(SHORT_NAMES[short], rank)
    assert getattr(keras.layers, f"{short}{rank}D") is getattr(keras.layers, f"{SHORT_NAMES[short]}{rank}D")


@pytest.mark.parametrize(("name", "rank"), list(product(PRODUCT, RANKS)))
def test_parameters_of_layers(name, rank):
    ours = signature(layer_class(name, rank)).parameters
    assert set(ours) - {"name"} == {*PRODUCT[name][1], "kwargs"}
    assert ours["kwargs"].kind is Parameter.VAR_KEYWORD
    # Where Keras has the layer: its parameters in its order, with its defaults, and its arguments of the call.
    if theirs := getattr(keras.layers, f"{name}{rank}D", None):
        expected = [p for p in signature(theirs).parameters.values() if p.name != "kwargs"]
        plain = [p.replace(annotation=Parameter.empty) for p in ours.values()]
        assert plain[: len(expected)] == expected
        assert set(signature(layer_class(name, rank).call).parameters) >= set(signature(theirs.call).parameters)


@pytest.mark.parametrize("rank", RANKS)
def test_overlapping_windows_are_3_wide_and_2_apart(rank):
    layer = layer_class("OverlappingMaxPooling", rank)()
    assert (layer.pool_size, layer.strides) == ((3,) * rank, (2,) * rank)


@pytest.mark.parametrize("name", PRODUCT)
def test_parameters_of_functions(name):
    ours = signature(function_of(name)).parameters
    tensors = ["inputs", "indices"] if name == "MaxUnpooling" else ["inputs"]
    assert list(ours)[: len(tensors)] == tensors
    assert set(ours) == {*tensors, *PRODUCT[name][1]}
    if theirs := getattr(keras.ops, PRODUCT[name][0], None):
        expected = list(signature(theirs).parameters.values())
        assert [p.replace(annotation=Parameter.empty) for p in ours.values()][: len(expected)] == expected


@pytest.mark.parametrize("name", PRODUCT)
def test_every_parameter_goes_through_keras_layer_test(name):
    used = {parameter for arguments, _ in test_run_layer.CASES[name] for parameter in arguments}
    assert used | {"data_format"} == set(PRODUCT[name][1])


# What each parameter does. The inputs are 6 elements wide on every axis, or 3 where they are unpooled.

BASE = {
    "MaxPooling": {"pool_size": 2},
    "OverlappingMaxPooling": {"pool_size": 3, "strides": 2},
    "MaxUnpooling": {"pool_size": 2},
    "AveragePooling": {"pool_size": 2},
    "GlobalMaxPooling": {},
    "GlobalAveragePooling": {},
    "AdaptiveMaxPooling": {"output_size": 3},
    "AdaptiveAveragePooling": {"output_size": 3},
}


def sizes(without, with_):
    """The spatial sizes change from one to the other."""

    def check(x, a, b, rank):
        assert a.shape == (1, *(without,) * rank, 2)
        assert b.shape == (1, *(with_,) * rank, 2)

    return check


def moves_channels(x, a, b, rank):
    """`b` is of the same input in the other format."""
    np.testing.assert_array_equal(b, channels_first(a))


def adds_indices(x, a, b, rank):
    values, indices = b
    np.testing.assert_array_equal(values, a)
    flat = (1, -1, 2)
    np.testing.assert_array_equal(np.take_along_axis(x.reshape(flat), indices.reshape(flat), 1), values.reshape(flat))


def widens_indices(x, a, b, rank):
    assert (a[1].dtype, b[1].dtype) == ("int32", "int64")
    np.testing.assert_array_equal(a[1], b[1])


def keeps_axes(x, a, b, rank):
    assert a.shape == (1, 2)
    np.testing.assert_array_equal(b, a.reshape(1, *(1,) * rank, 2))


def adds_duplicates(x, a, b, rank):
    """Each index but the last, which one element has, is that of two elements."""
    assert a.sum() == x.reshape(-1, 2)[[*range(1, 3**rank, 2), -1]].sum()
    assert b.sum() == x.sum()


def counts_padding(x, a, b, rank):
    corner, inside = (0,) * (rank + 1), (0, *(1,) * rank)
    np.testing.assert_allclose(b[corner] * 2**rank, a[corner])
    np.testing.assert_array_equal(b[inside], a[inside])


def divides_by_3(x, a, b, rank):
    np.testing.assert_allclose(b * 3, a * 2**rank, rtol=1e-6)


DATA_FORMAT = {"data_format": ({}, "channels_first", moves_channels)}
KEEPDIMS = {"keepdims": ({}, True, keeps_axes)}
RETURN_INDICES = {
    "return_indices": ({}, True, adds_indices),
    "index_dtype": ({"return_indices": True}, "int64", widens_indices),
}
POOLING = {
    "pool_size": ({"strides": 2}, 3, sizes(3, 2)),
    "strides": ({}, 1, sizes(3, 5)),
    "padding": ({}, 1, sizes(3, 4)),
    "dilation_rate": ({}, 2, sizes(3, 2)),
    "ceil_mode": ({"pool_size": 3, "strides": 2}, True, sizes(2, 3)),
    **DATA_FORMAT,
}
OUTPUT_SIZE = {"output_size": ({}, 2, sizes(3, 2))}

# Of every parameter the arguments that it is added to, its value, and what it then changes.
EFFECTS = {
    "MaxPooling": {**POOLING, **RETURN_INDICES},
    "OverlappingMaxPooling": {
        "pool_size": ({}, 5, sizes(2, 1)),
        "strides": ({}, 1, sizes(2, 4)),
        "padding": ({}, 1, sizes(2, 3)),
        "dilation_rate": ({}, 2, sizes(2, 1)),
        "ceil_mode": ({}, True, sizes(2, 3)),
        **DATA_FORMAT,
        **RETURN_INDICES,
    },
    "MaxUnpooling": {
        "pool_size": ({"strides": 2}, 3, sizes(6, 7)),
        "strides": ({}, 1, sizes(6, 4)),
        "padding": ({}, 1, sizes(6, 4)),
        "dilation_rate": ({}, 2, sizes(6, 7)),
        "output_size": ({}, 7, sizes(6, 7)),
        "duplicates": ({}, "sum", adds_duplicates),
        **DATA_FORMAT,
    },
    "AveragePooling": {
        **POOLING,
        "count_include_pad": ({"padding": 1}, True, counts_padding),
        "divisor_override": ({}, 3, divides_by_3),
    },
    "GlobalMaxPooling": {**DATA_FORMAT, **KEEPDIMS, **RETURN_INDICES},
    "GlobalAveragePooling": {**DATA_FORMAT, **KEEPDIMS},
    "AdaptiveMaxPooling": {**OUTPUT_SIZE, **DATA_FORMAT, **RETURN_INDICES},
    "AdaptiveAveragePooling": {**OUTPUT_SIZE, **DATA_FORMAT},
}


def channels_first(x):
    return np.moveaxis(x, -1, 1)


def arrays(results):
    return keras.tree.map_structure(np.asarray, results)


def assert_same(actual, expected):
    for a, b in zip(keras.tree.flatten(actual), keras.tree.flatten(expected), strict=True):
        same_bits(a, b)


def test_every_parameter_has_an_effect():
    assert {name: set(effects) for name, effects in EFFECTS.items()} == {
        name: set(parameters) for name, (_, parameters) in PRODUCT.items()
    }


@pytest.mark.parametrize("rank", RANKS)
@pytest.mark.parametrize(
    ("name", "parameter"), [(name, parameter) for name, effects in EFFECTS.items() for parameter in effects]
)
def test_effect(name, parameter, rank, rng):
    others, value, check = EFFECTS[name][parameter]
    width = 3 if name == "MaxUnpooling" else 6
    shape = (1, *(width,) * rank, 2)
    x = rng.permutation(np.prod(shape)).reshape(shape).astype("float32")
    inputs = [x]
    if name == "MaxUnpooling":
        inputs.append(np.broadcast_to(np.arange(width**rank).reshape(*shape[:-1], 1) // 2, shape))

    results = []
    for arguments in ({**BASE[name], **others}, {**BASE[name], **others, parameter: value}):
        if "data_format" in arguments:
            inputs = [channels_first(tensor) for tensor in inputs]
        layer = layer_class(name, rank)(**arguments)
        results.append(arrays(layer(*inputs)))
        assert_same(function_of(name)(*inputs, **arguments), results[-1])
        assert_same(type(layer).from_config(layer.get_config())(*inputs), results[-1])
    check(x, *results, rank)


# What each dtype gives.

SPATIAL = (5, 4, 7)
TOLERANCES = {"float16": 1e-3, "bfloat16": 8e-3, "float32": 1e-6, "float64": 4e-15}


def windows(name, rank):
    """The positions in a plane that each window holds."""

    def along(size):
        if name.startswith("Global"):
            return [range(size)]
        if name.startswith("Adaptive"):
            return [range(i * size // 3, -(-(i + 1) * size // 3)) for i in range(3)]
        taps = BASE[name]["pool_size"]
        return [range(start, start + taps) for start in range(0, size - taps + 1, BASE[name].get("strides", taps))]

    plane = np.arange(np.prod(SPATIAL[:rank])).reshape(SPATIAL[:rank])
    return [plane[np.ix_(*window)].ravel() for window in product(*map(along, SPATIAL[:rank]))]


def expectation(name, rank, x, rng):
    """The values, the indices if there are any, and the gradient as a function; in rows, one for each plane."""
    rows = np.arange(len(x))[:, None]
    if name == "MaxUnpooling":
        plane = np.arange(2**rank * x.shape[1])
        indices = rng.permuted(np.tile(plane, (len(x), 1)), axis=1)[:, : x.shape[1]]
        values = np.zeros((len(x), len(plane)), x.dtype)
        values[rows, indices] = x
        return values, indices, lambda gradients: gradients[rows, indices]

    places, gradient = windows(name, rank), np.zeros(x.shape)
    if "Max" in name:
        indices = np.stack([place[x[:, place].argmax(1)] for place in places], 1)

        def to_the_winners(gradients):
            np.add.at(gradient, (rows, indices), gradients)
            return gradient

        return x[rows, indices], indices, to_the_winners

    def to_all(gradients):
        for place, column in zip(places, gradients.T, strict=True):
            gradient[:, place] += column[:, None] / len(place)
        return gradient

    return np.stack([x[:, place].mean(1, dtype="float64") for place in places], 1), None, to_all


def assert_close(actual, expected, dtype):
    assert actual.dtype == dtype
    scale = np.abs(expected.astype("float64")).max()
    np.testing.assert_allclose(actual.astype("float64") / scale, expected / scale, rtol=0, atol=TOLERANCES[dtype])


def test_the_dtypes_are_these():
    assert {*FLOATS, *INTEGERS} == DTYPES == {*FLOAT_DTYPES, *INTEGER_DTYPES}


@pytest.mark.parametrize("name", PRODUCT)
def test_no_other_dtype_is_taken(name):
    def is_taken(dtype):
        try:
            inputs = [keras.KerasTensor((1, 4, 4, 1), dtype)]
            if name == "MaxUnpooling":
                inputs.append(keras.KerasTensor((1, 4, 4, 1), "int32"))
            function_of(name)(*inputs, **BASE[name])
        except ValueError:
            return False
        return True

    names = {dtype.name for dtype in vars(tf.dtypes).values() if isinstance(dtype, tf.DType)}
    assert {dtype for dtype in names if is_taken(dtype)} == DTYPES


@pytest.mark.parametrize("dtype", FLOATS + INTEGERS)
@pytest.mark.parametrize("name", PRODUCT)
def test_dtype(name, dtype, rng):
    for rank, data_format in product(RANKS, ["channels_last", "channels_first"]):
        check_dtype(name, rank, dtype, data_format, rng)


def check_dtype(name, rank, dtype, data_format, rng):
    is_float = dtype in FLOATS
    shape = (2, 3, *SPATIAL[:rank])
    if is_float:
        x = rng.normal(size=shape).astype(numpy_dtype(dtype))
    else:
        x = rng.integers(np.iinfo(dtype).min, np.iinfo(dtype).max, shape, dtype, endpoint=True)
    in_rows = x.reshape(6, -1)
    values, indices, backward = expectation(name, rank, in_rows.astype("float64") if is_float else in_rows, rng)

    inputs, arguments = [in_format(x, data_format)], {**BASE[name], "data_format": data_format}
    if name == "MaxUnpooling":
        inputs.append(in_format(indices.reshape(shape), data_format))
    elif indices is not None:
        arguments["return_indices"] = True
    with tf.GradientTape() as tape:
        tape.watch(inputs[0])
        results = function_of(name)(*inputs, **arguments)
    layer = layer_class(name, rank)(**arguments, dtype=dtype if is_float else None)
    assert_same(arrays(layer(*inputs)), arrays(results))

    if "return_indices" in arguments:
        results, actual = results
        np.testing.assert_array_equal(rows(actual, data_format), indices)
    if "Average" in name:
        assert_close(rows(results, data_format), values, dtype if is_float else "float32")
    else:
        same_bits(rows(results, data_format), values.astype(x.dtype))
    if is_float:
        gradients = tf.constant(rng.normal(size=results.shape).astype(x.dtype))
        expected = backward(rows(gradients, data_format).astype("float64"))
        assert_close(rows(tape.gradient(results, inputs[0], gradients), data_format), expected, dtype)


def in_format(x, data_format):
    """A tensor of what is an array with the channels first."""
    return tf.constant(x if data_format == "channels_first" else np.moveaxis(x, 1, -1))


def rows(tensor, data_format):
    """An array with one row for each plane of the tensor."""
    x = tensor.numpy()
    return (x if data_format == "channels_first" else channels_first(x)).reshape(6, -1)
