"""Calls of kpool's functions in a Keras model that is being built."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, TypeVar, cast

import keras
import numpy as np

from kpool.ops.backend import is_symbolic
from kpool.ops.geometry import standard_data_format

Function = TypeVar("Function", bound=Callable[..., Any])

FUNCTIONS: dict[str, Callable[..., Any]] = {}


def works_in_models(function: Function) -> Function:
    """Let a function take symbolic Keras tensors: the call then becomes a layer, which makes it when the model runs."""
    FUNCTIONS[function.__name__] = function
    signature = inspect.signature(function)

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        if not is_symbolic(*args, *kwargs.values()):
            return function(*args, **kwargs)
        arguments = signature.bind(*args, **kwargs).arguments
        # The default is a setting, which may change before the model runs.
        arguments["data_format"] = standard_data_format(arguments.get("data_format"))
        tensors = {name: value for name, value in arguments.items() if isinstance(value, keras.KerasTensor)}
        fixed = {name: _plain(value) for name, value in arguments.items() if name not in tensors}
        return Call(function.__name__, fixed)(tensors)

    return cast(Function, call)


def _plain(value: Any) -> Any:
    """An argument in a form that a saved model can hold."""
    if isinstance(value, (np.ndarray, np.generic)):
        return value.tolist()
    if isinstance(value, (type, np.dtype)):
        return keras.backend.standardize_dtype(value)
    return value


@keras.saving.register_keras_serializable(package="kpool")
class Call(keras.layers.Layer):
    """A call of a function of `kpool.ops` as a node of a functional model."""

    def __init__(self, function: str, arguments: dict[str, Any], **kwargs: Any) -> None:
        if function not in FUNCTIONS:
            raise ValueError(f"`function` must be one of {', '.join(FUNCTIONS)}. Received: function={function!r}")
        number = 0 if "name" in kwargs else keras.backend.get_uid(function) - 1
        name = f"{function}_{number}" if number else function
        super().__init__(**{"autocast": False, "name": name, **kwargs})
        self.function = function
        self.arguments = arguments

    def call(self, tensors: dict[str, Any]) -> Any:
        return FUNCTIONS[self.function](**tensors, **self.arguments)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "function": self.function, "arguments": self.arguments}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Call:
        return cls(**{**config, "arguments": keras.saving.deserialize_keras_object(config["arguments"])})
