"""The behaviour of max unpooling layers of every rank."""

from __future__ import annotations

from typing import Any

import keras

from kpool.layers.base_pooling import BaseWindowPooling
from kpool.ops.backend import as_tensor
from kpool.ops.max_unpool import check_duplicates, fixed_output_size, max_unpool_spec, max_unpool_tensors


class BaseMaxUnpooling(BaseWindowPooling):
    """Max unpooling, called with the pooled tensor and the indices."""

    def __init__(self, *args: Any, output_size: Any, duplicates: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.output_size = None if output_size is None else fixed_output_size(output_size, self.window.rank)
        self.duplicates = check_duplicates(duplicates)
        # What Keras says of a list, and of a missing argument, does not say what to do: both are left to `call`.
        self.input_spec = None

    def call(self, inputs: Any, indices: Any = None, output_size: Any = None) -> Any:
        check_given(inputs, indices)
        tensor = as_tensor("inputs", inputs)
        return max_unpool_tensors(tensor, indices, self.window, self._size(output_size), self.duplicates)

    def compute_output_spec(
        self, inputs: keras.KerasTensor, indices: keras.KerasTensor | None = None, output_size: Any = None
    ) -> keras.KerasTensor:
        check_given(inputs, indices)
        return max_unpool_spec(inputs, indices, self.window, self._size(output_size), self.cast_dtype(inputs))

    def compute_output_shape(self, inputs_shape: tuple[int | None, ...], indices_shape: Any = None) -> Any:
        return self.window.unpooled_shape(inputs_shape, self.output_size)

    def _size(self, output_size: Any) -> Any:
        return self.output_size if output_size is None else output_size

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "output_size": self.output_size, "duplicates": self.duplicates}


def check_given(inputs: Any, indices: Any) -> None:
    if indices is None or isinstance(inputs, list | tuple):
        raise ValueError(
            "`indices` must be the tensor that max pooling returned beside its values: call the layer as "
            "`layer(inputs, indices)`, not with a list. "
            f"Received: inputs of type {type(inputs).__name__}, indices of type {type(indices).__name__}"
        )
