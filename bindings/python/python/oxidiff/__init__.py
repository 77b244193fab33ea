"""Hugging Face Diffusers in Rust: pipelines, models and schedulers with the names of the Python library.

>>> from oxidiff import DiffusionPipeline
>>> pipeline = DiffusionPipeline.from_pretrained("stable-diffusion-v1-5/stable-diffusion-v1-5")
>>> image = pipeline("An image of a squirrel in Picasso style").images[0]

Arrays that go in may be of numpy, torch, mindspore or this package (`Tensor`); those that come out are of the same kind.
Results that follow from no array, such as `scheduler.timesteps`, are tensors of torch or mindspore in a program that has
imported one of them.
"""

from . import _auto, _models, _multi, _pipelines, _redux, _schedulers, _submodules  # noqa: F401
from ._autoencoders import DiagonalGaussianDistribution
from ._config import FrozenDict
from ._devices import set_float32_matmul_precision
from ._images import export_to_gif, load_image, make_image_grid
from ._models import AutoModel, ModelMixin
from ._outputs import BaseOutput, ImagePipelineOutput
from ._oxidiff import (
    Generator,
    Tensor,
    __version__,
    arange,
    bfloat16,
    bool_,
    cat,
    default_generator,
    dtype,
    float16,
    float32,
    float64,
    int8,
    int16,
    int32,
    int64,
    manual_seed,
    ones,
    randn,
    set_max_memory,
    stack,
    uint8,
    zeros,
)
from ._pipelines import DiffusionPipeline
from ._quantization import INSTEAD, GGUFQuantizationConfig, PipelineQuantizationConfig, QuantizationConfig
from ._schedulers import SchedulerMixin
from ._unsupported import CLASS_ENDINGS, QUANTIZATION_CONFIGS
from .image_processor import VaeImageProcessor

# The classes of the library's registries, which are not named here, so that a new one needs no change.
_CLASSES = {**_pipelines.CLASSES, **_redux.CLASSES, **_auto.AUTO, **_models.CLASSES, **_multi.CLASSES, **_schedulers.CLASSES}
globals().update(_CLASSES)

__all__ = sorted([
    "AutoModel", "BaseOutput", "DiagonalGaussianDistribution", "DiffusionPipeline", "FrozenDict",
    "GGUFQuantizationConfig", "Generator", "ImagePipelineOutput", "ModelMixin", "PipelineQuantizationConfig", "QuantizationConfig",
    "SchedulerMixin", "Tensor", "VaeImageProcessor", "__version__", "arange",
    "bfloat16", "bool_", "cat", "default_generator", "dtype", "export_to_gif", "float16", "float32", "float64", "int16",
    "int32", "int64", "int8", "load_image", "make_image_grid", "manual_seed", "ones", "randn", "set_float32_matmul_precision",
    "set_max_memory", "stack", "uint8", "zeros",
    *_CLASSES,
])


def __getattr__(name):
    if name == "logging":
        from .utils import logging

        return logging
    if name in QUANTIZATION_CONFIGS:
        raise NotImplementedError(f"oxidiff has no `{name}`: {INSTEAD}")
    if name.endswith(CLASS_ENDINGS):
        raise NotImplementedError(f"oxidiff has no `{name}`: `oxidiff.__all__` lists what it has")
    raise AttributeError(f"module 'oxidiff' has no attribute '{name}'")
