"""The behaviour of max pooling layers of every rank."""

from __future__ import annotations

from typing import Any

import keras

from kpool.layers.base_pooling import BasePooling
from kpool.ops.max_pool import max_pool_specs, max_pool_tensors, standard_index_dtype


class BaseMaxPooling(BasePooling):
    """Max pooling, with the winners' indices as a second output on request."""

    def __init__(self, *args: Any, return_indices: bool, index_dtype: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.return_indices = bool(return_indices)
        self.index_dtype = standard_index_dtype(index_dtype)

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        # Only an explicit training=False says that no gradient is wanted.
        results = max_pool_tensors(inputs, self.window, self._wanted_indices, training is not False)
        return results if self.return_indices else results[0]

    def compute_output_spec(self, inputs: keras.KerasTensor, training: bool | None = None) -> Any:
        specs = max_pool_specs(inputs, self.window, self._wanted_indices, self.output_dtype(inputs))
        return specs if self.return_indices else specs[0]

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> Any:
        shape = self.window.pooled_shape(input_shape)
        return (shape, shape) if self.return_indices else shape

    @property
    def _wanted_indices(self) -> str | None:
        return self.index_dtype if self.return_indices else None

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "ceil_mode": self.ceil_mode,
            "return_indices": self.return_indices,
            "index_dtype": self.index_dtype,
        }


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
