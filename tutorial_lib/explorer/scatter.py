"""A map of points as a widget: hover names one, a click opens it; arrow keys and Enter do the same.

The coordinates travel once, as bytes; ``selected`` is an ordinary trait, so whoever uses the widget (and every test)
needs no browser. ``scatter.js`` fetches nothing.
"""

from __future__ import annotations

from pathlib import Path

import anywidget
import numpy as np
import traitlets as t

_HERE = Path(__file__).parent
MARGIN = 0.03  # of the width, so that no point lies on the frame


class Scatter(anywidget.AnyWidget):
    """Points to choose from, over white or over a picture.

    Traits:
        points: float32 bytes of ``(N, 2)`` in [0, 1], y upwards. kinds: uint8 bytes, one look per point.
        looks: ``[colour, shape, radius in pixels, hollow]`` of each kind; shapes are circle, triangle, square, diamond.
        names: one per point. selected: index of the open point, -1 for none.
        size: ``[width, height]`` in CSS pixels. picture: PNG bytes drawn behind the points, or nothing.
        cell: ``[width, height]`` of a cell as a share of the picture: the ring is then a box, and any click hits one.
        label: what the map is, for screen readers.
    """

    _esm = _HERE / "scatter.js"
    _css = _HERE / "scatter.css"
    points = t.Bytes(b"").tag(sync=True)
    kinds = t.Bytes(b"").tag(sync=True)
    looks = t.List().tag(sync=True)
    names = t.List(t.Unicode()).tag(sync=True)
    selected = t.Int(-1).tag(sync=True)
    size = t.List(t.Int(), [440, 360]).tag(sync=True)
    picture = t.Bytes(b"").tag(sync=True)
    cell = t.List(t.Float(), [0.0, 0.0]).tag(sync=True)
    label = t.Unicode("").tag(sync=True)

    def show(self, points, kinds, names) -> None:
        """Replace all points; ``points`` ``(N, 2)`` in any unit, ``kinds`` ``(N,)`` indices into ``looks``."""
        with self.hold_sync():  # one message, and ``points`` last in it: the page redraws when it arrives
            self.kinds, self.names = np.asarray(kinds, np.uint8).tobytes(), [str(name) for name in names]
            self.points = unit_square(np.asarray(points, np.float64)).astype(np.float32).tobytes()


def unit_square(points: np.ndarray) -> np.ndarray:
    """``(N, 2)`` in any unit to [0, 1]², each axis on its own, with a margin; an axis without spread goes to ½."""
    low, span = points.min(0, keepdims=True), np.ptp(points, axis=0, keepdims=True)
    inside = np.where(span > 0, (points - low) / np.where(span > 0, span, 1.0), 0.5)
    return MARGIN + (1 - 2 * MARGIN) * inside
