"""The native ops in graphs that XLA compiles: calls of the same kernels, or of other ops where XLA cannot call them.

An op of XLA's own is C++ that nobody can register from outside. But `XlaCallModule` is a program in XLA's language as
one op, and such a program may call a registered function by its name. XLA fills in all sizes when it compiles.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from typing import Any

import tensorflow as tf

from kpool.tf import composition
from kpool.tf.library import CALLED_BY_XLA
from kpool.tf.windows import pooled_shape, shape_of, unpooled_shape

try:  # It is not public, but what JAX goes by.
    from tensorflow.compiler.tf2xla.python.xla import call_module
except ImportError:
    call_module = None
try:  # It is not public. Without it XLA meets the native ops, and refuses them by their names.
    from tensorflow.python.ops import control_flow_util
except ImportError:
    control_flow_util = None

# Whether XLA calls the kernels, as long as it compiles for the CPU.
calls_kernels = CALLED_BY_XLA and call_module is not None

HEAD = "module @kpool"
VERSION = 9  # of XlaCallModule, which TensorFlow 2.16 has already
ELEMENTS = {
    tf.float16: "f16",
    tf.bfloat16: "bf16",
    tf.float32: "f32",
    tf.float64: "f64",
    **{tf.as_dtype(f"{sign}int{bits}"): f"{sign}i{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)},
}
# The attributes that are one integer each. The window comes after them.
SINGLES = ("Tindices", "num_indices", "num_offsets", "sum_duplicates", "count_include_pad", "divisor_override")

_in_gradient = ContextVar("_in_gradient", default=False)


def is_compiled() -> bool:
    """Whether XLA will compile what is traced now."""
    if tf.executing_eagerly():
        return False
    if _in_gradient.get():
        return True
    return control_flow_util is not None and control_flow_util.GraphOrParentsInXlaContext(
        tf.compat.v1.get_default_graph()
    )


@contextmanager
def compiled() -> Iterator[None]:
    """Where XLA will compile what is traced, although TensorFlow does not say so: gradients of compiled functions."""
    token = _in_gradient.set(True)
    try:
        yield
    finally:
        _in_gradient.reset(token)


def call(op: str, inputs: tuple[tf.Tensor, ...], attributes: dict[str, Any]) -> list[tf.Tensor]:
    """What the native op of this name returns, in a graph that XLA compiles."""
    if calls_kernels and _only_for_cpus():
        return _call_kernel(op, inputs, attributes)
    if op not in composition.OPS:
        raise NotImplementedError(
            f"XLA has no ops for the gradient `{op}` where it cannot call kpool's kernels, as on a machine with a GPU. "
            "Take the gradient in the function that computes what it is of, or compile with `jit_compile=False`."
        )
    return composition.OPS[op](*inputs, **attributes)


def _only_for_cpus() -> bool:
    """Whether XLA can compile for nothing else. The kernels are the CPU's."""
    return all(device.device_type == "CPU" for device in tf.config.list_logical_devices())


def _call_kernel(op: str, inputs: tuple[tf.Tensor, ...], attributes: dict[str, Any]) -> list[tf.Tensor]:
    shape = _output_shape(op, inputs, attributes["window"])
    dtypes = _output_dtypes(op, inputs, attributes)
    # XLA passes bare pointers, so what they point at is an input as well; and the outputs' shape comes as a shape.
    tensors = [(x.dtype, shape_of(x)) for x in inputs] + [(dtype, shape) for dtype in dtypes]
    parts = [part for dtype, sizes in tensors for part in ([dtype.as_datatype_enum, sizes.shape[0]], sizes)]
    described = tf.concat([tf.cast(part, tf.int64) for part in ([len(inputs)], *parts)], axis=0)
    like = tf.zeros(shape, tf.bool)
    program = _program(
        " ".join(map(str, (op, *_integers(attributes)))),
        tuple(_type(x.dtype, x.shape.rank) for x in inputs),
        tuple(_type(dtype, like.shape.rank) for dtype in dtypes),
    )
    outputs: list[tf.Tensor] = call_module(
        [described, like, *inputs],
        version=VERSION,
        module=program,
        Tout=dtypes,
        Sout=[[None] * like.shape.rank for _ in dtypes],
        platforms=["CPU"],
    )
    return outputs


def register_gradient(gradient: Callable[..., list[tf.Tensor | None]]) -> None:
    """Make a function the gradient of calls of the kernels, unless another package has given programs one.

    Then XLA must do with ops whose gradients TensorFlow knows. TensorFlow has one gradient for all programs, and no
    way to ask for it or to replace it: a package that wants to give them one itself must be imported before kpool.
    """
    global calls_kernels
    try:
        tf.RegisterGradient("XlaCallModule")(gradient)
    except KeyError:
        calls_kernels = False


