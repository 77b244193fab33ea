"""The keyword arguments of `from_pretrained` and its siblings."""

import os

from . import _quantization
from ._config import dumps

#: Passed on to the library.
PASSED = ("variant", "subfolder", "revision", "cache_dir", "local_files_only", "config", "extract_ema",
          "weight_name", "adapter_name")
#: Without effect on the result here: weights are mapped from files and converted when they are used.
HARMLESS = ("use_safetensors", "low_cpu_mem_usage", "resume_download", "mirror", "offload_folder", "offload_state_dict",
            "disable_mmap", "local_dir_use_symlinks", "user_agent", "requires_safety_checker",
            "add_prefix_space", "low_cpu_mem_usage_text_encoder", "_fast_init")
#: Accepted with these values only.
LIMITED = {
    "force_download": (None, False),
    "proxies": (None, {}),
    "output_loading_info": (None, False),
    "trust_remote_code": (None, False),
    "custom_pipeline": (None,),
    "custom_revision": (None,),
    "from_flax": (None, False),
    "load_connected_pipeline": (None, False),
    "provider": (None,),
    "sess_options": (None,),
    "export": (None, False),
    "torchscript": (None, False),
    "original_config": (None,),
    "original_config_file": (None,),
    "scheduler_type": (None,),
    "text_encoder_index": (None,),
    "return_unused_kwargs": (None, False),
    "enable_pag": (None, False),
    "controlnet": (None, False),
    "adapter": (None, False),
    "hotswap": (None, False),
    "prefix": (None, False),
    "add_watermarker": (None, False),
}
#: Models that join the parts of a pipeline, one or several, and their class.
ADDITIONS = {"controlnet": "ControlNet", "adapter": "T2IAdapter"}


DTYPES = ("torch_dtype", "dtype", "mindspore_dtype")


def options(given):
    """Splits keyword arguments into options of the library and others, which may be parts of a pipeline."""
    options, rest = {}, {}
    for name, value in given.items():
        if name in DTYPES:
            options.update(types(name, value))
        elif name in ("token", "use_auth_token"):
            options.update(token_options(value))
        elif name == "quantization_config":
            options[name] = _quantization.rounding(value)
        elif name in PASSED:
            options[name] = os.fspath(value) if isinstance(value, os.PathLike) else value
        elif name in ADDITIONS and value not in (None, False):
            nets = value if isinstance(value, (list, tuple)) else getattr(value, "nets", [value])
            if not all(hasattr(net, "_core") for net in nets):
                raise TypeError(f"`{name}`: must be a {ADDITIONS[name]} of this package, or a list of them")
            cores = [net._core for net in nets]
            # A ControlNet and a list of one are not the same to every pipeline.
            options[name] = value._core if name == "controlnet" and nets == [value] else cores
        elif name == "device_map":
            options.update(placing(value))
        elif name in LIMITED:
            if not any(value is known or (type(value) is type(known) and value == known) for known in LIMITED[name]):
                raise NotImplementedError(f"`{name}={value!r}` is not supported")
        elif name == "max_memory":
            limit_memory(value)
        elif name not in HARMLESS:
            rest[name] = value
    if rest.get("safety_checker", True) is None:
        # Not even read from the checkpoint.
        options["safety_checker"] = False
    return options, rest


def placing(device_map):
    """The option for the device that a `device_map` names."""
    if device_map in (None, "auto"):
        return {}
    from ._devices import device_name, is_device

    if not is_device(device_map):
        raise NotImplementedError(f"`device_map={device_map!r}` is not supported: name one device, such as `'cuda'`")
    return {"device": device_name(device_map)}


def limit_memory(limits):
    """Limits the memory of the process to what a dictionary says for the CPU. That of a card is not limited."""
    if limits is None:
        return
    if not isinstance(limits, dict):
        raise TypeError(f"`max_memory`: must be a dictionary such as {{'cpu': '12GiB'}}, not {type(limits).__name__}")
    others = [device for device in limits if device != "cpu"]
    if others:
        raise NotImplementedError(f"`max_memory`: has a limit for {others[0]!r}; only the memory of the CPU can be limited")
    if "cpu" in limits:
        from . import _oxidiff

        _oxidiff.set_max_memory(limits["cpu"])


def others(given):
    """The keyword arguments that are no options of the library."""
    return options(given)[1]


