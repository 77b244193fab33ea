"""Models: one class for each of the library's registry."""

import json

from . import _oxidiff
from ._autoencoders import AutoencoderMixin
from ._config import JsonMixin, dumps, html, loads
from ._loading import model_options, own_options, path, read_as_gguf
from ._methods import describe, method
from ._moving_models import MovingModelMixin
from ._outputs import output_class
from ._program import dtype_of_program
from ._saving import save
from ._unsupported import MODEL_ATTRIBUTES, MODEL_METHODS, refuse_override, refuses


@refuses(*MODEL_METHODS)
class ModelMixin(MovingModelMixin, JsonMixin):
    """A neural network with a configuration.

    Arrays that go in may be of numpy, torch, mindspore or this package; those that come out are of the same kind.
    """

    config_name = "config.json"
    _class_name = None

    @classmethod
    def _of(cls, core, **further):
        kind = cls if cls._class_name == core.class_name else CLASSES[core.class_name]
        model = object.__new__(kind)
        model._start(core, **further)
        return model

    def _start(self, core, **further):
        self._core = core
        self._further = further
        self._config = None
        #: Counts changes, for the pipelines that hold the model.
        self._changes = 0

    def __init__(self, **kwargs):
        unknown = [name for name in kwargs if name not in _fields(self._class_name)]
        if unknown:
            raise TypeError(f"{self._class_name}() got an unexpected keyword argument '{unknown[0]}'")
        self._start(_oxidiff.ModelCore.from_config(self._class_name, dumps(kwargs)))

    @classmethod
    def from_config(cls, config, **kwargs):
        """A model with initial weights and the configuration of another."""
        values = {name: value for name, value in dict(config).items() if name in _fields(cls._class_name)}
        values.update(kwargs)
        return cls._of(_oxidiff.ModelCore.from_config(cls._class_name, dumps(values)))

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path, **kwargs):
        """Loads a model from a folder or from the hub.

        Args:
            pretrained_model_name_or_path (str): The folder, or the name of a repository.
            subfolder (str): The folder in it, for a model that is part of a pipeline: `"unet"`.
            torch_dtype, dtype, mindspore_dtype: The element type to compute in: float32 (the default), float16 or bfloat16.
            variant (str): Which variant of the weights to read: `"fp16"`.
            revision (str), cache_dir (str), token (str), local_files_only (bool): See `huggingface_hub`.
            quantization_config (QuantizationConfig): How to round the weights.
            device_map: The device to compute on: `"cuda"`, `"cuda:1"` or `"cpu"`; `"auto"` is the CPU.

        Other keyword arguments are values for fields of the model's configuration.

        Raises:
            OSError: when a file is missing or damaged.
            ValueError: when a value of the configuration is none that the class knows.
        """
        chosen = model_options(kwargs, cls.__name__)
        name = path(pretrained_model_name_or_path)
        return cls._of(_oxidiff.ModelCore.from_pretrained(cls._class_name, name, chosen), _name_or_path=name)

    @classmethod
    def from_single_file(cls, pretrained_model_link_or_path_or_dict, **kwargs):
        """Loads a model out of a checkpoint in its original layout, which is one file: a path or a link to the hub.

        Args:
            pretrained_model_link_or_path_or_dict (str): The file: safetensors, GGUF or a pickle.
            config (str), subfolder (str): Where the configuration is; by default that which the package holds for models of this kind.
            torch_dtype, dtype, mindspore_dtype: The element type to compute in: float32 (the default), float16 or bfloat16.
            quantization_config: A `QuantizationConfig` to round the weights with, or a `GGUFQuantizationConfig` for a GGUF file,
                which is not needed.
        """
        if isinstance(pretrained_model_link_or_path_or_dict, dict):
            raise NotImplementedError("weights in a dictionary are not supported: give the path of a file")
        name = path(pretrained_model_link_or_path_or_dict)
        chosen = model_options(read_as_gguf(name, kwargs), cls.__name__)
        return cls._of(_oxidiff.ModelCore.from_single_file(cls._class_name, name, chosen), _name_or_path=name)

    @classmethod
    def load_config(cls, pretrained_model_name_or_path, **kwargs):
        """The configuration in a folder or on the hub."""
        chosen = own_options(kwargs, cls.__name__)
        return loads(_oxidiff.model_config(path(pretrained_model_name_or_path), chosen))

    def to_json_string(self):
        """The configuration as JSON, as it is saved."""
        return self._core.config() + "\n"

    def save_pretrained(self, save_directory, is_main_process=True, safe_serialization=True, variant=None, max_shard_size=None,
                        push_to_hub=False, **kwargs):
        """Writes `config.json` and the weights into a folder, which is created if it does not exist.

        Args:
            save_directory (str): The folder.
            variant (str): What stands in the name of the file: `"fp16"` for `diffusion_pytorch_model.fp16.safetensors`.
            max_shard_size (int or str): How large a file may be: `"5GB"`. Without it, there is one file.
        """
        if is_main_process:
            save(self._core.save_pretrained, save_directory, safe_serialization, variant, max_shard_size,
                 {"push_to_hub": push_to_hub, **kwargs})

    @property
    def config(self):
        """The configuration: a mapping that cannot be changed, whose values are also attributes."""
        if self._config is None:
            self._config = loads(self._core.config(), self._core.fields(), **self._further)
        return self._config

    @property
    def dtype(self):
        """The element type of the weights."""
        return dtype_of_program(self._core.dtype)

    def num_parameters(self, only_trainable=False, exclude_embeddings=False):
        """The number of parameters."""
        if only_trainable or exclude_embeddings:
            raise NotImplementedError("`only_trainable` and `exclude_embeddings` are not supported")
        return self._core.num_parameters()

    def compile(self, *args, **kwargs):
        """Does nothing: the model is compiled already."""

    def set_attention_slice(self, slice_size="auto"):
        """Does nothing: attention never holds the scores of all pairs of tokens."""

    def enable_xformers_memory_efficient_attention(self, attention_op=None):
        """Does nothing: attention is memory-efficient already."""

    def disable_xformers_memory_efficient_attention(self):
        """Does nothing: attention stays memory-efficient."""

    def set_attention_backend(self, backend):
        """Does nothing for `"native"`, which is the library's own attention; there are no other backends.

        Raises:
            NotImplementedError: for other backends.
        """
        name = str(getattr(backend, "value", backend)).lower()
        if name != "native":
            raise NotImplementedError(f"`backend={name!r}` is not supported: the library has its own attention, which is `'native'` here; the "
                                      "other backends are kernels for torch")

    def reset_attention_backend(self):
        """Does nothing: there is one backend."""

    @property
    def is_cache_enabled(self):
        """False: `enable_cache` is not supported."""
        return False

    @property
    def training(self):
        """False: the model is always in the state for inference."""
        return False

    def eval(self):
        """Returns the model, which is always in the state for inference."""
        return self

    def requires_grad_(self, requires_grad=True):
        """Returns the model, which computes no gradients."""
        if requires_grad:
            raise NotImplementedError("gradients are not supported")
        return self

    def train(self, mode=True):
        """Refuses training."""
        if mode:
            raise NotImplementedError("training is not supported")
        return self

    def __copy__(self):
        copied = object.__new__(type(self))
        # Weights are never changed in place, so that both can share them.
        copied.__dict__.update(self.__dict__, _core=self._core.copy())
        return copied

    def __deepcopy__(self, memo):
        return self.__copy__()

    def _call(self, given):
        others = given.pop("others")
        added = others.pop("added_cond_kwargs", None)
        _drop_neutral(others)
        for name, value in others.items():
            if value is not None:
                raise NotImplementedError(f"`{name}` is not supported by a {type(self).__name__}")
        whole = given.pop("return_dict")
        given.update(added or {})
        if "img_shapes" in given:
            given["img_shapes"] = _shapes(given["img_shapes"])
        if isinstance(given.get("image_embeds"), (list, tuple)):
            # Those of IP-Adapters.
            given["ip_adapter_image_embeds"] = list(given.pop("image_embeds"))
        fields = {}
        for name, value in self._core.call({name: value for name, value in given.items() if value is not None}):
            fields.setdefault(name, []).append(value)
        # A field with several tensors, such as the residuals of a ControlNet, has them under the same name.
        values = [value[0] if len(value) == 1 else tuple(value) for value in fields.values()]
        if self._class_name == "ZImageTransformer2DModel":
            # The images of a batch can differ in size, so that there is a list of them.
            fields, values = {"sample": values}, [values]
        if not whole:
            return tuple(values)
        return _output(self._class_name, tuple(fields))(*values)

    def __repr__(self):
        return f"{type(self).__name__} {self._core.config()}\n"

    def _repr_html_(self):
        return html(type(self).__name__, self.config, self._core.config())

    def __setattr__(self, name, value):
        refuse_override(self, name, "model")
        if name in MODEL_ATTRIBUTES or (not name.startswith("_") and name in self.config):
            raise NotImplementedError(f"`{name}` of a {type(self).__name__} cannot be set: the library would not read it")
        object.__setattr__(self, name, value)

    def __getattr__(self, name):
        if not name.startswith("_") and name in self.config:
            return self.config[name]
        raise AttributeError(f"a {type(self).__name__} has no `{name}`")


