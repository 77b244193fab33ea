"""Measures what the package costs besides the computation: start, first step, calls, and memory.

    python overhead.py                       measures oxidiff
    python overhead.py --diffusers PYTHON    also measures Diffusers, with an interpreter that has it
"""

import argparse
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from tour import STABLE_DIFFUSION, prepare  # noqa: E402

#: Prints the seconds from the start of the import to the end of the first denoising step.
FIRST_STEP = """
import sys, time
start = time.perf_counter()
from {package} import DiffusionPipeline
pipeline = DiffusionPipeline.from_pretrained(sys.argv[1], use_safetensors=True)
pipeline.set_progress_bar_config(disable=True)
seconds = []
def callback(pipeline, step, timestep, values):
    seconds.append(time.perf_counter() - start)
    return values
pipeline("a red apple", num_inference_steps=1, callback_on_step_end=callback)
print(seconds[0])
"""


def wall_clock(interpreter, code, times=10):
    """The median of the seconds that an interpreter runs."""
    seconds = []
    for _ in range(times):
        start = time.perf_counter()
        subprocess.run([interpreter, "-c", code], check=True)
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def first_step(interpreter, package, checkpoint, times=5):
    """The median of the seconds until the first step is done, after one run that warms the caches up."""
    command = [interpreter, "-W", "ignore", "-c", FIRST_STEP.format(package=package), checkpoint]
    seconds = [float(subprocess.run(command, capture_output=True, text=True, check=True).stdout) for _ in range(times + 1)]
    return statistics.median(seconds[1:])


def step_of_scheduler(make):
    """The median of the seconds of `scheduler.step` on a sample of 4x64x64 that `make` makes of one of numpy."""
    import numpy

    import oxidiff

    scheduler = oxidiff.EulerDiscreteScheduler()
    sample = make(numpy.random.default_rng(0).standard_normal((1, 4, 64, 64)).astype(numpy.float32))
    output = sample * 0.1
    seconds = []
    for _ in range(20):
        scheduler.set_timesteps(50)
        for timestep in list(scheduler.timesteps):
            start = time.perf_counter()
            scheduler.step(output, timestep, sample)
            seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def growth_of_memory(checkpoint, generations=100):
    """The MiB by which the largest memory so far grows during generations, after some that warm up."""
    import oxidiff

    pipeline = oxidiff.DiffusionPipeline.from_pretrained(checkpoint)
    pipeline.set_progress_bar_config(disable=True)

    def generate(times):
        for seed in range(times):
            pipeline("a red apple", num_inference_steps=2, generator=oxidiff.Generator(seed))
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

    before = generate(20)
    return generate(generations) - before


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--diffusers", metavar="PYTHON", help="an interpreter that has Diffusers")
    arguments = parser.parse_args()

    with tempfile.TemporaryDirectory() as folder:
        measure(prepare(Path(folder))[STABLE_DIFFUSION], arguments.diffusers)


def measure(checkpoint, diffusers):
    """Prints all measurements."""
    print(f"python -c pass             {wall_clock(sys.executable, 'pass'):.3f} s")
    print(f"python -c 'import oxidiff' {wall_clock(sys.executable, 'import oxidiff'):.3f} s")
    ours = first_step(sys.executable, "oxidiff", checkpoint)
    print(f"to the first step          {ours:.3f} s")
    if diffusers:
        theirs = first_step(diffusers, "diffusers", checkpoint)
        print(f"  Diffusers                {theirs:.3f} s: a ratio of {ours / theirs:.3f}")

    from oxidiff import Tensor

    print(f"scheduler.step, numpy      {1e3 * step_of_scheduler(lambda array: array):.3f} ms")
    print(f"scheduler.step, oxidiff    {1e3 * step_of_scheduler(Tensor):.3f} ms")
    try:
        import torch
    except ImportError:
        pass
    else:
        print(f"scheduler.step, torch      {1e3 * step_of_scheduler(torch.from_numpy):.3f} ms")
    print(f"100 generations            {growth_of_memory(checkpoint):.1f} MiB more")


if __name__ == "__main__":
    main()