def own_options(given, class_name):
    """Options of the library, where there can be no others."""
    _quantization.refuse_for_models(given.get("quantization_config"))
    chosen, others = options(given)
    for name in ADDITIONS:
        if name in chosen:
            raise NotImplementedError(f"`{name}` is not supported by a {class_name}")
    if "types" in chosen:
        raise ValueError(f"a {class_name} has one element type: a dictionary with one for each part is for `from_pretrained` of pipelines")
    warn_of_unknown(others, class_name)
    return chosen


def model_options(given, class_name):
    """Options of the library for a model; others are values for fields of its configuration."""
    if "quantization_config" in given:
        given = {**given, "quantization_config": _quantization.for_models(given["quantization_config"])}
    fields = options(given)[1]
    refuse_others({name: value for name, value in fields.items() if name in PARTS})
    fields = {name: value for name, value in fields.items() if name not in PARTS}
    chosen = own_options({name: value for name, value in given.items() if name not in fields}, class_name)
    if fields:
        chosen["config_overrides"] = dumps(fields)
    return chosen


#: Parts that diffusers also takes where this package has no use for them, such as the encoder that is to learn a word.
PARTS = ("text_encoder", "tokenizer")


def warn_of_unknown(given, class_name):
    """Warns about keyword arguments that nothing takes, as diffusers does; refuses parts, which would change something there."""
    refuse_others({name: value for name, value in given.items() if name in PARTS})
    names = [name for name in given if name not in PARTS]
    if not names:
        return
    # Importing this takes a third of the package's own start.
    import logging

    logger = logging.getLogger("oxidiff")
    logger.warning("Keyword arguments %s are not expected by %s and will be ignored.", names, class_name)


def refuse_others(given):
    """Refuses keyword arguments without a meaning here, unless their values mean nothing."""
    for name, value in given.items():
        if value is not None and value is not False:
            raise NotImplementedError(f"`{name}={value!r}` is not supported")


def types(name, value):
    """The options for an element type, or for a dictionary with one for each part and one for all others, `default`."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        return {"dtype": element_type(name, value)}
    by_part = {part: element_type(f"{name}[{part!r}]", dtype) for part, dtype in value.items()}
    return {"dtype": by_part.pop("default", None), "types": by_part}


def element_type(name, value):
    """An element type of any library, or its name."""
    if value == "auto":
        return None
    from . import _oxidiff

    dtype = _oxidiff.dtype_of(value)
    if dtype.name not in ("float32", "float16", "bfloat16"):
        raise ValueError(f"`{name}`: models compute in float32, float16 or bfloat16, not in {dtype.name}")
    return dtype


def read_as_gguf(file, given):
    """The keyword arguments of `from_single_file` without a `GGUFQuantizationConfig`, whose type to compute in they give then.

    diffusers computes in it with activations of `torch_dtype`, which fails where the two differ.
    """
    config = _quantization.for_models(given.get("quantization_config"))
    if not isinstance(config, _quantization.GGUFQuantizationConfig):
        return given
    if not file.split("?")[0].endswith(".gguf"):
        raise ValueError(f"`quantization_config`: {file} is not a GGUF file, as its name does not end in `.gguf`: leave the "
                         "GGUFQuantizationConfig out, or round the weights with a QuantizationConfig")
    rest = {name: value for name, value in given.items() if name != "quantization_config"}
    given_type = config.compute_dtype
    computed = None if given_type is None else element_type("compute_dtype", given_type)
    if computed is None:
        return rest
    for name in DTYPES:
        stored = rest.pop(name, None)
        stored = None if stored is None else element_type(name, stored)
        if stored is not None and stored.name != computed.name:
            raise ValueError(f"`compute_dtype` is {computed.name} and `{name}` is {stored.name}: a model computes in one type, so "
                             "give the same, or one of the two")
    return {**rest, "dtype": computed}


def token_options(token):
    """`True` is the token of the environment, which the library reads by itself."""
    return {"token": token} if isinstance(token, str) else {}


def path(name_or_path):
    """A path or a name on the hub as a string."""
    return os.fspath(name_or_path)


def folder(save_directory):
    """The path of a folder to write into."""
    name = os.fspath(save_directory)
    if not name:
        raise FileNotFoundError("`save_directory` is empty: name a folder")
    return name
