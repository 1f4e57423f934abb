"""Pure functions: arrays in, matplotlib figures out. ``style`` holds the look, ``show`` displays with a caption."""

from tutorial_lib.plots import style
from tutorial_lib.plots.display import png, show, show_photos, show_png, show_source

__all__ = ["png", "show", "show_photos", "show_png", "show_source", "style"]
