"""Stable Diffusion XL in the true shapes with random weights, saved by Python diffusers: 13.9 GB in f32.

Usage: make_sdxl.py OUT TOKENIZER, with the packages of tests/fixtures/requirements.txt. TOKENIZER is the folder of a CLIP
tokenizer with its whole vocabulary (vocab.json and merges.txt). Compare with `benches/compare.sh OUT 3`, or SIZE=64 BATCH=1 for
smaller calls.
"""

import gc
import sys
from pathlib import Path

import torch
from diffusers import AutoencoderKL, EulerDiscreteScheduler, StableDiffusionXLPipeline, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer


def unet():
    return UNet2DConditionModel(
        sample_size=128,
        in_channels=4,
        out_channels=4,
        layers_per_block=2,
        block_out_channels=(320, 640, 1280),
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        transformer_layers_per_block=(1, 2, 10),
        attention_head_dim=(5, 10, 20),
        cross_attention_dim=2048,
        use_linear_projection=True,
        addition_embed_type="text_time",
        addition_time_embed_dim=256,
        projection_class_embeddings_input_dim=2816,
    )


def vae():
    return AutoencoderKL(
        in_channels=3,
        out_channels=3,
        down_block_types=["DownEncoderBlock2D"] * 4,
        up_block_types=["UpDecoderBlock2D"] * 4,
        block_out_channels=[128, 256, 512, 512],
        layers_per_block=2,
        latent_channels=4,
        sample_size=1024,
        scaling_factor=0.13025,
        force_upcast=True,
    )


def text_config(hidden, layers, heads, act):
    return CLIPTextConfig(
        vocab_size=49408,
        hidden_size=hidden,
        intermediate_size=4 * hidden,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        hidden_act=act,
        projection_dim=hidden,
        eos_token_id=2,
    )


def main(out, tokenizer):
    torch.manual_seed(0)
    # The UNet goes first and by itself: it fills most of the memory.
    unet().save_pretrained(f"{out}/unet", max_shard_size="40GB")
    gc.collect()
    files = [str(Path(tokenizer) / name) for name in ("vocab.json", "merges.txt")]
    first = CLIPTokenizer(*files, model_max_length=77)
    second = CLIPTokenizer(*files, model_max_length=77, pad_token="!")
    scheduler = EulerDiscreteScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", steps_offset=1, timestep_spacing="leading"
    )
    small = UNet2DConditionModel(block_out_channels=(32,), down_block_types=("DownBlock2D",), up_block_types=("UpBlock2D",))
    pipeline = StableDiffusionXLPipeline(
        vae=vae(),
        text_encoder=CLIPTextModel(text_config(768, 12, 12, "quick_gelu")),
        text_encoder_2=CLIPTextModelWithProjection(text_config(1280, 32, 20, "gelu")),
        tokenizer=first,
        tokenizer_2=second,
        unet=small,
        scheduler=scheduler,
    )
    for name in ("vae", "text_encoder", "text_encoder_2", "tokenizer", "tokenizer_2", "scheduler"):
        getattr(pipeline, name).save_pretrained(f"{out}/{name}")
    pipeline.save_config(out)


if __name__ == "__main__":
    main(*sys.argv[1:])
