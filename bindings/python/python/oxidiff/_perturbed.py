"""Perturbed attention guidance (PAG): the classes that have it, and the layers that it perturbs."""

from ._pipelines import CLASSES, DiffusionPipeline

#: The ends of the names of pipelines, before which those with perturbed attention have `PAG`.
ENDS = ("Img2ImgPipeline", "InpaintPipeline", "Pipeline")


def perturbed(pipeline):
    """The pipeline of the same family and task that guides by perturbed attention, with the same parts.

    Raises:
        NotImplementedError: when there is none.
    """
    name = type(pipeline).__name__
    if "PAG" in name:
        return pipeline
    end = next(end for end in ENDS if name.endswith(end))
    wanted = name.removesuffix(end) + "PAG" + end
    if wanted not in CLASSES:
        raise NotImplementedError(f"`enable_pag=True`: there is no `{wanted}`")
    return DiffusionPipeline._made_from(pipeline, wanted, {})


def take_perturbation(kwargs):
    """Takes `enable_pag` and `pag_applied_layers` out of keyword arguments; returns what applies them to a pipeline."""
    wanted, layers = kwargs.pop("enable_pag", None), kwargs.pop("pag_applied_layers", None)

    def applied(pipeline):
        if wanted:
            pipeline = perturbed(pipeline)
        if layers is not None:
            pipeline.set_pag_applied_layers(layers)
        return pipeline

    return applied
