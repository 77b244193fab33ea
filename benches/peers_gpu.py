"""Times Stable Diffusion 1.5 in its true size on an NVIDIA GPU: PyTorch eager, channels last and compiled, and Oxidiff, in one run.

    python benches/peers_gpu.py OXIDIFF TOKENIZER FOLDER [--no-compile]

OXIDIFF is the binary, TOKENIZER a folder with CLIP's tokenizer, FOLDER is where the checkpoint (random weights) is made if it is
not there. Needs torch and diffusers. Prints milliseconds, the median of many calls.
"""

import argparse
import statistics
import subprocess
import threading
import time
from pathlib import Path

import torch
from diffusers import AutoencoderKL, PNDMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from safetensors.torch import save_file
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

PROMPT = "a photo of a cat"


def timed(name, call, runs=20):
    """Prints the median time of `call`, which ends when the card is idle, and returns its result."""
    for _ in range(3):
        result = call()
    times = []
    for _ in range(runs):
        torch.cuda.synchronize()
        start = time.perf_counter()
        result = call()
        torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    print(f"{name}: median {1e3 * statistics.median(times):.2f} ms, least {1e3 * min(times):.2f} ms", flush=True)
    return result


def make_checkpoint(tokenizer, folder):
    """The true shapes with random weights, and what PyTorch computes with them in f32."""
    torch.manual_seed(0)
    with torch.device("cuda"):
        unet = UNet2DConditionModel(
            sample_size=64, block_out_channels=(320, 640, 1280, 1280), cross_attention_dim=768, attention_head_dim=8
        )
        vae = AutoencoderKL(
            down_block_types=["DownEncoderBlock2D"] * 4,
            up_block_types=["UpDecoderBlock2D"] * 4,
            block_out_channels=[128, 256, 512, 512],
            layers_per_block=2,
            sample_size=512,
        )
        text = CLIPTextModel(
            CLIPTextConfig(
                vocab_size=49408, hidden_size=768, intermediate_size=3072, num_hidden_layers=12, num_attention_heads=12,
                bos_token_id=49406, eos_token_id=49407,
            )
        )
    scheduler = PNDMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", skip_prk_steps=True, set_alpha_to_one=False,
        steps_offset=1,
    )
    tokenizer = CLIPTokenizer(f"{tokenizer}/vocab.json", f"{tokenizer}/merges.txt", model_max_length=77)
    pipeline = StableDiffusionPipeline(
        vae=vae, text_encoder=text, tokenizer=tokenizer, unet=unet, scheduler=scheduler, safety_checker=None,
        feature_extractor=None, requires_safety_checker=False,
    )
    pipeline.save_pretrained(folder)
    generator = torch.Generator().manual_seed(0)
    sample, latents = torch.randn(2, 4, 64, 64, generator=generator), torch.randn(1, 4, 64, 64, generator=generator)
    states = torch.randn(2, 77, 768, generator=generator)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    with torch.inference_mode():
        predicted = unet(sample.cuda(), 981, states.cuda(), return_dict=False)[0]
        decoded = vae.decode(latents.cuda(), return_dict=False)[0]
    tensors = dict(unet_sample=sample, unet_timestep=torch.tensor(981), unet_text=states, unet_out=predicted)
    tensors |= dict(vae_latent=latents, vae_out=decoded)
    save_file({name: tensor.contiguous().cpu() for name, tensor in tensors.items()}, f"{folder}/reference.safetensors")


def error(found, expected):
    return ((found.float() - expected).norm() / expected.norm()).item()


