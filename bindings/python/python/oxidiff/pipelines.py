"""All pipelines, where diffusers has them: `from oxidiff.pipelines import StableDiffusionPipeline`."""

from ._auto import AUTO
from ._outputs import ImagePipelineOutput
from ._pipelines import CLASSES, DiffusionPipeline
from ._submodules import find

__getattr__ = find

#: A package for Python, so that it can look for further modules in it: see `_submodules`.
__path__ = []

globals().update(CLASSES, **AUTO)

__all__ = ["DiffusionPipeline", "ImagePipelineOutput", *CLASSES, *AUTO]
