"""All models, where diffusers has them: `from oxidiff.models import AutoencoderKL`."""

from ._models import CLASSES, AutoModel, ModelMixin

globals().update(CLASSES)

__all__ = ["AutoModel", "ModelMixin", *CLASSES]
