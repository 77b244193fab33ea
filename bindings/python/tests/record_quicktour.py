"""Records what the code blocks of the quicktour show with Python diffusers, on small checkpoints.

    pip install -r ../../../tests/fixtures/requirements.txt
    python record_quicktour.py
"""

import base64
import io
import json
import tempfile
from pathlib import Path

import torch
from tour import RECORDED, run, stand_in_for_mindspore


def png(image):
    file = io.BytesIO()
    image.save(file, "PNG", optimize=True)
    return base64.b64encode(file.getvalue()).decode()


torch.set_num_threads(1)
torch.manual_seed(0)
with tempfile.TemporaryDirectory() as folder, torch.no_grad():
    mindspore = stand_in_for_mindspore(torch.randn, torch.float32)
    shown, space = run("diffusers", Path(folder), mindspore)
    recorded = {
        "shown": [[kind, png(value) if kind == "image" else value] for kind, value in shown],
        "noisy_residual": space["noisy_residual"].flatten().tolist(),
        "less_noisy_sample": space["less_noisy_sample"].flatten().tolist(),
        "sample": space["sample"].flatten().tolist(),
    }
RECORDED.write_text(json.dumps(recorded, indent=1) + "\n")
print(f"{len(shown)} results, {RECORDED.stat().st_size} bytes")
