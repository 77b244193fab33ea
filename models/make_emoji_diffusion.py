"""Writes models/emoji-diffusion, the model that the binary embeds: a pipeline that Python diffusers saved, in float16.

Usage: make_emoji_diffusion.py SOURCE
"""

import shutil
import sys
from pathlib import Path

import torch
from diffusers import StableDiffusionPipeline

source = Path(sys.argv[1])
target = Path(__file__).parent / "emoji-diffusion"
StableDiffusionPipeline.from_pretrained(source, torch_dtype=torch.float16).save_pretrained(target)
shutil.copy(source / "README.md", target / "README.md")

# What the files say about the machine that they were made on does not belong into them.
LOCAL = ('"_name_or_path"', '"is_local"', '"local_files_only"')
for config in target.rglob("*.json"):
    lines = config.read_text().splitlines(keepends=True)
    config.write_text("".join(line for line in lines if not line.lstrip().startswith(LOCAL)))
