"""The backend's functions, and the tensors that go in and out of them."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import keras
import numpy as np

from kpool.versions import require

require("Keras", keras.__version__, "3.8")

if keras.config.backend() != "tensorflow":
    raise ImportError(
        "kpool runs on Keras' TensorFlow backend. Set the environment variable KERAS_BACKEND=tensorflow before "
        f"importing keras. Received: backend={keras.config.backend()!r}"
    )

from kpool import tf as functions  # noqa: E402, it needs this Keras

KerasTensor = keras.KerasTensor

__all__ = ["INDEX_DTYPES", "as_tensor", "check_tensor", "functions", "is_symbolic", "like"]

FLOAT_DTYPES = ("float16", "bfloat16", "float32", "float64")
INTEGER_DTYPES = ("int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64")
DTYPES = frozenset(FLOAT_DTYPES + INTEGER_DTYPES)
INDEX_DTYPES = ("int32", "int64")


def is_symbolic(*tensors: Any) -> bool:
    """Whether a Keras model is being built, rather than something computed."""
    # Called for every call, so without a generator.
    for tensor in tensors:  # noqa: SIM110
        if isinstance(tensor, KerasTensor):
            return True
    return False


def as_tensor(name: str, value: Any) -> Any:
    """A tensor of the backend from anything that holds numbers, of a dtype and rank that kpool can pool."""
    tensor = dense(name, value)
    check_tensor(name, tensor.dtype, tensor.shape.rank)
    return tensor


def dense(name: str, value: Any) -> Any:
    """A tensor of the backend from anything that holds numbers."""
    if isinstance(value, functions.Tensor):
        return value
    message = f"`{name}` must be a dense tensor or an array of numbers. Received: {name} of type {type(value).__name__}"
    try:
        tensor = keras.ops.convert_to_tensor(value.value if isinstance(value, keras.Variable) else value)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ValueError(message) from error
    if not isinstance(tensor, functions.Tensor | functions.Variable):
        raise ValueError(message)
    return tensor


@lru_cache(maxsize=256)
def standard_dtype(dtype: Any) -> str:
    """Keras' name of a dtype; it takes its time to find it."""
    return str(keras.backend.standardize_dtype(dtype))


def check_tensor(name: str, dtype: Any, rank: int | None) -> None:
    """Refuse a tensor, symbolic or not, of a dtype or rank that kpool cannot pool."""
    dtype = standard_dtype(dtype)
    if dtype not in DTYPES:
        raise ValueError(
            f"`{name}` must be of dtype {', '.join(FLOAT_DTYPES)} or an integer dtype. "
            f"Received: {name} of dtype {dtype}"
        )
    if rank not in (3, 4, 5):
        raise ValueError(
            f"`{name}` must have rank 3, 4 or 5: batch, 1 to 3 spatial axes and channels. "
            f"Received: {name} of rank {rank}"
        )


def like(value: Any, result: Any) -> Any:
    """`result` as NumPy arrays if `value` was one and the result is there already; else unchanged."""
    if isinstance(result, tuple):
        return tuple(like(value, part) for part in result)
    if isinstance(value, np.ndarray) and hasattr(result, "numpy"):
        return result.numpy()
    return result
