"""Checks and times the convolution kernels on the card.

    python convolution.py KERNELS.cubin ... [--check N] [--time] [--only TEXT]

`--check N` compares N random convolutions of each element type with float64, through every kernel that
takes them; `--time` times the shapes of Stable Diffusion beside PyTorch (cuDNN and cuBLAS).
"""

import argparse
import ctypes
import json
import os
import random
import re

import torch
from convolution_problem import TYPES, Problem, conv3, problems_of, random_case, stable_diffusion
from convolution_problem import time_graph, torch_launch
from cuda.bindings import driver

# ||y - reference|| / ||reference|| that rounding explains.
TOLERANCE = {"bf16": 3e-3, "f16": 6e-4, "f32": 4e-6, "tf32": 2e-3}

# Whether launches may start while the one before still runs, as those of the engine do.
EARLY = False


class Kernel:
    """A kernel with what its launch needs; `tile` is (rows, columns) of a block, `slots` its depth."""

    def __init__(self, function, name, tile, threads, shared, splits=True):
        self.function, self.name, self.tile, self.threads = function, name, tile, threads
        self.shared, self.splits = shared, splits
        check(driver.cuFuncSetAttribute(
            function, driver.CUfunction_attribute.CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, shared))

    def takes(self, case):
        return case.chunks_fit

    def tiles(self, case):
        return -(-case.rows // self.tile[0]) * -(-case.out_channels // self.tile[1])

    def steps(self, case):
        return case.kernel[0] * case.kernel[1] * -(-case.in_channels // (128 // TYPES[case.type].itemsize))

    def partial_bytes(self, case, splits):
        return self.tiles(case) * splits * self.tile[0] * self.tile[1] * 4

    def grid(self, case, splits):
        return self.tiles(case), splits

    def shared_bytes(self, case):
        return self.shared

    def prepare(self, problem, splits=1):
        """A function that launches the kernel on the current stream."""
        case = problem.case
        params = problem.params(splits, self.partial_bytes(case, splits), self.tiles(case))
        grid, shared = self.grid(case, splits), self.shared_bytes(case)
        pointers = (ctypes.c_void_p * 1)(ctypes.addressof(params))

        config = driver.CUlaunchConfig()
        config.gridDimX, config.gridDimY, config.gridDimZ = *grid, 1
        config.blockDimX, config.blockDimY, config.blockDimZ = self.threads, 1, 1
        config.sharedMemBytes = shared
        if EARLY:
            attribute = driver.CUlaunchAttribute()
            attribute.id = driver.CUlaunchAttributeID.CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION
            attribute.value.programmaticStreamSerializationAllowed = 1
            config.attrs, config.numAttrs = [attribute], 1

        def launch():
            config.hStream = driver.CUstream(torch.cuda.current_stream().cuda_stream)
            check(driver.cuLaunchKernelEx(config, self.function, ctypes.addressof(pointers), 0))
            return params

        return launch


class ElementKernel(Kernel):
    def takes(self, case):
        return True

    def steps(self, case):
        return -(-case.depth // (128 // TYPES[case.type].itemsize))


class RowsKernel(Kernel):
    def takes(self, case):
        return case.chunks_fit and case.is_linear and case.rows <= 3 * self.tile[0]

    def grid(self, case, splits):
        return -(-case.out_channels // self.tile[1]), -(-case.rows // self.tile[0])


class FewKernel(Kernel):
    """Of convolution_few.cu; `tile` is the size of a block's area of the output."""

    def takes(self, case):
        return (case.chunks_fit and case.kernel == (3, 3) and case.stride == 1 and case.upsample == 1
                and case.out_channels <= 4)

    def grid(self, case, splits):
        height, width = case.out_size
        return -(-height // self.tile[0]) * -(-width // self.tile[0]), case.batch

    def shared_bytes(self, case):
        groups = ((self.tile[0] + 2) ** 2 + 15) // 16
        row = -(-case.in_channels * TYPES[case.type].itemsize // 128) * 128 + 64
        return 40 * (groups * 16 + 4) * 4 + 40 * row


def check(result):
    if result[0] != driver.CUresult.CUDA_SUCCESS:
        raise RuntimeError(str(result[0]))
    return result[1] if len(result) == 2 else result[1:]


def kernel_names(cubin):
    return sorted(set(name.decode() for name in re.findall(rb"\.text\.(oxd_convolution_\w+)", cubin)))


# Threads and slots of the kernels of convolution_mma.cu, by tile.
TILES = {
    (128, 256): (256, 3),
    (128, 160): (256, 3),
    (128, 128): (128, 3),
    (64, 160): (128, 3),
    (64, 64): (128, 3),
    (32, 64): (128, 4),
    (128, 16): (128, 4),
}


def load(paths):
    """The kernels of cubin files, by element type."""
    torch.zeros(1, device="cuda")
    kernels = {type: [] for type in TYPES}
    for path in paths:
        cubin = open(path, "rb").read()
        module = check(driver.cuModuleLoadData(cubin))
        for name in kernel_names(cubin):
            function = check(driver.cuModuleGetFunction(module, name.encode()))
            type, variant = re.fullmatch(r"oxd_convolution_(\w+?)_(\w+)", name).groups()
            if variant == "any":
                kernel = ElementKernel(function, variant, (64, 64), 128, 64 * 72 * 4)
            elif variant.startswith("few"):
                kernel = FewKernel(function, variant, (int(variant[3:]),) * 2, 224, 200 << 10, splits=False)
            elif variant == "rows16":
                kernel = RowsKernel(function, variant, (16, 8), 256, 0, splits=False)
            elif variant == "rows4":
                kernel = RowsKernel(function, variant, (4, 2), 128, 0, splits=False)
            else:
                numbers = [int(n) for n in re.findall(r"\d+", variant)]
                tile = tuple(numbers[:2])
                if len(numbers) > 2:
                    threads, slots = numbers[2] * numbers[3] * 32, numbers[4]
                else:
                    threads, slots = TILES[tile]
                shared = max(slots * sum(tile) * 128, tile[0] * (tile[1] + 8) * 4)
                kernel = Kernel(function, variant, tile, threads, shared)
            kernels[type].append(kernel)
            if variant.startswith("rows") and type == "f32":
                kernels["tf32"].append(kernel)
    return kernels


def check_case(kernel, problem, expected, splits):
    """What is wrong with a kernel's result, or None; and the relative error."""
    case = problem.case
    problem.y.copy_(problem.residual if case.residual == "y" else torch.full_like(problem.y, float("nan")))
    launch = kernel.prepare(problem, splits)
    launch()
    torch.cuda.synchronize()
    # Sums of few outputs may nearly cancel; their error is measured against what such sums usually are.
    usual = 0.3 * expected.numel() ** 0.5
    error = ((problem.y.double() - expected).norm() / expected.norm().clamp_min(usual)).item()
    if not error < TOLERANCE[case.type]:
        return "error", error
    whole = problem.y.as_strided(
        (case.rows, problem.y.stride(2)), (problem.y.stride(2), 1), problem.y.storage_offset())
    if not torch.isnan(whole[:, problem.y.shape[3]:]).all():
        return "written outside y", error
    if splits > 1 and problem.arrivals.any():
        return "counters left", error
    if case.residual != "y":
        first = problem.y.clone()
        launch()
        if not torch.equal(first, problem.y):
            return "not the same again", error
    return None, error


def check_all(kernels, count, seed=0):
    """Compare random convolutions; returns whether all were right."""
    rng = random.Random(seed)
    torch.manual_seed(seed)
    failures = 0
    for type, of_type in kernels.items():
        ran, worst = 0, {}
        for number in range(count if of_type else 0):
            case = random_case(type, rng)
            if number == 0:
                case = conv3(type, 1, 16, 1280, 64)
            problem = Problem(case)
            expected = problem.reference()
            for kernel in of_type:
                if not kernel.takes(case):
                    continue
                splits = min(rng.choice([1, 1, 2, 3, 7]), kernel.steps(case)) if kernel.splits else 1
                wrong, error = check_case(kernel, problem, expected, splits)
                ran += 1
                worst[kernel.name] = max(worst.get(kernel.name, 0.0), error)
                if wrong:
                    failures += 1
                    if failures < 40:
                        print(f"FAILED {type} {kernel.name} splits {splits}: {wrong} {error:.2e} {case}",
                              flush=True)
        errors = " ".join(f"{name}:{error:.1e}" for name, error in worst.items())
        print(f"{type}: {ran} results; worst errors {errors}", flush=True)
    print("all right" if failures == 0 else f"{failures} FAILURES", flush=True)
    return failures == 0


def split_choices(kernel, case, multiprocessors=132):
    """Numbers of splits that fill the card once or twice, or nearly."""
    if not kernel.splits:
        return [1]
    tiles, steps = kernel.tiles(case), kernel.steps(case)
    choices = {1}
    for blocks in (1, 2, 3):
        fill = multiprocessors * blocks // tiles
        choices |= {fill, fill - 1 if fill > 8 else fill}
    return sorted(s for s in choices if 1 <= s <= min(24, max(1, steps // 3)))


def time_case(name, case, kernels, keep=6):
    problems = problems_of(case)
    # Launches for about a millisecond.
    rounds = max(1, min(24, int(3e11 / case.operations)) // len(problems))
    torch_us = time_graph([torch_launch(p) for p in problems] * rounds)
    results = []
    for kernel in kernels:
        if not kernel.takes(case) or (isinstance(kernel, RowsKernel) and case.rows > 16):
            continue
        for splits in split_choices(kernel, case):
            us = time_graph([kernel.prepare(p, splits) for p in problems] * rounds)
            results.append((us, f"{kernel.name}/{splits}"))
    results.sort()
    if os.environ.get("OUT"):
        with open(os.path.join(os.environ["OUT"], "convolution_times.jsonl"), "a") as file:
            print(json.dumps([name, torch_us, results]), file=file)
    best = results[0][0]
    flops = case.operations * 1e-6
    others = "  ".join(f"{name} {us:.1f}" for us, name in results[:keep])
    print(f"{name:28} torch {torch_us:8.1f} us {flops / torch_us:5.0f} TF | ours {best:8.1f} us "
          f"{flops / best:5.0f} TF x{torch_us / best:4.2f} | {others}", flush=True)


def main():
    plain = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=plain)
    parser.add_argument("cubins", nargs="+")
    parser.add_argument("--check", type=int, default=0)
    parser.add_argument("--time", action="store_true")
    parser.add_argument("--types", default="bf16")
    parser.add_argument("--only", default="", help="a regular expression for the names of shapes to time")
    parser.add_argument("--keep", type=int, default=6, help="how many of the fastest kernels to print")
    parser.add_argument("--early", action="store_true", help="launch as the engine does (on sm_90)")
    arguments = parser.parse_args()
    global EARLY
    EARLY = arguments.early
    torch.backends.cudnn.benchmark = True
    kernels = load(arguments.cubins)
    if arguments.check:
        check_all(kernels, arguments.check)
    if arguments.time:
        for type in arguments.types.split(","):
            torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = type == "tf32"
            for name, case in stable_diffusion(type).items():
                if re.search(arguments.only, name):
                    time_case(f"{type} {name}", case, kernels[type], arguments.keep)


if __name__ == "__main__":
    main()
