"""Qwen-Image in the true shapes with random weights in bf16, in the layout of diffusers: 57.7 GB.

Usage: make_qwen_image.py OUT [LAYERS TEXT_LAYERS], with the packages of tests/fixtures/requirements.txt. Smaller numbers than 60 and 28 make a
transformer with fewer blocks and a language model with fewer layers; a step then takes the time of fewer blocks. The tokenizer is that of the
tests, so the text encoder knows more tokens than are used. Weights are written in shards, a block at a time: this needs little memory.
"""

import json
import shutil
import sys
from pathlib import Path

import torch
from diffusers import AutoencoderKLQwenImage, FlowMatchEulerDiscreteScheduler, QwenImageTransformer2DModel
from make_z_image import write
from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

FIXTURE = Path(__file__).parent.parent / "tests" / "fixtures" / "qwen_image" / "checkpoint"


def main(out, layers=60, text_layers=28):
    torch.manual_seed(0)
    out = Path(out)
    out.mkdir(parents=True)
    shutil.copytree(FIXTURE / "tokenizer", out / "tokenizer")
    shutil.copy(FIXTURE / "model_index.json", out)
    FlowMatchEulerDiscreteScheduler(shift=1.0, shift_terminal=0.02, use_dynamic_shifting=True, base_shift=0.5, max_shift=0.9, base_image_seq_len=256,
                                    max_image_seq_len=8192).save_pretrained(out / "scheduler")
    # The tokens of images are those of the tests' tokenizer.
    ids = {name: value for name, value in json.loads((FIXTURE / "text_encoder" / "config.json").read_text()).items() if name.endswith("_token_id")}
    with torch.device("meta"):
        transformer = QwenImageTransformer2DModel(num_layers=layers)
        text = Qwen2_5_VLConfig(
            text_config=dict(vocab_size=152064, hidden_size=3584, intermediate_size=18944, num_hidden_layers=text_layers, num_attention_heads=28,
                             num_key_value_heads=4, max_position_embeddings=128000, rms_norm_eps=1e-6,
                             rope_parameters={"rope_type": "default", "rope_theta": 1e6, "mrope_section": [16, 24, 24]}),
            vision_config=dict(depth=32, hidden_size=1280, intermediate_size=3420, num_heads=16, out_hidden_size=3584), **ids)
        text_encoder = Qwen2_5_VLForConditionalGeneration(text)
        vae = AutoencoderKLQwenImage()
    write(transformer, {"_class_name": "QwenImageTransformer2DModel"} | dict(transformer.config), out / "transformer", "diffusion_pytorch_model")
    write(vae, {"_class_name": "AutoencoderKLQwenImage"} | dict(vae.config), out / "vae", "diffusion_pytorch_model")
    named = {"architectures": ["Qwen2_5_VLForConditionalGeneration"], "dtype": "bfloat16"}
    write(text_encoder, text.to_dict() | named, out / "text_encoder", "model")


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
