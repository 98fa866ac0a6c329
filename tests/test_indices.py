"""`kpool.ops.convert_indices` against NumPy's own raveling, TensorFlow's indices and hostile ones."""

import itertools
import re

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import oriented, same_bits

from kpool.ops import convert_indices, max_pool, max_unpool

CONVENTIONS = ["kpool", "pytorch", "tensorflow", "tensorflow_with_batch", "onnx", "onnx_column_major"]
SPATIAL = [(7,), (3, 4), (2, 3, 5)]


def shape_of(batch, spatial, channels, data_format):
    return (batch, channels, *spatial) if data_format == "channels_first" else (batch, *spatial, channels)


def numbered(convention, image, place, channel, shape):
    """The index of one or many elements of a channels_last tensor."""
    batch, *spatial, channels = shape
    if convention in ("kpool", "pytorch"):
        return np.ravel_multi_index(place, spatial)
    if convention == "tensorflow":
        return np.ravel_multi_index((*place, channel), (*spatial, channels))
    if convention == "tensorflow_with_batch":
        return np.ravel_multi_index((image, *place, channel), shape)
    if convention == "onnx":
        return np.ravel_multi_index((image, channel, *place), (batch, channels, *spatial))
    plane = np.ravel_multi_index((image, channel), (batch, channels)) * np.prod(spatial)
    return plane + np.ravel_multi_index(place, spatial, order="F")


def every_convention(rng, shape, data_format):
    """Random elements of a tensor of this shape (channels_last), as indices of each convention."""
    batch, *spatial, channels = shape
    pooled = (batch, *(4,) * len(spatial), channels)
    image, *_, channel = np.indices(pooled)
    place = tuple(rng.integers(0, size, pooled) for size in spatial)
    return {c: oriented(numbered(c, image, place, channel, shape), data_format) for c in CONVENTIONS}


# Image 1 of 2; the other numbers are the element's place, its channel, and then its index in each convention.
KNOWN = [
    ((2, 7, 3), (4,), 2, [4, 4, 4 * 3 + 2, 21 + 14, (3 + 2) * 7 + 4, 35 + 4]),
    ((2, 3, 4, 5), (1, 2), 3, [6, 6, 6 * 5 + 3, 60 + 33, (5 + 3) * 12 + 6, 96 + 1 + 2 * 3]),
    ((2, 2, 3, 4, 5), (1, 2, 1), 3, [21, 21, 21 * 5 + 3, 120 + 108, (5 + 3) * 24 + 21, 192 + 1 + 2 * 2 + 1 * 6]),
]


@pytest.mark.parametrize(("shape", "place", "channel", "answers"), KNOWN)
def test_known_answers(shape, place, channel, answers):
    position = (1, *(0 for _ in place), channel)
    indices = np.zeros((2, *(1 for _ in place), shape[-1]), "int64")
    indices[position] = answers[0]
    for convention, answer in zip(CONVENTIONS, answers, strict=True):
        converted = convert_indices(indices, "kpool", convention, shape)
        assert converted[position] == answer
        assert converted[1, ..., 0].item() == numbered(convention, 1, np.zeros_like(place), 0, shape)
        same_bits(convert_indices(converted, convention, "kpool", shape), indices)


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
@pytest.mark.parametrize("spatial", SPATIAL)
def test_every_pair_of_conventions(spatial, data_format, rng):
    indices = every_convention(rng, (2, *spatial, 3), data_format)
    shape = shape_of(2, spatial, 3, data_format)
    dtypes = [("int32", None), ("int64", None), ("int32", "int64"), ("int64", "int32")]
    for source, target, (dtype, index_dtype) in itertools.product(CONVENTIONS, CONVENTIONS, dtypes):
        given = indices[source].astype(dtype)
        actual = convert_indices(given, source, target, shape, data_format, index_dtype=index_dtype)
        same_bits(actual, indices[target].astype(index_dtype or dtype))


