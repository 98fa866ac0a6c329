"""ONNX' own tests of its pooling operators, run on kpool.

The onnx package makes the cases when their modules are imported. Each is a model of one node with its inputs and the
outputs to expect.
"""

from importlib import import_module

import numpy as np
import pytest
import tensorflow as tf
from conftest import same_bits

try:
    import onnx
    from onnx.backend.test.case import node as node_cases
    from onnx.reference import ReferenceEvaluator
except AttributeError as problem:
    reason = f"this onnx needs a newer ml_dtypes than TensorFlow {tf.__version__} allows: {problem}"
    pytest.skip(reason, allow_module_level=True)

from kpool.ops import average_pool, convert_indices, global_average_pool, global_max_pool, max_pool, max_unpool

# How many cases onnx 1.18 to 1.23 have. A later one may have more.
COUNTS = {"MaxPool": 19, "AveragePool": 20, "MaxUnpool": 2, "GlobalMaxPool": 2, "GlobalAveragePool": 2}

# Its indices count in a plane of the default size, not in one of `output_shape`. PyTorch, kpool and ONNX Runtime (since
# microsoft/onnxruntime#2193) count in the plane that the output has; onnx/onnx#2398 tells the story.
CONTRADICTION = "test_maxunpool_export_with_output_shape"

# Its numbers, printed with four decimals, are exact to no more.
ROUNDED = "test_averagepool_2d_ceil_last_window_starts_on_pad"


def collect():
    for operator in COUNTS:
        import_module(f"{node_cases.__name__}.{operator.lower()}")
    # Some operators are also tested as the several nodes that they are short for.
    cases = [case for case in node_cases._NodeTestCases if len(case.model.graph.node) == 1]
    return {case.name: case for case in cases if case.model.graph.node[0].op_type in COUNTS}


CASES = collect()


def parts(case):
    """A case's node, the node's attributes, and inputs and expected outputs."""
    (node,) = case.model.graph.node
    attributes = {attribute.name: onnx.helper.get_attribute_value(attribute) for attribute in node.attribute}
    ((inputs, outputs),) = case.data_sets
    return node, attributes, inputs, outputs


def window(attributes, shape):
    """ONNX' attributes of a window as kpool's arguments."""
    pool_size = attributes["kernel_shape"]
    ones = [1] * len(pool_size)
    strides, dilations = attributes.get("strides", ones), attributes.get("dilations", ones)
    pads = attributes.get("pads", [0] * 2 * len(pool_size))
    automatic = attributes.get("auto_pad", b"NOTSET").decode()
    padding = tuple(zip(pads[: len(pool_size)], pads[len(pool_size) :], strict=True))
    if automatic == "SAME_LOWER":
        padding = tuple(map(same_lower, shape[2:], pool_size, strides, dilations))
    elif automatic != "NOTSET":
        padding = {"SAME_UPPER": "same", "VALID": "valid"}[automatic]
    return {
        "pool_size": pool_size,
        "strides": strides,
        "padding": padding,
        "dilation_rate": dilations,
        "data_format": "channels_first",
    }


