"""The image processor, where diffusers has it: `from oxidiff.image_processor import VaeImageProcessor`."""

from ._oxidiff import VaeImageProcessor

__all__ = ["VaeImageProcessor"]
