from collections.abc import Sequence

MOST_TAPS_OF_OFFSETS: int
LARGEST_INT32_PLANE: int

def check_index_dtype(shape: Sequence[int | None], sizes: Sequence[int | None], index_dtype: str) -> None: ...
def check_unpooled_sizes(sizes: Sequence[int]) -> None: ...

class CheckedWindow:
    def __init__(
        self,
        pool_size: Sequence[int],
        strides: Sequence[int],
        dilation_rate: Sequence[int],
        padding: str | Sequence[Sequence[int]],
        ceil_mode: bool,
        channels_first: bool,
        output_size: Sequence[int | None] | None,
    ) -> None: ...
    def pooled_size(self, axis: int, size: int | None) -> int | None: ...
    def taps(self, sizes: Sequence[int | None]) -> int | None: ...
    def unpooled_size(self, axis: int, size: int | None, wanted: int | None = None) -> int | None: ...
