"""FLUX.2 klein 4B in the true shapes with random weights in bf16, in the layout of diffusers: 15.8 GB.

Usage: make_flux2.py OUT [DOUBLE SINGLE LAYERS], with the packages of tests/fixtures/requirements.txt. Smaller numbers than 5, 20 and 36
make a transformer with fewer blocks of each kind and a text encoder with fewer layers; at least 27 are needed for a prompt. The tokenizer is
that of the tests, so the text encoder knows more tokens than are used. Weights are written in shards, a block at a time: this needs little
memory.
"""

import shutil
import sys
from pathlib import Path

import torch
from diffusers import AutoencoderKLFlux2, FlowMatchEulerDiscreteScheduler, Flux2Transformer2DModel
from make_z_image import FIXTURE, write
from transformers import Qwen3Config, Qwen3Model


def main(out, double=5, single=20, layers=36):
    torch.manual_seed(0)
    out = Path(out)
    out.mkdir(parents=True)
    shutil.copytree(FIXTURE / "tokenizer", out / "tokenizer")
    index = FIXTURE.parent.parent / "flux2" / "checkpoint" / "model_index.json"
    (out / "model_index.json").write_text(index.read_text().replace('"is_distilled": false', '"is_distilled": true'))
    FlowMatchEulerDiscreteScheduler(shift=3.0, use_dynamic_shifting=True).save_pretrained(out / "scheduler")
    with torch.device("meta"):
        transformer = Flux2Transformer2DModel(num_layers=double, num_single_layers=single, num_attention_heads=24, joint_attention_dim=7680,
                                              guidance_embeds=False)
        text = Qwen3Config(hidden_size=2560, intermediate_size=9728, num_hidden_layers=layers, num_attention_heads=32, num_key_value_heads=8,
                           head_dim=128, max_position_embeddings=40960, rope_parameters={"rope_type": "default", "rope_theta": 1e6})
        text_encoder = Qwen3Model(text)
        vae = AutoencoderKLFlux2()
    write(transformer, {"_class_name": "Flux2Transformer2DModel"} | dict(transformer.config), out / "transformer", "diffusion_pytorch_model")
    write(vae, {"_class_name": "AutoencoderKLFlux2"} | dict(vae.config), out / "vae", "diffusion_pytorch_model")
    write(text_encoder, {**text.to_dict(), "architectures": ["Qwen3ForCausalLM"], "dtype": "bfloat16"}, out / "text_encoder", "model")


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
