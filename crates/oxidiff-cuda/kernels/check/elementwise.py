"""Checks programs for each element, and copies, against PyTorch in f64, and times them.

python elementwise.py elementwise.cubin
"""

import ctypes
import itertools
import math
import random
import sys

import torch
from device import ALL_TYPES, KINDS, TYPE_NUMBERS, TYPES, Kernels, Report, seconds, strided

UNARY = (
    "neg abs exp log log1p sqrt rsqrt recip square sin cos tanh erf sigmoid silu gelu gelu_tanh quick_gelu "
    "relu floor ceil round trunc sign not"
).split()
BINARY = "add sub mul div min max pow remainder equal less less_equal greater greater_equal and or".split()
OPCODES = {"constant": 0} | {name: 16 + i for i, name in enumerate(UNARY)}
OPCODES |= {name: 64 + i for i, name in enumerate(BINARY)} | {"select": 128, "clamp": 129}

FUNCTIONS = {
    "neg": torch.neg,
    "abs": torch.abs,
    "exp": torch.exp,
    "log": torch.log,
    "log1p": torch.log1p,
    "sqrt": torch.sqrt,
    "rsqrt": torch.rsqrt,
    "recip": torch.reciprocal,
    "square": torch.square,
    "sin": torch.sin,
    "cos": torch.cos,
    "tanh": torch.tanh,
    "erf": torch.erf,
    "sigmoid": torch.sigmoid,
    "silu": torch.nn.functional.silu,
    "gelu": torch.nn.functional.gelu,
    "gelu_tanh": lambda x: torch.nn.functional.gelu(x, approximate="tanh"),
    "quick_gelu": lambda x: x * torch.sigmoid(1.702 * x),
    "relu": torch.relu,
    "floor": torch.floor,
    "ceil": torch.ceil,
    "round": torch.round,
    "trunc": torch.trunc,
    "sign": torch.sign,
    "not": lambda x: x == 0,
    "add": torch.add,
    "sub": torch.sub,
    "mul": torch.mul,
    "div": torch.div,
    "min": torch.minimum,
    "max": torch.maximum,
    "pow": torch.pow,
    "remainder": torch.remainder,
    "equal": torch.eq,
    "less": torch.lt,
    "less_equal": torch.le,
    "greater": torch.gt,
    "greater_equal": torch.ge,
    "and": torch.logical_and,
    "or": torch.logical_or,
    "select": lambda m, a, b: torch.where(m != 0, a, b),
    "clamp": lambda x, a, b: torch.minimum(torch.maximum(x, a), b),
}


class Operand(ctypes.Structure):
    _fields_ = [("address", ctypes.c_void_p), ("stride", ctypes.c_int64)]
    _fields_ += [("type", ctypes.c_int32), ("place", ctypes.c_int32)]


class ElementwiseParams(ctypes.Structure):
    _fields_ = [(name, ctypes.c_int32) for name in ("dimensions", "input_count", "output_count")]
    _fields_ += [
        (name, ctypes.c_int32) for name in ("instruction_count", "row_vectors", "vectors", "length", "unused")
    ]
    _fields_ += [
        ("operands", Operand * 10),
        ("code", ctypes.c_uint32 * 32),
        ("constants", ctypes.c_float * 32),
    ]
    _fields_ += [("outer_lengths", ctypes.c_int32 * 6), ("outer_strides", ctypes.c_int64 * 5 * 10)]


def merged(shape, strides):
    """Shape and strides, the innermost first; dimensions that all walk with one stride are joined."""
    order = sorted(
        (axis for axis in range(len(shape)) if shape[axis] > 1), key=lambda axis: strides[-1][axis]
    )
    lengths, steps = [], []
    for axis in order:
        own = [stride[axis] for stride in strides]
        if lengths and all(a == b * lengths[-1] for a, b in zip(own, steps[-1])):
            lengths[-1] *= shape[axis]
        else:
            lengths.append(shape[axis])
            steps.append(own)
    return (lengths, steps) if lengths else ([1], [[1] * len(strides)])


