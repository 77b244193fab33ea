"""AutoPipelines: they choose the class of a checkpoint's family for a task."""

from . import _oxidiff
from ._perturbed import take_perturbation
from ._pipelines import DiffusionPipeline


def _auto(class_name):
    class Auto:
        def __init__(self, *args, **kwargs):
            raise EnvironmentError(f"load a pipeline with `{class_name}.from_pretrained` or `{class_name}.from_pipe`")

        @classmethod
        def from_pretrained(cls, pretrained_model_or_path, **kwargs):
            """Loads the pipeline for the task: see `DiffusionPipeline.from_pretrained`. `enable_pag=True` chooses a class that guides
            by perturbed attention, in the layers that `pag_applied_layers` names."""
            applied = take_perturbation(kwargs)
            load = _oxidiff.PipelineCore.from_pretrained
            return applied(DiffusionPipeline._loaded(load, pretrained_model_or_path, kwargs, class_name))

        @classmethod
        def from_pipe(cls, pipeline, **kwargs):
            """Makes the pipeline for the task from the parts of another, which shares its weights. `enable_pag` and `pag_applied_layers`
            are those of `from_pretrained`."""
            applied = take_perturbation(kwargs)
            return applied(DiffusionPipeline._made_from(pipeline, class_name, kwargs))

    Auto.__name__ = Auto.__qualname__ = class_name
    Auto.__module__ = "oxidiff"
    Auto.__doc__ = "Chooses the class of a checkpoint's family for the task in the name of this one."
    return Auto


AUTO = {name: _auto(name) for name in _oxidiff.auto_pipeline_classes()}
