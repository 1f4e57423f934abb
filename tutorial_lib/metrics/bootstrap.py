"""How far a metric would move if other images of the same kind had been photographed."""

from collections.abc import Callable

import numpy as np

from tutorial_lib.metrics.inputs import MetricError, scores_and_labels


def bootstrap_interval(
    metric: Callable, scores, labels, n: int = 1000, level: float = 0.95, seed: int = 0
) -> tuple[float, float]:
    """The percentile bootstrap interval of ``metric(scores, labels)`` over test images.

    Normal and defective images are drawn again separately, with replacement, so every draw keeps both class sizes.
    The interval speaks of the choice of test images only: not of another training seed or another camera.

    ``n`` draws, ``level`` the share of draws inside, ``seed`` makes it repeatable. Returns ``(low, high)``.
    Raises ``MetricError`` as the metric does. Source: Efron 1979; percentile method as in Efron and Tibshirani 1993.
    """
    scores, labels = scores_and_labels(scores, labels)
    if n < 1 or not 0 < level < 1:
        raise MetricError(f"n is {n} and level is {level}; expected n ≥ 1 draws and a level between 0 and 1.")
    rng = np.random.default_rng(seed)
    normal, defective = np.flatnonzero(~labels), np.flatnonzero(labels)
    values = np.empty(n)
    for draw in range(n):
        chosen = np.concatenate([rng.choice(normal, len(normal)), rng.choice(defective, len(defective))])
        values[draw] = metric(scores[chosen], labels[chosen])
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
