"""Pictures to learn from: the defect factory, 2-D toys, and folders of photographs, all as one ``Split``."""

from tutorial_lib.data import factory, folder, toys
from tutorial_lib.data.digits import glyph_images, glyph_labels, texture_images
from tutorial_lib.data.files import ImageFiles, MaskFiles
from tutorial_lib.data.images import DataError, read_image, read_mask
from tutorial_lib.data.splits import Images, Masks, Split

__all__ = ["DataError", "ImageFiles", "Images", "MaskFiles", "Masks", "Split", "factory", "folder", "glyph_images",
           "glyph_labels", "read_image", "read_mask", "texture_images", "toys"]
