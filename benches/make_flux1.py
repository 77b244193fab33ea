"""FLUX.1 dev in the true shapes with random weights in bf16, in the layout of diffusers: 33.7 GB.

Usage: make_flux1.py OUT [DOUBLE SINGLE LAYERS], with the packages of tests/fixtures/requirements.txt. Smaller numbers than 19, 38 and 24
make a transformer with fewer blocks of each kind and a T5 with fewer layers. The tokenizers are those of the tests, so the text encoders
know more tokens than are used. Weights are written in shards, a block at a time: this needs little memory.
"""

import json
import shutil
import sys
from pathlib import Path

import torch
from diffusers import AutoencoderKL, FlowMatchEulerDiscreteScheduler, FluxTransformer2DModel
from make_z_image import FIXTURE, write
from transformers import CLIPTextConfig, CLIPTextModel, T5Config, T5EncoderModel

FIXTURES = FIXTURE.parent.parent


def main(out, double=19, single=38, layers=24):
    torch.manual_seed(0)
    out = Path(out)
    out.mkdir(parents=True)
    shutil.copytree(FIXTURES / "stable_diffusion_xl" / "base" / "tokenizer", out / "tokenizer")
    shutil.copytree(FIXTURES / "t5" / "tokenizer", out / "tokenizer_2")
    shutil.copy(FIXTURES / "flux" / "checkpoint" / "model_index.json", out)
    FlowMatchEulerDiscreteScheduler(shift=3.0, use_dynamic_shifting=True, base_shift=0.5, max_shift=1.15).save_pretrained(out / "scheduler")
    with torch.device("meta"):
        transformer = FluxTransformer2DModel(num_layers=double, num_single_layers=single, guidance_embeds=True)
        clip = CLIPTextConfig(hidden_size=768, intermediate_size=3072, num_hidden_layers=12, num_attention_heads=12, projection_dim=768, eos_token_id=2)
        text_encoder = CLIPTextModel(clip)
        t5 = T5Config(vocab_size=32128, d_model=4096, d_ff=10240, d_kv=64, num_heads=64, num_layers=layers, feed_forward_proj="gated-gelu",
                      tie_word_embeddings=False)
        text_encoder_2 = T5EncoderModel(t5)
        vae = AutoencoderKL(latent_channels=16, block_out_channels=(128, 256, 512, 512), layers_per_block=2, scaling_factor=0.3611, shift_factor=0.1159,
                            down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4, sample_size=1024,
                            use_quant_conv=False, use_post_quant_conv=False)
    write(transformer, {"_class_name": "FluxTransformer2DModel"} | dict(transformer.config), out / "transformer", "diffusion_pytorch_model")
    write(vae, {"_class_name": "AutoencoderKL"} | dict(vae.config), out / "vae", "diffusion_pytorch_model")
    write(text_encoder, {**clip.to_dict(), "architectures": ["CLIPTextModel"], "dtype": "bfloat16"}, out / "text_encoder", "model")
    write(text_encoder_2, {**t5.to_dict(), "architectures": ["T5EncoderModel"], "dtype": "bfloat16"}, out / "text_encoder_2", "model")
    # CLIP's positions end where the tests' tokenizer would go on.
    config = out / "tokenizer" / "tokenizer_config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | dict(model_max_length=77), indent=2) + "\n")


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
