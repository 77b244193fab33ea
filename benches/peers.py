"""Times one denoising call and one decoding in other programs, and compares Oxidiff with them. Called by compare.sh."""

import os
import re
import statistics
import sys
import time
from collections import defaultdict
from pathlib import Path

BATCH, TOKENS = int(os.environ.get("BATCH", 2)), 77
SIZE = int(os.environ.get("SIZE", 0))
# Stable Diffusion XL is told the size of the training image, where it was cut, and the size of the result.
NUMBERS = 6


def models(folder):
    import torch
    from diffusers import AutoencoderKL, UNet2DConditionModel

    class Unet(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.model = UNet2DConditionModel.from_pretrained(f"{folder}/unet").eval()

        def forward(self, sample, timestep, text, *added):
            conditions = dict(zip(("text_embeds", "time_ids"), added)) or None
            return self.model(sample, timestep, text, added_cond_kwargs=conditions, return_dict=False)[0]

    class Decoder(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.model = AutoencoderKL.from_pretrained(f"{folder}/vae").eval()

        def forward(self, latents):
            return self.model.decode(latents, return_dict=False)[0]

    unet, vae = Unet(), Decoder()
    torch.manual_seed(0)
    config = unet.model.config
    side = SIZE or config.sample_size
    sample = torch.randn(BATCH, config.in_channels, side, side)
    text = torch.randn(BATCH, TOKENS, config.cross_attention_dim)
    latents = torch.randn(1, vae.model.config.latent_channels, side, side)
    added = ()
    if config.addition_embed_type == "text_time":
        pooled = config.projection_class_embeddings_input_dim - NUMBERS * config.addition_time_embed_dim
        sizes = torch.tensor([[8 * side, 8 * side, 0, 0, 8 * side, 8 * side]] * BATCH, dtype=torch.float32)
        added = (torch.randn(BATCH, pooled), sizes)
    return {"unet": (unet, (sample, torch.tensor(981), text, *added)), "vae": (vae, (latents,))}


def timed(program, name, dtype, call):
    call()
    start = time.perf_counter()
    call()
    print(f"{program} {name} {dtype}: median {time.perf_counter() - start:.3f} s", flush=True)


def prepare(folder, target):
    import numpy
    import openvino
    import torch

    Path(target).mkdir()
    for name, (model, inputs) in models(folder).items():
        with torch.no_grad():
            graph = openvino.convert_model(model, example_input=inputs)
        openvino.save_model(graph, f"{target}/{name}.xml", compress_to_fp16=False)
        arrays = {f"input{index}": value.numpy() for index, value in enumerate(inputs)}
        numpy.savez(f"{target}/{name}.npz", **arrays)


def run_openvino(folder, dtype):
    import numpy
    import openvino

    core = openvino.Core()
    settings = {"INFERENCE_PRECISION_HINT": dtype, "PERFORMANCE_HINT": "LATENCY"}
    for name in ("unet", "vae"):
        stored = numpy.load(f"{folder}/{name}.npz")
        inputs = [stored[f"input{index}"] for index in range(len(stored.files))]
        compiled = core.compile_model(f"{folder}/{name}.xml", "CPU", settings)
        timed("openvino", name, dtype, lambda: compiled(inputs))


def run_torch(folder, dtype):
    import torch

    element = {"f32": torch.float32, "bf16": torch.bfloat16, "f16": torch.float16}[dtype]
    with torch.inference_mode():
        for name, (model, inputs) in models(folder).items():
            model.to(element)
            inputs = [value.to(element) if value.is_floating_point() else value for value in inputs]
            timed("torch", name, dtype, lambda: model(*inputs))


def reference(folder):
    """Saves the inputs and PyTorch's outputs, with which `oxidiff bench` prints its relative error."""
    import torch
    from safetensors.torch import save_file

    names = {"unet": ("sample", "timestep", "text", "text_embeds", "time_ids"), "vae": ("latent",)}
    tensors = {}
    with torch.inference_mode():
        for name, (model, inputs) in models(folder).items():
            tensors |= {f"{name}_{key}": value for key, value in zip(names[name], inputs)}
            tensors[f"{name}_out"] = model(*inputs).contiguous()
    save_file(tensors, f"{folder}/reference.safetensors")


def ratios(log):
    times = defaultdict(list)
    for line in Path(log).read_text().splitlines():
        if found := re.match(r"(\w+) (unet|vae) \w+: median ([\d.]+) s", line):
            program, name, seconds = found.groups()
            times[name, program].append(float(seconds))
    for name in ("unet", "vae"):
        ours = times[name, "oxidiff"]
        for program in ("openvino", "torch"):
            theirs = times[name, program]
            if not theirs:
                continue
            each = sorted(a / b for a, b in zip(ours, theirs))
            print(
                f"{name}: oxidiff {statistics.median(ours):.3f} s, {program} {statistics.median(theirs):.3f} s, "
                f"ratio in one round: median {statistics.median(each):.2f} ({each[0]:.2f} to {each[-1]:.2f})"
            )


if __name__ == "__main__":
    command, *arguments = sys.argv[1:]
    commands = {
        "prepare": prepare,
        "openvino": run_openvino,
        "torch": run_torch,
        "reference": reference,
        "ratios": ratios,
    }
    commands[command](*arguments)
