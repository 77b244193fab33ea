"""Pipelines: one class for each of the library's registry."""

from . import _oxidiff
from ._attributes import PipelineAttributes, offload_order
from ._calls import call
from ._config import JsonMixin, html, loads
from ._incomplete import Incomplete, made
from ._ip_adapters import IPAdapterMixin
from ._loading import ADDITIONS, options, path, warn_of_unknown
from ._loras import LoraMixin
from ._methods import describe, method
from ._models import ModelMixin
from ._moving_pipelines import MovingMixin
from ._multi import Several, together
from ._part_attributes import PartAttributes, python
from ._pipeline_parts import FURTHER, VaeMixin
from ._program import dtype_of_program
from ._saving import save
from ._unsupported import PIPELINE_METHODS, refuse_overrides, refuses


@refuses(*PIPELINE_METHODS)
class DiffusionPipeline(MovingMixin, LoraMixin, IPAdapterMixin, VaeMixin, PipelineAttributes, PartAttributes, JsonMixin):
    """Makes images: the models, the scheduler and everything else that belongs to a checkpoint.

    `DiffusionPipeline.from_pretrained` returns a pipeline of the class that the checkpoint names. Its parts are attributes:
    `pipeline.unet`, `pipeline.scheduler = ...`.
    """

    config_name = "model_index.json"
    model_cpu_offload_seq = None
    _class_name = None
    _arguments = frozenset()

    def __init__(self, **parts):
        if self._class_name is None:
            raise TypeError("load a pipeline with `DiffusionPipeline.from_pretrained`")
        parts = {name: together(part) for name, part in parts.items()}
        own = {}
        for name, part in parts.items():
            several = part if isinstance(part, (list, tuple)) and part else part.nets if isinstance(part, Several) else [part]
            for one in several:
                refuse_overrides(one)
            if all(hasattr(one, "_core") for one in several):
                own[name] = part
        # The class's own options. `None` is a part that is not there.
        options = {name: value for name, value in parts.items() if name not in own and value is not None}
        options.update({name: bool(parts[name]) for name in FLAGS if name in parts})
        if options.pop("add_watermarker", None):
            raise NotImplementedError("`add_watermarker=True`: images are never marked")
        for name, value in options.items():
            if not isinstance(value, (bool, int, float, str, dict)):
                raise TypeError(f"`{name}`: must be a part of this package, not a {type(value).__name__}")
        core = made(self._class_name, own, options, {name for name, part in parts.items() if part is None})
        self._start(core, own)
        index = self.config
        for name in own:
            if name not in index:
                raise TypeError(f"{self._class_name}.__init__() got an unexpected keyword argument '{name}'")

    @classmethod
    def _of(cls, core, parts=None):
        kind = cls if cls._class_name == core.class_name else CLASSES[core.class_name]
        pipeline = object.__new__(kind)
        pipeline._start(core, parts or {})
        return pipeline

    def _start(self, core, parts):
        """Takes over a pipeline of the library, and `parts` that Python has objects for already."""
        fields = self.__dict__
        fields.update(_core=core, _parts={}, _synchronised={}, _progress_bar_config={}, _interrupt=False,
                      _is_called=False, _num_timesteps=0, _guidance_scale=None, _clip_skip=None, _called_with={},
                      _current_timestep=None)
        if isinstance(core, Incomplete):
            self._parts.update(parts)
            for name in parts:
                self._note(name)
        for name, _, class_name, part in core.parts():
            known = together(parts.get(name))
            self._parts[name] = known if hasattr(known, "_core") else python(part, class_name)
            self._note(name)

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path, **kwargs):
        """Loads a pipeline from a folder or from the hub.

        Args:
            pretrained_model_name_or_path (str): The folder, or the name of a repository.
            torch_dtype, dtype, mindspore_dtype: The element type to compute in: float32 (the default), float16 or bfloat16;
                a string, or a type of numpy, torch, mindspore or this package.
            use_safetensors (bool): Accepted; safetensors are read wherever they are.
            variant (str): Which variant of the weights to read: `"fp16"`.
            revision (str), cache_dir (str), token (str), local_files_only (bool): See `huggingface_hub`.
            quantization_config (QuantizationConfig or PipelineQuantizationConfig): Which weights to round, and how.
            device_map: The device to compute on: `"cuda"`, `"cuda:1"` or `"cpu"`; `"auto"` is the CPU.
            safety_checker: `None` leaves it out.
            controlnet, adapter: A ControlNet or a `T2IAdapter`, or a list of them, for a class that takes one;
                `DiffusionPipeline` and the AutoPipelines then choose such a class.
            pag_applied_layers (str or list of str): See `set_pag_applied_layers`.
            scheduler, vae, unet, ...: Parts to use instead of those of the checkpoint.

        Raises:
            OSError: when a file is missing or damaged.
            ValueError: when a configuration has a value that its class does not know.
            NotImplementedError: when the class of a part is not supported.
        """
        return cls._load(_oxidiff.PipelineCore.from_pretrained, pretrained_model_name_or_path, kwargs)

    @classmethod
    def from_single_file(cls, pretrained_model_link_or_path, **kwargs):
        """Loads a pipeline out of a checkpoint in its original layout, which is one file: a path or a link to the hub.

        Args:
            pretrained_model_link_or_path (str): The file.
            config (str): Where the configurations are; by default those that the package holds for models of this kind.
            torch_dtype, dtype, scheduler, vae, ...: See `from_pretrained`.
        """
        return cls._load(_oxidiff.PipelineCore.from_single_file, pretrained_model_link_or_path, kwargs)

    @classmethod
    def _load(cls, load, name_or_path, kwargs):
        layers = kwargs.pop("pag_applied_layers", None)
        pipeline = cls._loaded(load, name_or_path, kwargs, cls._class_name)
        if layers is not None:
            pipeline.set_pag_applied_layers(layers)
        return pipeline

    @classmethod
    def _loaded(cls, load, name_or_path, kwargs, class_name):
        """A pipeline of a class, or of that which an AutoPipeline chooses."""
        chosen, others = options(kwargs)
        types = chosen.pop("types", {})
        if types and load is not _oxidiff.PipelineCore.from_pretrained:
            raise NotImplementedError("an element type for each part is for `from_pretrained`: convert the parts with their `to`")
        if types and chosen.get("quantization_config") is not None:
            raise NotImplementedError("`quantization_config` together with an element type for each part is not supported")
        # The checkpoint's own are not even read.
        given = {name: part for name, part in others.items() if isinstance(part, ModelMixin)}
        pipeline = cls._of(load(path(name_or_path), {**chosen, "models": {name: part._core for name, part in given.items()}}, class_name),
                           {name: kwargs[name] for name in ADDITIONS if name in chosen})
        for name, dtype in types.items():
            part = pipeline._parts.get(name)
            if isinstance(part, ModelMixin) and name not in others and name not in chosen:
                # Weights are read when they are used, so that those of the other type never are.
                settings = {**{option: chosen[option] for option in MODEL_OPTIONS if option in chosen}, "dtype": dtype, "subfolder": name}
                setattr(pipeline, name, type(part)._of(_oxidiff.ModelCore.from_pretrained(part._class_name, path(name_or_path), settings)))
        pipeline._replace(others)
        return pipeline

    def set_pag_applied_layers(self, pag_applied_layers):
        """Sets the layers whose attention is perturbed: one or several regular expressions for their names. Only pipelines with `PAG`
        in their names have any."""
        if "PAG" not in type(self).__name__:
            raise NotImplementedError(f"`pag_applied_layers`: a {type(self).__name__} does not perturb attention")
        layers = pag_applied_layers if isinstance(pag_applied_layers, list) else [pag_applied_layers]
        if not all(isinstance(layer, str) for layer in layers):
            raise ValueError("`pag_applied_layers`: must be a string or a list of strings")
        self.pag_applied_layers = layers

    def _replace(self, parts):
        """Replaces parts; warns about those that the pipeline does not have, as diffusers does."""
        index = self.config
        unknown = {name: part for name, part in parts.items() if name not in self._parts and name not in index}
        warn_of_unknown(unknown, type(self).__name__)
        for name, part in parts.items():
            if name in unknown:
                continue
            if isinstance(part, (bool, int, float, str)):
                raise NotImplementedError(f"`{name}={part!r}` is not supported: only parts can be replaced")
            setattr(self, name, part)

    @classmethod
    def from_pipe(cls, pipeline, **kwargs):
        """Makes a pipeline of this class from the parts of another, and a `controlnet` or `adapter`. Both share the weights."""
        if cls._class_name is None:
            raise ValueError("call `from_pipe` of the class that is wanted")
        return cls._made_from(pipeline, cls._class_name, kwargs)

    @classmethod
    def _made_from(cls, pipeline, class_name, kwargs):
        """Makes a pipeline of a class, or of that which an AutoPipeline chooses, from the parts of another."""
        if not isinstance(pipeline, DiffusionPipeline):
            raise TypeError(f"`pipeline`: must be a pipeline of this package, not a {type(pipeline).__name__}")
        pipeline._synchronise()
        chosen, others = options(kwargs)
        if "types" in chosen:
            raise NotImplementedError("`from_pipe` takes one element type: convert the parts with their `to`")
        dtype, added = chosen.pop("dtype", None), {name: chosen.pop(name) for name in ADDITIONS if name in chosen}
        if chosen:
            raise NotImplementedError(f"`from_pipe` does not support `{next(iter(chosen))}`")
        parts = {**pipeline._parts, **{name: kwargs[name] for name in added}}
        made = cls._of(pipeline._core.to_class(class_name, **added), parts)
        made._replace(others)
        return made if dtype is None else made.to(dtype)

    def __copy__(self):
        self._synchronise()
        copied = object.__new__(type(self))
        copied._start(self._core.to_class(self._class_name), self._parts)
        own = {name: value for name, value in self.__dict__.items() if name not in copied.__dict__}
        copied.__dict__.update(own, _progress_bar_config=self._progress_bar_config)
        return copied

    def __deepcopy__(self, memo):
        self._synchronise()
        # Weights are never changed in place, so that both can share them.
        copied = object.__new__(type(self))
        copied._start(self._core.to_class(self._class_name), {})
        own = {name: value for name, value in self.__dict__.items() if name not in copied.__dict__}
        copied.__dict__.update(own, _progress_bar_config=dict(self._progress_bar_config))
        return copied

    def save_pretrained(self, save_directory, safe_serialization=True, variant=None, max_shard_size=None, push_to_hub=False, **kwargs):
        """Writes the pipeline into a folder, which is created if it does not exist; Python diffusers can load it from there.

        Args:
            save_directory (str): The folder.
            variant (str): What stands in the names of the files of weights: `"fp16"` for `diffusion_pytorch_model.fp16.safetensors`.
            max_shard_size (int or str): How large a file may be: `"5GB"`. Without it, there is one file for each model.
        """
        self._synchronise()
        save(self._core.save_pretrained, save_directory, safe_serialization, variant, max_shard_size, {"push_to_hub": push_to_hub, **kwargs})

    @property
    def config(self):
        """The contents of `model_index.json`: a mapping that cannot be changed."""
        self._synchronise()
        return loads(self._core.config())

    @property
    def components(self):
        """The parts by name, as the class takes them: `StableDiffusionImg2ImgPipeline(**pipeline.components)`."""
        index = self.config
        absent = {name: None for name, value in index.items()
                  if isinstance(value, list) and not name.startswith("_") and name not in self._parts}
        return {**self._parts, **absent}

    @property
    def dtype(self):
        """The element type of the models."""
        models = (part.dtype for part in self._parts.values() if isinstance(part, ModelMixin))
        return next(models, dtype_of_program(_oxidiff.float32))

    @property
    def name_or_path(self):
        """Where the pipeline was loaded from."""
        return self.config.get("_name_or_path")

    @property
    def interrupt(self):
        """Whether the current call is to stop: `pipeline._interrupt = True` in a callback."""
        return self._interrupt

    def to_json_string(self):
        """The contents of `model_index.json`, as JSON."""
        self._synchronise()
        return self._core.config() + "\n"

    def set_progress_bar_config(self, **kwargs):
        """Sets keyword arguments of the progress bar, tqdm's: `disable=True` hides it."""
        self._progress_bar_config = kwargs

    def progress_bar(self, iterable=None, total=None):
        """A progress bar over the items of `iterable`, or of `total` steps."""
        from tqdm.auto import tqdm

        if (iterable is None) == (total is None):
            raise ValueError("either `iterable` or `total` must be given")
        return tqdm(iterable, total=total, **self._progress_bar_config)

    def _call(self, given):
        return call(self, given)

    def __repr__(self):
        self._synchronise()
        return self._core.describe() + "\n"

    def _repr_html_(self):
        return html(type(self).__name__, self.config, repr(self))