class FromUNetMixin:
    """Models that begin as a copy of a UNet."""

    @classmethod
    def from_unet(cls, unet, controlnet_conditioning_channel_order="rgb",
                  conditioning_embedding_out_channels=(16, 32, 96, 256), load_weights_from_unet=True,
                  conditioning_channels=3):
        """A ControlNet with the layers of a UNet up to its middle, and their weights. What it adds is 0 until it is trained.

        Args:
            unet (UNet2DConditionModel): The UNet.
            controlnet_conditioning_channel_order (str): The order of the colours of the image: `"rgb"` or `"bgr"`.
            conditioning_embedding_out_channels (Sequence[int]): The channels of the convolutions that embed the image.
            load_weights_from_unet (bool): Whether to copy the weights; otherwise they are random.
            conditioning_channels (int): The channels of the image.
        """
        if not isinstance(unet, ModelMixin):
            raise TypeError(f"`unet`: must be a model of this package, not a {type(unet).__name__}")
        return cls._of(_oxidiff.controlnet_from_unet(
            cls._class_name, unet._core, controlnet_conditioning_channel_order, list(conditioning_embedding_out_channels),
            load_weights_from_unet, conditioning_channels,
        ))


class T2IAdapterMixin:
    """What a T2I-Adapter does besides."""

    def _call(self, given):
        given["return_dict"] = False
        (features,) = super()._call(given)
        return list(features) if isinstance(features, tuple) else [features]

    @property
    def total_downscale_factor(self):
        """How many pixels one position of the smallest feature stands for, in each direction."""
        blocks = len(self.config["channels"])
        halvings = {"full_adapter": blocks - 1, "full_adapter_xl": 1, "light_adapter": blocks}
        return self.config["downscale_factor"] * 2 ** halvings[self.config["adapter_type"]]