def same_lower(size, pool_size, stride, dilation):
    """The padding that makes the output `ceil(size / stride)` large, an odd pixel in front."""
    windows = -(-size // stride)
    total = max((windows - 1) * stride + (pool_size - 1) * dilation + 1 - size, 0)
    return total - total // 2, total // 2


def run_max_pool(node, attributes, x):
    arguments = window(attributes, x.shape)
    ceil_mode = bool(attributes.get("ceil_mode", 0))
    if len(node.output) == 1:
        return [max_pool(x, **arguments, ceil_mode=ceil_mode)]
    values, indices = max_pool(x, **arguments, ceil_mode=ceil_mode, return_indices=True, index_dtype="int64")
    order = "onnx_column_major" if attributes.get("storage_order", 0) else "onnx"
    return [values, convert_indices(indices, "kpool", order, x.shape, "channels_first")]


def run_average_pool(node, attributes, x):
    return [
        average_pool(
            x,
            **window(attributes, x.shape),
            ceil_mode=bool(attributes.get("ceil_mode", 0)),
            count_include_pad=bool(attributes.get("count_include_pad", 0)),
        )
    ]


def run_max_unpool(node, attributes, x, indices, output_shape=None):
    arguments = window(attributes, x.shape)
    if output_shape is None:
        sizes = zip(x.shape[2:], arguments["strides"], arguments["pool_size"], arguments["padding"], strict=True)
        output_shape = (*x.shape[:2], *((n - 1) * stride + size - sum(pads) for n, stride, size, pads in sizes))
    indices = convert_indices(indices, "onnx", "kpool", output_shape, "channels_first")
    return [max_unpool(x, indices, **arguments, output_size=output_shape[2:])]


def run_global_max_pool(node, attributes, x):
    return [global_max_pool(x, "channels_first", keepdims=True)]


def run_global_average_pool(node, attributes, x):
    return [global_average_pool(x, "channels_first", keepdims=True)]


RUN = {
    "MaxPool": run_max_pool,
    "AveragePool": run_average_pool,
    "MaxUnpool": run_max_unpool,
    "GlobalMaxPool": run_global_max_pool,
    "GlobalAveragePool": run_global_average_pool,
}


@pytest.mark.parametrize("name", [name for name in CASES if name != CONTRADICTION])
def test_case(name):
    node, attributes, inputs, expected = parts(CASES[name])
    actual = RUN[node.op_type](node, attributes, *inputs)
    assert len(actual) == len(expected)
    for ours, theirs in zip(actual, expected, strict=True):
        if "Average" in node.op_type:
            assert ours.dtype == theirs.dtype
            assert ours.shape == theirs.shape
            # The same sums, in another order.
            np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-4 if name == ROUNDED else 1e-7)
        else:
            same_bits(ours, theirs)


def test_no_case_is_missing():
    nodes = [case.model.graph.node[0] for case in CASES.values()]
    for operator, count in COUNTS.items():
        assert sum(node.op_type == operator for node in nodes) >= count, operator
    assert sum(node.op_type == "MaxPool" and len(node.output) == 2 for node in nodes) >= 2
    assert CONTRADICTION in CASES


def test_indices_under_an_output_shape_count_in_that_shape():
    node, attributes, (x, indices, output_shape), (expected,) = parts(CASES[CONTRADICTION])
    default, wanted = (1, 1, 4, 4), tuple(output_shape)
    assert wanted == (1, 1, 5, 5)
    reread = np.ravel_multi_index(np.unravel_index(indices, default), wanted)
    same_bits(run_max_unpool(node, attributes, x, reread, wanted)[0], expected)
    flat = np.zeros(25, x.dtype)
    flat[indices.ravel()] = x.ravel()
    actual = run_max_unpool(node, attributes, x, indices, wanted)[0]
    same_bits(actual, flat.reshape(wanted))
    assert (actual != expected).any()


@pytest.mark.parametrize("storage_order", [0, 1])
@pytest.mark.parametrize("spatial", [(9,), (5, 8), (4, 5, 6)])
def test_indices_of_the_reference_implementation(spatial, storage_order, rng):
    """The cases have one image and one channel; here are several."""
    x = rng.permutation(6 * np.prod(spatial)).reshape(2, 3, *spatial).astype("float32")
    two = [2] * len(spatial)
    node = onnx.helper.make_node(
        "MaxPool", ["x"], ["y", "z"], kernel_shape=two, strides=two, storage_order=storage_order
    )
    expected = ReferenceEvaluator(node).run(None, {"x": x})
    attributes = {"kernel_shape": two, "strides": two, "storage_order": storage_order}
    for ours, theirs in zip(run_max_pool(node, attributes, x), expected, strict=True):
        same_bits(ours, theirs)
