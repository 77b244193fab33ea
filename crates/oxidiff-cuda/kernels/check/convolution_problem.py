"""Convolutions to check and to time: their tensors, their results in float64, and the same in PyTorch."""

import ctypes
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F

TYPES = {"bf16": torch.bfloat16, "f16": torch.float16, "f32": torch.float32, "tf32": torch.float32}
ACTIVATIONS = [
    lambda z: z,
    F.silu,
    F.gelu,
    lambda z: F.gelu(z, approximate="tanh"),
    lambda z: z * torch.sigmoid(1.702 * z),
    F.relu,
]

class Params(ctypes.Structure):
    """ConvolutionParams of convolution.cuh."""

    _fields_ = (
        [(name, ctypes.c_void_p) for name in "x weight bias item_bias residual y partial arrivals".split()]
        + [
            (name, ctypes.c_int32)
            for name in (
                "batch in_height in_width in_channels x_pitch out_height out_width out_channels y_pitch "
                "kernel_height kernel_width stride pad_top pad_left upsample "
                "weight_pitch item_bias_pitch residual_pitch activation gate splits"
            ).split()
        ]
        + [("scale", ctypes.c_float)]
    )


@dataclass(frozen=True)
class Case:
    """One convolution. `*_slack` widen a pitch, `x_offset` moves x off the allocation's alignment."""

    type: str
    batch: int
    height: int
    width: int
    in_channels: int
    out_channels: int
    kernel: tuple = (1, 1)
    stride: int = 1
    pad: tuple = (0, 0, 0, 0)  # top, left, bottom, right
    upsample: int = 1
    bias: bool = True
    item_bias: bool = False
    residual: str = ""  # "", "apart" or "y"
    activation: int = 0
    gate: bool = False
    scale: float = 1.0
    x_offset: int = 0
    x_slack: int = 0
    weight_slack: int = 0
    y_slack: int = 0

    @property
    def out_size(self):
        height = self.height * self.upsample + self.pad[0] + self.pad[2] - self.kernel[0]
        width = self.width * self.upsample + self.pad[1] + self.pad[3] - self.kernel[1]
        return height // self.stride + 1, width // self.stride + 1

    @property
    def rows(self):
        return self.batch * self.out_size[0] * self.out_size[1]

    @property
    def depth(self):
        return self.kernel[0] * self.kernel[1] * self.in_channels

    @property
    def operations(self):
        return 2.0 * self.rows * self.out_channels * self.depth

    @property
    def chunks_fit(self):
        count = 16 // TYPES[self.type].itemsize
        numbers = (self.in_channels, self.in_channels + self.x_slack, self.x_offset,
                   self.depth + self.weight_slack)
        return all(n % count == 0 for n in numbers)

    @property
    def is_linear(self):
        return (self.kernel == (1, 1) and self.stride == 1 and self.pad == (0, 0, 0, 0)
                and self.upsample == 1)


def linear(type, rows, in_channels, out_channels, **more):
    return Case(type, 1, 1, rows, in_channels, out_channels, **more)


def conv3(type, batch, size, in_channels, out_channels, **more):
    more.setdefault("pad", (1, 1, 1, 1))
    return Case(type, batch, size, size, in_channels, out_channels, (3, 3), **more)


def filled(shape, pitch, dtype, scale=1.0, offset=0):
    """A random tensor whose last dimension lies in rows of `pitch`, with NaN in between."""
    *outer, last = shape
    count = offset + torch.Size(outer).numel() * pitch
    buffer = torch.full((count,), float("nan"), dtype=dtype, device="cuda")
    view = buffer[offset:].view(*outer, pitch)[..., :last]
    view.copy_(torch.randn(shape, device="cuda") * scale)
    return view


