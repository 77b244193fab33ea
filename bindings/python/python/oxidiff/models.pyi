"""Written by `generate_stubs.py`: do not edit."""

from . import AutoModel as AutoModel
from . import AutoencoderKL as AutoencoderKL
from . import AutoencoderTiny as AutoencoderTiny
from . import CLIPTextModel as CLIPTextModel
from . import CLIPTextModelWithProjection as CLIPTextModelWithProjection
from . import CLIPVisionModelWithProjection as CLIPVisionModelWithProjection
from . import ControlNetModel as ControlNetModel
from . import ControlNetUnionModel as ControlNetUnionModel
from . import DPTForDepthEstimation as DPTForDepthEstimation
from . import DiTTransformer2DModel as DiTTransformer2DModel
from . import ModelMixin as ModelMixin
from . import Qwen3Model as Qwen3Model
from . import T2IAdapter as T2IAdapter
from . import UNet2DConditionModel as UNet2DConditionModel
from . import UNet2DModel as UNet2DModel
from . import ZImageTransformer2DModel as ZImageTransformer2DModel
