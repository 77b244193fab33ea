"""All models, where diffusers has them: `from oxidiff.models import AutoencoderKL`."""

from ._models import CLASSES, AutoModel, ModelMixin
from ._multi import CLASSES as MULTI
from ._submodules import find

__getattr__ = find

#: A package for Python, so that it can look for further modules in it: see `_submodules`.
__path__ = []

globals().update(CLASSES, **MULTI)

__all__ = ["AutoModel", "ModelMixin", *CLASSES, *MULTI]
