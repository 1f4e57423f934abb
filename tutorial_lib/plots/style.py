"""One look for every figure: colours that colour-blind readers can tell apart, sizes that stay legible at half width.

The colours are from Okabe and Ito's set (2008, "Color Universal Design"); maps of numbers use perceptual scales, and a
diverging one only where the sign means something.
"""

from __future__ import annotations

import matplotlib as mpl
from cycler import cycler

BLUE, ORANGE, GREEN = "#0072B2", "#D55E00", "#009E73"
SKY, AMBER, PINK = "#56B4E9", "#E69F00", "#CC79A7"
BLACK, GREY, PALE = "#000000", "#767676", "#D9D9D9"
CYCLE = (BLUE, ORANGE, GREEN, PINK, AMBER, SKY, BLACK)

SEQUENTIAL = "viridis"  # amounts: densities, anomaly maps
NEUTRAL = "cividis"     # amounts, where viridis stands beside it and means something else
DIVERGING = "RdBu_r"    # signed numbers around zero: log_det, differences

WIDE, HALF = (7.0, 3.2), (4.2, 3.2)  # inches
DPI = 120


def use() -> None:
    """Make the house style the default of matplotlib."""
    mpl.rcParams.update({
        "font.size": 11, "axes.titlesize": 11, "axes.labelsize": 11, "legend.fontsize": 10,
        "xtick.labelsize": 10, "ytick.labelsize": 10, "font.family": "DejaVu Sans",
        "figure.figsize": WIDE, "figure.dpi": DPI, "savefig.dpi": DPI, "figure.constrained_layout.use": True,
        "axes.prop_cycle": cycler(color=CYCLE), "axes.spines.top": False, "axes.spines.right": False,
        "axes.axisbelow": True, "grid.color": PALE, "grid.linewidth": 0.6, "lines.linewidth": 1.8,
        "image.cmap": SEQUENTIAL, "legend.frameon": False,
    })