class AutoModel:
    """Loads a model of the class that its configuration names."""

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path, subfolder=None, **kwargs):
        """Loads a model from a folder or from the hub: see `ModelMixin.from_pretrained`."""
        chosen = model_options({"subfolder": subfolder, **kwargs}, cls.__name__)
        name = path(pretrained_model_name_or_path)
        config = loads(_oxidiff.model_config(name, chosen))
        # Text encoders have the name where transformers writes it.
        class_name = config.get("_class_name") or next(iter(config.get("architectures") or ()), None)
        if class_name not in CLASSES:
            raise ValueError(f"{name}: `config.json` names the class `{class_name}`, which is not supported")
        return CLASSES[class_name].from_pretrained(name, subfolder=subfolder, **kwargs)


def _shapes(shapes):
    """The shapes of the images of one item; diffusers takes a list of them for each item of the batch, which all have the same here."""
    if not shapes or not isinstance(shapes[0], list):
        return shapes
    rows = [[tuple(int(size) for size in shape) for shape in row] for row in shapes]
    if any(row != rows[0] for row in rows):
        raise NotImplementedError("`img_shapes`: shapes that differ between the items of a batch are not supported")
    return rows[0]


def _drop_neutral(others):
    """Takes out what changes nothing: a factor of 1 for LoRAs, and outputs of text encoders that are not asked for."""
    for name in ("cross_attention_kwargs", "joint_attention_kwargs", "attention_kwargs"):
        kwargs = others.get(name)
        if kwargs is not None and all(key == "scale" and value == 1 for key, value in kwargs.items()):
            del others[name]
    for name in ("output_hidden_states", "output_attentions"):
        if others.get(name) is False:
            del others[name]


_FIELDS = {}
_OUTPUTS = {}


def _fields(class_name):
    """The names of a class's configuration."""
    if class_name not in _FIELDS:
        values = json.loads(_oxidiff.ModelCore.default_config(class_name))
        _FIELDS[class_name] = frozenset(name for name in values if not name.startswith("_"))
    return _FIELDS[class_name]


def _output(class_name, fields):
    """The class of the outputs of a class of models."""
    if class_name not in _OUTPUTS:
        name = class_name.removesuffix("Model") + "Output"
        _OUTPUTS[class_name] = output_class(name, fields, f"What a `{class_name}` computes.")
    return _OUTPUTS[class_name]


def _class(class_name, arguments, is_autoencoder):
    parameters = [(info["name"], info["default"]) for info in arguments]
    parameters += [("return_dict", True), ("**others", None)]
    about = lambda: describe(  # noqa: E731
        f"Calls the {class_name}.",
        arguments,
        "An output whose arrays are of the kind of the first array given; with `return_dict=False`, a tuple.",
        ["ValueError: when an argument is missing, or a shape does not fit."],
    )
    bases = (AutoencoderMixin, ModelMixin) if is_autoencoder else (ModelMixin,)
    bases = (FURTHER[class_name], *bases) if class_name in FURTHER else bases
    space = {
        "_class_name": class_name,
        "__module__": "oxidiff",
        "__doc__": f"`{class_name}` of Python: see `ModelMixin` for its methods.",
        "__call__": method(class_name, "__call__", parameters, "_call", about),
    }
    space["forward"] = space["__call__"]
    return type(class_name, bases, space)


#: The further methods of each class.
FURTHER = {"ControlNetModel": FromUNetMixin, "ControlNetUnionModel": FromUNetMixin, "T2IAdapter": T2IAdapterMixin}

CLASSES = {name: _class(name, *about) for name, *about in _oxidiff.model_classes()}
