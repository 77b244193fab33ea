"""Checks and times the attention kernels on the card.

    python attention.py KERNELS.cubin ... [--check N] [--time TYPES] [--only TEXT]

`--check N` compares N random attentions of each element type with float64, through every kernel that takes
them; `--time bf16,f32` times the shapes of Stable Diffusion beside PyTorch's scaled_dot_product_attention.
"""

import argparse
import ctypes
import random
import re
from dataclasses import dataclass, replace
from pathlib import Path

import torch
import torch.nn.functional as F
from device import TYPES, Kernels, Report, seconds

KEEP = 5  # variants of a shape that are printed

LIBRARY = ctypes.CDLL("libcuda.so.1")
# CUtensorMapDataType, and how boxes are swizzled and fetched
DATA_TYPES = {"f16": 6, "bf16": 9}
SWIZZLE_128, PROMOTE_256 = 3, 3


class Params(ctypes.Structure):
    """AttentionParams of attention.cuh."""

    _fields_ = (
        [(name, ctypes.c_void_p) for name in "query key value y mask".split()]
        + [
            (name, ctypes.c_int64)
            for name in (
                "query_item key_item value_item y_item mask_item mask_head mask_query mask_key"
            ).split()
        ]
        + [
            (name, ctypes.c_int32)
            for name in (
                "batch heads queries keys dim value_dim query_pitch key_pitch value_pitch y_pitch causal"
            ).split()
        ]
        + [("scale", ctypes.c_float)]
    )


class TensorMap(ctypes.Structure):
    _fields_ = [("words", ctypes.c_uint64 * 16)]

    def encode(self, type, tensor, heads, dim, tokens):
        """For boxes of 64 channels of a head by `tokens` tokens."""
        size = tensor.element_size()
        dims = (ctypes.c_uint64 * 4)(dim, heads, tensor.shape[1], tensor.shape[0])
        strides = (ctypes.c_uint64 * 3)(dim * size, tensor.stride(1) * size, tensor.stride(0) * size)
        box, ones = (ctypes.c_uint32 * 4)(64, 1, tokens, 1), (ctypes.c_uint32 * 4)(1, 1, 1, 1)
        error = LIBRARY.cuTensorMapEncodeTiled(
            ctypes.byref(self),
            DATA_TYPES[type],
            4,
            ctypes.c_void_p(tensor.data_ptr()),
            dims,
            strides,
            box,
            ones,
            0,
            SWIZZLE_128,
            PROMOTE_256,
            0,
        )
        if error:
            raise RuntimeError(f"cuTensorMapEncodeTiled: {error} {list(dims)} {list(strides)}")


class WgmmaParams(ctypes.Structure):
    """AttentionWgmmaParams of attention_wgmma.cuh."""

    _fields_ = [(name, TensorMap) for name in "query key value".split()] + [("p", Params)]


def aligned(structure):
    """A structure of this type at an address that is a multiple of 64."""
    buffer = ctypes.create_string_buffer(ctypes.sizeof(structure) + 64)
    return structure.from_buffer(buffer, -ctypes.addressof(buffer) % 64)


@dataclass(frozen=True)
class Case:
    """One attention. `slack` widens the pitches, `offset` moves operands off the allocation's alignment."""

    type: str
    batch: int
    heads: int
    queries: int
    keys: int
    dim: int
    value_dim: int = 0  # 0: dim
    mask: str = (
        ""  # the dimensions of batch, heads, queries that the mask has, as in "bhq", or "-" for none of them
    )
    causal: bool = False
    scale: float = 1.0  # times 1 / sqrt(dim)
    fused: bool = False  # query, key and value are slices of one buffer
    slack: int = 0
    offset: int = 0
    large: float = 1.0  # times the usual queries

    @property
    def values(self):
        return self.value_dim or self.dim

    @property
    def operations(self):
        pairs = self.queries * self.keys // (2 if self.causal else 1)
        return 2.0 * self.batch * self.heads * pairs * (self.dim + self.values)

    @property
    def is_aligned(self):
        count = 16 // TYPES[self.type].itemsize
        return all(n % count == 0 for n in (self.dim, self.values, self.slack, self.offset))


def rows(case, tokens, width, scale=1.0):
    """A random [batch, tokens, width] with NaN around it."""
    pitch = width + case.slack
    buffer = torch.full(
        (case.offset + case.batch * tokens * pitch + case.slack,),
        float("nan"),
        dtype=TYPES[case.type],
        device="cuda",
    )
    view = buffer[case.offset :].as_strided(
        (case.batch, tokens, width), (tokens * pitch, pitch, 1), case.offset
    )
    view.copy_(torch.randn((case.batch, tokens, width), device="cuda") * scale)
    return view


