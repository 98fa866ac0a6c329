"""What all pooling layers share, and the arguments of each kind of window."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from kpool.ops.backend import check_tensor, standard_dtype
from kpool.ops.geometry import Window, flag, make_adaptive_window, make_window
from kpool.ops.global_pool import without_spatial_axes


class BasePooling(keras.layers.Layer):
    """A pooling layer with a window of some kind."""

    def __init__(self, window: Window, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.window = window
        self.data_format = "channels_first" if window.channels_first else "channels_last"
        self.input_spec = keras.InputSpec(ndim=window.rank + 2)
        # There is nothing to build, unless a subclass has something.
        self.built = type(self).build is keras.layers.Layer.build

    def cast_dtype(self, inputs: keras.KerasTensor) -> str:
        """The dtype that the layer casts the inputs to.

        Raises:
            ValueError: If kpool cannot pool it.
        """
        check_tensor("inputs", inputs.dtype, len(inputs.shape))
        dtype = standard_dtype(inputs.dtype)
        return str(self.compute_dtype) if self.autocast and "float" in dtype else dtype

    def pooled_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """The shape of an output."""
        return self.window.pooled_shape(input_shape)

    def finish(self, outputs: Any) -> Any:
        """Bring what was pooled into the shape of an output."""
        return outputs

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "data_format": self.data_format}


class BaseWindowPooling(BasePooling):
    """A layer whose windows have a size.

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
        super().__init__(
            make_window(rank, pool_size, strides, padding, data_format, dilation_rate, ceil_mode), **kwargs
        )
        self.pool_size = self.window.pool_size
        self.strides = self.window.strides
        self.padding = padding.lower() if isinstance(padding, str) else self.window.padding
        self.dilation_rate = self.window.dilation_rate
        self.ceil_mode = self.window.ceil_mode

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "pool_size": self.pool_size,
            "strides": self.strides,
            "padding": self.padding,
            "dilation_rate": self.dilation_rate,
        }


class BaseAdaptivePooling(BasePooling):
    """A layer whose windows follow from their number.

    Args:
        rank: Number of spatial axes.
        output_size, data_format: As the layers have them.
    """

    def __init__(
        self, rank: int, output_size: int | Sequence[int | None] | None, data_format: str | None, **kwargs: Any
    ) -> None:
        super().__init__(make_adaptive_window(rank, output_size, data_format), **kwargs)
        self.output_size = self.window.output_size

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "output_size": self.output_size}


class BaseGlobalPooling(BasePooling):
    """A layer whose window is the whole plane.

    Args:
        rank: Number of spatial axes.
        data_format, keepdims: As the layers have them.
    """

    def __init__(self, rank: int, data_format: str | None, keepdims: bool, **kwargs: Any) -> None:
        super().__init__(make_adaptive_window(rank, 1, data_format), **kwargs)
        self.keepdims = flag("keepdims", keepdims)

    def pooled_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        shape = super().pooled_shape(input_shape)
        return shape if self.keepdims else (shape[0], shape[1 if self.window.channels_first else -1])

    def finish(self, outputs: Any) -> Any:
        return outputs if self.keepdims else without_spatial_axes(outputs, self.window)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "keepdims": self.keepdims}