def elementwise(kernels, code, inputs, outputs, places, mode="f32", width=None):
    """A launch of a program: `code` has (name, result, arguments...) or ("constant", result, value)."""
    lengths, steps = merged(outputs[0].shape, [tensor.stride() for tensor in (*inputs, *outputs)])
    p = ElementwiseParams()
    p.dimensions, p.input_count, p.output_count, p.instruction_count = (
        len(lengths),
        len(inputs),
        len(outputs),
        len(code),
    )
    p.length = lengths[0]
    for axis in range(1, len(lengths)):
        p.outer_lengths[axis - 1] = lengths[axis]
    for number, tensor in enumerate((*inputs, *outputs)):
        operand = p.operands[number]
        operand.address, operand.type = tensor.data_ptr(), TYPE_NUMBERS[KINDS[tensor.dtype]]
        operand.place = places[number - len(inputs)] if number >= len(inputs) else 0
        operand.stride = steps[0][number]
        for axis in range(1, len(lengths)):
            p.outer_strides[number][axis - 1] = steps[axis][number]
    used = max(len(inputs), 1 + max((line[1] for line in code), default=0))
    for i, (name, result, *arguments) in enumerate(code):
        if name == "constant":
            p.constants[i], arguments = arguments[0], []
        word = OPCODES[name] | result << 8
        for place, argument in enumerate(arguments):
            word |= argument << 13 + 5 * place
        p.code[i] = word
    if mode == "copy":
        size = inputs[0].element_size()
        name, width, shared = f"oxd_copy_{size}", 16 // size, 0
    else:
        width = width or (8 if mode == "f32" and lengths[0] >= 8 else 1)
        name = f"oxd_elementwise_{mode}_v{width}"
        shared = used * width * 128 * (8 if mode == "i64" else 4)
    p.row_vectors = -(-lengths[0] // width)
    p.vectors = p.row_vectors * math.prod(lengths[1:])
    return lambda: kernels.launch(name, (-(-p.vectors // 128),), 128, shared, p)


def repeated(tensor):
    """The tensor, or its first entries along a dimension, repeated."""
    axis = random.randrange(tensor.dim())
    return tensor.narrow(axis, 0, 1).expand(tensor.shape) if random.random() < 0.3 else tensor


def random_shape():
    return [random.choice([1, 2, 3, 5, 8, 16, 17, 33]) for _ in range(random.randint(1, 4))]


def check_elementwise(kernels):
    report = Report("elementwise")
    for name, (kind, dtype), repeat in itertools.product(FUNCTIONS, TYPES.items(), range(3)):
        arity = 1 if name in UNARY else 2 if name in BINARY else 3
        shape = [[1000003], random_shape(), random_shape()][repeat]
        inputs = [strided(shape, dtype) for _ in range(arity)]
        for position, tensor in enumerate(inputs):
            values = torch.randn(shape, device="cuda") * (1 if name in ("exp", "pow") else 3)
            if name in (
                "equal",
                "less",
                "less_equal",
                "greater",
                "greater_equal",
                "and",
                "or",
                "not",
                "sign",
                "select",
            ):
                values = values.round()
            if name in ("log", "log1p", "sqrt", "rsqrt", "recip") or (name == "pow" and position == 0):
                values = values.abs() + 0.01
            if name in ("sin", "cos"):
                values = values * 100
            if name in ("div", "remainder") and position == 1:
                values = torch.where(values.abs() < 0.1, 0.5, values)
            if name == "clamp" and position > 0:
                values = torch.full_like(values, [0, -1, 2][position])
            tensor.copy_(values)
        inputs = [repeated(tensor) for tensor in inputs]
        out_dtype = torch.bool if name in ("equal", "less", "and", "not") and repeat else dtype
        y = strided(shape, out_dtype)
        reference = FUNCTIONS[name](*(tensor.double() for tensor in inputs))
        elementwise(
            kernels, [(name, arity, *range(arity))], inputs, [y], [arity], width=random.choice([1, 8])
        )()
        report.compare(f"{name} {shape}", kind, y, reference)
    # Long programs with two results, all the inputs, and a constant.
    for repeat in range(20):
        shape = random_shape()
        inputs = [strided(shape, random.choice(list(TYPES.values()))) for _ in range(8)]
        for tensor in inputs:
            tensor.copy_(torch.randn(shape, device="cuda"))
        code = (
            [("constant", 8, 2.5)] + [("add", 8, 8, i) for i in range(8)] + [("mul", 9, 8, 0), ("silu", 9, 9)]
        )
        outputs = [strided(shape, torch.float32), strided(shape, torch.float32)]
        outputs[1] = (
            outputs[1] if outputs[1].stride() == outputs[0].stride() else torch.empty_like(outputs[0])
        )
        elementwise(kernels, code, inputs, outputs, [8, 9])()
        total = sum(tensor.double() for tensor in inputs) + 2.5
        report.compare(f"program {shape}", "f32", outputs[0], total)
        report.compare(
            f"program {shape}", "f32", outputs[1], torch.nn.functional.silu(total * inputs[0].double())
        )
    # Copies keep all bits; integers are exact beyond the precision of f32.
    for (kind, dtype), repeat in itertools.product(ALL_TYPES.items(), range(12)):
        shape = random_shape() if repeat else [100003]
        x = strided(shape, dtype, poison=False)
        values = torch.randint(-(2**62), 2**62, shape, device="cuda")
        x.copy_(values if not dtype.is_floating_point else torch.randn(shape, device="cuda"))
        y = strided(shape, dtype)
        elementwise(kernels, [], [x], [y], [0], mode="copy")()
        report.require(f"copy {kind} {shape}", torch.equal(x, y))
    for repeat in range(20):
        shape = random_shape()
        a, b = (strided(shape, random.choice([torch.int64, torch.int32])) for _ in range(2))
        for tensor in (a, b):
            tensor.copy_(torch.randint(-(2**30), 2**30, shape, device="cuda"))
        y = strided(shape, torch.int64)
        elementwise(kernels, [("mul", 2, 0, 1), ("add", 2, 2, 0)], [a, b], [y], [2], mode="i64")()
        report.require(f"i64 {shape}", torch.equal(y, a.long() * b.long() + a.long()))
    for (kind, dtype), (other, other_dtype) in itertools.product(ALL_TYPES.items(), ALL_TYPES.items()):
        x = torch.randint(0, 200, (1001,), device="cuda").to(dtype)
        y = torch.zeros(1001, device="cuda").to(other_dtype)
        elementwise(kernels, [], [x], [y], [0])()
        report.require(f"cast {kind} to {other}", torch.equal(y, x.to(other_dtype)))
    report.summary()


def time_elementwise(kernels):
    print("elementwise, bf16, 32 Mi elements: microseconds, GB/s, torch", flush=True)
    count = 1 << 25
    a, b, y = (torch.randn(count, device="cuda").bfloat16() for _ in range(3))
    wide = torch.empty(count, device="cuda")
    long = [
        ("mul", 2, 0, 1),
        ("add", 2, 2, 0),
        ("sub", 2, 2, 1),
        ("max", 2, 2, 0),
        ("mul", 2, 2, 2),
        ("add", 2, 2, 0),
        ("mul", 2, 2, 1),
        ("add", 2, 2, 1),
    ]
    cases = {
        "copy": (elementwise(kernels, [], [a], [y], [0], mode="copy"), lambda: y.copy_(a), 4),
        "copy to f32": (elementwise(kernels, [], [a], [wide], [0]), lambda: wide.copy_(a), 6),
        "add": (
            elementwise(kernels, [("add", 2, 0, 1)], [a, b], [y], [2]),
            lambda: torch.add(a, b, out=y),
            6,
        ),
        "silu": (
            elementwise(kernels, [("silu", 1, 0)], [a], [y], [1]),
            lambda: torch.nn.functional.silu(a),
            4,
        ),
        "gelu": (
            elementwise(kernels, [("gelu", 1, 0)], [a], [y], [1]),
            lambda: torch.nn.functional.gelu(a),
            4,
        ),
        "8 steps": (elementwise(kernels, long, [a, b], [y], [2]), None, 6),
    }
    rows, part = (tensor.view(-1, 64 * 64)[:, : 60 * 64] for tensor in (a, y))
    cases["copy of a part"] = (
        elementwise(kernels, [], [rows], [part], [0], mode="copy"),
        lambda: part.copy_(rows),
        4 * 60 / 64,
    )
    image, pixels = a.view(32, 1024, 1024), y.view(32, 1024, 1024)
    cases["transposed copy"] = (
        elementwise(kernels, [], [image.transpose(1, 2)], [pixels], [0], mode="copy"),
        lambda: pixels.copy_(image.transpose(1, 2)),
        4,
    )
    for name, (call, other, bytes_each) in cases.items():
        time = seconds([call] * 4) * 1e6
        torch_time = seconds([other] * 4) * 1e6 if other else math.nan
        print(
            f"{name}: {time:.1f} us, {bytes_each * count / time / 1e3:.0f} GB/s, torch {torch_time:.1f} us",
            flush=True,
        )
    small = [torch.randn(2 * 4 * 64 * 64, device="cuda").bfloat16() for _ in range(3)]
    add = elementwise(kernels, [("add", 2, 0, 1)], small[:2], small[2:], [2])
    time = seconds([add] * 20) * 1e6
    torch_time = seconds([lambda: torch.add(*small[:2], out=small[2])] * 20) * 1e6
    print(f"add of 32768 elements: {time:.1f} us, torch {torch_time:.1f} us", flush=True)


def main():
    kernels = Kernels(*sys.argv[1:])
    random.seed(3)
    torch.manual_seed(3)
    check_elementwise(kernels)
    time_elementwise(kernels)


if __name__ == "__main__":
    main()