class Problem:
    """A case with its tensors."""

    def __init__(self, case):
        self.case = case
        width, value_width = case.heads * case.dim, case.heads * case.values
        if case.fused:
            both = rows(case, case.queries, 2 * width + value_width)
            self.query, self.key, self.value = both.split((width, width, value_width), 2)
        else:
            self.query = rows(case, case.queries, width, case.large)
            self.key, self.value = rows(case, case.keys, width), rows(case, case.keys, value_width)
        self.y = rows(case, case.queries, value_width)
        self.scale = case.scale * case.dim**-0.5
        self.mask = None
        if case.mask:
            shape = [
                n if c in case.mask else 1 for c, n in zip("bhq", (case.batch, case.heads, case.queries))
            ] + [case.keys]
            mask = torch.randn(shape, device="cuda")
            mask[torch.rand(shape, device="cuda") < 0.3] = float("-inf")
            mask[torch.rand(shape, device="cuda") < 0.1] = torch.finfo(torch.float32).min
            if "q" in case.mask:
                mask[..., 0, :] = float("-inf")
            self.mask = mask.expand(case.batch, case.heads, case.queries, case.keys)

    def heads(self, tensor, dim):
        return tensor.unflatten(2, (self.case.heads, dim)).transpose(1, 2)

    def reference(self):
        """The result in float64, and zeros where no key is seen."""
        case = self.case
        query, key = (self.heads(t, case.dim).double() for t in (self.query, self.key))
        scores = query @ key.transpose(2, 3) * self.scale
        if self.mask is not None:
            # The least number swallows what it is added to.
            least = torch.finfo(torch.float32).min
            scores = torch.where(self.mask == least, least, scores + self.mask.double())
        if case.causal:
            scores = scores.masked_fill(
                torch.ones(case.queries, case.keys, dtype=torch.bool, device="cuda").triu(1), float("-inf")
            )
        y = scores.softmax(3).nan_to_num() @ self.heads(self.value, case.values).double()
        return y.transpose(1, 2).flatten(2)

    def torch_call(self):
        case = self.case
        query, key = self.heads(self.query, case.dim), self.heads(self.key, case.dim)
        value = self.heads(self.value, case.values)
        return lambda: F.scaled_dot_product_attention(
            query, key, value, is_causal=case.causal, scale=self.scale
        )

    def params(self):
        case = self.case
        params = Params(
            batch=case.batch,
            heads=case.heads,
            queries=case.queries,
            keys=case.keys,
            dim=case.dim,
            value_dim=case.values,
            causal=case.causal,
            scale=self.scale,
        )
        for name in ("query", "key", "value", "y"):
            tensor = getattr(self, name)
            setattr(params, name, tensor.data_ptr())
            setattr(params, f"{name}_item", tensor.stride(0))
            setattr(params, f"{name}_pitch", tensor.stride(1))
        if self.mask is not None:
            params.mask = self.mask.data_ptr()
            for name, stride in zip(("item", "head", "query", "key"), self.mask.stride()):
                setattr(params, f"mask_{name}", stride)
        return params


