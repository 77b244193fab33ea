"""Checks the plain kernels against PyTorch in f64.

python plain.py plain.cubin resize.cubin
"""

import ctypes
import itertools
import random
import sys

import torch
from device import ALL_TYPES, KINDS, TYPE_NUMBERS, TYPES, Kernels, Report, strided


def structure(name, fields):
    """A structure from a description such as `p:x,y l:count i:n,m`."""
    types = {"p": ctypes.c_void_p, "l": ctypes.c_int64, "i": ctypes.c_int32, "d": ctypes.c_double}
    parts = [part.split(":") for part in fields.split()]
    return type(
        name,
        (ctypes.Structure,),
        {"_fields_": [(field, types[kind]) for kind, names in parts for field in names.split(",")]},
    )


ReduceParams = structure(
    "ReduceParams", "p:x,y l:x_outer,x_n,x_inner,y_outer,y_inner i:outer,n,inner,x_type,y_type,reduction"
)
GatherParams = structure(
    "GatherParams",
    "p:table,indices,y l:table_outer,table_pitch,y_outer,y_pitch "
    "i:outer,entries,count,inner,index_type,unused",
)
MatmulParams = structure(
    "MatmulParams", "p:a,b,y l:a_batch,a_m,a_k,b_batch,b_k,b_n,y_batch,y_m,y_n i:m,n,k,type"
)
ResizeParams = structure(
    "ResizeParams",
    "p:x,y i:batch,channels,x_pitch,y_pitch,in_height,in_width,out_height,out_width,align_corners,"
    "kernel_height,kernel_width,stride_height,stride_width,pad_top,pad_left,pad_bottom,pad_right,"
    "count_padding",
)
FillParams = structure("FillParams", "p:y d:start,step l:count i:type,unused")


