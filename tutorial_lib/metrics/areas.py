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
    earned = np.where(above < limit, limit - (above + through) / 2, 0.0)  # (N,)
    cut = (above < limit) & (through > limit)  # ties that straddle the limit
    earned[cut] = (limit - above[cut]) ** 2 / (2 * (through[cut] - above[cut]))
    value = float(np.dot(weights, earned) / limit)
    return min(max(value, 0.0), 1.0)  # a sum of shares: rounding may lead it past its ends


def false_positive_shares(defective: np.ndarray, normal: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each defective score ``(N,)``, the shares of normal scores ``(M,)`` above it (a), and at or above it (b)."""
    ordered, m = np.sort(normal), len(normal)
    above = (m - np.searchsorted(ordered, defective, side="right")) / m
    through = (m - np.searchsorted(ordered, defective, side="left")) / m
    return above, through
