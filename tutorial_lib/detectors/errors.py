"""What goes wrong with a detector, in a sentence that names the next step."""

from __future__ import annotations


class DetectorError(ValueError):
    """Images, settings or a file that a detector cannot work with."""


class NoMapError(DetectorError):
    """A heat map was asked of a method that has none."""
