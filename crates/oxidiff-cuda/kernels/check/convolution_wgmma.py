"""Checks and times the Hopper convolution kernels on the card.

    python convolution_wgmma.py KERNELS.cubin ... [--check N] [--time] [--only TEXT]

Like convolution.py; `--time` ends with the sum over a call of Stable Diffusion 1.5's UNet.
"""

import argparse
import ctypes
import json
import math
import os
import random
import re
from dataclasses import replace

import torch
from cuda.bindings import driver

import convolution
import convolution_problem
from convolution import check
from convolution_problem import Case, Problem, conv3, linear, problems_of, time_graph, torch_launch

LIBRARY = ctypes.CDLL("libcuda.so.1")
U64, U32, I32 = ctypes.c_uint64, ctypes.c_uint32, ctypes.c_int32
# CUtensorMapDataType
DATA_TYPES = {"f16": 6, "bf16": 9}
SWIZZLE_128, PROMOTE_256 = 3, 3
# Channels of a step, and bytes that they take in shared memory.
CHANNELS, LINE = 64, 128


class TensorMap(ctypes.Structure):
    _fields_ = [("words", ctypes.c_uint64 * 16)]


class WgmmaParams(ctypes.Structure):
    """ConvolutionWgmmaParams of convolution_wgmma.cuh."""

    _fields_ = [
        ("x", TensorMap),
        ("weight", TensorMap),
        ("p", convolution_problem.Params),
        ("image", ctypes.c_int32),
        ("constant_weight", ctypes.c_int32),
    ]


def aligned(structure):
    """A structure of this type at an address that is a multiple of 64."""
    buffer = ctypes.create_string_buffer(ctypes.sizeof(structure) + 128)
    return structure.from_buffer(buffer, -ctypes.addressof(buffer) % 64)


def array(kind, *values):
    return (kind * len(values))(*values)


def tiled(to, type, address, dims, strides, box):
    error = LIBRARY.cuTensorMapEncodeTiled(
        ctypes.byref(to),
        DATA_TYPES[type],
        len(dims),
        ctypes.c_void_p(address),
        array(U64, *dims),
        array(U64, *strides),
        array(U32, *box),
        array(U32, *[1] * len(dims)),
        0,
        SWIZZLE_128,
        PROMOTE_256,
        0,
    )
    if error:
        raise RuntimeError(f"cuTensorMapEncodeTiled: {error} {dims} {strides} {box}")


def im2col(to, type, address, dims, strides, lower, upper, pixels, stride):
    error = LIBRARY.cuTensorMapEncodeIm2col(
        ctypes.byref(to),
        DATA_TYPES[type],
        4,
        ctypes.c_void_p(address),
        array(U64, *dims),
        array(U64, *strides),
        array(I32, *lower),
        array(I32, *upper),
        CHANNELS,
        pixels,
        array(U32, 1, stride, stride, 1),
        0,
        SWIZZLE_128,
        PROMOTE_256,
        0,
    )
    if error:
        raise RuntimeError(
            f"cuTensorMapEncodeIm2col: {error} {dims} {strides} {lower} {upper} {pixels} {stride}"
        )