def called_by(node: tf.Operation) -> tuple[str, list[tf.Tensor], dict[str, Any]]:
    """What was passed to `call` to make a node.

    Raises:
        LookupError: If another package made it.
    """
    program = tf.compat.as_text(node.get_attr("module"))
    if not program.startswith(HEAD):
        raise LookupError("gradient registry has no entry for: XlaCallModule")
    op, *text = program.split('"')[1].split()
    integers = [int(value) for value in text]
    attributes = dict(zip(SINGLES, integers[: len(SINGLES)], strict=True))
    return op, node.inputs[2:], {**attributes, "window": tuple(integers[len(SINGLES) :])}


def _integers(attributes: dict[str, Any]) -> list[int]:
    """The attributes in the order in which xla.pxi reads them."""
    return [*(int(attributes.get(name, 0)) for name in SINGLES), *attributes["window"]]


def _output_shape(op: str, inputs: tuple[tf.Tensor, ...], window: tuple[int, ...]) -> tf.Tensor:
    """The shape that all outputs have."""
    if op in ("kpool_max_pool", "kpool_average_pool"):
        return pooled_shape(window, shape_of(inputs[0]))
    if op == "kpool_max_unpool":
        return unpooled_shape(window, shape_of(inputs[0]), inputs[2])
    if op == "kpool_max_pool_indices":
        return shape_of(inputs[0])
    if op == "kpool_max_unpool_backward":
        return shape_of(inputs[1])
    return inputs[-1]


def _output_dtypes(op: str, inputs: tuple[tf.Tensor, ...], attributes: dict[str, Any]) -> list[tf.DType]:
    indices = attributes.get("Tindices")
    if op == "kpool_max_pool_indices":
        return [indices]
    more = [indices] * attributes.get("num_indices", 0) + [tf.uint8] * attributes.get("num_offsets", 0)
    return [inputs[0].dtype, *more]


def _type(dtype: tf.DType, rank: int) -> str:
    """The type of tensors of a rank, in XLA's language."""
    return f"tensor<{'?x' * rank}{ELEMENTS[dtype]}>"


@lru_cache(maxsize=256)
def _program(call: str, inputs: tuple[str, ...], outputs: tuple[str, ...]) -> str:
    """A program that makes one call of what xla.pxi registers.

    Its arguments are what the call gets first, a tensor that has the outputs' shape, and the op's inputs.
    """
    rank, count = outputs[0].count("?"), len(outputs)
    like, shape = f"tensor<{'?x' * rank}i1>", f"tensor<{rank}xi32>"
    names = ["%tensors", *(f"%x{i}" for i in range(len(inputs)))]
    kinds = ["tensor<?xi64>", *inputs]
    arguments = [f"{name}: {kind}" for name, kind in zip(names, kinds, strict=True)]
    sizes = [
        f"""%n{i} = stablehlo.get_dimension_size %like, dim = {i} : ({like}) -> tensor<i32>
    %size{i} = stablehlo.reshape %n{i} : (tensor<i32>) -> tensor<1xi32>"""
        for i in range(rank)
    ]
    # For XLA the last operands are the shapes of the results. When it has read them it leaves them out.
    operands = [*kinds, *[shape] * count]
    return f"""{HEAD} attributes {{jax.uses_shape_polymorphism = true}} {{
  func.func public @main({_joined([arguments[0], f"%like: {like}", *arguments[1:]])}) -> ({_joined(outputs)}) {{
    {f"{chr(10)}    ".join(sizes)}
    %shape = stablehlo.concatenate {_joined(f"%size{i}" for i in range(rank))}, dim = 0
      : ({_joined(["tensor<1xi32>"] * rank)}) -> {shape}
    %out:{count} = stablehlo.custom_call @kpool({_joined([*names, *["%shape"] * count])}) {{
      backend_config = "{call}",
      api_version = 3 : i32,
      indices_of_shape_operands = dense<{[len(names) + i for i in range(count)]}> : tensor<{count}xi64>,
      operand_layouts = [{_joined(map(_row_major, operands))}],
      result_layouts = [{_joined(map(_row_major, outputs))}]
    }} : ({_joined(operands)}) -> ({_joined(outputs)})
    return {_joined(f"%out#{i}" for i in range(count))} : {_joined(outputs)}
  }}
}}
"""


def _joined(words: Iterable[str]) -> str:
    return ", ".join(words)


def _row_major(kind: str) -> str:
    """The layout of a tensor in row-major order."""
    rank = kind.count("?") or 1
    return f"dense<{list(range(rank))[::-1]}> : tensor<{rank}xindex>"
