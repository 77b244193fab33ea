"""Functions for images, where diffusers has them: `from oxidiff.utils import load_image, make_image_grid`."""

from .._images import export_to_gif, load_image, make_image_grid
from .._outputs import BaseOutput
from . import logging
from .torch_utils import randn_tensor

__all__ = ["BaseOutput", "export_to_gif", "load_image", "logging", "make_image_grid", "randn_tensor"]


def __getattr__(name):
    if name.startswith(("export_to_", "load_", "is_")) or name.endswith(("_to_pil", "_to_numpy", "_to_pt")):
        raise NotImplementedError(f"oxidiff has no `utils.{name}`: `oxidiff.utils.__all__` lists what it has")
    raise AttributeError(f"module 'oxidiff.utils' has no attribute '{name}'")