def time_torch(folder, compiled):
    from safetensors.torch import load_file

    pipeline = StableDiffusionPipeline.from_pretrained(folder, torch_dtype=torch.bfloat16).to("cuda")
    pipeline.set_progress_bar_config(disable=True)
    unet, vae = pipeline.unet, pipeline.vae
    reference = {name: tensor.cuda() for name, tensor in load_file(f"{folder}/reference.safetensors").items()}
    sample, text, latents = (reference[key].bfloat16() for key in ("unet_sample", "unet_text", "vae_latent"))

    def generate():
        generator = torch.Generator().manual_seed(0)
        return pipeline(PROMPT, num_inference_steps=50, generator=generator, output_type="np")

    def time_both(name):
        found = timed(f"torch bf16 {name}, unet", lambda: unet(sample, 981, text, return_dict=False)[0])
        print(f"  relative error {error(found, reference['unet_out']):.2e}")
        found = timed(f"torch bf16 {name}, vae", lambda: vae.decode(latents, return_dict=False)[0])
        print(f"  relative error {error(found, reference['vae_out']):.2e}")

    with torch.inference_mode():
        torch.cuda.reset_peak_memory_stats()
        time_both("eager")
        timed("torch bf16 eager, 50 steps and decoding", generate, 3)
        print(f"  peak memory of the allocator {torch.cuda.max_memory_allocated() / 2**20:.0f} MiB")
        unet.to(memory_format=torch.channels_last)
        vae.to(memory_format=torch.channels_last)
        sample = sample.contiguous(memory_format=torch.channels_last)
        time_both("channels last")
        timed("torch bf16 channels last, 50 steps and decoding", generate, 3)
        if not compiled:
            return
        fast = torch.compile(unet, mode="reduce-overhead", fullgraph=True)
        timed("torch bf16 compiled, unet", lambda: fast(sample, torch.tensor(981, device="cuda"), text, return_dict=False)[0].clone())
        decode = torch.compile(lambda z: vae.decode(z, return_dict=False)[0], mode="reduce-overhead", fullgraph=True)
        timed("torch bf16 compiled, vae", lambda: decode(latents).clone())


def run_watched(name, command):
    """Runs `command` and prints its time and the most memory of the card that was in use."""
    query = ["nvidia-smi", "--query-gpu=memory.used", "--format=csv,noheader,nounits"]
    used, done = [], threading.Event()

    def watch():
        while not done.is_set():
            used.append(int(subprocess.run(query, capture_output=True, text=True).stdout.split()[0]))
            done.wait(0.05)

    watcher = threading.Thread(target=watch)
    watcher.start()
    start = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    seconds = time.perf_counter() - start
    done.set()
    watcher.join()
    print(f"{name}: {seconds:.2f} s from the start of the process, card's memory in use at most {max(used)} MiB", flush=True)


def time_oxidiff(oxidiff, folder):
    for dtype in ("bf16", "f16", "f32"):
        command = [oxidiff, "bench", folder, "--device", "cuda", "--dtype", dtype, "--runs", "50"]
        print("oxidiff", subprocess.run(command, capture_output=True, text=True).stdout.replace("\n", "\noxidiff "), flush=True)
    breakdown = [oxidiff, "bench", folder, "--device", "cuda", "--dtype", "bf16", "--runs", "1", "--breakdown"]
    print(subprocess.run(breakdown, capture_output=True, text=True).stdout)
    for steps in (1, 1, 50, 50):
        generate = [oxidiff, "generate", PROMPT, "--model", folder, "--device", "cuda", "--dtype", "bf16"]
        run_watched(f"oxidiff bf16, {steps} steps", [*generate, "--steps", str(steps), "--seed", "0", "--output", f"{folder}/cat.npy"])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("oxidiff")
    parser.add_argument("tokenizer")
    parser.add_argument("folder")
    parser.add_argument("--no-compile", action="store_true")
    arguments = parser.parse_args()
    print(torch.__version__, torch.cuda.get_device_name(0), flush=True)
    if not Path(arguments.folder, "model_index.json").exists():
        make_checkpoint(arguments.tokenizer, arguments.folder)
    torch.cuda.empty_cache()
    time_oxidiff(arguments.oxidiff, arguments.folder)
    time_torch(arguments.folder, not arguments.no_compile)


if __name__ == "__main__":
    main()
