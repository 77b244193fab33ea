"""Animations as files, where diffusers has it: `from oxidiff.utils.export_utils import export_to_gif`."""

from .._images import export_to_gif

__all__ = ["export_to_gif"]


def __getattr__(name):
    if name.startswith("export_to_"):
        raise NotImplementedError(f"oxidiff has no `utils.export_utils.{name}`: it makes images, neither videos nor shapes")
    raise AttributeError(f"module 'oxidiff.utils.export_utils' has no attribute '{name}'")
