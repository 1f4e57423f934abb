"""Lets a torchvision whose compiled operators do not load be imported all the same.

Why this exists: a CPU build of torch beside a CUDA build of torchvision is a common accident of package
indexes. The compiled part of torchvision then does not load, and ``import torchvision`` stops with
"operator torchvision::nms does not exist", although transforms and models need none of it. Declaring the two
operators is enough. Where torchvision is sound nothing is changed.
"""

import sys

_library = None  # torch forgets the declarations when this object dies


def repair() -> bool:
    """Import torchvision, declaring its missing operators first if that is what stops it.

    Returns True if the repair was needed. Any other failure of the import is left for its own importer to report.
    """
    global _library
    try:
        import torchvision
    except ImportError:
        return False
    except RuntimeError as error:
        if "torchvision::nms" not in str(error):
            return False
    else:
        return False
    import torch

    for name in [m for m in sys.modules if m == "torchvision" or m.startswith("torchvision.")]:
        del sys.modules[name]
    _library = torch.library.Library("torchvision", "DEF")
    for op in ("nms", "qnms"):
        _library.define(f"{op}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    import torchvision  # noqa: F401

    return True