class WgmmaKernel:
    """One variant: rows and columns of a tile, splits of k (a cluster), and blocks on a multiprocessor."""

    def __init__(self, module, name):
        self.type, *numbers = re.fullmatch(
            r"oxd_convolution_(\w+?)_wgmma_(\d+)x(\d+)x(\d+)_(\d)_(\w+)", name
        ).groups()
        self.end = numbers.pop()
        rows, columns, self.splits, self.occupancy = map(int, numbers)
        self.tile, self.name = (rows, columns), name.split("wgmma_")[1].replace("_PLAIN", "")
        self.function = check(driver.cuModuleGetFunction(module, name.encode()))
        slot = sum(self.tile) * LINE
        self.shared = min(8, (228 // self.occupancy - 2) * 1024 // slot) * slot
        self.threads = 384 if rows * columns >= 128 * 240 else 288
        self.group = 32 if columns % 32 == 0 else 16
        attribute = driver.CUfunction_attribute.CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES
        check(driver.cuFuncSetAttribute(self.function, attribute, self.shared))

    def takes(self, case):
        positions = case.kernel[0] * case.kernel[1]
        if case.type != self.type or case.x_offset % 8 or (case.in_channels + case.x_slack) % 8:
            return False
        if (case.depth + case.weight_slack) % 8 or (positions > 1 and case.in_channels % 8):
            return False
        if case.upsample == 2 and (case.kernel != (3, 3) or case.pad != (1, 1, 1, 1) or case.stride != 1):
            return False
        if (
            case.out_channels % self.group
            or case.y_slack % 8
            or (self.end != "PLAIN" and (case.residual or case.item_bias))
        ):
            return False
        if self.end != ("GATE" if case.gate else "ACTIVATION" if case.activation else "PLAIN"):
            return False
        return self.steps(case) >= self.splits

    def grid(self, case):
        parities = case.upsample**2
        return (
            -(-case.out_channels // self.tile[1]) * self.splits,
            -(-case.rows // parities // self.tile[0]),
            parities,
        )

    def steps(self, case):
        return case.kernel[0] * case.kernel[1] * -(-case.in_channels // CHANNELS)

    def prepare(self, problem, early=False):
        """A function that launches the kernel; `early` lets it start before those before have ended."""
        case, params = problem.case, aligned(WgmmaParams)
        params.p = problem.params(1, 0, 0)
        pixel = problem.x.stride(2) * 2
        if case.is_linear:
            tiled(
                params.x,
                case.type,
                params.p.x,
                (case.in_channels, case.width),
                (pixel,),
                (CHANNELS, self.tile[0]),
            )
        else:
            size = (case.height, case.width)
            out = [n // case.upsample for n in case.out_size]
            lower = [-1 if case.upsample == 2 else -n for n in case.pad[:2]]
            upper = [(o - 1) * case.stride + 1 + low - n for o, low, n in zip(out, lower, size)]
            im2col(
                params.x,
                case.type,
                params.p.x,
                (case.in_channels, case.width, case.height, case.batch),
                (pixel, pixel * case.width, pixel * case.width * case.height),
                lower[::-1],
                upper[::-1],
                self.tile[0],
                case.stride,
            )
        row, quarter = problem.weight.stride(0) * 2, self.group // 4
        tiled(
            params.weight,
            case.type,
            params.p.weight,
            (case.depth, 2, 4, quarter // 2, case.out_channels // self.group),
            (row, row * quarter, row * 2, row * self.group),
            (CHANNELS, 2, 4, quarter // 2, self.tile[1] // self.group),
        )
        params.image = not case.is_linear
        params.constant_weight = early
        pointers = (ctypes.c_void_p * 1)(ctypes.addressof(params))
        config = driver.CUlaunchConfig()
        config.gridDimX, config.gridDimY, config.gridDimZ = self.grid(case)
        config.blockDimX, config.blockDimY, config.blockDimZ = self.threads, 1, 1
        config.sharedMemBytes = self.shared
        if early:
            attribute = driver.CUlaunchAttribute()
            attribute.id = driver.CUlaunchAttributeID.CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION
            attribute.value.programmaticStreamSerializationAllowed = 1
            config.attrs, config.numAttrs = [attribute], 1

        def launch():
            config.hStream = driver.CUstream(torch.cuda.current_stream().cuda_stream)
            check(driver.cuLaunchKernelEx(config, self.function, ctypes.addressof(pointers), 0))
            return params

        return launch


def print_clusters(kernels):
    """How many clusters of each size the card runs at once, with one block on a multiprocessor."""
    counts = {}
    for kernel in kernels:
        if kernel.splits not in counts and kernel.occupancy == 1:
            config = driver.CUlaunchConfig()
            config.gridDimX, config.gridDimY, config.gridDimZ = kernel.splits * 200, 1, 1
            config.blockDimX, config.blockDimY, config.blockDimZ = kernel.threads, 1, 1
            config.sharedMemBytes = kernel.shared
            attribute = driver.CUlaunchAttribute()
            attribute.id = driver.CUlaunchAttributeID.CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION
            attribute.value.clusterDim.x, attribute.value.clusterDim.y, attribute.value.clusterDim.z = (
                kernel.splits,
                1,
                1,
            )
            config.attrs, config.numAttrs = [attribute], 1
            counts[kernel.splits] = check(driver.cuOccupancyMaxActiveClusters(kernel.function, config))
    print(f"clusters at once, by size: {dict(sorted(counts.items()))}", flush=True)


def load(paths):
    torch.zeros(1, device="cuda")
    kernels = []
    for path in paths:
        cubin = open(path, "rb").read()
        module = check(driver.cuModuleLoadData(cubin))
        names = sorted(set(name.decode() for name in re.findall(rb"\.text\.(oxd_convolution_\w+)", cubin)))
        kernels += [WgmmaKernel(module, name) for name in names]
    return kernels


def basic_cases(type):
    """From simple to hard, so that the first failure says what is wrong."""
    plain = dict(bias=False)
    yield linear(type, 128, 64, 160, **plain)
    yield linear(type, 256, 128, 320, **plain)
    yield linear(type, 1000, 320, 352, **plain)
    yield Case(type, 1, 16, 16, 64, 160, (3, 3), pad=(0, 0, 0, 0), **plain)
    yield Case(type, 2, 16, 16, 64, 160, (3, 3), pad=(1, 1, 1, 1), **plain)
    yield Case(type, 3, 11, 7, 72, 96, (3, 3), pad=(1, 1, 1, 1), **plain)
    yield Case(type, 3, 11, 7, 72, 96, (3, 3), stride=2, pad=(1, 1, 1, 1), **plain)
    yield Case(type, 3, 11, 7, 72, 96, (3, 3), stride=2, pad=(0, 0, 1, 1), **plain)
    yield Case(type, 3, 11, 7, 72, 96, (3, 3), upsample=2, pad=(1, 1, 1, 1), **plain)
    yield linear(type, 700, 320, 640, gate=True)
    yield linear(type, 8100, 200, 640, residual="apart")


def check_all(kernels, count, seed=1):
    rng = random.Random(seed)
    torch.manual_seed(seed)
    failures = ran = 0
    worst = {}
    for type in DATA_TYPES:
        of_type = [kernel for kernel in kernels if kernel.type == type]
        cases = list(basic_cases(type))
        while len(cases) < count and of_type:
            case = convolution_problem.random_case(type, rng)
            case = replace(
                case,
                out_channels=-(-case.out_channels // 32) * 32,
                y_slack=case.y_slack // 8 * 8,
                residual="" if case.gate or case.activation else case.residual,
                item_bias=case.item_bias and not case.gate and not case.activation,
            )
            if any(kernel.takes(case) for kernel in of_type) and min(case.out_size) > 0:
                cases.append(case)
        for number, case in enumerate(cases if of_type else []):
            problem = Problem(case)
            expected = problem.reference()
            chosen = of_type if number < 12 else rng.sample(of_type, min(9, len(of_type)))
            for kernel in chosen:
                if not kernel.takes(case):
                    continue
                wrong, error = convolution.check_case(kernel, problem, expected, rng.random() < 0.5)
                ran += 1
                worst[type] = max(worst.get(type, 0.0), error)
                if wrong:
                    failures += 1
                    if failures < 40:
                        print(f"FAILED {type} {kernel.name}: {wrong} {error:.2e} {case}", flush=True)
    print(f"wgmma: {ran} results, {failures} failed; worst errors {worst}", flush=True)


def unet(type="bf16"):
    """The convolutions and linear layers of a call of SD 1.5's UNet (batch 2, 64x64 latents)."""
    shapes = []

    def add(times, name, case):
        shapes.append((times, name, case))

    # (size, channels, ResNet blocks as (in, out, times), transformer blocks)
    levels = [
        (64, 320, [(320, 2), (960, 1), (640, 2)], 5),
        (32, 640, [(320, 1), (640, 1), (1920, 1), (1280, 1), (960, 1)], 5),
        (16, 1280, [(640, 1), (1280, 1), (2560, 2), (1920, 1)], 5),
        (8, 1280, [(1280, 4), (2560, 3)], 1),
    ]
    for size, c, blocks, transformers in levels:
        rows = 2 * size * size
        first = {}
        for source, times in blocks:
            add(times, f"3x3 {size} {source}->{c}", conv3(type, 2, size, source, c, item_bias=True))
            first[source] = times
        second = sum(first.values())
        add(second, f"3x3 {size} {c}->{c} second", conv3(type, 2, size, c, c, residual="apart"))
        for source, times in blocks:
            if source != c:
                add(times, f"1x1 {rows} {source}->{c}", linear(type, rows, source, c))
        add(2 * transformers, f"linear {rows} {c}->{c} in/out", linear(type, rows, c, c, residual="apart"))
        add(transformers, f"linear {rows} {c}->{3 * c} qkv", linear(type, rows, c, 3 * c, bias=False))
        add(3 * transformers, f"linear {rows} {c}->{c} attention", linear(type, rows, c, c, residual="apart"))
        add(transformers, f"linear {rows} {c}->{8 * c} gate", linear(type, rows, c, 8 * c, gate=True))
        add(transformers, f"linear {rows} {4 * c}->{c}", linear(type, rows, 4 * c, c, residual="apart"))
        add(transformers, f"linear 154 768->{2 * c}", linear(type, 154, 768, 2 * c, bias=False))
    for size, c in [(64, 320), (32, 640), (16, 1280)]:
        add(1, f"3x3 stride2 {size} {c}", conv3(type, 2, size, c, c, stride=2))
    for size, c in [(32, 640), (16, 1280), (8, 1280)]:
        add(1, f"3x3 up {size} {c}", conv3(type, 2, size, c, c, upsample=2))
    return shapes


def others(type="bf16"):
    skip = re.compile(r"unet|linear (8192|2048|512|128|154|2|16) |\D4->|->[34]$")
    return [
        (0, name, case)
        for name, case in convolution_problem.stable_diffusion(type).items()
        if name.startswith("sdxl") or not skip.search(name)
    ]


def time_case(times, name, case, kernels, keep):
    problems = problems_of(case)
    rounds = max(1, min(24, int(2e11 / case.operations)) // len(problems))
    torch_us = time_graph([torch_launch(p) for p in problems] * rounds, 4)
    results = []
    for kernel in kernels:
        room = 132 * kernel.occupancy
        if kernel.takes(case) and (kernel.splits == 1 or math.prod(kernel.grid(case)) <= 1.3 * room):
            us = time_graph([kernel.prepare(p) for p in problems] * rounds, 4)
            results.append((us, kernel.name, kernel))
    results.sort(key=lambda result: result[0])
    for _, name_of, kernel in results[:3]:
        us = time_graph([kernel.prepare(p, True) for p in problems] * rounds, 4)
        results.append((us, f"{name_of}_early", kernel))
    results = [result[:2] for result in results]
    results.sort()
    if os.environ.get("OUT"):
        with open(os.path.join(os.environ["OUT"], "wgmma_times.jsonl"), "a") as file:
            print(json.dumps([times, name, torch_us, results]), file=file)
    best, flops = results[0][0], case.operations * 1e-6
    plain = min(us for us, name_of in results if "early" not in name_of)
    text = "  ".join(f"{name} {us:.1f}" for us, name in results[:keep])
    print(
        f"{times:2} {name:28} torch {torch_us:7.1f} us {flops / torch_us:4.0f} TF | ours {best:7.1f} us "
        f"{flops / best:4.0f} TF x{torch_us / best:4.2f} | {text}",
        flush=True,
    )
    return torch_us, best, plain


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("cubins", nargs="+")
    parser.add_argument("--check", type=int, default=0)
    parser.add_argument("--time", action="store_true")
    parser.add_argument("--only", default="", help="a regular expression for names of shapes")
    parser.add_argument("--keep", type=int, default=6, help="how many of the fastest kernels to print")
    arguments = parser.parse_args()
    torch.backends.cudnn.benchmark = True
    kernels = load(arguments.cubins)
    print_clusters(kernels)
    if arguments.check:
        check_all(kernels, arguments.check)
    if arguments.time:
        totals = [0.0] * 4
        for times, name, case in unet() + others():
            if re.search(arguments.only, name):
                measured = time_case(times, name, case, kernels, arguments.keep)
                totals = [t + times * n for t, n in zip(totals, (*measured, case.operations * 1e-9))]
        print(
            f"UNet: {totals[3]:.0f} GFLOP; torch {totals[0] / 1000:.3f} ms, ours {totals[1] / 1000:.3f} ms "
            f"(without early starts {totals[2] / 1000:.3f} ms)",
            flush=True,
        )


if __name__ == "__main__":
    main()
