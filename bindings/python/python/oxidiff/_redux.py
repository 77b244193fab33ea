"""FLUX.1 Redux: images as the end of a prompt. Its result is no image but the embedded prompt of a call."""

from . import _oxidiff
from ._loading import options, path, warn_of_unknown
from ._methods import describe, method
from ._models import CLASSES as MODELS
from ._moving_pipelines import MovingMixin
from ._outputs import FluxPriorReduxPipelineOutput
from ._pipeline_parts import Part
from ._saving import save
from ._unsupported import refuse_overrides

ARGUMENTS = _oxidiff.ReduxCore.arguments()
#: The parts that are not always there: with those of another pipeline, a call takes prompts.
OPTIONAL = ("text_encoder", "tokenizer", "text_encoder_2", "tokenizer_2")


class FluxPriorReduxPipeline(MovingMixin):
    """`FluxPriorReduxPipeline` of diffusers: turns images into embedded prompts for pipelines of FLUX.1.

    >>> prompt = redux(image)
    >>> image = pipeline(**prompt, guidance_scale=2.5).images[0]
    """

    config_name = "model_index.json"
    model_cpu_offload_seq = "image_encoder->image_embedder"

    def __init__(self, **parts):
        raise NotImplementedError("load the pipeline with `FluxPriorReduxPipeline.from_pretrained`, which also takes parts")

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path, **kwargs):
        """Loads the pipeline from a folder or from the hub.

        Args:
            pretrained_model_name_or_path (str): The folder, or the name of a repository.
            torch_dtype, dtype, mindspore_dtype: The element type to compute in: float32 (the default), float16 or bfloat16.
            variant (str), revision (str), cache_dir (str), token (str), local_files_only (bool): As for other pipelines.
            text_encoder, tokenizer, text_encoder_2, tokenizer_2: Those of a pipeline of FLUX.1, so that a call takes prompts.
            image_encoder, image_embedder: Parts to use instead of those of the checkpoint.

        Raises:
            OSError: when a file is missing or damaged.
            ValueError: when a configuration has a value that its class does not know, or a part does not fit.
        """
        chosen, parts = options(kwargs)
        pipeline = object.__new__(cls)
        core = _oxidiff.ReduxCore.from_pretrained(path(pretrained_model_name_or_path), chosen)
        pipeline.__dict__.update(_core=core, _parts={})
        for name, class_name, model in core.parts():
            pipeline._parts[name] = Part(None, class_name) if model is None else MODELS[class_name]._of(model)
        names = {*pipeline._parts, *OPTIONAL}
        unknown = {name: part for name, part in parts.items() if name not in names}
        warn_of_unknown(unknown, cls.__name__)
        for name in parts.keys() - unknown.keys():
            setattr(pipeline, name, parts[name])
        return pipeline

    def save_pretrained(self, save_directory, safe_serialization=True, variant=None, max_shard_size=None, push_to_hub=False, **kwargs):
        """Writes the pipeline into a folder, which is created if it does not exist: see `DiffusionPipeline.save_pretrained`."""
        self._synchronise()
        save(self._core.save_pretrained, save_directory, safe_serialization, variant, max_shard_size, {"push_to_hub": push_to_hub, **kwargs})

    @property
    def components(self):
        """The parts by name; `None` for those that are not there."""
        return {**{name: None for name in OPTIONAL}, **self._parts}

    @property
    def dtype(self):
        """The element type of the models."""
        return self._parts["image_embedder"].dtype

    def _call(self, given):
        whole = given.pop("return_dict")
        self._synchronise()
        made = self._core.call({name: value for name, value in given.items() if value is not None})
        return FluxPriorReduxPipelineOutput(*made) if whole else made

    __call__ = method(
        "FluxPriorReduxPipeline", "__call__",
        [(info["name"], info["default"]) for info in ARGUMENTS] + [("return_dict", True)],
        "_call",
        lambda: describe(
            "Embeds images, after a prompt if there are text encoders, as the prompt of a call.",
            ARGUMENTS,
            "An output with `prompt_embeds` and `pooled_prompt_embeds`; with `return_dict=False`, a tuple of them.",
            ["ValueError: when an argument has a value that the pipeline cannot work with."],
        ),
    )

    def _synchronise(self):
        """Hands on what was done to the models."""
        for name, part in self._parts.items():
            if not isinstance(part, Part):
                self._core.set_part(name, part._core)

    def __getattr__(self, name):
        parts = self.__dict__.get("_parts", {})
        if name in parts:
            return parts[name]
        if name in OPTIONAL:
            return None
        raise AttributeError(f"a {type(self).__name__} has no `{name}`")

    def __setattr__(self, name, value):
        if name not in self._parts and name not in OPTIONAL:
            object.__setattr__(self, name, value)
        elif value is None:
            if name not in OPTIONAL:
                raise NotImplementedError(f"a {type(self).__name__} without its `{name}` is not supported")
            self._core.set_part(name, None)
            self._parts.pop(name, None)
        else:
            if getattr(value, "_core", None) is None:
                raise TypeError(f"`{name}`: must be a part of this package, not a {type(value).__name__}")
            refuse_overrides(value)
            self._core.set_part(name, value._core)
            self._parts[name] = value

    def __repr__(self):
        parts = "".join(f"\n  {name}: {type(part).__name__}" for name, part in self._parts.items())
        return f"{type(self).__name__}{parts}\n"


CLASSES = {"FluxPriorReduxPipeline": FluxPriorReduxPipeline}
