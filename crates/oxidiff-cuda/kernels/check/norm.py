"""Checks group norm, layer norm and softmax against f64, and times them.

python norm.py norm.cubin rows.cubin [--sweep]
"""

import ctypes
import itertools
import random
import sys

import torch
from device import TYPES, Kernels, Report, seconds

MOST_GROUPS, CLUSTER, FEW, MANY = 32, 8, 5, 11


class GroupNormParams(ctypes.Structure):
    _fields_ = (
        [(name, ctypes.c_void_p) for name in ("x", "weight", "bias", "y", "partial")]
        + [(name, ctypes.c_int32) for name in ("pixels", "x_pitch", "y_pitch", "activation")]
        + [("epsilon", ctypes.c_float)]
        + [(name, ctypes.c_int32) for name in ("slice_groups", "group_units", "columns", "rows")]
        + [(name, ctypes.c_int32) for name in ("reciprocal", "part_pixels", "teams_log2")]
    )


class RowsParams(ctypes.Structure):
    _fields_ = (
        [(name, ctypes.c_void_p) for name in ("x", "weight", "bias", "y")]
        + [(name, ctypes.c_int32) for name in ("rows", "features", "x_pitch", "y_pitch", "lanes", "rms")]
        + [("epsilon", ctypes.c_float)]
    )


def pitched(rows, columns, pitch, dtype, offset=0):
    """Rows of `columns` elements `pitch` apart, in a buffer of NaN that starts `offset` elements earlier."""
    buffer = torch.full((offset + rows * pitch,), float("nan"), dtype=dtype, device="cuda")
    return buffer, buffer[offset:].view(rows, pitch)[:, :columns]


def is_aligned(lengths, tensors):
    """Whether 16 bytes can be moved at once."""
    widest = 16 // tensors[0].element_size()
    return all(length % widest == 0 for length in lengths) and all(t.data_ptr() % 16 == 0 for t in tensors)


