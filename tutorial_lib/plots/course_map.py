"""The dependency graph of the chapters, drawn from one table."""

from __future__ import annotations

from pathlib import Path

import matplotlib.pyplot as plt
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

from tutorial_lib.plots import style

# number: (title, column, row, chapters it needs)
CHAPTERS = {
    "00": ("Start here", 0, 1, ()),
    "01": ("Defect\ndetection", 1.2, -0.4, ("00",)),
    "02": ("Jacobian\nmatrix", 1.2, 1, ("00",)),
    "03": ("Determinant", 2.4, 1, ("02",)),
    "04": ("Change of\nvariables", 3.6, 1, ("03",)),
    "05": ("Normalizing\nflows", 4.8, 1, ("04",)),
    "06": ("Flows that\npaint", 6, 2.2, ("05",)),
    "07": ("Density to\ndefects", 6, 0, ("05",)),
    "08": ("DifferNet", 7.6, -0.6, ("07",)),
    "09": ("CFlow-AD", 7.6, 0.35, ("07",)),
    "10": ("CS-Flow", 7.6, 1.3, ("06", "07")),
    "11": ("FastFlow", 7.6, 2.25, ("06", "07")),
    "12": ("PyramidFlow", 7.6, 3.2, ("06", "07")),
    "13": ("Side by\nside", 1.2, 3.2, ()),
    "14": ("Latent\nexplorer", 2.4, 3.2, ()),
    "15": ("Your own\nimages", 3.6, 3.2, ()),
}
HALF_WIDTH, HALF_HEIGHT = 0.48, 0.38


def present_chapters(folder: Path | None = None) -> list[str]:
    """Numbers of the chapters that are written: those with a source in ``course/chapters/``."""
    folder = folder or Path(__file__).parents[2] / "course" / "chapters"
    return sorted(path.name[:2] for path in folder.glob("[0-9][0-9]_*.py") if path.name[:2] in CHAPTERS)


def graph(present: list[str]) -> Figure:
    """Boxes and arrows: dark where the chapter is ``present``, pale where it is planned."""
    fig, ax = plt.subplots(figsize=(8.4, 4.2), layout="constrained")
    for number, (title, column, row, needs) in CHAPTERS.items():
        here = number in present
        ax.add_patch(FancyBboxPatch((column - HALF_WIDTH, row - HALF_HEIGHT), 2 * HALF_WIDTH, 2 * HALF_HEIGHT,
                                    boxstyle="round,pad=0,rounding_size=0.08", lw=1.2,
                                    fc=style.BLUE if here else "white", ec=style.BLUE if here else style.GREY))
        ax.text(column, row, f"{number}\n{title}", ha="center", va="center", fontsize=8,
                color="white" if here else "black")
        for need in needs:
            _, from_column, from_row, _ = CHAPTERS[need]
            ax.annotate("", (column - HALF_WIDTH, row), (from_column + HALF_WIDTH, from_row),
                        arrowprops={"arrowstyle": "-|>", "color": style.GREY, "shrinkA": 0, "shrinkB": 0})
    ax.text(2.4, 2.65, "can be opened at any time", ha="center", fontsize=9, style="italic")
    ax.set(xlim=(-0.5, 8.1), ylim=(3.65, -1.05))
    ax.set_axis_off()
    return fig
