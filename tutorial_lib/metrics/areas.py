"""The one sum behind AUROC, pixel AUROC and AUPRO.

Walk along the false-positive axis from 0 to 1 by lowering the threshold. A defective item with score v is found at
``a = share of normal items above v``, and, where normal items tie with it, on the straight line from there to
``b = share of normal items at or above v``. So with weights that add up to 1

    area up to a limit L = Σ_i w_i · r(a_i, b_i) / L,   r = L − (a + b)/2          if b ≤ L
                                                        r = (L − a)² / (2 (b − a))  if a < L < b
                                                        r = 0                       if a ≥ L

which is the trapezoid rule on the curve, cut at L by linear interpolation, without ever building the curve.
"""

import numpy as np


def area(weights: np.ndarray, above: np.ndarray, through: np.ndarray, limit: float = 1.0) -> float:
    """The area under the curve up to false-positive rate ``limit``, divided by ``limit``: 0 to 1.

    ``weights``, ``above`` (a) and ``through`` (b) have shape ``(N,)``: one entry per defective item, or per bin.
    """
    above, through = np.asarray(above, np.float64), np.asarray(through, np.float64)
    width = np.maximum(through - above, np.finfo(float).tiny)
    cut = np.clip(limit - above, 0.0, None) ** 2 / (2 * width)
    earned = np.where(through <= limit, limit - (above + through) / 2, cut)  # (N,)
    return float(np.dot(weights, earned) / limit)


def false_positive_shares(defective: np.ndarray, normal: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each defective score ``(N,)`` the shares (a, b) of the normal scores ``(M,)`` above it, and at or above it."""
    ordered = np.sort(normal)
    above = 1.0 - np.searchsorted(ordered, defective, side="right") / len(ordered)
    through = 1.0 - np.searchsorted(ordered, defective, side="left") / len(ordered)
    return above, through
