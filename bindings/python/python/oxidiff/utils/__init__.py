"""Functions for images, where diffusers has them: `from oxidiff.utils import load_image, make_image_grid`."""

from .._images import export_to_gif, load_image, make_image_grid
from .._outputs import BaseOutput
from . import logging
from .logging import get_logger
from .torch_utils import randn_tensor

__all__ = ["BaseOutput", "check_min_version", "export_to_gif", "get_logger", "load_image", "logging", "make_image_grid", "randn_tensor"]

#: The version of diffusers that this package was compared with.
DIFFUSERS_VERSION = (0, 42, 1)


def check_min_version(min_version):
    """Raises `ImportError` where a program needs a later version of diffusers than that which this package follows."""
    numbers = tuple(int(part) for part in min_version.split(".")[:3] if part.isdigit())
    if numbers > DIFFUSERS_VERSION:
        known = ".".join(map(str, DIFFUSERS_VERSION))
        raise ImportError(f"the program needs diffusers {min_version}, but this package follows diffusers {known}")


def __getattr__(name):
    if name.startswith("is_") and name.endswith("_available"):
        from . import import_utils

        return getattr(import_utils, name)
    if name.startswith(("export_to_", "load_", "is_")) or name.endswith(("_to_pil", "_to_numpy", "_to_pt")):
        raise NotImplementedError(f"oxidiff has no `utils.{name}`: `oxidiff.utils.__all__` lists what it has")
    raise AttributeError(f"module 'oxidiff.utils' has no attribute '{name}'")
