"""How would one write max pooling by hand?

With loops: a running maximum, and p_h * p_w - 1 comparisons for each output, which the loops below count:
c * h_out * w_out * (p_h * p_w - 1) in all. From 3 x 3 to 31 x 31 that grows 120 times, and so does, about, the time of
what compares so often. kpool's time grows 4 times, since neighbouring windows share their maxima. Nanoseconds per
output, Python and NumPy on one core and kpool on two:

| window | loops in Python | a + relu(b - a) | NumPy's windows | kpool |
|---|---|---|---|---|
| 3 x 3 | 1,277 | 5.5 | 97 | 1.0 |
| 31 x 31 | 29,185 | 729 | 1,693 | 3.6 |

A network has no maximum, but it can be made of what it has: max(a, b) = a + relu(b - a). In float32 that is a maximum
up to rounding only: 6 % of the results for 3 x 3 windows are not the largest element to the last bit, max(-1e8, 1) is
0, and max(-inf, 1) is NaN.

Run it from the repository's root, after `pip install ".[examples]"`:

    python examples/from_scratch.py
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from shared import command, models, picture

import numpy as np
import tensorflow as tf

import kpool

WINDOWS = (2, 3, 5, 7, 11, 15, 21, 31)
LOOPS, RELUS, VIEWS, KPOOL = "loops in Python", "a + relu(b - a)", "NumPy's windows", "kpool"
STYLES = {
    LOOPS: (picture.RED, "s"),
    RELUS: (picture.ORANGE, "^"),
    VIEWS: (picture.GREEN, "v"),
    KPOOL: (picture.BLUE, "o"),
}


class Findings(NamedTuple):
    """Per window of p x p elements the comparisons counted and foretold, and each way's nanoseconds per output."""

    counted: dict[int, int]
    foretold: dict[int, int]
    nanoseconds: dict[str, dict[int, float]]
    wrong_by_relu: float
    largest_error: float
    relu_maxima: dict[tuple[float, float], float]


# By hand


def pool_by_loops(x: np.ndarray, window: int) -> tuple[np.ndarray, int]:
    """Maxima of square windows, one apart, of an array (channels, height, width); and how many comparisons it took."""
    channels, height, width = x.shape
    pooled = np.empty((channels, height - window + 1, width - window + 1), x.dtype)
    comparisons = 0
    for channel, row, column in np.ndindex(*pooled.shape):
        first, *others = x[channel, row : row + window, column : column + window].ravel().tolist()
        largest = first
        for element in others:
            comparisons += 1
            if element > largest:
                largest = element
        pooled[channel, row, column] = largest
    return pooled, comparisons


def relu(x: np.ndarray) -> np.ndarray:
    return np.maximum(x, 0)


def pool_by_relus(x: np.ndarray, window: int) -> np.ndarray:
    """The same out of nothing but sums and ReLU, as a network could: max(a, b) = a + relu(b - a)."""
    height, width = (size - window + 1 for size in x.shape[1:])
    taps = [x[:, i : i + height, j : j + width] for i in range(window) for j in range(window)]
    largest = taps[0]
    for tap in taps[1:]:
        largest = largest + relu(tap - largest)
    return largest


def pool_by_views(x: np.ndarray, window: int) -> np.ndarray:
    """The same by NumPy's view of all windows."""
    return np.lib.stride_tricks.sliding_window_view(x, (window, window), (1, 2)).max((3, 4))


def comparisons_needed(channels: int, height: int, width: int, window: int) -> int:
    """A window of p x p elements needs p * p - 1 comparisons: every element but one loses once."""
    return channels * (height - window + 1) * (width - window + 1) * (window * window - 1)


def relu_maximum(a: float, b: float) -> float:
    """The larger of two numbers in float32, as the trick has it."""
    first, second = np.float32(a), np.float32(b)
    with np.errstate(invalid="ignore"):
        return float(first + relu(second - first))


def pool_by_kpool(x: np.ndarray, window: int) -> np.ndarray:
    return kpool.ops.max_pool(x[np.newaxis], window, 1, data_format="channels_first")[0]


# What it gives, and what it costs


