"""Results as one picture: time over the floor for each input, and time over the window's size."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.cases import Operation
from benchmarks.results import Measurement, Results, columns_of

BARS = (
    Operation.FORWARD_INDICES,
    Operation.BACKWARD,
    Operation.FORWARD_BACKWARD,
    Operation.UNPOOL,
    Operation.UNPOOL_STEP,
    Operation.AVERAGE,
)
CURVES = (Operation.FORWARD, Operation.FORWARD_INDICES, Operation.AVERAGE)
COLOURS = {
    "kpool": "tab:blue",
    "TensorFlow": "tab:orange",
    "TensorFlow int32": "gold",
    "TensorFlow without indices": "tab:brown",
    "TensorFlow XLA": "tab:red",
    "PyTorch": "tab:purple",
}
FLOOR = "copy"


def draw(results: Results, file: Path) -> None:
    """Write the picture.

    Raises:
        ImportError: If matplotlib is not installed.
    """
    from matplotlib.figure import Figure

    tables = results.tables()
    figure = Figure(figsize=(17, 15), layout="constrained")
    axes = figure.subplots(3, 3)
    for operation, place in zip(BARS, axes[:2].flat, strict=True):
        draw_bars(place, tables.get(("table", operation), {}))
        place.set_title(operation)
    for operation, place in zip(CURVES, axes[2], strict=True):
        draw_curves(place, tables.get(("growth", operation), {}))
        place.set_title(f"{operation}, stride 1")
    axes[0, 0].set_ylabel("time / time of a copy of the same bytes")
    axes[1, 0].set_ylabel("time / time of a copy of the same bytes")
    axes[2, 0].set_ylabel("nanoseconds per output")
    figure.suptitle("Pooling, channels last, float32: kpool, its peers and a plain copy (dashed)", fontsize=16)
    shown = [pair for place in axes.flat for pair in zip(*place.get_legend_handles_labels(), strict=True)]
    handles = {label: handle for handle, label in shown}
    figure.legend(list(handles.values()), list(handles), loc="outside lower center", ncols=len(COLOURS), frameon=False)
    figure.savefig(file, dpi=110)


def draw_bars(place: Any, rows: dict[str, dict[str, Measurement]]) -> None:
    """For each row a bar per contender: how many times the floor it took."""
    rows = {name: row for name, row in rows.items() if FLOOR in row}
    contenders = [column for column in columns_of(rows) if column in COLOURS]
    width = 0.8 / max(len(contenders), 1)
    for number, contender in enumerate(contenders):
        bars = {i: row[contender].median / row[FLOOR].median for i, row in enumerate(rows.values()) if contender in row}
        places = [i + (number - (len(contenders) - 1) / 2) * width for i in bars]
        place.bar(places, list(bars.values()), width, color=COLOURS[contender], label=contender)
    place.axhline(1, color="0.2", linestyle="--", linewidth=1)
    place.set_xticks(range(len(rows)), list(rows), rotation=25, ha="right", fontsize=8)
    finish(place)


def draw_curves(place: Any, rows: dict[str, dict[str, Measurement]]) -> None:
    """A curve for each contender over the window's size."""
    for contender, row in rows.items():
        measurements = list(row.values())
        cases = [measurement.lane.case for measurement in measurements]
        times = [m.median * 1e9 / outputs_of(m) for m in measurements]
        place.plot([case.window for case in cases], times, marker="o", color=COLOURS[contender], label=contender)
    windows = sorted({measurement.lane.case.window for row in rows.values() for measurement in row.values()})
    place.set_xscale("log")
    place.set_xticks(windows, [str(window) for window in windows])
    place.set_xticks([], minor=True)
    place.set_xlabel("window")
    finish(place)


def outputs_of(measurement: Measurement) -> int:
    batch, height, width, channels = measurement.lane.case.pooled_shape
    return batch * height * width * channels


def finish(place: Any) -> None:
    place.set_yscale("log")
    place.grid(axis="y", alpha=0.25)
    place.spines[["top", "right"]].set_visible(False)
