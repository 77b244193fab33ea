"""Element types and devices as the library writes them that the program uses: torch, mindspore, or this one."""

import sys


def dtype_of_program(dtype):
    """`torch.float32` for `oxidiff.float32` in a program that has imported torch."""
    for name in ("torch", "mindspore"):
        module = sys.modules.get(name)
        if hasattr(module, "Tensor"):
            return getattr(module, dtype.name)
    return dtype


def device_of_program():
    """The CPU: `torch.device("cpu")` in a program that has imported torch."""
    torch = sys.modules.get("torch")
    return torch.device("cpu") if hasattr(torch, "device") else "cpu"
