"""The behaviour of max pooling layers of every rank and kind of window."""

from __future__ import annotations

from typing import Any

import keras

from kpool.layers.base_pooling import BaseAdaptivePooling, BaseGlobalPooling, BasePooling, BaseWindowPooling
from kpool.ops.backend import as_tensor
from kpool.ops.geometry import flag
from kpool.ops.max_pool import max_pool_tensors, standard_index_dtype


class Maximum(BasePooling):
    """Takes maxima, with the winners' indices as a second output on request."""

    def __init__(self, *args: Any, return_indices: bool, index_dtype: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.return_indices = flag("return_indices", return_indices)
        self.index_dtype = standard_index_dtype(index_dtype)

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        # Only an explicit training=False says that no gradient is wanted.
        keeps = training is not False
        tensor = as_tensor("inputs", inputs)
        return self.finish(max_pool_tensors(tensor, self.window, self.return_indices, self.index_dtype, keeps))

    def compute_output_spec(self, inputs: keras.KerasTensor, training: bool | None = None) -> Any:
        shape = self.pooled_shape(inputs.shape)
        values = keras.KerasTensor(shape, dtype=self.cast_dtype(inputs))
        if not self.return_indices:
            return values
        self.window.check_index_dtype(inputs.shape, self.index_dtype)
        return values, keras.KerasTensor(shape, dtype=self.index_dtype)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> Any:
        shape = self.pooled_shape(input_shape)
        return (shape, shape) if self.return_indices else shape

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "return_indices": self.return_indices, "index_dtype": self.index_dtype}


class BaseMaxPooling(Maximum, BaseWindowPooling):
    """Max pooling."""

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "ceil_mode": self.ceil_mode}


class BaseOverlappingMaxPooling(BaseMaxPooling):
    """Max pooling with windows that overlap on every axis."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if any(stride >= size for stride, size in zip(self.strides, self.pool_size, strict=True)):
            raise ValueError(
                "`strides` must be smaller than `pool_size` on every axis for windows to overlap; "
                f"`MaxPooling{self.window.rank}D` takes others. "
                f"Received: strides={self.strides}, pool_size={self.pool_size}"
            )


class BaseAdaptiveMaxPooling(Maximum, BaseAdaptivePooling):
    """Adaptive max pooling."""


class BaseGlobalMaxPooling(Maximum, BaseGlobalPooling):
    """Global max pooling."""
