"""The dependency graph of the chapters, drawn from one table."""

from __future__ import annotations

from pathlib import Path

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from tutorial_lib.plots import style

# number: (title, column, row, chapters it needs)
CHAPTERS = {
    "00": ("Start here", 0, 1, ()),
    "01": ("Defect detection", 0, 0, ("00",)),
    "02": ("Jacobian", 1, 1, ("00",)),
    "03": ("Determinant", 2, 1, ("02",)),
    "04": ("Change of\nvariables", 3, 1, ("03",)),
    "05": ("Normalizing\nflows", 4, 1, ("04",)),
    "06": ("Flows that\npaint", 5, 2, ("05",)),
    "07": ("Density to\ndefects", 5, 0, ("05",)),
    "08": ("DifferNet", 6, -0.5, ("07",)),
    "09": ("CFlow-AD", 6, 0.5, ("07",)),
    "10": ("CS-Flow", 6, 1.5, ("06", "07")),
    "11": ("FastFlow", 6, 2.5, ("06", "07")),
    "12": ("PyramidFlow", 6, 3.5, ("06",)),
    "13": ("Side by side", 2.2, 3, ()),
    "14": ("Latent explorer", 3.4, 3, ()),
    "15": ("Your own images", 1, 3, ()),
}


def present_chapters(folder: Path | None = None) -> list[str]:
    """Numbers of the chapters whose notebook lies in ``notebooks/`` (found from this file, not from the caller)."""
    folder = folder or Path(__file__).parents[2] / "notebooks"
    return sorted(path.name[:2] for path in folder.glob("[0-9][0-9]_*.ipynb") if path.name[:2] in CHAPTERS)


def graph(present: list[str]) -> Figure:
    """Boxes and arrows: dark where the chapter is ``present``, pale where it is planned."""
    fig, ax = plt.subplots(figsize=(7.2, 4.4), layout="constrained")
    for _, column, row, needs in CHAPTERS.values():
        for need in needs:
            _, from_column, from_row, _ = CHAPTERS[need]
            ax.annotate("", (column - 0.47, row), (from_column + 0.47 if column > from_column else from_column, from_row),
                        arrowprops={"arrowstyle": "->", "color": style.GREY, "shrinkA": 1, "shrinkB": 1})
    for number, (title, column, row, _) in CHAPTERS.items():
        here = number in present
        ax.text(column, row, f"{number}\n{title}", ha="center", va="center", fontsize=8,
                color="white" if here else "black",
                bbox={"boxstyle": "round,pad=0.3", "facecolor": style.BLUE if here else "white",
                      "edgecolor": style.BLUE if here else style.GREY})
    ax.text(2.2, 3.75, "can be opened at any time", ha="center", fontsize=8, style="italic")
    ax.set(xlim=(-0.6, 6.6), ylim=(4.1, -1))
    ax.set_axis_off()
    return fig
