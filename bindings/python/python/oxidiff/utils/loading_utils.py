"""Images from files, where diffusers has it: `from oxidiff.utils.loading_utils import load_image`."""

from .._images import load_image

__all__ = ["load_image"]


def __getattr__(name):
    if name.startswith("load_"):
        raise NotImplementedError(f"oxidiff has no `utils.loading_utils.{name}`: it makes images, not videos")
    raise AttributeError(f"module 'oxidiff.utils.loading_utils' has no attribute '{name}'")
