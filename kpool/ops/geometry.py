"""The window of a pooling operation: arguments brought into one form, and the shapes that follow from it.

The formulas themselves are in `kpool.kernels.geometry`, where the native ops find them too.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field, fields
from functools import cached_property, lru_cache
from typing import Any, Literal

import keras
import numpy as np

from kpool.kernels.geometry import CheckedWindow, check_index_dtype

Shape = tuple[int | None, ...]
Pairs = tuple[tuple[int, int], ...]
Padding = Literal["same"] | Pairs


@dataclass(frozen=True)
class Window:
    """A window over 1, 2 or 3 spatial axes. Whoever holds one knows that it is possible.

    Attributes:
        pool_size, strides, dilation_rate: One integer per spatial axis.
        padding: "same", or a pair (before, after) per spatial axis.
        ceil_mode: Whether the last window of an axis may hang over the end of the input.
        channels_first: Whether the channels stand before the spatial axes.
        output_size: For adaptive windows the number of windows per spatial axis, None for as many as elements. They
            follow from it and the input's size; `pool_size` and the other attributes are then empty.
    """

    pool_size: tuple[int, ...]
    strides: tuple[int, ...]
    dilation_rate: tuple[int, ...]
    padding: Padding
    ceil_mode: bool
    channels_first: bool
    output_size: tuple[int | None, ...] | None = None
    _checked: CheckedWindow = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_checked", CheckedWindow(*self._arguments))

    def __reduce__(self) -> tuple[Any, ...]:
        return Window, self._arguments

    @property
    def _arguments(self) -> tuple[Any, ...]:
        return tuple(getattr(self, argument.name) for argument in fields(self) if argument.init)

    @property
    def rank(self) -> int:
        """Number of spatial axes."""
        return len(self.pool_size if self.output_size is None else self.output_size)

    def taps(self, shape: Any) -> int | None:
        """Number of elements in the largest window over an input of a shape; None if that is not known yet."""
        return self._checked.taps(self.spatial(tuple(shape)))

    @cached_property
    def attributes(self) -> dict[str, Any]:
        """The window as the native ops take it: four flags, then a row of integers per spatial axis."""
        rows: Iterable[tuple[int, ...]]
        if self.output_size is None:
            pairs = ((0, 0),) * self.rank if self.padding == "same" else self.padding
            axes = zip(self.pool_size, self.strides, self.dilation_rate, pairs, strict=True)
            rows = ((size, stride, dilation, *pair) for size, stride, dilation, pair in axes)
        else:
            rows = ((-1 if size is None else size,) for size in self.output_size)
        flags = self.channels_first, self.ceil_mode, self.padding == "same", self.output_size is not None
        return {"window": (*map(int, flags), *(value for row in rows for value in row))}

    def spatial(self, shape: Any) -> Any:
        """The spatial part of anything that can be sliced like a shape."""
        first = 2 if self.channels_first else 1
        return shape[first : first + self.rank]

    def pooled_shape(self, shape: Sequence[int | None]) -> Shape:
        """The shape of a pooled input; sizes that are unknown (None) stay so.

        Raises:
            ValueError: If the rank is wrong or the window does not fit.
        """
        return self._checked.pooled_shape(tuple(shape))

    def check_index_dtype(self, shape: Any, index_dtype: str) -> None:
        """Refuse an index type that cannot hold every position of an input's planes, as far as its shape is known.

        Raises:
            ValueError: If a plane is too large for int32.
        """
        check_index_dtype(tuple(shape), self.spatial(tuple(shape)), index_dtype)

    def unpooled_shape(self, shape: Sequence[int | None], output_size: Sequence[int] | None = None) -> Shape:
        """The shape of an unpooled input, with the spatial sizes `output_size` if they are given.

        Raises:
            ValueError: If the rank is wrong or no input of `output_size` can be pooled to this shape.
        """
        return self._checked.unpooled_shape(tuple(shape), output_size or (None,) * self.rank)

    def unpooled_shape_of_unknown_size(self, shape: Sequence[int | None]) -> Shape:
        """The shape of an unpooled input whose spatial sizes are known only when the graph runs."""
        return self._checked.unpooled_shape_of_unknown_size(tuple(shape))


def make_window(
    rank: int,
    pool_size: int | Sequence[int],
    strides: int | Sequence[int] | None = None,
    padding: str | int | Sequence[int] | Sequence[Sequence[int]] = "valid",
    data_format: str | None = None,
    dilation_rate: int | Sequence[int] = 1,
    ceil_mode: bool = False,
) -> Window:
    """The window that the arguments of a public function or layer describe.

    Raises:
        ValueError: If an argument has the wrong form or a value that is not possible.
    """
    arguments = rank, pool_size, strides, padding, standard_data_format(data_format), dilation_rate, ceil_mode
    return (_made if all(map(_is_plain, arguments)) else _make)(*arguments)


def _is_plain(value: Any) -> bool:
    """Whether an argument equals no other of its type that means something else, as (1,) equals (True,)."""
    if type(value) is tuple:
        return all(type(entry) is int for entry in value)
    return type(value) in (int, str, bool, type(None))


def _make(
    rank: int, pool_size: Any, strides: Any, padding: Any, data_format: str, dilation_rate: Any, ceil_mode: Any
) -> Window:
    pool_size = integers("pool_size", pool_size, rank)
    return _shared(
        pool_size,
        pool_size if strides is None else integers("strides", strides, rank),
        integers("dilation_rate", dilation_rate, rank),
        _pairs(padding, rank),
        flag("ceil_mode", ceil_mode),
        data_format == "channels_first",
    )


# Arguments are mostly those of the last call.
_made = lru_cache(maxsize=256, typed=True)(_make)


def make_adaptive_window(
    rank: int, output_size: int | Sequence[int | None] | None, data_format: str | None = None
) -> Window:
    """The windows that divide every input into `output_size` parts.

    Raises:
        ValueError: If an argument has the wrong form or a value that is not possible.
    """
    try:
        sizes = entries(output_size, rank)
        known = integers("output_size", [1 if size is None else size for size in sizes], rank)
    except (TypeError, ValueError, NotImplementedError):
        known = (0,)
    if any(size < 1 for size in known):
        plural = "integers" if rank > 1 else "integer"
        raise ValueError(
            f"`output_size` must be a positive integer or a tuple of {rank} positive {plural}, in which None keeps an "
            f"axis as it is. Received: output_size={output_size!r}"
        )
    channels_first = standard_data_format(data_format) == "channels_first"
    output_size = tuple(None if size is None else n for size, n in zip(sizes, known, strict=True))
    return _shared((), (), (), (), False, channels_first, output_size)


@lru_cache(maxsize=256)
def _shared(*arguments: Any) -> Window:
    """The same window for the same arguments, which are in their one form already."""
    return Window(*arguments)


def entries(value: Any, count: int) -> tuple[Any, ...]:
    """The elements of a sequence; a single element stands for `count` of them.

    Raises:
        TypeError: If it has elements, but not in an order, or none that are meant as numbers.
    """
    if isinstance(value, Set | Mapping | bytes | bytearray | memoryview):
        raise TypeError
    return tuple(value) if isinstance(value, Iterable) else (value,) * count


def _as_integers(value: Any, count: int) -> tuple[int, ...] | None:
    """`value` as a tuple of `count` integers, or None if it is not that; a single integer stands for all of them."""
    try:
        values = entries(value, count)
        if any(isinstance(v, bool) for v in values):
            return None
        result = tuple(operator.index(v) for v in values)
    except (TypeError, AttributeError, NotImplementedError):
        # The last is what symbolic tensors say.
        return None
    return result if len(result) == count else None


def _fitting(name: str, value: Any, result: tuple[int, ...]) -> tuple[int, ...]:
    """`result`, if the compiled geometry can be given its integers."""
    if any(v.bit_length() > 62 for v in result):
        raise ValueError(f"`{name}` must hold integers of less than 2^62. Received: {name}={value}")
    return result


def integers(name: str, value: Any, count: int) -> tuple[int, ...]:
    """`value` as a tuple of `count` integers; a single integer stands for all of them."""
    result = _as_integers(value, count)
    if result is None:
        plural = "integers" if count > 1 else "integer"
        raise ValueError(f"`{name}` must be an integer or a tuple of {count} {plural}. Received: {name}={value!r}")
    return _fitting(name, value, result)


def flag(name: str, value: Any) -> bool:
    """`value` as True or False. Of other things, as of any text, nobody knows which is meant."""
    if isinstance(value, bool | np.bool_) or (isinstance(value, int) and value in (0, 1)):
        return bool(value)
    raise ValueError(f"`{name}` must be True or False. Received: {name}={value!r}")


def _pairs(padding: Any, rank: int) -> Padding:
    """Padding in any of its forms, as "same" or one (before, after) pair per axis."""
    if isinstance(padding, np.ndarray) and padding.ndim > 0:
        padding = padding.tolist()
    if isinstance(padding, str):
        if padding.lower() == "same":
            return "same"
        if padding.lower() == "valid":
            return ((0, 0),) * rank
    elif isinstance(padding, Sequence) and len(padding) == rank and all(isinstance(p, Sequence) for p in padding):
        pairs = [found for pair in padding if (found := _as_integers(pair, 2)) is not None]
        if len(pairs) == rank:
            return tuple((before, after) for before, after in (_fitting("padding", padding, pair) for pair in pairs))
    elif (sizes := _as_integers(padding, rank)) is not None:
        return tuple((size, size) for size in _fitting("padding", padding, sizes))
    raise ValueError(
        f'`padding` must be "valid", "same", an integer, a tuple of one integer per spatial axis, or a tuple of one '
        f"(before, after) pair per spatial axis, of which there are {rank}. Received: padding={padding!r}"
    )


def standard_data_format(data_format: str | None) -> str:
    """The data format, by default that of Keras' configuration."""
    if data_format is None:
        return str(keras.config.image_data_format())
    standard = str(data_format).lower()
    if standard not in ("channels_last", "channels_first"):
        raise ValueError(
            f'`data_format` must be "channels_last" or "channels_first". Received: data_format={data_format!r}'
        )
    return standard
