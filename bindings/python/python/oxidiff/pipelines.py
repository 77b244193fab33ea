"""All pipelines, where diffusers has them: `from oxidiff.pipelines import StableDiffusionPipeline`."""

from ._auto import AUTO
from ._outputs import ImagePipelineOutput
from ._pipelines import CLASSES, DiffusionPipeline
from ._redux import CLASSES as REDUX
from ._submodules import find

__getattr__ = find

#: A package for Python, so that it can look for further modules in it: see `_submodules`.
__path__ = []

globals().update(CLASSES, **REDUX, **AUTO)

__all__ = ["DiffusionPipeline", "ImagePipelineOutput", *CLASSES, *REDUX, *AUTO]