@pytest.mark.parametrize("include_batch", [False, True])
def test_indices_of_tensorflow_unpool(include_batch, rng):
    x = rng.normal(size=(2, 6, 9, 3)).astype("float32")
    values, indices = tf.nn.max_pool_with_argmax(x, (2, 3), (2, 3), "VALID", include_batch_in_index=include_batch)
    source = "tensorflow_with_batch" if include_batch else "tensorflow"
    converted = convert_indices(indices, source, "kpool", x.shape)
    expected = max_pool(x, (2, 3), return_indices=True, index_dtype="int64")
    same_bits(converted.numpy(), expected[1])
    same_bits(convert_indices(expected[1], "kpool", source, x.shape), indices.numpy())
    unpooled = max_unpool(values, converted, (2, 3)).numpy()
    kept = unpooled != 0
    assert np.count_nonzero(kept) == expected[0].size
    same_bits(unpooled[kept], x[kept])


def test_indices_unpool_in_pytorch(rng):
    """Where PyTorch happens to be installed: for one test it is too large a dependency."""
    torch = pytest.importorskip("torch", reason="PyTorch, too large for one test, is not among the test dependencies")
    x = rng.normal(size=(2, 3, 6, 8)).astype("float32")
    values, indices = max_pool(x, 2, data_format="channels_first", return_indices=True, index_dtype="int64")
    converted = convert_indices(indices, "kpool", "pytorch", x.shape, "channels_first")
    actual = torch.nn.functional.max_unpool2d(torch.from_numpy(values), torch.from_numpy(converted), 2)
    same_bits(actual.numpy(), max_unpool(values, indices, 2, data_format="channels_first"))
    theirs = torch.nn.functional.max_pool2d(torch.from_numpy(x), 2, return_indices=True)[1].numpy()
    same_bits(convert_indices(theirs, "pytorch", "kpool", x.shape, "channels_first"), indices)


def runs(convert, indices):
    """The conversion run eagerly, and in a graph that knows no sizes."""
    tensor = tf.constant(indices)
    signature = [tf.TensorSpec([None] * tensor.shape.rank, tensor.dtype)]
    return [lambda: convert(tensor), lambda: tf.function(convert, signature, autograph=False)(tensor)]


# At [1 0 1 2], that is in image 1 and channel 2, of an input of shape (2, 3, 4, 3): what is allowed, and what is not.
WRONG = [
    ("kpool", "[0, 11]", [-1, 12]),
    ("pytorch", "[0, 11]", [-1, 12]),
    ("tensorflow", "[2, 35] in steps of 3", [-1, 1, 6, 36, 38]),
    ("tensorflow_with_batch", "[38, 71] in steps of 3", [2, 35, 39, 72, 74]),
    ("onnx", "[60, 71]", [0, 24, 59, 72]),
    ("onnx_column_major", "[60, 71]", [0, 24, 59, 72]),
]


@pytest.mark.parametrize(("source", "allowed", "wrong"), WRONG)
def test_index_that_is_not_in_its_own_channel(source, allowed, wrong):
    shape = (2, 3, 4, 3)
    indices = convert_indices(np.zeros((2, 2, 2, 3), "int64"), "kpool", source, shape)
    indices[1, 1, 0, 0] = -7
    for index in [*wrong, -(2**63), -(2**63) + 2, -(2**31), 2**32 + 3, 2**63 - 1]:
        indices[1, 0, 1, 2] = index
        message = re.escape(f"`indices` must lie in {allowed}, the positions of their own channel") + ".*"
        message += re.escape(f"Received: indices[1 0 1 2]={index}, source={source}")
        for target in CONVENTIONS:
            with pytest.raises(tf.errors.InvalidArgumentError, match=message):
                convert_indices(indices, source, target, shape)
    graph = runs(lambda x: convert_indices(x, source, source, (None, *shape[1:])), indices)[1]
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        graph()


def test_wrong_index_is_named_in_the_other_layout():
    indices = np.zeros((1, 2, 2, 3), "int32")
    indices[0, 1, 1, 2] = 20
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"in \[1, 39\] in steps of 2.*\[0 1 0 0\]=0"):
        convert_indices(indices, "tensorflow", "kpool", (1, 2, 4, 5), "channels_first")
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"in \[0, 19\], .*\[0 1 1 2\]=20"):
        convert_indices(indices, "kpool", "tensorflow", (1, 2, 4, 5), "channels_first")


