"""What all pooling layers over a window share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from kpool.ops.geometry import make_window


class BasePooling(keras.layers.Layer):
    """A layer over a window: its arguments, their check, its config.

    Args:
        rank: Number of spatial axes.
        pool_size, strides, padding, data_format, dilation_rate, ceil_mode: As the layers have them.
    """

    def __init__(
        self,
        rank: int,
        pool_size: int | Sequence[int],
        strides: int | Sequence[int] | None,
        padding: str | int | Sequence[int] | Sequence[Sequence[int]],
        data_format: str | None,
        dilation_rate: int | Sequence[int],
        ceil_mode: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.window = make_window(rank, pool_size, strides, padding, data_format, dilation_rate, ceil_mode)
        self.pool_size = self.window.pool_size
        self.strides = self.window.strides
        self.padding = padding.lower() if isinstance(padding, str) else self.window.padding
        self.data_format = "channels_first" if self.window.channels_first else "channels_last"
        self.dilation_rate = self.window.dilation_rate
        self.ceil_mode = self.window.ceil_mode
        self.input_spec = keras.InputSpec(ndim=rank + 2)
        # The native ops have no XLA kernels.
        self.supports_jit = False
        # There is nothing to build, unless a subclass has something.
        self.built = type(self).build is keras.layers.Layer.build

    def output_dtype(self, inputs: keras.KerasTensor) -> str:
        """The dtype that the layer casts the inputs to, and so that of its values."""
        dtype = keras.backend.standardize_dtype(inputs.dtype)
        return str(self.compute_dtype) if self.autocast and "float" in dtype else dtype

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "pool_size": self.pool_size,
            "strides": self.strides,
            "padding": self.padding,
            "data_format": self.data_format,
            "dilation_rate": self.dilation_rate,
        }