class Problem:
    """A case with its tensors."""

    def __init__(self, case):
        self.case = case
        dtype = TYPES[case.type]
        out_height, out_width = case.out_size
        channels = case.out_channels // 2 if case.gate else case.out_channels
        self.x = filled((case.batch, case.height, case.width, case.in_channels),
                        case.in_channels + case.x_slack, dtype, offset=case.x_offset)
        self.weight = filled((case.out_channels, case.depth), case.depth + case.weight_slack, dtype,
                             scale=case.depth**-0.5)
        self.bias = filled((case.out_channels,), case.out_channels, dtype) if case.bias else None
        self.item_bias = (filled((case.batch, case.out_channels), case.out_channels + case.y_slack, dtype)
                          if case.item_bias else None)
        shape, pitch = (case.batch, out_height, out_width, channels), channels + case.y_slack
        self.residual = filled(shape, pitch, dtype) if case.residual else None
        self.y = filled(shape, pitch, dtype)
        self.partial = self.arrivals = None

    def reference(self):
        """The result in float64."""
        case = self.case
        wide = lambda tensor: tensor.double()
        x = wide(self.x).permute(0, 3, 1, 2)
        if case.upsample == 2:
            x = x.repeat_interleave(2, 2).repeat_interleave(2, 3)
        top, left, bottom, right = case.pad
        x = F.pad(x, (left, right, top, bottom))
        weight = wide(self.weight).reshape(case.out_channels, *case.kernel, case.in_channels)
        with torch.backends.cudnn.flags(enabled=False):
            y = F.conv2d(x, weight.permute(0, 3, 1, 2).contiguous(), stride=case.stride)
        y = y.permute(0, 2, 3, 1)
        if case.bias:
            y = y + wide(self.bias)
        if case.item_bias:
            y = y + wide(self.item_bias)[:, None, None, :]
        if case.gate:
            y = y[..., 0::2] * F.gelu(y[..., 1::2])
        else:
            y = ACTIVATIONS[case.activation](y)
        if case.residual:
            y = y + wide(self.residual)
        return y * case.scale

    def params(self, splits, partial_bytes, tiles):
        case = self.case
        if splits > 1:
            self.partial = torch.full((partial_bytes // 4,), float("nan"), device="cuda")
            self.arrivals = torch.zeros(tiles, dtype=torch.int32, device="cuda")
        residual = self.y if case.residual == "y" else self.residual
        address = lambda tensor: None if tensor is None else tensor.data_ptr()
        out_height, out_width = case.out_size
        return Params(
            address(self.x), address(self.weight), address(self.bias), address(self.item_bias),
            address(residual), address(self.y), address(self.partial), address(self.arrivals),
            case.batch, case.height, case.width, case.in_channels, self.x.stride(2),
            out_height, out_width, case.out_channels, self.y.stride(2),
            *case.kernel, case.stride, case.pad[0], case.pad[1], case.upsample, self.weight.stride(0),
            case.out_channels + case.y_slack, self.y.stride(2), case.activation, case.gate, splits,
            case.scale,
        )


def random_case(type, rng):
    """A convolution of odd sizes with a random choice of everything that the kernels can do."""
    count = 16 // TYPES[type].itemsize
    aligned = rng.random() < 0.75
    channels = lambda most: (rng.randint(1, most // count) * count if aligned else rng.randint(1, most))
    more = dict(
        bias=rng.random() < 0.7, item_bias=rng.random() < 0.4, residual=rng.choice(["", "", "apart", "y"]),
        activation=rng.choice([0, 0, 1, 2, 3, 4, 5]), scale=rng.choice([1.0, 1.0, 0.7071]),
        x_slack=rng.choice([0, 0, count, 3 * count] if aligned else [0, 1, 5]),
        weight_slack=rng.choice([0, 0, count] if aligned else [0, 3]),
        y_slack=rng.choice([0, 0, count, 1, 3]),
        x_offset=rng.choice([0, 0, count] if aligned else [0, 1]),
    )
    out_channels = rng.choice([rng.randint(1, 20), rng.randint(1, 200), rng.randint(1, 30) * 8, 320])
    if rng.random() < 0.35:
        rows = rng.choice([rng.randint(1, 40), rng.randint(1, 700)])
        case = linear(type, rows, channels(600), out_channels, **more)
    else:
        kernel = rng.choice([(3, 3), (3, 3), (1, 1), (5, 5), (1, 3), (2, 4), (7, 1)])
        case = Case(type, rng.randint(1, 3), rng.randint(1, 21), rng.randint(1, 21), channels(200),
                    out_channels, kernel, rng.choice([1, 1, 2, 3]),
                    tuple(rng.randint(0, 3) for _ in range(4)), rng.choice([1, 1, 1, 2]), **more)
        if min(case.height * case.upsample + case.pad[0] + case.pad[2] - kernel[0],
               case.width * case.upsample + case.pad[1] + case.pad[3] - kernel[1]) < 0:
            return random_case(type, rng)
    if rng.random() < 0.1:
        case = replace(case, kernel=(3, 3), stride=1, upsample=1, pad=(1, 1, 1, 1), height=case.height + 1,
                       width=case.width + 1, out_channels=rng.randint(1, 4))
    if rng.random() < 0.25:
        case = replace(case, gate=True, activation=0, out_channels=case.out_channels // 2 * 2 + 2)
    return case


def time_graph(launches, replays=5):
    """Microseconds of one launch: the launches, in turn, in a CUDA graph; the median of the replays."""
    for launch in launches:
        launch()
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        for launch in launches:
            launch()
    graph.replay()
    times = []
    for _ in range(replays):
        start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        start.record()
        graph.replay()
        end.record()
        end.synchronize()
        times.append(start.elapsed_time(end) * 1000 / len(launches))
    return sorted(times)[len(times) // 2]


def torch_launch(problem):
    """The same operation in PyTorch, without the gate and the residual."""
    case = problem.case
    bias = problem.bias
    if case.is_linear:
        return lambda: F.linear(problem.x, problem.weight, bias)
    x = problem.x.permute(0, 3, 1, 2)
    weight = problem.weight.reshape(case.out_channels, *case.kernel, case.in_channels).permute(0, 3, 1, 2)
    pad = (case.pad[0], case.pad[1])
    if case.upsample == 2:
        x = x.repeat_interleave(2, 2).repeat_interleave(2, 3).contiguous(memory_format=torch.channels_last)
    return lambda: F.conv2d(x, weight, bias, case.stride, pad)


def problems_of(case, bytes=120e6):
    """As many copies of a problem as do not fit into L2 together (at most 24)."""
    first = Problem(case)
    size = sum(t.numel() * t.element_size() for t in (first.x, first.weight, first.y))
    return [first] + [Problem(case) for _ in range(min(23, int(bytes // size)))]


def stable_diffusion(type="bf16"):
    """The shapes that matter, by name."""
    cases = {}
    for size, pairs in {
        64: [(320, 320), (640, 320), (960, 320), (4, 320), (320, 4)],
        32: [(320, 640), (640, 640), (960, 640), (1280, 640), (1920, 640)],
        16: [(640, 1280), (1280, 1280), (1920, 1280), (2560, 1280)],
        8: [(1280, 1280), (2560, 1280)],
    }.items():
        for c, n in pairs:
            cases[f"unet 3x3 {size} {c}->{n}"] = conv3(type, 2, size, c, n, item_bias=c <= n > 4)
    for size, c in [(64, 320), (32, 640), (16, 1280)]:
        cases[f"unet stride2 {size} {c}"] = conv3(type, 2, size, c, c, stride=2)
    for size, c in [(32, 640), (16, 1280), (8, 1280)]:
        cases[f"unet up {size} {c}"] = conv3(type, 2, size, c, c, upsample=2)
    for rows, c in [(8192, 320), (2048, 640), (512, 1280), (128, 1280)]:
        cases[f"linear {rows} {c}->{c}"] = linear(type, rows, c, c, residual="apart")
        cases[f"linear {rows} {c}->{3 * c}"] = linear(type, rows, c, 3 * c, bias=False)
        cases[f"linear {rows} {c}->{8 * c} gate"] = linear(type, rows, c, 8 * c, gate=True)
        cases[f"linear {rows} {4 * c}->{c}"] = linear(type, rows, 4 * c, c, residual="apart")
    cases["linear 2048 1920->640"] = linear(type, 2048, 1920, 640)
    cases["linear 512 2560->1280"] = linear(type, 512, 2560, 1280)
    for n in (640, 1280, 2560):
        cases[f"linear 154 768->{n}"] = linear(type, 154, 768, n, bias=False)
    cases["linear 2 1280->1280"] = linear(type, 2, 1280, 1280, activation=1)
    cases["linear 16 1280->1280"] = linear(type, 16, 1280, 1280)
    for size, c, n in [(64, 4, 512), (64, 512, 512), (128, 512, 512), (256, 512, 256), (256, 256, 256),
                       (512, 256, 128), (512, 128, 128), (512, 128, 3)]:
        cases[f"vae 3x3 {size} {c}->{n}"] = conv3(type, 1, size, c, n)
    cases["vae up 64 512"] = conv3(type, 1, 64, 512, 512, upsample=2)
    cases["vae up 256 256"] = conv3(type, 1, 256, 256, 256, upsample=2)
    for size, c in [(128, 320), (64, 640), (32, 1280)]:
        cases[f"sdxl 3x3 {size} {c}"] = conv3(type, 2, size, c, c)
    for rows, k, n in [(8192, 640, 5120), (8192, 2560, 640), (2048, 1280, 1280), (2048, 1280, 10240),
                       (2048, 5120, 1280)]:
        gate = n > 4 * k - 1
        cases[f"sdxl linear {rows} {k}->{n}"] = linear(type, rows, k, n, gate=gate)
    cases["big linear 8192 8192->8192"] = linear(type, 8192, 8192, 8192)
    return cases
