"""One step of a diffusion transformer and the peak memory of a whole generation at 512x512: Oxidiff, diffusers and stable-diffusion.cpp.

Usage, one program at a time:
    peers_transformers.py oxidiff OXIDIFF [OPTION...]       options of `oxidiff generate`
    peers_transformers.py diffusers FOLDER [GUIDANCE]       in bf16
    peers_transformers.py sd.cpp SD_CLI [OPTION...]         options of `sd-cli`

A step of Oxidiff is half of what a generation of three steps takes longer than one of one step: so loading, texts and decoding do not count. The others say
how long a step takes.
"""

import re
import resource
import subprocess
import sys
import time

PROMPT, SIZE = "a red apple", "512"


def report(seconds, who):
    peak = resource.getrusage(who).ru_maxrss / 2**20
    print(f"{seconds:.1f} s a step, peak {peak:.2f} GiB", flush=True)


def oxidiff(program, *options):
    def generation(steps):
        start = time.monotonic()
        command = [program, "generate", PROMPT, "--height", SIZE, "--width", SIZE, "--steps", str(steps), "--no-progress", "--output", "oxidiff-transformer.png"]
        subprocess.run([*command, *options], check=True, stdout=subprocess.DEVNULL)
        return time.monotonic() - start

    generation(1)
    one, three = generation(1), generation(3)
    report((three - one) / 2, resource.RUSAGE_CHILDREN)


def diffusers(folder, guidance="0"):
    import torch
    from diffusers import DiffusionPipeline

    torch.set_num_threads(2)
    pipeline = DiffusionPipeline.from_pretrained(folder, dtype=torch.bfloat16)
    times = []

    def note(_pipeline, _step, _timestep, inputs):
        times.append(time.monotonic())
        return inputs

    pipeline(PROMPT, height=int(SIZE), width=int(SIZE), num_inference_steps=3, guidance_scale=float(guidance), callback_on_step_end=note)
    report((times[-1] - times[0]) / 2, resource.RUSAGE_SELF)


def sd_cpp(program, *options):
    command = [program, "-p", PROMPT, "-H", SIZE, "-W", SIZE, "--steps", "1", "--cfg-scale", "1", "-t", "2", "--mmap", "-o", "sd.cpp-transformer.png"]
    output = subprocess.run([*command, *options], check=True, capture_output=True, text=True).stdout
    seconds = re.findall(r"sampling completed, taking ([\d.]+)s", output)
    report(float(seconds[-1]), resource.RUSAGE_CHILDREN)


if __name__ == "__main__":
    {"oxidiff": oxidiff, "diffusers": diffusers, "sd.cpp": sd_cpp}[sys.argv[1]](*sys.argv[2:])
