"""The latent explorer: where an image lies in the latent space of a trained detector, and why it is scored as it is.

Everything to compute is a pure function, usable without a widget:

``study``         a detector's view of a set of images, computed once: scores, latents, heat maps, names
``distribution``  are the latents N(0, 1)? quantiles, squared norms against chi², correlation left over
``projection``    two coordinates per image (principal components, rank and radius), and the nearest normal image
``likelihood``    -log p(z) and -log_det of each image: also the part that the score leaves out
``blame``         which term of the score is to blame, at which scale, channel and position
``gradients``     which pixels would change the score
``places``        one position's vector among those of normal images
``walks``         a step in latent space, decoded to pixels where the method can, and encoded again
``scatter``       the map of points as a widget (a canvas; no network, keyboard and screen reader included)
``app``           all of it together; ``page`` shows it as a web page of its own
"""

from .blame import Blame, blame
from .gradients import gradient_map
from .likelihood import likelihood_parts
from .study import Study

__all__ = ["Blame", "Study", "blame", "gradient_map", "likelihood_parts"]
