"""From scores of normal images to a decision."""

from __future__ import annotations

import math

from torch import Tensor

from .errors import DetectorError


def quantile_threshold(scores: Tensor, fpr: float) -> dict:
    """The smallest of ``scores`` that at most a share ``fpr`` of them exceeds; alarm where score > threshold.

    Args:
        scores: ``(N,)`` of normal images. fpr: wanted share of false alarms, between 0 and 1.

    Returns:
        ``threshold``, ``fpr``, ``found`` (share of these scores above), ``normals`` (N), ``note`` (empty, or a sentence
        that says that N is too small for this fpr).

    Raises:
        DetectorError: ``fpr`` is no share.
    """
    if not 0 < fpr < 1:
        raise DetectorError(f"calibrate got fpr={fpr}. Expected a share between 0 and 1, such as 0.01.")
    n = len(scores)
    allowed = math.floor(fpr * n + 1e-9)  # so many may lie above; the 1e-9 is for 0.1 * 30 = 2.9999999999999996
    threshold = float(scores.sort(descending=True).values[allowed])
    note = "" if allowed else (f"{n} normal images cannot show a false-alarm rate of {fpr:g}: the threshold is the "
                               f"largest normal score. {math.ceil(1 / fpr)} images are needed.")
    return {"threshold": threshold, "fpr": fpr, "found": float((scores > threshold).float().mean()), "normals": n,
            "note": note}
