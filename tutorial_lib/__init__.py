"""Normalizing flows for image defect detection: the library behind the course.

Open a folder to see what it is for:

- ``flows``      invertible maths, one idea per file; knows no paper
- ``backbones``  frozen feature extractors and their weights
- ``detectors``  one paper, one file, plus the baselines that a flow must beat
- ``data``       the defect factory, 2-D toys, folders of photographs
- ``metrics``    AUROC, average precision, AUPRO, bootstrap intervals
- ``plots``      arrays in, matplotlib figures out
- ``widgets``    sliders in, plots out
- ``stored``     small trained detectors that came with the course
- ``explorer``   the latent explorer: where an image lies in a detector's latent space, and why
- ``checks``     what the exercises call; the laws are shared with the tests
- ``cli``        ``python -m tutorial_lib doctor | compare | explore | lab``

Notation everywhere: x data, z latent, ``log p(x) = log p(z) + log_det``.
"""

from tutorial_lib import _torchvision_guard

__version__ = "0.1.0"
_torchvision_guard.repair()
