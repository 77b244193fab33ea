"""Functions for images, where diffusers has them: `from oxidiff.utils import load_image, make_image_grid`."""

from ._images import export_to_gif, load_image, make_image_grid
from ._outputs import BaseOutput

__all__ = ["BaseOutput", "export_to_gif", "load_image", "make_image_grid"]