class Tiled:
    """A kernel of attention_mma.cuh, such as oxd_attention_bf16_d40_r32_w4_k64_s1."""

    PATTERN = r"oxd_attention_(\w+?)_d(\d+)_r(\d+)_w(\d+)_k(\d+)_s(\d+)(_masked)?(_\w+)?"

    def __init__(self, name, type, dim, rows, warps, keys, split, masked, _):
        self.name, self.type, self.masked = name, type, bool(masked)
        self.dim, self.queries = int(dim), int(rows) * int(warps)
        self.threads = int(warps) * int(split) * 32
        steps, chunks, stage = (self.dim + 15) // 16, self.dim // 8, int(keys) * int(split)
        pitch, value_pitch = (2 * steps | 1) * 16, (chunks | 1) * 16
        self.shared = self.queries * pitch + 2 * stage * (pitch + value_pitch)

    def takes(self, case):
        return (
            case.is_aligned
            and max(case.dim, case.values) <= self.dim
            and (self.masked or not case.mask and case.scale >= 0)
        )

    def grid(self, case):
        return -(-case.queries // self.queries), case.heads, case.batch

    def params(self, problem):
        return problem.params()


class Wgmma(Tiled):
    """A kernel of attention_wgmma.cuh, such as oxd_attention_bf16_wgmma_d40_g3_k64_l3_b1."""

    PATTERN = r"oxd_attention_(\w+?)_wgmma_d(\d+)_g(\d+)_k(\d+)_l(\d+)_b(\d+)"

    def __init__(self, name, type, dim, groups, keys, slots, blocks):
        self.name, self.type, self.masked, self.dim = name, type, False, int(dim)
        self.queries, self.keys, self.threads = int(groups) * 64, int(keys), (int(groups) + 1) * 128
        self.shared = -(-self.dim // 64) * 128 * (self.queries + 2 * int(slots) * self.keys)

    def params(self, problem):
        case, params = problem.case, aligned(WgmmaParams)
        params.p = problem.params()
        params.query.encode(case.type, problem.query, case.heads, case.dim, self.queries)
        params.key.encode(case.type, problem.key, case.heads, case.dim, self.keys)
        params.value.encode(case.type, problem.value, case.heads, case.values, self.keys)
        return params


class Wide(Tiled):
    """A kernel of attention_wide.cuh, such as oxd_attention_bf16_wide_q64_k64_c2."""

    PATTERN = r"oxd_attention_(\w+?)_wide_q(\d+)_k(\d+)_c(\d+)"

    def __init__(self, name, type, queries, keys, cluster):
        self.name, self.type, self.masked, self.dim, self.threads = name, type, True, 512, 256
        self.queries, self.keys, self.cluster = int(queries), int(keys), int(cluster)
        self.shared = (self.queries + 2 * self.keys) * 1024 + self.queries * (self.keys * 2 + 20)

    def grid(self, case):
        return -(-case.queries // self.queries) * self.cluster, case.heads, case.batch


class Any:
    """A kernel of attention_any.cuh, such as oxd_attention_f32_any64 or, for whole chunks, _any64_whole."""

    PATTERN = r"oxd_attention_(\w+?)_any(\d+)(_whole)?"
    queries, keys, threads = 64, 32, 128

    def __init__(self, name, type, width, whole):
        self.name, self.type, self.width, self.whole = name, type, int(width), bool(whole)
        pitch = self.width + 4
        self.shared = (self.queries + 2 * self.keys) * pitch * 4

    def takes(self, case):
        return case.is_aligned or not self.whole

    def params(self, problem):
        return problem.params()

    def grid(self, case):
        return -(-case.queries // self.queries), case.heads, case.batch * -(-case.values // self.width)


def load(paths):
    """The kernels of cubin files, by element type."""
    names = [
        name.decode()
        for path in paths
        for name in sorted(set(re.findall(rb"\.text\.(oxd_attention_\w+)", Path(path).read_bytes())))
    ]
    kernels = {type: [] for type in TYPES}
    for name in names:
        for kind in (Tiled, Wgmma, Wide, Any):
            if match := re.fullmatch(kind.PATTERN, name):
                kernel = kind(name, *match.groups())
                kernels[kernel.type].append(kernel)
    return kernels


def call(device, kernel, problem):
    params, grid = kernel.params(problem), kernel.grid(problem.case)
    return lambda: device.launch(kernel.name, grid, kernel.threads, kernel.shared, params)


def random_case(type, rng):
    count = 16 // TYPES[type].itemsize
    tokens = lambda: rng.choice([1, 2, 63, 64, 65, 77, 100, 127, 129, 257, 300, rng.randint(1, 200)])
    case = Case(
        type,
        rng.randint(1, 3),
        rng.choice([1, 2, 3, 5]),
        tokens(),
        tokens(),
        rng.choice([40, 40, 64, 80, 96, 128, 160, 256, 512, rng.randint(1, 64) * count]),
        mask=rng.choice(["", "", "", "", "", "-", "q", "b", "bhq", "hq"]),
        causal=rng.random() < 0.3,
        scale=rng.choice([1.0, 1.0, 1.0, 2.5, -1.0]),
        fused=rng.random() < 0.2,
        slack=rng.choice([0, 0, count, 5 * count]),
        offset=rng.choice([0, 0, count]),
        large=rng.choice([1.0, 1.0, 1.0, 10.0]),
    )
    case = replace(case, dim=min(case.dim, 512))
    if rng.random() < 0.2:
        case = replace(case, value_dim=rng.randint(1, 20) * count)
    if rng.random() < 0.3:
        case = replace(
            case,
            dim=rng.choice([rng.randint(1, 70), rng.randint(1, 512)]),
            value_dim=0,
            slack=rng.choice([0, 1, 3]),
            offset=rng.choice([0, 1, 5]),
        )
    if case.fused:
        case = replace(case, keys=case.queries)
    return case


def check_all(device, kernels, count, seed):
    rng = random.Random(seed)
    torch.manual_seed(seed)
    for type, of_type in kernels.items():
        report, worst = Report("attention"), {}
        for _ in range(count if of_type else 0):
            case = random_case(type, rng)
            problem = Problem(case)
            expected = problem.reference()
            for kernel in (kernel for kernel in of_type if kernel.takes(case)):
                problem.y.fill_(float("nan"))
                call(device, kernel, problem)()
                # Weights are rounded before they meet the values, and the result is rounded.
                tolerance = {"f32": 2e-6, "f16": 1e-3, "bf16": 6e-3}[type] * max(
                    1, case.large * abs(case.scale) / 2.5
                )
                report.compare(f"{kernel.name} {case}", type, problem.y, expected, tolerance)
                error = (problem.y.double() - expected).norm() / expected.norm().clamp_min(1e-30)
                worst[kernel.name] = max(worst.get(kernel.name, 0.0), error.item())
                if case.slack:
                    whole = problem.y.as_strided(
                        (case.batch * case.queries, problem.y.stride(1)),
                        (problem.y.stride(1), 1),
                        problem.y.storage_offset(),
                    )
                    report.require(
                        f"{kernel.name} {case}: written outside y",
                        bool(whole[:, problem.y.shape[2] :].isnan().all()),
                    )
        if of_type:
            report.summary()
            print("  " + " ".join(f"{name[14:]}:{error:.1e}" for name, error in worst.items()), flush=True)


def shapes(type):
    """The attentions that matter, by name, and how many of each a call of Stable Diffusion 1.5's UNet has."""
    cases = {}
    for tokens, dim, count in ((4096, 40, 5), (1024, 80, 5), (256, 160, 5), (64, 160, 1)):
        cases[f"sd15 {tokens} self d{dim}"] = count, Case(type, 2, 8, tokens, tokens, dim)
        cases[f"sd15 {tokens} text d{dim}"] = count, Case(type, 2, 8, tokens, 77, dim)
    for tokens, heads in ((4096, 10), (1024, 20)):
        cases[f"sdxl {tokens} self d64"] = 0, Case(type, 2, heads, tokens, tokens, 64)
        cases[f"sdxl {tokens} text d64"] = 0, Case(type, 2, heads, tokens, 77, 64)
    cases["vae 4096 d512"] = 0, Case(type, 1, 1, 4096, 4096, 512)
    cases["vae 16384 d512"] = 0, Case(type, 1, 1, 16384, 16384, 512)
    cases["clip 77 causal d64"] = 0, Case(type, 2, 12, 77, 77, 64, causal=True)
    cases["dit 4096 d128"] = 0, Case(type, 1, 24, 4096, 4096, 128)
    cases["4096 d96"] = 0, Case(type, 2, 8, 4096, 4096, 96)
    cases["1024 d256"] = 0, Case(type, 2, 8, 1024, 1024, 256)
    return cases


def time_all(device, kernels, type, only):
    ours = theirs = 0.0
    print(f"{torch.cuda.get_device_name()} {type}", flush=True)
    for name, (count, case) in shapes(type).items():
        if not re.search(only, name):
            continue
        copies = 4 if case.operations < 2e10 else 2
        problems = [Problem(case) for _ in range(copies)]
        rounds = max(1, min(6, int(3e10 / case.operations)))
        times = []
        for kernel in kernels[type]:
            is_made_for = kernel.dim < 2 * case.dim if isinstance(kernel, Tiled) else type == "f32"
            if kernel.takes(case) and is_made_for:
                calls = [call(device, kernel, problem) for problem in problems] * rounds
                times.append((seconds(calls, 10) * 1e6, kernel.name[14:]))
        times.sort()
        reference = seconds([problem.torch_call() for problem in problems] * rounds, 10) * 1e6
        rate = case.operations * 1e-6
        print(
            f"{name:22} torch {reference:8.1f} us {rate / reference:4.0f} TF | ours {times[0][0]:8.1f} us "
            f"{rate / times[0][0]:4.0f} TF x{reference / times[0][0]:.2f} | "
            + " ".join(f"{kernel}:{us:.1f}" for us, kernel in times[:KEEP]),
            flush=True,
        )
        ours, theirs = ours + count * times[0][0], theirs + count * reference
    print(f"SD 1.5, one call: torch {theirs:.0f} us, ours {ours:.0f} us", flush=True)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("cubins", nargs="+")
    parser.add_argument("--check", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--time", default="", help="element types, separated by commas")
    parser.add_argument("--only", default="", help="a regular expression for the names of shapes to time")
    arguments = parser.parse_args()
    device, kernels = Kernels(*arguments.cubins), load(arguments.cubins)
    if arguments.check:
        check_all(device, kernels, arguments.check, arguments.seed)
    for type in filter(None, arguments.time.split(",")):
        time_all(device, kernels, type, arguments.only)


if __name__ == "__main__":
    main()
