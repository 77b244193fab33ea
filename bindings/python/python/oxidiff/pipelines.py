"""All pipelines, where diffusers has them: `from oxidiff.pipelines import StableDiffusionPipeline`."""

from ._outputs import ImagePipelineOutput
from ._pipelines import AUTO, CLASSES, DiffusionPipeline

globals().update(CLASSES, **AUTO)

__all__ = ["DiffusionPipeline", "ImagePipelineOutput", *CLASSES, *AUTO]
