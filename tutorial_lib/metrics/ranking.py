"""Image-level metrics: one score per image, ranked. Nothing here depends on the size of a score, only on its order."""

import numpy as np

from tutorial_lib.metrics.areas import area, false_positive_shares
from tutorial_lib.metrics.inputs import scores_and_labels


def auroc(scores, labels) -> float:
    """The probability that a defective image scores higher than a normal one, a tie counting one half.

    ``AUROC = (pairs ordered rightly + ½ · ties) / (defective · normal)``; 0.5 is guessing, 1 is perfect.

    ``scores`` ``(N,)`` higher = more anomalous, ``labels`` ``(N,)`` True = defective. Raises ``MetricError`` on NaN,
    on shapes that differ, and where one class is missing. Source: Mann and Whitney 1947; Hanley and McNeil 1982.
    """
    scores, labels = scores_and_labels(scores, labels)
    above, through = false_positive_shares(scores[labels], scores[~labels])
    return area(np.full(len(above), 1 / len(above)), above, through)


def average_precision(scores, labels) -> float:
    """The precision met on the way down the ranking, averaged over the defective images.

    ``AP = Σ_k (R_k − R_{k−1}) · P_k`` over the distinct thresholds k, with recall R and precision P; images that tie
    enter together. Guessing gives the share of defective images, so compare only within one test set.

    Arguments and errors as in :func:`auroc`. Source: the definition that scikit-learn uses (no interpolation).
    """
    scores, labels = scores_and_labels(scores, labels)
    order = np.argsort(-scores, kind="stable")
    found = np.cumsum(labels[order])  # (N,) defects among the k highest scores
    last_of_tie = np.append(scores[order][1:] != scores[order][:-1], True)
    found, inspected = found[last_of_tie], np.flatnonzero(last_of_tie) + 1
    gained = np.diff(found, prepend=0) / found[-1]
    return min(float(np.dot(gained, found / inspected)), 1.0)  # rounding may lead the sum past its end