@pytest.mark.parametrize("shape", [(0, 3, 4, 2), (2, 3, 4, 0), (0, 3, 4, 0)])
def test_empty_tensors_give_empty_results(shape):
    indices = np.zeros((shape[0], 2, 2, shape[3]), "int32")
    for source, target in itertools.product(CONVENTIONS, CONVENTIONS):
        same_bits(convert_indices(indices, source, target, shape), indices)
    for convention in CONVENTIONS:
        graph = runs(lambda x, c=convention: convert_indices(x, c, c, shape), indices)[1]
        same_bits(graph().numpy(), indices)


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
@pytest.mark.parametrize("spatial", SPATIAL)
def test_graph_with_unknown_sizes(spatial, data_format, rng):
    indices = every_convention(rng, (3, *spatial, 2), data_format)
    input_shape = shape_of(None, spatial, 2, data_format)
    for source, target in zip(CONVENTIONS, reversed(CONVENTIONS), strict=True):
        run = runs(lambda x, s=source, t=target: convert_indices(x, s, t, input_shape, data_format), indices[source])[1]
        same_bits(run().numpy(), indices[target])


def test_graph_keeps_the_sizes_it_knows():
    @tf.function(input_signature=[tf.TensorSpec((None, 2, None, 3), tf.int32)])
    def graph(indices):
        converted = convert_indices(indices, "kpool", "onnx_column_major", (None, 4, 6, 3), index_dtype="int64")
        assert converted.shape.as_list() == [None, 2, None, 3]
        assert converted.dtype == tf.int64
        return converted

    assert graph(tf.zeros((1, 2, 5, 3), tf.int32))[0, 1, 4, 2] == 48


@pytest.mark.parametrize(("batch", "given"), [(None, (2, 1, 1, 4)), (2, (3, 1, 1, 3)), (2, (2, 1, 1, 2))])
def test_sizes_that_differ_when_the_graph_runs(batch, given):
    def convert(indices):
        return convert_indices(indices, "kpool", "tensorflow", (batch, 4, 4, 3))

    eager, graph = runs(convert, np.zeros(given, "int32"))
    with pytest.raises(ValueError, match="`indices` must have the batch and the channels of"):
        eager()
    allowed = "2" if batch else "at most [0-9]+"
    message = rf"`indices` must have a batch of {allowed} and 3 channels. Received: indices of shape \[{given[0]} 1 1"
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        graph()


LIMITS = [
    ("kpool", (1, 2**16, 2**15, 3), (1, 3, 715827883, 3)),
    ("tensorflow", (2, 2**15, 2**14, 4), (2, 2**15, 2**14, 5)),
    ("tensorflow_with_batch", (4, 2**15, 2**12, 4), (5, 2**15, 2**12, 4)),
    ("onnx", (4, 2**15, 2**12, 4), (5, 2**15, 2**12, 4)),
    ("onnx_column_major", (None, 2**15, 2**14, 4), (None, 2**15, 2**14, 5)),
]


@pytest.mark.parametrize(("target", "fits", "too_large"), LIMITS)
def test_largest_index_decides_whether_int32_is_enough(target, fits, too_large):
    def last(shape):
        plane = shape[1] * shape[2]
        return np.full((shape[0] or 1, 1, 1, shape[3]), plane - 1, "int64")

    converted = convert_indices(last(fits), "kpool", target, fits, index_dtype="int32")
    assert converted.max() == 2**31 - 1
    assert converted.dtype == "int32"
    message = f'"{target}" indices past 2147483647 need `index_dtype="int64"`. Received: input_shape={too_large}'
    for index_dtype in ("int32", None):
        indices = last(too_large).astype(index_dtype or "int32")
        with pytest.raises(ValueError, match=re.escape(message)):
            convert_indices(indices, "onnx", target, too_large, index_dtype=index_dtype)
    batch, *spatial, channels = (size or 1 for size in too_large)
    converted = convert_indices(last(too_large), "kpool", target, too_large)
    place = tuple(size - 1 for size in spatial)
    assert converted.max() == numbered(target, batch - 1, place, channels - 1, (batch, *spatial, channels)) > 2**31 - 1


def test_batch_too_large_for_int32_when_the_graph_runs():
    @tf.function(input_signature=[tf.TensorSpec((None, 1, 1, 2), tf.int32)])
    def graph(indices):
        return convert_indices(indices, "kpool", "onnx", (None, 2**14, 2**14, 2))

    last = tf.fill((4, 1, 1, 2), 2**28 - 1)
    assert graph(last)[3, 0, 0, 1] == 2**31 - 1
    message = (
        r"batch of at most 4 and 2 channels. Received: indices of shape \[5 1 1 2\], target=onnx, index_dtype=int32"
    )
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        graph(tf.zeros((5, 1, 1, 2), tf.int32))