#: Options of pipelines that are also those of a model.
MODEL_OPTIONS = ("variant", "revision", "cache_dir", "token", "local_files_only", "device")
#: Options of pipelines that are true or false.
FLAGS = ("force_zeros_for_empty_prompt", "requires_aesthetics_score", "requires_safety_checker")


#: The arguments that come first in Python's calls, in this order.
POSITIONAL = ("prompt", "prompt_2", "image", "mask_image", "control_image")


def _class(class_name, arguments):
    names = [info["name"] for info in arguments]
    first = [name for name in POSITIONAL if name in names] or names[:1]
    by_name = {info["name"]: info["default"] for info in arguments}
    parameters = [(name, by_name[name]) for name in first]
    parameters.append(("*", None))
    parameters += [(name, default) for name, default in by_name.items() if name not in first]
    if "callback_on_step_end" in names:
        parameters.append(("callback_on_step_end_tensor_inputs", ("latents",)))
    parameters += [("return_dict", True), ("**others", None)]
    about = lambda: describe(  # noqa: E731
        f"Makes images: {class_name}.",
        arguments,
        "An output whose `images` are of the form `output_type`; with `return_dict=False`, a tuple.",
        [
            "ValueError: when an argument has a value that the pipeline cannot work with.",
            "TypeError: when the pipeline does not take an argument.",
            "MemoryError: when the images do not fit into memory.",
        ],
    )
    space = {
        "_class_name": class_name,
        "_arguments": frozenset(names),
        "model_cpu_offload_seq": offload_order(class_name),
        "_never_none": frozenset(
            name for name, default in by_name.items() if default is not None and name != "output_type"
        ),
        "__module__": "oxidiff",
        "__doc__": f"`{class_name}` of diffusers: see `DiffusionPipeline` for its other methods.",
        "__call__": method(class_name, "__call__", parameters, "_call", about),
    }
    if "callback_on_step_end" in names:
        space["_callback_tensor_inputs"] = ["latents"]
    bases = (DiffusionPipeline,) if class_name not in FURTHER else (FURTHER[class_name], DiffusionPipeline)
    return type(class_name, bases, space)


CLASSES = {name: _class(name, arguments) for name, arguments in _oxidiff.pipeline_classes()}
