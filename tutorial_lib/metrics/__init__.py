"""How an answer is judged: image level, pixel level, region level, and how sure we are.

Every area here is one sum (see ``areas.py``): a defective item earns the share of the false-positive axis that
lies to the right of it. Items are images, pixels, or pixels weighted so that every defect region counts the same.
"""

from tutorial_lib.metrics.bootstrap import bootstrap_interval
from tutorial_lib.metrics.inputs import MetricError
from tutorial_lib.metrics.pixels import aupro, connected_regions, pixel_auroc
from tutorial_lib.metrics.ranking import auroc, average_precision

__all__ = [
    "MetricError",
    "aupro",
    "auroc",
    "average_precision",
    "bootstrap_interval",
    "connected_regions",
    "pixel_auroc",
]