def test_products_past_int64():
    @tf.function(input_signature=[tf.TensorSpec((None, 1, 1, 2), tf.int64)])
    def graph(indices):
        return convert_indices(indices, "onnx", "kpool", (None, 2**30, 2**30, 2))

    assert graph(np.reshape([2**60 - 1, 2**61 - 1], (1, 1, 1, 2))).numpy().tolist() == [[[[2**60 - 1] * 2]]]
    with pytest.raises(tf.errors.InvalidArgumentError, match="batch of at most 3 and 2 channels"):
        graph(tf.zeros((4, 1, 1, 2), tf.int64))
    for shape in ((4, 2**30, 2**30, 2), (0, 2**32, 2**31, 2), (1, 2**100, 1, 2)):
        with pytest.raises(ValueError, match=r"`input_shape` must hold fewer than 2\^63 elements. Received: input_sh"):
            convert_indices(np.zeros((shape[0], 1, 1, 2), "int64"), "onnx", "kpool", shape)


GOOD = {"indices": np.zeros((2, 2, 2, 3), "int32"), "source": "kpool", "target": "onnx", "input_shape": (2, 4, 4, 3)}
REFUSED = [
    ({"source": "keras"}, '`source` must be one of "kpool", "pytorch", "tensorflow", .*Received: source=\'keras\''),
    ({"target": None}, '`target` must be one of "kpool", .*"onnx_column_major". Received: target=None'),
    ({"source": ["kpool"]}, r"`source` must be one of .*Received: source=\['kpool'\]"),
    ({"indices": np.zeros((2, 2, 2, 3))}, "`indices` must be of dtype int32 or int64. Received: .*dtype float64"),
    ({"indices": np.zeros((2, 2, 2, 3), bool)}, "`indices` must be of dtype int32 or int64. Received: .*dtype bool"),
    ({"indices": np.zeros((2, 2, 2, 3), "uint32")}, "`indices` must be of dtype int32 or int64.*uint32"),
    ({"indices": np.zeros((2, 3), "int32")}, "`indices` must have rank 3, 4 or 5: .*Received: indices of rank 2"),
    ({"indices": np.zeros((1,) * 6, "int32")}, "`indices` must have rank 3, 4 or 5: .*Received: indices of rank 6"),
    ({"indices": np.zeros((2, 2, 3), "int32")}, r"`input_shape` must have one entry per axis.*Received: .*\(2, 2, 3\)"),
    ({"indices": np.zeros((1, 2, 2, 3), "int32")}, r"must have the batch and the channels.*Received: .*\(1, 2, 2, 3\)"),
    ({"indices": np.zeros((2, 2, 2, 1), "int32")}, r"must have the batch and the channels.*Received: .*\(2, 2, 2, 1\)"),
    ({"data_format": "channels_first"}, "must have the batch and the channels of `input_shape`. Received: "),
    ({"data_format": "NCHW"}, "`data_format` must be .*Received: data_format='NCHW'"),
    ({"input_shape": 4}, "`input_shape` must have one entry per axis.*Received: input_shape=4"),
    ({"input_shape": (2, 4.0, 4, 3)}, r"`input_shape` must have one entry per axis.*Received: input_shape=\(2, 4.0"),
    ({"input_shape": tf.TensorShape(None)}, "`input_shape` must have one entry per axis.*Received: "),
    ({"input_shape": ()}, r"`input_shape` must have one entry per axis of `indices`.*Received: input_shape=\(\)"),
    ({"input_shape": (2, None, 4, 3)}, r"`input_shape` must have one entry per axis.*Received: input_shape=\(2, None"),
    ({"input_shape": (2, 4, 4, None)}, "`input_shape` must have one entry per axis.*Received: input_shape"),
    ({"input_shape": (2, 0, 4, 3)}, "`input_shape` must have one entry per axis.*Received: input_shape"),
    ({"input_shape": (2, 4, -4, 3)}, "`input_shape` must have one entry per axis.*Received: input_shape"),
    ({"input_shape": (2, 4, 4, -3)}, "`input_shape` must have one entry per axis.*Received: input_shape"),
    ({"input_shape": (-2, 4, 4, 3)}, "`input_shape` must have one entry per axis.*Received: input_shape"),
    ({"index_dtype": "int16"}, "`index_dtype` must be .*Received: index_dtype='int16'"),
]


