"""Z-Image in the true shapes with random weights in bf16, in the layout of diffusers: 19.3 GB.

Usage: make_z_image.py OUT [LAYERS], with the packages of tests/fixtures/requirements.txt. LAYERS, a number below 30, makes a smaller
transformer, and a text encoder with as many layers; a step then takes the time of fewer layers. The tokenizer is that of the tests,
so the text encoder knows more tokens than are used. Weights are written in shards, a block at a time: this needs little memory.
"""

import json
import re
import shutil
import sys
from pathlib import Path

import torch
from diffusers import AutoencoderKL, FlowMatchEulerDiscreteScheduler, ZImageTransformer2DModel
from safetensors.torch import save_file
from transformers import Qwen3Config, Qwen3Model

FIXTURE = Path(__file__).parent.parent / "tests" / "fixtures" / "z_image" / "checkpoint"


def write(model, config, folder, stem):
    """Random weights of the shapes of `model`, which is on the meta device, and its configuration."""
    folder.mkdir(parents=True)
    config = {name: value for name, value in config.items() if name in ("_class_name", "_diffusers_version") or not name.startswith("_")}
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    groups = {}
    for name, tensor in model.state_dict().items():
        block = re.match(r"(?:.*?layers|.*?refiner|.*?blocks)\.\d+", name)
        groups.setdefault(block.group() if block else "", {})[name] = tensor.shape
    index, total = {}, 0
    for number, shapes in enumerate(groups.values(), 1):
        file = f"{stem}-{number:05}-of-{len(groups):05}.safetensors"
        tensors = {}
        for name, shape in shapes.items():
            if len(shape) == 1 and name.endswith((".weight", ".running_var")):
                tensors[name] = torch.ones(shape, dtype=torch.bfloat16)
            else:
                scale = torch.Size(shape[1:]).numel() ** -0.5 if len(shape) > 1 else 0.1
                tensors[name] = torch.randn(shape, dtype=torch.bfloat16) * scale
            index[name] = file
            total += tensors[name].nbytes
        save_file(tensors, folder / file, metadata={"format": "pt"})
    weight_map = {"metadata": {"total_size": total}, "weight_map": index}
    (folder / f"{stem}.safetensors.index.json").write_text(json.dumps(weight_map, indent=2) + "\n")


def main(out, layers=None):
    torch.manual_seed(0)
    out = Path(out)
    out.mkdir(parents=True)
    shutil.copytree(FIXTURE / "tokenizer", out / "tokenizer")
    shutil.copy(FIXTURE / "model_index.json", out)
    FlowMatchEulerDiscreteScheduler(shift=3.0).save_pretrained(out / "scheduler")
    with torch.device("meta"):
        transformer = ZImageTransformer2DModel(n_layers=layers or 30, axes_lens=[1536, 512, 512])
        text = Qwen3Config(hidden_size=2560, intermediate_size=9728, num_hidden_layers=layers or 36, num_attention_heads=32, num_key_value_heads=8,
                           head_dim=128, max_position_embeddings=40960, rope_parameters={"rope_type": "default", "rope_theta": 1e6})
        text_encoder = Qwen3Model(text)
        vae = AutoencoderKL(latent_channels=16, block_out_channels=(128, 256, 512, 512), layers_per_block=2, scaling_factor=0.3611, shift_factor=0.1159,
                            down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4, sample_size=1024,
                            use_quant_conv=False, use_post_quant_conv=False)
    named = {"_class_name": "ZImageTransformer2DModel", "_diffusers_version": "0.36.0"}
    write(transformer, named | dict(transformer.config), out / "transformer", "diffusion_pytorch_model")
    write(vae, {"_class_name": "AutoencoderKL"} | dict(vae.config), out / "vae", "diffusion_pytorch_model")
    write(text_encoder, {**text.to_dict(), "architectures": ["Qwen3Model"], "dtype": "bfloat16"}, out / "text_encoder", "model")


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
