"""A fitted detector with its coupling blocks taken out: the same features, the same views, the same rule for the map.

What is left of DifferNet, CFlow, CS-Flow and FastFlow is the affine flow in front, one whitening for each vector or
tap: their score becomes the squared Mahalanobis distance, put through the method's own rule. What is left of
PyramidFlow is the distance to the mean pyramid of the training images. Method minus this is what the flow added.
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from tutorial_lib import detectors
from tutorial_lib.detectors.likelihood_map import largest
from tutorial_lib.flows import Chain, Flow, Whitening

LEFT = {"differnet": "Gaussian", "cflow": "Gaussian", "csflow": "Gaussian", "fastflow": "Gaussian",
        "pyramidflow": "mean pyramid"}


@torch.no_grad()
def without_flow(detector: detectors.Detector, train: Tensor) -> detectors.Detector:
    """A copy of a fitted ``detector`` that has no coupling blocks; the original stays as it is.

    Args:
        train: the normal images that it was fitted to, for what scoring takes from them (maxima, template).

    Raises:
        ValueError: a method without a flow, or one that was told to leave the whitening out.
    """
    if detector.name not in LEFT:
        raise ValueError(f"{detector.name} has no flow to take out. Expected one of {', '.join(LEFT)}.")
    if not getattr(detector.settings, "whiten", True):
        raise ValueError(f"{detector.name} was fitted with whiten=False: without its blocks no Gaussian would be left. "
                         "Fit it with whiten=True.")
    bare = copy.copy(detector)
    if detector.name in ("differnet", "csflow"):
        bare.flow = _front(detector.flow)
    elif detector.name == "fastflow":
        bare.heads = copy.deepcopy(detector.heads)
        for head in bare.heads:
            head.flow = _front(head.flow)
    elif detector.name == "cflow":
        bare.flows = nn.ModuleList(Flow(Chain(), flow.shape) for flow in detector.flows)  # the whitening is outside
        found = [largest(bare.likelihoods(bare.vectors(batch))) for batch, _ in bare._batches(train, "fit")]
        bare.maxima = torch.stack(found).amax(0)
    else:
        bare.model = copy.deepcopy(detector.model)
        bare.model.flow = Chain()
        bare.template = bare.build_template(train)
    return bare


def _front(flow: Flow) -> Flow:
    """The flow with its first part alone, the whitening or those of all scales."""
    front = flow.transform[:1]
    if not any(isinstance(part, Whitening) for part in front.modules()):
        raise ValueError("The flow does not begin with a whitening. Fit the detector with whiten=True.")
    return Flow(front, flow.shape)
