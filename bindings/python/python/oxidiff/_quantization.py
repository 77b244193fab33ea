"""What `quantization_config` takes: how the weights of a model are rounded, or were rounded already in its GGUF file."""

import dataclasses

#: What to use instead of quantisation that this package does not have.
INSTEAD = 'round to a format of GGML with `QuantizationConfig("q8_0")` (or q5_1, q5_0, q4_1, q4_0, q4_k), or load a GGUF file'


@dataclasses.dataclass
class QuantizationConfig:
    """Weights to round to small numbers while they are loaded: `format` is q8_0, q5_1, q5_0, q4_1, q4_0 or q4_k."""

    format: str
    components_to_quantize: list[str] | None = None
    modules_to_not_convert: list[str] | None = None

    def __post_init__(self):
        for name in ("components_to_quantize", "modules_to_not_convert"):
            value = getattr(self, name)
            if value is not None and (isinstance(value, str) or not all(isinstance(item, str) for item in value)):
                raise TypeError(f"`{name}`: must be a list of strings, not {value!r}")


@dataclasses.dataclass
class GGUFQuantizationConfig:
    """For `from_single_file` of models: the file is a GGUF file. `compute_dtype` is the type to compute in, by default that which is
    given when loading; the package has one for all weights of a model."""

    compute_dtype: object = None


class PipelineQuantizationConfig:
    """Which parts of a pipeline to round while they are loaded.

    Args:
        quant_mapping (dict): A `QuantizationConfig` for each of these parts; all have the same format.
        quant_backend, quant_kwargs, components_to_quantize: Refused: the libraries that diffusers rounds with are not supported.

    Raises:
        ValueError: when the arguments contradict each other.
        NotImplementedError: for other backends, and for parts with different formats.
    """

    def __init__(self, quant_backend=None, quant_kwargs=None, components_to_quantize=None, quant_mapping=None):
        if quant_backend and quant_mapping:
            raise ValueError("`quant_backend` and `quant_mapping` exclude each other")
        if quant_backend:
            raise NotImplementedError(f"`quant_backend={quant_backend!r}` is not supported: give a `quant_mapping`, and {INSTEAD}")
        if not quant_mapping:
            raise ValueError("`quant_mapping` is missing: name a QuantizationConfig for each part to round")
        if quant_kwargs or components_to_quantize:
            raise ValueError("`quant_kwargs` and `components_to_quantize` go with `quant_backend`: `quant_mapping` names the parts")
        if not isinstance(quant_mapping, dict):
            raise TypeError(f"`quant_mapping`: must be a dictionary, not {type(quant_mapping).__name__}")
        for name, config in quant_mapping.items():
            check_part(name, config)
        self.quant_backend, self.quant_kwargs, self.components_to_quantize = None, {}, None
        self.quant_mapping = dict(quant_mapping)
        self._combined()

    def _combined(self):
        """One `QuantizationConfig` for all parts: the library rounds them alike."""
        (first, config), *others = self.quant_mapping.items()
        for name, other in others:
            if _rounding(other) != _rounding(config):
                raise NotImplementedError(
                    f"`quant_mapping`: `{first}` and `{name}` differ; all parts must have the same format and `modules_to_not_convert`"
                )
        return dataclasses.replace(config, components_to_quantize=list(self.quant_mapping))

    def __repr__(self):
        return f"PipelineQuantizationConfig(quant_mapping={self.quant_mapping!r})"


def _rounding(config):
    return str(config.format).lower(), list(config.modules_to_not_convert or [])


def check_part(name, config):
    """Checks what a `quant_mapping` says of one part of a pipeline."""
    if isinstance(config, GGUFQuantizationConfig):
        raise ValueError(f"`quant_mapping`: `{name}` from a GGUF file is loaded with `from_single_file` of its class, "
                         f"and given to the pipeline as `{name}`")
    check(f"quant_mapping[{name!r}]", config)
    if config.components_to_quantize is not None:
        raise ValueError(f"`quant_mapping`: `components_to_quantize` of `{name}` must be left out: the mapping names the parts")


def check(name, config):
    """Checks that a value is a `QuantizationConfig`; those of other libraries are named."""
    if isinstance(config, QuantizationConfig):
        return
    method = getattr(config, "quant_method", None)
    if method is not None:
        method = getattr(method, "value", method)
        raise NotImplementedError(f"`{name}`: {type(config).__name__} ({method}) is not supported: {INSTEAD}")
    raise TypeError(f"`{name}`: must be a QuantizationConfig of this package, not {type(config).__name__}")


def for_models(config):
    """The `quantization_config` of a model as one of this package, where it is a dictionary or one of diffusers for GGUF files."""
    if isinstance(config, (QuantizationConfig, GGUFQuantizationConfig)) or config is None:
        return config
    values = config if isinstance(config, dict) else vars(config) if hasattr(config, "quant_method") else {}
    method = values.get("quant_method")
    method = getattr(method, "value", method)
    if method == "gguf":
        return GGUFQuantizationConfig(values.get("compute_dtype"))
    if isinstance(config, dict):
        if method is None:
            raise ValueError("`quantization_config`: the dictionary has no `quant_method`")
        raise NotImplementedError(f"`quantization_config`: the `quant_method` {method!r} is not supported: {INSTEAD}")
    return config


def rounding(config):
    """What a `quantization_config` of a pipeline or a model asks the library for."""
    if isinstance(config, PipelineQuantizationConfig):
        return config._combined()
    if isinstance(config, GGUFQuantizationConfig):
        raise ValueError("`quantization_config`: a GGUFQuantizationConfig goes with a GGUF file: load it with `from_single_file` "
                         "of the model's class, and give the model to the pipeline")
    if config is not None:
        check("quantization_config", config)
    return config


def refuse_for_models(config):
    """Refuses the `quantization_config` of a pipeline where one model is loaded."""
    if isinstance(config, PipelineQuantizationConfig):
        raise TypeError("`quantization_config`: a PipelineQuantizationConfig is for pipelines; give the model a QuantizationConfig")
