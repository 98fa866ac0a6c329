"""The behaviour of average pooling layers of every rank and kind of window."""

from __future__ import annotations

from typing import Any

import keras

from kpool.layers.base_pooling import BaseAdaptivePooling, BaseGlobalPooling, BasePooling, BaseWindowPooling
from kpool.ops.average_pool import average_dtype, average_pool_tensors, check_divisor
from kpool.ops.backend import as_tensor
from kpool.ops.geometry import flag


class Average(BasePooling):
    """Takes means over the elements of the windows."""

    count_include_pad: bool = False
    divisor_override: int | None = None

    def call(self, inputs: Any) -> Any:
        tensor = as_tensor("inputs", inputs)
        return self.finish(average_pool_tensors(tensor, self.window, self.count_include_pad, self.divisor_override))

    def compute_output_spec(self, inputs: keras.KerasTensor) -> keras.KerasTensor:
        return keras.KerasTensor(self.pooled_shape(inputs.shape), dtype=average_dtype(self.cast_dtype(inputs)))

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return self.pooled_shape(input_shape)


class BaseAveragePooling(Average, BaseWindowPooling):
    """Average pooling, with a choice of what to divide by."""

    def __init__(self, *args: Any, count_include_pad: bool, divisor_override: int | None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.count_include_pad = flag("count_include_pad", count_include_pad)
        self.divisor_override = check_divisor(divisor_override)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "ceil_mode": self.ceil_mode,
            "count_include_pad": self.count_include_pad,
            "divisor_override": self.divisor_override,
        }


class BaseAdaptiveAveragePooling(Average, BaseAdaptivePooling):
    """Adaptive average pooling."""


class BaseGlobalAveragePooling(Average, BaseGlobalPooling):
    """Global average pooling."""