def test_refused():
    assert convert_indices(**GOOD).shape == (2, 2, 2, 3)
    for change, message in REFUSED:
        with pytest.raises(ValueError, match=message):
            convert_indices(**{**GOOD, **change})


def test_graph_of_unknown_rank_is_refused():
    @tf.function(input_signature=[tf.TensorSpec(None, tf.int32)])
    def graph(indices):
        return convert_indices(indices, "kpool", "onnx", (2, 4, 4, 3))

    with pytest.raises(ValueError, match=r"`indices` must have rank 3, 4 or 5: .*Received: indices of rank None"):
        graph(tf.zeros((2, 2, 2, 3), tf.int32))


def test_numpy_in_numpy_out():
    indices = np.ones((2, 2, 2, 3), "int32")
    arguments = ("kpool", "tensorflow", tf.zeros((2, 4, 4, 3)).shape)
    assert isinstance(convert_indices(indices, *arguments), np.ndarray)
    assert tf.is_tensor(convert_indices(tf.constant(indices), *arguments))
    variable = keras.Variable(indices, dtype="int32", trainable=False)
    same_bits(convert_indices(variable, *arguments).numpy(), convert_indices(indices, *arguments))


def test_data_format_defaults_to_that_of_keras():
    indices = np.ones((1, 2, 2, 2), "int32")
    assert convert_indices(indices, "kpool", "tensorflow", (1, 4, 5, 2)).max() == 3
    keras.config.set_image_data_format("channels_first")
    same_bits(
        convert_indices(indices, "kpool", "onnx", (1, 2, 4, 5)),
        convert_indices(indices, "kpool", "onnx", (1, 2, 4, 5), "channels_first"),
    )
    assert convert_indices(indices, "kpool", "onnx", (1, 2, 4, 5)).max() == 21


@pytest.mark.parametrize("index_dtype", [None, "int64"])
@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_functional_model_saves_and_loads(data_format, index_dtype, tmp_path, rng):
    x = oriented(rng.normal(size=(3, 6, 8, 2)).astype("float32"), data_format)
    inputs = keras.Input(x.shape[1:])
    _, indices = max_pool(inputs, 2, data_format=data_format, return_indices=True)
    shape = tuple(np.int64(n) if n else n for n in inputs.shape)
    outputs = convert_indices(indices, "kpool", "onnx", shape, data_format, index_dtype=index_dtype)
    assert (outputs.shape, outputs.dtype) == (indices.shape, index_dtype or "int32")
    model = keras.Model(inputs, outputs)
    model.save(tmp_path / "model.keras")
    # The model keeps the layout that it was built with.
    keras.config.set_image_data_format("channels_first")
    again = keras.models.load_model(tmp_path / "model.keras")
    indices = max_pool(x, 2, data_format=data_format, return_indices=True)[1]
    expected = convert_indices(indices, "kpool", "onnx", x.shape, data_format, index_dtype=index_dtype)
    for network in (model, again):
        same_bits(network(x).numpy(), expected)
        same_bits(network.predict(x, batch_size=3, verbose=0), expected)


def test_symbolic_indices_are_checked_when_the_model_is_built_and_when_it_runs():
    def convert(indices, channels=3):
        return convert_indices(indices, "kpool", "onnx", (None, 4, 4, channels))

    with pytest.raises(ValueError, match="`indices` must be of dtype int32 or int64"):
        convert(keras.Input((2, 2, 3)))
    with pytest.raises(ValueError, match="`indices` must have rank 3, 4 or 5"):
        convert(keras.Input((3,), dtype="int32"))
    inputs = keras.Input((2, 2, 3), dtype="int32")
    with pytest.raises(ValueError, match="`indices` must have the batch and the channels"):
        convert(inputs, channels=2)
    model = keras.Model(inputs, convert(inputs))
    assert model(np.full((1, 2, 2, 3), 15, "int32")).numpy().max() == 47
    for call in (model, lambda x: model.predict(x, verbose=0)):
        with pytest.raises(tf.errors.InvalidArgumentError, match=r"in \[0, 15\], .*indices\[0 0 0 0\]=16"):
            call(np.full((1, 2, 2, 3), 16, "int32"))
