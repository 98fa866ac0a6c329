"""The style of the pictures: the finding as the title, colours that everybody can tell apart, and little else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

# Okabe and Ito's colours, which the colour-blind can tell apart too.
BLUE, ORANGE, GREEN, RED, SKY, PINK = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#56B4E9", "#CC79A7"
GREY, DARK = "#8C8C8C", "#333333"
MAP = "magma"


def figure(finding: str, remark: str = "", size: tuple[float, float] = (11, 5), layout: str = "constrained") -> Figure:
    """An empty picture with the finding above and a remark below."""
    result = Figure(figsize=size, layout=layout)
    result.suptitle(finding, fontsize=15, fontweight="bold", color=DARK)
    if remark:
        result.supxlabel(remark, fontsize=9, color=GREY)
    return result


def tidy(axes: Axes, title: str = "", x: str = "", y: str = "", grid: str = "y") -> None:
    """Titles, a faint grid, and no frame."""
    axes.set_title(title, fontsize=12, color=DARK)
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.grid(axis=grid, alpha=0.25)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def show(axes: Axes, image: Any, title: str = "", **arguments: Any) -> Any:
    """An image without axes."""
    drawn = axes.imshow(image, **{"cmap": "gray", "interpolation": "nearest", **arguments})
    axes.set_title(title, fontsize=12, color=DARK)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)
    return drawn


def save(drawn: Figure, file: Path) -> None:
    drawn.savefig(file, dpi=150)
    print(f"\nPicture: {file}")
