"""Loads compiled kernels and launches them on PyTorch's tensors; compares and times results."""

import ctypes
import math
import random
from pathlib import Path

import torch
from cuda.bindings import driver

TYPES = {"f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16}
ALL_TYPES = TYPES | {"i64": torch.int64, "i32": torch.int32, "u8": torch.uint8}
TYPE_NUMBERS = {kind: number for number, kind in enumerate(ALL_TYPES)}
KINDS = {dtype: kind for kind, dtype in ALL_TYPES.items()} | {torch.bool: "u8"}
# Rounding once costs 2^-25, 2^-12 or 2^-9 of a value at most; f32 also has the roundings on the way there.
TOLERANCE = {"f32": 3e-6, "f16": 5e-4, "bf16": 4e-3}


def check(result):
    """The values of a driver call, which must have succeeded."""
    error, *values = result
    if error != driver.CUresult.CUDA_SUCCESS:
        raise RuntimeError(driver.cuGetErrorName(error)[1].decode())
    return values[0] if len(values) == 1 else values


class Kernels:
    """The kernels of some cubin files."""

    def __init__(self, *paths):
        torch.zeros(1, device="cuda")  # PyTorch's context is the current one from here on
        self.modules = [check(driver.cuModuleLoadData(Path(path).read_bytes())) for path in paths]
        self.functions = {}

    def function(self, name):
        """The kernel `name`, allowed to use as much shared memory as there is."""
        if name not in self.functions:
            for module in self.modules:
                error, function = driver.cuModuleGetFunction(module, name.encode())
                if error == driver.CUresult.CUDA_SUCCESS:
                    break
            else:
                raise KeyError(name)
            attribute = driver.CUfunction_attribute
            static = check(driver.cuFuncGetAttribute(attribute.CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES, function))
            most = torch.cuda.get_device_properties(0).shared_memory_per_block_optin - static
            dynamic = attribute.CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES
            check(driver.cuFuncSetAttribute(function, dynamic, most))
            self.functions[name] = function
        return self.functions[name]

    def launch(self, name, grid, block, shared, parameters):
        """Launches `name` on the current stream; `parameters` is a ctypes structure."""
        pointer = (ctypes.c_void_p * 1)(ctypes.addressof(parameters))
        stream = torch.cuda.current_stream().cuda_stream
        grid = (*grid, 1, 1)[:3]
        function = self.function(name)
        check(
            driver.cuLaunchKernel(function, *grid, block, 1, 1, shared, stream, ctypes.addressof(pointer), 0)
        )


class Report:
    """Counts comparisons and prints those that fail."""

    def __init__(self, what):
        self.what, self.checked, self.failed, self.worst = what, 0, 0, {}

    def compare(self, case, kind, result, reference, tolerance=None):
        """`||result - reference|| / ||reference||` in f64 must be at most the tolerance of `kind`."""
        result, reference = result.double(), reference.double()
        scale = max(reference.norm().item(), 1e-30)
        error = (result - reference).norm().item() / scale
        self.checked += 1
        self.worst[kind] = max(self.worst.get(kind, 0.0), error if math.isfinite(error) else math.inf)
        if not error <= (TOLERANCE[kind] if tolerance is None else tolerance):
            self.failed += 1
            print(f"FAILED {self.what} {case} {kind}: relative error {error:.3g}", flush=True)

    def require(self, case, condition):
        """Something that must hold."""
        self.checked += 1
        if not condition:
            self.failed += 1
            print(f"FAILED {self.what} {case}", flush=True)

    def summary(self):
        """One line for all of it."""
        worst = ", ".join(f"{kind} {error:.2g}" for kind, error in self.worst.items())
        print(
            f"{self.what}: {self.checked} checks, {self.failed} failed; largest relative errors: {worst}",
            flush=True,
        )


def seconds(calls, repeats=20):
    """The median time of one of `calls` when a graph replays all: launches cost what they do there."""
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        for call in calls:
            call()
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, stream=stream):
        for call in calls:
            call()
    times = []
    for _ in range(repeats + 2):
        start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        start.record()
        graph.replay()
        end.record()
        end.synchronize()
        times.append(start.elapsed_time(end) * 1e-3 / len(calls))
    return sorted(times[2:])[repeats // 2]


def strided(shape, dtype, poison=True):
    """A tensor with some layout: contiguous, transposed, or a part of a larger one."""
    axes = list(range(len(shape)))
    if random.random() < 0.4:
        random.shuffle(axes)
    extra = [random.choice([0, 0, 1, 5]) if random.random() < 0.4 else 0 for _ in shape]
    buffer = torch.zeros([shape[axis] + extra[axis] for axis in axes], device="cuda").to(dtype)
    if poison and dtype.is_floating_point:
        buffer.fill_(float("nan"))
    view = buffer.permute([axes.index(axis) for axis in range(len(shape))])
    for axis, more in enumerate(extra):
        view = view.narrow(axis, random.randint(0, more), shape[axis])
    return view