def measure(quick: bool) -> Findings:
    windows = WINDOWS[:3] if quick else WINDOWS
    maps = np.random.default_rng(0).normal(size=(64, 64, 64)).astype("float32")
    one, some = maps[:1], maps[:16]

    counted = {}
    for window in windows:
        by_loops, counted[window] = pool_by_loops(one, window)
        for pool in (pool_by_views, pool_by_kpool):
            if not np.array_equal(pool(one, window), by_loops):
                raise command.ExampleError(f"{pool.__name__} differs from the loops with windows of {window}.")
    by_relus, exact = pool_by_relus(maps, 3), pool_by_views(maps, 3)

    rounds = 2 if quick else 7
    nanoseconds = {
        LOOPS: times(lambda window: lambda: pool_by_loops(one, window), one, windows, rounds),
        RELUS: times(lambda window: lambda: pool_by_relus(some, window), some, windows, rounds),
        VIEWS: times(lambda window: lambda: pool_by_views(some, window), some, windows, rounds),
        KPOOL: times(lambda window: kpool_graph(maps, window), maps, windows, 5 * rounds),
    }
    return Findings(
        counted,
        {window: comparisons_needed(*one.shape, window) for window in windows},
        nanoseconds,
        float(np.mean(by_relus != exact)),
        float(np.max(np.abs(by_relus - exact))),
        {pair: relu_maximum(*pair) for pair in ((1, 2), (0.1, 0.7), (-1e8, 1), (-math.inf, 1))},
    )


def kpool_graph(x: np.ndarray, window: int) -> Callable[[], object]:
    """kpool as a model runs it: in a graph, channels last."""
    tensor = tf.constant(np.moveaxis(x, 0, -1)[np.newaxis])
    return tf.function(lambda: kpool.ops.max_pool(tensor, window, 1))


def times(
    call_of: Callable[[int], Callable[[], object]], x: np.ndarray, windows: Sequence[int], rounds: int
) -> dict[int, float]:
    """Nanoseconds per output for each window."""
    seconds = models.medians({window: call_of(window) for window in windows}, rounds)
    return {window: 1e9 * seconds[window] / outputs_of(x.shape, window) for window in windows}


def outputs_of(shape: tuple[int, ...], window: int) -> int:
    channels, height, width = shape
    return channels * (height - window + 1) * (width - window + 1)


def growth(nanoseconds: dict[int, float], first: int = 3) -> float:
    """How many times as long the largest window takes as one of 3 x 3."""
    return nanoseconds[max(nanoseconds)] / nanoseconds[first]


def tell(findings: Findings) -> None:
    print("Comparisons in a 64 x 64 map, counted and by c * h_out * w_out * (p_h * p_w - 1); nanoseconds per output:\n")
    print(f"{'window':<9}{'counted':>11}{'formula':>11}" + "".join(f"{way:>18}" for way in findings.nanoseconds))
    for window, counted in findings.counted.items():
        times_of = "".join(f"{nanoseconds[window]:>18,.1f}" for nanoseconds in findings.nanoseconds.values())
        print(f"{f'{window} x {window}':<9}{counted:>11,}{findings.foretold[window]:>11,}{times_of}")
    print("\nmax(a, b) = a + relu(b - a), in float32:\n")
    for (a, b), value in findings.relu_maxima.items():
        print(f"max({a:g}, {b:g}) = {value:.9g}")
    print(f"{findings.wrong_by_relu:.0%} of the maxima of 3 x 3 windows are not the largest element to the last bit,")
    print(f"and off by up to {findings.largest_error:.1g}.")


def draw(findings: Findings, file: Path) -> None:
    largest = max(findings.counted)
    comparisons = {window: window * window - 1 for window in findings.counted}
    figure = picture.figure(
        f"From 3x3 to {largest}x{largest} the comparisons grow {growth(comparisons):.0f} times, "
        f"kpool's time {growth(findings.nanoseconds[KPOOL]):.0f} times",
        "Windows one element apart, float32; NumPy and Python on one thread, kpool on all. Both axes are logarithmic.",
        size=(10, 6.5),
    )
    axes = figure.subplots()
    for way, nanoseconds in findings.nanoseconds.items():
        colour, marker = STYLES[way]
        axes.plot(*zip(*nanoseconds.items(), strict=True), color=colour, marker=marker)
        axes.annotate(
            way, (largest, nanoseconds[largest]), (8, 0), textcoords="offset points", va="center", color=colour
        )
    loops = findings.nanoseconds[LOOPS]
    scale = loops[largest] / comparisons[largest] * 4
    axes.plot(
        list(comparisons),
        [scale * count for count in comparisons.values()],
        color=picture.GREY,
        linestyle="--",
        zorder=1,
    )
    axes.annotate(
        "slope of the comparisons",
        (largest, scale * comparisons[largest]),
        (8, 0),
        textcoords="offset points",
        va="center",
        color=picture.GREY,
    )
    picture.tidy(axes, "", "window", "nanoseconds per output", grid="both")
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlim(min(comparisons) * 0.9, largest * 2.2)
    axes.set_xticks(list(comparisons), [f"{window}x{window}" for window in comparisons])
    axes.set_xticks([], minor=True)
    picture.save(figure, file)


EXAMPLE = command.Example(__file__, __doc__, measure, tell, draw)

if __name__ == "__main__":
    sys.exit(EXAMPLE.main())
