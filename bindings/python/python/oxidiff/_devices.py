"""Devices by name."""

import sys

from . import _oxidiff
from ._loading import element_type


def device_name(device):
    """`"cpu"`, or `"cuda:1"` for an NVIDIA card: of a string, of the number of a card, or of a device of torch.

    Raises:
        NotImplementedError: for devices that the library does not compute on.
    """
    name = f"cuda:{device}" if isinstance(device, int) else str(device).lower()
    kind, _, index = name.partition(":")
    if kind == "cpu":
        return kind
    if kind == "cuda" and (index.isdigit() or not index):
        return f"cuda:{int(index or 0)}"
    raise NotImplementedError(f"oxidiff computes on the CPU and on NVIDIA cards (`cuda`), not on `{device}`")


def is_device(argument):
    """Whether an argument of `to` is a device rather than an element type."""
    if isinstance(argument, str):
        return argument.split(":")[0].lower() in ("cpu", "cuda", "mps", "xpu", "npu", "ascend", "gpu", "hpu", "meta")
    return isinstance(argument, int) or type(argument).__name__ == "device"


def moved(args, kwargs):
    """The name of the device and the element type that the arguments of `to` name; `None` for one that they do not name."""
    device = dtype = None
    for argument in (*args, kwargs.get("device"), kwargs.get("dtype"), kwargs.get("torch_device")):
        if argument is None:
            continue
        if is_device(argument):
            device = device_name(argument)
        else:
            dtype = element_type("dtype", argument)
    return device, dtype


def device_of_program(card):
    """The card of this name, or the CPU: `torch.device("cuda:0")` in a program that has imported torch."""
    torch = sys.modules.get("torch")
    name = "cpu" if card is None else card
    # The interpreter of plans, which tests use, is no device of torch.
    return torch.device(name) if hasattr(torch, "device") and name != "interpreter" else name


def set_float32_matmul_precision(precision):
    """How exactly NVIDIA cards multiply in models that compute in float32, for the whole program: torch's function of this name.

    Args:
        precision (str): `"highest"`, as at the start, has the error of float32. `"high"` and `"medium"` round the factors of convolutions and
            linear layers to TF32, which is faster and has a relative error of up to 1e-3.
    """
    if precision not in ("highest", "high", "medium"):
        raise ValueError(f"`precision`: must be 'highest', 'high' or 'medium', not {precision!r}")
    _oxidiff.set_allow_tf32(precision != "highest")
