"""Element types as the library writes them that the program uses: torch, mindspore, or this one."""

import sys


def dtype_of_program(dtype):
    """`torch.float32` for `oxidiff.float32` in a program that has imported torch."""
    for name in ("torch", "mindspore"):
        module = sys.modules.get(name)
        if hasattr(module, "Tensor"):
            return getattr(module, dtype.name)
    return dtype