class GroupNorm:
    """A call of group norm, launched in the way `variant`: (kind, groups of a slice, threads, parts)."""

    def __init__(self, kernels, kind, x, y, weight, bias, batch, groups, silu, epsilon):
        self.kernels, self.kind, self.batch, self.groups = kernels, kind, batch, groups
        rows, channels = x.shape
        self.pixels, self.group_channels = rows // batch, channels // groups
        widest = 16 // x.element_size()
        self.unit = next(
            (unit for unit in (8, 4, 2) if unit <= widest and self.group_channels % unit == 0), 1
        )
        aligned = is_aligned((channels, x.stride(0), y.stride(0)), (x, y, weight, bias))
        self.width = widest if aligned and self.unit > 1 else 1
        self.unit = self.unit if self.width > 1 else 1
        p = self.parameters = GroupNormParams()
        p.x, p.y, p.weight, p.bias = (tensor.data_ptr() for tensor in (x, y, weight, bias))
        p.pixels, p.x_pitch, p.y_pitch = self.pixels, x.stride(0), y.stride(0)
        p.activation, p.epsilon = int(silu), epsilon
        p.group_units = self.group_channels // self.unit

    def slots(self, variant):
        """How many vectors a thread has, or None if the variant is not possible."""
        kind, slice_groups, threads, parts = variant
        channels = slice_groups * self.group_channels
        if self.groups % slice_groups or slice_groups > MOST_GROUPS or channels % self.width:
            return None
        columns = channels // self.width
        if columns > threads:
            return None
        slots = -(-(-(-self.pixels // parts)) // (threads // columns))
        return None if kind != "split" and slots > (FEW if kind == "block" else MANY) else slots

    def prepare(self, variant):
        kind, slice_groups, threads, parts = self.variant = variant
        p = self.parameters
        p.slice_groups = slice_groups
        p.columns = slice_groups * self.group_channels // self.width
        p.rows = threads // p.columns
        p.reciprocal = -(-(1 << 20) // p.columns)
        p.part_pixels = -(-self.pixels // parts)
        p.teams_log2 = max(threads // 32 // slice_groups, 1).bit_length() - 1
        self.slices = self.groups // slice_groups
        name = f"oxd_group_norm_{self.kind}_v{self.width}s{self.unit}_"
        self.names = [name + kind + ("_many" if kind == "cluster" and self.slots(variant) > FEW else "")]
        if kind == "split":
            self.partial = torch.full((self.batch * self.groups * parts * 4,), float("nan"), device="cuda")
            p.partial = self.partial.data_ptr()
            self.names = [name + "statistics", name + "apply"]

    def __call__(self):
        _, _, threads, parts = self.variant
        for name in self.names:
            self.kernels.launch(name, (parts, self.slices, self.batch), threads, 0, self.parameters)


def variants(norm):
    """What can be launched, in a sensible range."""
    for slice_groups, threads in itertools.product((1, 2, 4, 8, 16, 32), (128, 256, 512)):
        for variant in [("cluster", slice_groups, threads, CLUSTER), ("block", slice_groups, threads, 1)]:
            if norm.slots(variant):
                yield variant
    for slice_groups, threads, parts in itertools.product(
        (4, 8, 32), (256, 512), (8, 16, 33, 66, 132, 264, 528)
    ):
        variant = ("split", slice_groups, threads, parts)
        if norm.slots(variant) and 60 < parts * (norm.groups // slice_groups) * norm.batch < 2000:
            yield variant


def check_group_norm(kernels):
    report = Report("group norm")
    random.seed(1)
    torch.manual_seed(1)
    shapes = [
        (2, 4096, 320, 32),
        (1, 4096, 512, 32),
        (2, 64, 2560, 32),
        (1, 16384, 128, 32),
        (2, 77, 960, 32),
    ]
    for _ in range(60):
        groups = random.choice([1, 2, 3, 5, 7, 8, 16, 32])
        group_channels = random.choice([1, 2, 3, 4, 5, 8, 10, 16, 20, 30, 31, 40, 60, 80])
        if group_channels * groups <= 1024:
            shapes.append(
                (
                    random.choice([1, 2, 3]),
                    random.choice([1, 2, 7, 49, 64, 225, 1023]),
                    groups * group_channels,
                    groups,
                )
            )
    for (batch, pixels, channels, groups), (kind, dtype) in itertools.product(shapes, TYPES.items()):
        silu = random.random() < 0.5
        mean, deviation = random.choice(
            [(0, 1), (3000, 1), (-5, 0.01)] if kind == "f32" else [(0, 1), (10, 3)]
        )
        extra, offset = random.choice([(0, 0), (8, 8), (1, 0), (3, 1), (16, 4)])
        pitch = channels + extra
        _, x = pitched(batch * pixels, channels, pitch, dtype, offset)
        shift = torch.randn(channels, device="cuda") * deviation
        x.copy_(torch.randn(x.shape, device="cuda") * deviation + shift + mean)
        weight, bias = (torch.randn(channels, device="cuda").to(dtype) for _ in range(2))
        epsilon = 1e-5
        reference = x.double().view(batch, pixels, groups, -1)
        variance, average = torch.var_mean(reference, dim=(1, 3), correction=0, keepdim=True)
        reference = ((reference - average) * (variance + epsilon).rsqrt()).view(batch * pixels, channels)
        reference = reference * weight.double() + bias.double()
        reference = torch.nn.functional.silu(reference) if silu else reference
        buffer, y = pitched(batch * pixels, channels, pitch, dtype, offset)
        norm = GroupNorm(kernels, kind, x, y, weight, bias, batch, groups, silu, epsilon)
        possible = [v for v in variants(norm) if v[0] != "split"]
        split = [("split", slice_groups, 512, parts) for slice_groups in (groups, 8) for parts in (1, 5, 33)]
        possible += [variant for variant in split if norm.slots(variant)]
        for variant in random.sample(possible, min(4, len(possible))):
            case = f"{batch}x{pixels}x{channels}/{groups} pitch {pitch} mean {mean} {variant}"
            buffer.fill_(float("nan"))
            norm.prepare(variant)
            norm()
            report.compare(case, kind, y, reference)
            outside = buffer.numel() - y.numel()
            report.require(case + ": wrote outside", buffer.isnan().sum().item() == outside)
            first = y.clone()
            norm()
            report.require(case + ": differs the second time", torch.equal(first, y))
    report.summary()


def torch_group_norm(x, weight, bias):
    return torch.nn.functional.silu(torch.nn.functional.group_norm(x, 32, weight, bias), inplace=True)


def time_group_norm(kernels, sweep):
    print("group norm + SiLU, bf16: microseconds for tensors that are not in the L2 cache", flush=True)
    shapes = [
        (2, side * side, channels)
        for side, all in [
            (64, (320, 640, 960)),
            (32, (640, 960, 1280, 1920)),
            (16, (1280, 1920, 2560)),
            (8, (1280, 2560)),
        ]
        for channels in all
    ]
    shapes += [
        (1, 64 * 64, 512),
        (1, 128 * 128, 512),
        (1, 256 * 256, 256),
        (1, 256 * 256, 512),
        (1, 512 * 512, 128),
        (1, 512 * 512, 256),
    ]
    for batch, pixels, channels in shapes:
        size = batch * pixels * channels * 2
        copies = max(2, min(24, int(150e6 / size)))
        weight, bias = (torch.randn(channels, device="cuda").bfloat16() for _ in range(2))
        xs = [torch.randn(batch * pixels, channels, device="cuda").bfloat16() for _ in range(copies)]
        ys = [torch.empty_like(x) for x in xs]
        norms = [
            GroupNorm(kernels, "bf16", x, y, weight, bias, batch, 32, True, 1e-5) for x, y in zip(xs, ys)
        ]
        found = []
        for variant in variants(norms[0]):
            if not sweep and size > 60e6 and variant[0] != "split":
                continue
            for norm in norms:
                norm.prepare(variant)
            found.append((seconds(norms, 7) * 1e6, variant))
        found.sort()
        best = {}
        for time, variant in found:
            best.setdefault(variant[0], []).append(f"{time:.1f} {variant[1:]}")
        image = [x.view(batch, pixels, 1, channels).permute(0, 3, 1, 2) for x in xs]
        torch_time = seconds([lambda x=x: torch_group_norm(x, weight, bias) for x in image], 7) * 1e6
        goal = 2 * size / 3e12 * 1e6
        print(
            f"{batch}x{pixels}x{channels}: {found[0][0]:.1f} (at 3 TB/s {goal:.1f}; torch {torch_time:.1f});",
            "; ".join(f"{kind}: {', '.join(times[:4])}" for kind, times in best.items()),
            flush=True,
        )


def rows_call(kernels, function, kind, x, y, weight=None, bias=None, rms=False, epsilon=1e-5):
    """A launch of layer norm or softmax."""
    rows, features = x.shape
    widest = 16 // x.element_size()
    tensors = [tensor for tensor in (x, y, weight, bias) if tensor is not None]
    width = widest if is_aligned((features, x.stride(0), y.stride(0)), tensors) else 1
    most = 16 if width == 1 else 8
    lanes = 4
    while lanes < 32 and features > lanes * width * (most - 3 if width > 1 else most):
        lanes *= 2
    weight_address, bias_address = (0 if tensor is None else tensor.data_ptr() for tensor in (weight, bias))
    parameters = RowsParams(
        x.data_ptr(),
        weight_address,
        bias_address,
        y.data_ptr(),
        rows,
        features,
        x.stride(0),
        y.stride(0),
        lanes,
        int(rms),
        epsilon,
    )
    name = f"oxd_{function}_{kind}_v{width}_"
    if features <= lanes * width * most:
        threads = 128
        return lambda: kernels.launch(name + "lanes", (-(-rows * lanes // threads),), threads, 0, parameters)
    return lambda: kernels.launch(name + "block", (rows,), 256, 0, parameters)


def check_rows(kernels):
    layer_report, softmax_report = Report("layer norm"), Report("softmax")
    random.seed(2)
    torch.manual_seed(2)
    sizes = [1, 3, 8, 31, 77, 320, 321, 512, 640, 768, 1280, 1281, 2048, 4096, 5120, 10240, 10241]
    for features, (kind, dtype), repeat in itertools.product(sizes, TYPES.items(), range(3)):
        rows = random.choice([1, 2, 77, 300])
        extra, offset = [(0, 0), (8, 8), (3, 1)][repeat]
        mean, deviation = random.choice([(0, 1), (3000, 1)] if kind == "f32" else [(0, 1), (10, 3)])
        _, x = pitched(rows, features, features + extra, dtype, offset)
        x.copy_(torch.randn(x.shape, device="cuda") * deviation + mean)
        weight, bias = (torch.randn(features, device="cuda").to(dtype) for _ in range(2))
        rms, with_bias = random.random() < 0.3, random.random() < 0.7
        buffer, y = pitched(rows, features, features + extra, dtype, offset)
        case = f"{rows}x{features} pitch {features + extra} mean {mean} rms {rms}"
        reference = x.double()
        if rms:
            reference = reference * (reference.square().mean(1, keepdim=True) + 1e-5).rsqrt()
        else:
            variance, average = torch.var_mean(reference, dim=1, correction=0, keepdim=True)
            reference = (reference - average) * (variance + 1e-5).rsqrt()
        reference = reference * weight.double() + (bias.double() if with_bias else 0)
        rows_call(kernels, "layer_norm", kind, x, y, weight, bias if with_bias else None, rms)()
        layer_report.compare(case, kind, y, reference)
        layer_report.require(
            case + ": wrote outside", buffer.isnan().sum().item() == buffer.numel() - y.numel()
        )
        buffer.fill_(float("nan"))
        rows_call(kernels, "softmax", kind, x, y)()
        softmax_report.compare(case, kind, y, x.double().softmax(1))
        softmax_report.require(
            case + ": wrote outside", buffer.isnan().sum().item() == buffer.numel() - y.numel()
        )
    layer_report.summary()
    softmax_report.summary()


def time_rows(kernels):
    print("layer norm and softmax, bf16: microseconds, at 3 TB/s, torch", flush=True)
    for rows, features in [
        (8192, 320),
        (2048, 640),
        (512, 1280),
        (154, 768),
        (8192, 640),
        (2048, 1280),
        (4096, 4096),
        (2048, 10240),
    ]:
        size = rows * features * 2
        copies = max(2, min(24, int(150e6 / size)))
        weight, bias = (torch.randn(features, device="cuda").bfloat16() for _ in range(2))
        xs = [torch.randn(rows, features, device="cuda").bfloat16() for _ in range(copies)]
        ys = [torch.empty_like(x) for x in xs]
        layer = (
            seconds([rows_call(kernels, "layer_norm", "bf16", x, y, weight, bias) for x, y in zip(xs, ys)])
            * 1e6
        )
        soft = seconds([rows_call(kernels, "softmax", "bf16", x, y) for x, y in zip(xs, ys)]) * 1e6
        torch_layer = (
            seconds([lambda x=x: torch.nn.functional.layer_norm(x, (features,), weight, bias) for x in xs])
            * 1e6
        )
        torch_soft = seconds([lambda x=x: x.softmax(1) for x in xs]) * 1e6
        print(
            f"{rows}x{features}: layer norm {layer:.1f} (torch {torch_layer:.1f}), softmax {soft:.1f} "
            f"(torch {torch_soft:.1f}), at 3 TB/s {2 * size / 3e12 * 1e6:.1f}",
            flush=True,
        )


def main():
    kernels = Kernels(*(argument for argument in sys.argv[1:] if not argument.startswith("--")))
    print(torch.cuda.get_device_name(), flush=True)
    check_group_norm(kernels)
    check_rows(kernels)
    time_rows(kernels)
    time_group_norm(kernels, "--sweep" in sys.argv)


if __name__ == "__main__":
    main()