def check_reduce(kernels):
    report = Report("reduce")
    functions = ["sum", "mean", "amax", "amin", "prod", "any", "all", "argmax", "argmin"]
    for number, (name, (kind, dtype), repeat) in itertools.product(
        range(1), itertools.product(functions, ALL_TYPES.items(), range(4))
    ):
        integer = not dtype.is_floating_point
        if integer and name == "mean":
            continue
        outer, n, inner = (
            random.choice([1, 3, 40]),
            random.choice([1, 2, 77, 1000, 5003]),
            random.choice([1, 1, 7, 64]),
        )
        x = strided([outer, n, inner], dtype, poison=False)
        values = (
            torch.randint(0, 5, x.shape, device="cuda")
            if integer
            else torch.randn(x.shape, device="cuda") + 3
        )
        if name == "prod":
            values = (
                1 + (values > 3).long()
                if integer
                else values * 0 + 1 + torch.randn(x.shape, device="cuda") * 0.01
            )
            values = values if not integer else (torch.rand(x.shape, device="cuda") < 0.002).long() + 1
        if name in ("any", "all"):
            values = (torch.rand(x.shape, device="cuda") < (0.001 if name == "any" else 0.999)).long()
        x.copy_(values)
        if not integer and name in ("amax", "argmin") and repeat == 0:
            x[0, n // 2, 0] = float("nan")
        wide = x.long() if integer else x.double()
        if name in ("any", "all"):
            reference = getattr(torch, name)(wide != 0, dim=1)
        elif name in ("argmax", "argmin"):
            # The first of equal values, which PyTorch does not promise on a GPU.
            reference = getattr(wide.cpu(), name)(dim=1).cuda()
        else:
            reference = getattr(torch, name)(wide, dim=1)
        out = {"any": torch.uint8, "all": torch.uint8, "argmax": torch.int64, "argmin": torch.int64}.get(
            name, torch.int64 if integer else dtype
        )
        y = torch.full([outer, inner], 77, device="cuda").to(out)
        mode = "i64" if integer else "f32"
        p = ReduceParams(
            x.data_ptr(),
            y.data_ptr(),
            *x.stride(),
            *y.stride(),
            outer,
            n,
            inner,
            TYPE_NUMBERS[KINDS[dtype]],
            TYPE_NUMBERS[KINDS[out]],
            functions.index(name),
        )
        for way, grid in (("threads", -(-outer * inner // 256)), ("block", outer * inner)):
            kernels.launch(f"oxd_reduce_{mode}_{way}", (grid,), 256, 0, p)
            case = f"{name} {kind} {outer}x{n}x{inner} {way}"
            if out.is_floating_point:
                same_nan = torch.equal(y.isnan(), reference.isnan())
                report.require(case + " NaN", same_nan)
                report.compare(
                    case,
                    kind,
                    y.nan_to_num(),
                    reference.to(dtype).double().nan_to_num() if kind != "f32" else reference.nan_to_num(),
                )
            else:
                report.require(case, torch.equal(y, reference.to(out)))
    report.summary()


def check_gather(kernels):
    report = Report("gather")
    for (kind, dtype), repeat in itertools.product(ALL_TYPES.items(), range(8)):
        outer, entries, count, inner = (
            random.choice([1, 3]),
            random.choice([1, 50, 999]),
            random.choice([1, 77, 300]),
            random.choice([1, 9, 768]),
        )
        table = torch.randint(0, 200, (outer, entries, inner), device="cuda").to(dtype)
        index_type = random.choice([torch.int64, torch.int32])
        indices = torch.randint(0, entries, (count,), device="cuda").to(index_type)
        y = torch.zeros(outer, count, inner, device="cuda").to(dtype)
        wrong = repeat == 0
        if wrong:
            indices[0] = -1 if repeat % 2 else entries
        p = GatherParams(
            table.data_ptr(),
            indices.data_ptr(),
            y.data_ptr(),
            table.stride(0),
            table.stride(1),
            y.stride(0),
            y.stride(1),
            outer,
            entries,
            count,
            inner,
            TYPE_NUMBERS[KINDS[index_type]],
            0,
        )
        kernels.launch(f"oxd_gather_{dtype.itemsize}", (-(-outer * count * inner // 256),), 256, 0, p)
        if wrong:
            first = y[:, 0]
            report.require(
                f"gather outside {kind}",
                first.isnan().all()
                if dtype.is_floating_point
                else (first.long() == (255 if kind == "u8" else -1)).all(),
            )
            indices[0], y[:, 0] = 0, table[:, 0]
        report.require(f"gather {kind}", torch.equal(y, table[:, indices.long()]))
    report.summary()


def check_matmul(kernels):
    report = Report("matmul")
    for (kind, dtype), repeat in itertools.product(TYPES.items(), range(15)):
        batch, m, n, k = random.choice([1, 3]), *(random.choice([1, 2, 63, 65, 130, 320]) for _ in range(3))
        a, b, y = strided([batch, m, k], dtype), strided([batch, k, n], dtype), strided([batch, m, n], dtype)
        a.copy_(torch.randn(a.shape, device="cuda"))
        b.copy_(torch.randn(b.shape, device="cuda"))
        p = MatmulParams(
            a.data_ptr(),
            b.data_ptr(),
            y.data_ptr(),
            *a.stride(),
            *b.stride(),
            *y.stride(),
            m,
            n,
            k,
            TYPE_NUMBERS[kind],
        )
        kernels.launch("oxd_matmul", (-(-m // 64), -(-n // 64), batch), 256, 0, p)
        report.compare(f"{batch}x{m}x{n}x{k}", kind, y, a.double() @ b.double())
    report.summary()


def check_resize(kernels):
    report = Report("resize")
    functional = torch.nn.functional
    for (kind, dtype), way, repeat in itertools.product(
        TYPES.items(), ("nearest", "bilinear", "average"), range(12)
    ):
        batch, channels = random.choice([1, 2]), random.choice([1, 3, 8, 24, 320])
        height, width = random.choice([1, 3, 8, 17]), random.choice([2, 5, 16, 31])
        to = [random.choice([1, 7, 16, 34, 50]), random.choice([1, 10, 32, 45])]
        pitch = channels + random.choice([0, 8, 3])
        buffer = torch.randn(batch, height, width, pitch, device="cuda").to(dtype)
        image = buffer[..., :channels].permute(0, 3, 1, 2)
        values = image.double()
        p = ResizeParams(
            batch=batch, channels=channels, x_pitch=pitch, y_pitch=pitch, in_height=height, in_width=width
        )
        if way == "average":
            kernel, stride = (
                [random.choice([1, 2, 3]) for _ in range(2)],
                [random.choice([1, 2]) for _ in range(2)],
            )
            padding = [random.randint(0, size // 2) for size in kernel]
            if height + 2 * padding[0] < kernel[0] or width + 2 * padding[1] < kernel[1]:
                continue
            counted, up = random.random() < 0.5, random.random() < 0.5
            reference = functional.avg_pool2d(
                values.contiguous(), kernel, stride, padding, ceil_mode=up, count_include_pad=counted
            )
            p.kernel_height, p.kernel_width, p.stride_height, p.stride_width = *kernel, *stride
            p.pad_top, p.pad_left, p.pad_bottom, p.pad_right = *padding, *padding
            p.count_padding = int(counted)
        elif way == "nearest":
            # The rule is in f32: f64 would choose other pixels.
            reference = functional.interpolate(image.float().contiguous(), to, mode="nearest")
        else:
            p.align_corners = random.randint(0, 1)
            reference = functional.interpolate(
                values.contiguous(), to, mode="bilinear", align_corners=bool(p.align_corners)
            )
        p.out_height, p.out_width = reference.shape[2:]
        out = torch.full((batch, *reference.shape[2:], pitch), float("nan"), device="cuda").to(dtype)
        widest = 16 // dtype.itemsize
        vector = widest if channels % widest == 0 and pitch % widest == 0 else 1
        p.x, p.y = buffer.data_ptr(), out.data_ptr()
        count = batch * p.out_height * p.out_width * (channels // vector)
        kernels.launch(f"oxd_{way}_{kind}_v{vector}", (-(-count // 256),), 256, 0, p)
        case = f"{way} {batch}x{height}x{width}x{channels} to {list(reference.shape[2:])} pitch {pitch}"
        report.compare(
            case,
            kind,
            out[..., :channels].permute(0, 3, 1, 2),
            reference,
            2e-5 if (way, kind) == ("bilinear", "f32") else None,
        )
        report.require(case + ": wrote outside", out[..., channels:].isnan().all().item())
    report.summary()


def check_fill(kernels):
    report = Report("fill")
    for kind, dtype in ALL_TYPES.items():
        for start, step, count in (
            (3, 0, 1001),
            (0, 1, 200),
            (2, 0.5, 77) if dtype.is_floating_point else (2, 3, 77),
        ):
            y = torch.zeros(count, device="cuda").to(dtype)
            kernels.launch(
                "oxd_fill",
                (-(-count // 256),),
                256,
                0,
                FillParams(y.data_ptr(), start, step, count, TYPE_NUMBERS[kind], 0),
            )
            expected = (start + step * torch.arange(count, device="cuda", dtype=torch.float64)).to(dtype)
            report.require(f"fill {kind} {start} {step}", torch.equal(y, expected))
    report.summary()


def main():
    kernels = Kernels(*sys.argv[1:])
    random.seed(3)
    torch.manual_seed(3)
    check_reduce(kernels)
    check_gather(kernels)
    check_matmul(kernels)
    check_resize(kernels)
    check_fill(kernels)


if __name__ == "__main__":
    main()
