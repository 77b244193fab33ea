"""Times one training step in PyTorch and in Oxidiff, and measures the memory that it takes at most.

    python peers_training.py [--oxidiff BINARY] [--case unet|lora] [--dtype f32|bf16] [--batch N] [--size N] [--steps N] [--threads N] [--checkpointing]

A step is forward, backward, clipping and AdamW. The cases are the model of the tutorial "Train a diffusion model" (128x128,
batches of 16), and low-rank adapters of rank 4 for a UNet of Stable Diffusion 1.5's size with random weights (256x256, batches
of 1, latents and text given). In bf16, autocast computes. Weights and moments stay in f32, but for the UNet that adapters are for,
which is stored in bf16 as in the example script. (Its adapters are bf16 too; here they are f32.) Without --case and --dtype, all
four are measured, each in a process of its own. A line of JSON is printed for each: the median of the steps after the first one
in seconds, and the peaks of resident memory in MiB, before the first step and of everything.

With --oxidiff, each PyTorch case is followed by `oxidiff train` on random images, whose times come from its log, and by a line with the
ratios. Oxidiff's steps do more: they read images; for adapters they encode each image in the first epoch, which is not counted, and the
VAE stays in memory.
"""

import argparse
import csv
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def tutorial(size):
    """The model, and a batch of noisy images."""
    from diffusers import UNet2DModel

    return UNet2DModel(
        sample_size=size, in_channels=3, out_channels=3, layers_per_block=2, block_out_channels=(128, 128, 256, 256, 512, 512),
        down_block_types=("DownBlock2D",) * 4 + ("AttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "AttnUpBlock2D") + ("UpBlock2D",) * 4)


def stable_diffusion(dtype):
    """The UNet with adapters of rank 4, which alone are trained."""
    import torch
    from diffusers import UNet2DConditionModel
    from peft import LoraConfig

    # The weights are made in their type: single precision first would count as peak memory.
    torch.set_default_dtype(torch.bfloat16 if dtype == "bf16" else torch.float32)
    unet = UNet2DConditionModel(
        sample_size=64, cross_attention_dim=768, attention_head_dim=8, block_out_channels=(320, 640, 1280, 1280), layers_per_block=2,
        down_block_types=("CrossAttnDownBlock2D",) * 3 + ("DownBlock2D",), up_block_types=("UpBlock2D",) + ("CrossAttnUpBlock2D",) * 3)
    torch.set_default_dtype(torch.float32)
    unet.requires_grad_(False)
    unet.add_adapter(LoraConfig(r=4, lora_alpha=4, init_lora_weights="gaussian", target_modules=["to_k", "to_q", "to_v", "to_out.0"]))
    for parameter in unet.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.float()
    return unet


def peak():
    """The most resident memory that this process has had, in MiB; Linux counts in KiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure(case, dtype, batch, size, steps, threads, checkpointing):
    import torch
    import torch.nn.functional as F

    if threads:
        torch.set_num_threads(threads)
    torch.manual_seed(0)
    if case == "unet":
        size, batch = size or 128, batch or 16
        model, inputs, settings = tutorial(size), (batch, 3, size, size), dict(lr=1e-4, weight_decay=1e-6, betas=(0.95, 0.999))
        conditions = {}
    else:
        size, batch = size or 256, batch or 1
        model, inputs, settings = stable_diffusion(dtype), (batch, 4, size // 8, size // 8), dict(lr=1e-4, weight_decay=1e-2)
        conditions = {"encoder_hidden_states": torch.randn(batch, 77, 768)}
    model.train()
    if checkpointing:
        model.enable_gradient_checkpointing()
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, **settings)
    before, times, losses = peak(), [], []
    for _ in range(steps + 1):
        noisy, noise, timesteps = torch.randn(inputs), torch.randn(inputs), torch.randint(0, 1000, (batch,))
        start = time.perf_counter()
        with torch.autocast("cpu", torch.bfloat16, enabled=dtype == "bf16"):
            predicted = model(noisy, timesteps, return_dict=False, **conditions)[0]
            loss = F.mse_loss(predicted.float(), noise)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        times.append(time.perf_counter() - start)
        losses.append(loss.item())
    print(json.dumps({
        "program": f"torch {torch.__version__}", "case": case, "dtype": dtype, "batch": batch, "size": size, "threads": torch.get_num_threads(),
        "checkpointing": checkpointing, "trained_parameters": sum(parameter.numel() for parameter in trained), "steps": steps,
        "seconds": round(statistics.median(times[1:]), 3), "first_seconds": round(times[0], 3), "model_mib": round(before), "peak_mib": round(peak()), "last_loss": losses[-1],
    }), flush=True)


def checkpoint(folder):
    """A Stable Diffusion 1.5 with random weights; its tokenizer knows single letters."""
    from diffusers import AutoencoderKL, PNDMScheduler
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

    unet = stable_diffusion("f32")
    unet.unload_lora()
    unet.save_pretrained(folder / "unet")
    AutoencoderKL(
        block_out_channels=(128, 256, 512, 512), layers_per_block=2, latent_channels=4, sample_size=512,
        down_block_types=["DownEncoderBlock2D"] * 4, up_block_types=["UpDecoderBlock2D"] * 4).save_pretrained(folder / "vae")
    CLIPTextModel(CLIPTextConfig(
        vocab_size=49408, hidden_size=768, intermediate_size=3072, num_hidden_layers=12, num_attention_heads=12)).save_pretrained(folder / "text_encoder")
    PNDMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", skip_prk_steps=True, steps_offset=1).save_pretrained(folder / "scheduler")
    tokenizer = folder / "tokenizer"
    tokenizer.mkdir()
    letters = [chr(code) + end for code in range(33, 127) for end in ("", "</w>")]
    vocabulary = {token: index for index, token in enumerate([*letters, "<|startoftext|>", "<|endoftext|>"])}
    (tokenizer / "vocab.json").write_text(json.dumps(vocabulary))
    (tokenizer / "merges.txt").write_text("#version: 0.2\n")
    CLIPTokenizer(str(tokenizer / "vocab.json"), str(tokenizer / "merges.txt"), model_max_length=77).save_pretrained(tokenizer)
    parts = {
        "vae": ["diffusers", "AutoencoderKL"], "text_encoder": ["transformers", "CLIPTextModel"], "tokenizer": ["transformers", "CLIPTokenizer"],
        "unet": ["diffusers", "UNet2DConditionModel"], "scheduler": ["diffusers", "PNDMScheduler"],
        "safety_checker": [None, None], "feature_extractor": [None, None], "requires_safety_checker": False}
    (folder / "model_index.json").write_text(json.dumps({"_class_name": "StableDiffusionPipeline"} | parts))


def measure_oxidiff(binary, model, case, dtype, batch, size, steps, threads, checkpointing):
    """As `measure`, of the command line."""
    from PIL import Image
    import numpy

    size, batch = size or (128 if case == "unet" else 256), batch or (16 if case == "unet" else 1)
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        images, output = folder / "images", folder / "output"
        images.mkdir()
        for index in range(batch * (steps + 1) if case == "unet" else batch):
            Image.fromarray(numpy.random.randint(0, 255, (size, size, 3), dtype=numpy.uint8)).save(images / f"{index}.png")
            (images / f"{index}.txt").write_text(f"picture {index}")
        task = ["unconditional", "--ddpm_num_inference_steps", 1, "--eval_batch_size", 1] if case == "unet" else [
            "text-to-image-lora", "--pretrained_model_name_or_path", model, "--rank", 4, "--max_grad_norm", 1,
            "--cache_latents", "--cache_text_embeddings"]
        command = [binary, "train", *task, "--train_data_dir", images, "--resolution", size, "--train_batch_size", batch, "--max_train_steps", steps + 1,
                   "--output_dir", output, "--mixed_precision", "no" if dtype == "f32" else "bf16", "--no-progress"]
        command += ["--gradient_checkpointing"] if checkpointing else []
        threads = {"RAYON_NUM_THREADS": str(threads)} if threads else {}
        child = subprocess.Popen([str(word) for word in command], stdout=subprocess.DEVNULL, env=os.environ | threads)
        _, status, usage = os.wait4(child.pid, 0)
        if status:
            sys.exit(f"oxidiff train failed: {os.waitstatus_to_exitcode(status)}")
        (log,) = output.glob("logs/*/metrics.csv")
        ends = [float(row["seconds"]) for row in csv.DictReader(log.open())]
    times = [end - start for start, end in zip([0, *ends], ends)]
    return {"program": "oxidiff", "case": case, "dtype": dtype, "batch": batch, "size": size, "checkpointing": checkpointing, "steps": steps,
            "seconds": round(statistics.median(times[1:]), 3), "first_seconds": round(times[0], 3),
            "peak_mib": round(usage.ru_maxrss / 1024)}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--case", choices=("unet", "lora"))
    parser.add_argument("--dtype", choices=("f32", "bf16"))
    for name, default in (("batch", 0), ("size", 0), ("steps", 3), ("threads", 0)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--checkpointing", action="store_true")
    parser.add_argument("--oxidiff", metavar="BINARY")
    given = vars(parser.parse_args())
    binary = given.pop("oxidiff")
    if given["steps"] < 1:
        parser.error("--steps must be at least 1")
    if given["case"] and given["dtype"] and not binary:
        return measure(**given)
    rest = [value for name in ("batch", "size", "steps", "threads") for value in (f"--{name}", str(given[name]))]
    rest += ["--checkpointing"] if given["checkpointing"] else []
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder)
        if binary and given["case"] != "unet":
            subprocess.run([sys.executable, "-c", f"import pathlib, peers_training as it; it.checkpoint(pathlib.Path({folder!r}))"],
                           check=True, cwd=Path(__file__).parent)
        for case in [given["case"]] if given["case"] else ["unet", "lora"]:
            for dtype in [given["dtype"]] if given["dtype"] else ["f32", "bf16"]:
                words = [sys.executable, __file__, "--case", case, "--dtype", dtype, *rest]
                torch = json.loads(subprocess.run(words, check=True, stdout=subprocess.PIPE).stdout)
                print(json.dumps(torch), flush=True)
                if binary:
                    ours = measure_oxidiff(binary, model, **given | {"case": case, "dtype": dtype})
                    print(json.dumps(ours))
                    ratio = {name: round(ours[name] / torch[name], 2) for name in ("seconds", "peak_mib")}
                    print(json.dumps({"case": case, "dtype": dtype, "ratio": ratio}), flush=True)


if __name__ == "__main__":
    main()
