"""Noise as diffusers draws it: `from oxidiff.utils.torch_utils import randn_tensor`."""

from .. import _oxidiff


def randn_tensor(shape, generator=None, device=None, dtype=None, layout=None):
    """Samples of the standard normal distribution: a tensor of torch or mindspore in a program that uses one of them, and else
    of this package.

    Args:
        shape (Sequence[int]): The shape, whose first dimension is the batch.
        generator: A generator, or one for each item of the batch.
        device: The CPU or an NVIDIA card; the samples are drawn on the CPU, and stay there.
        dtype: The element type; float32 by default.
    """
    from .._devices import device_name

    if device is not None:
        # This refuses devices other than the CPU and cards.
        device_name(device)
    if layout is not None and "strided" not in str(layout):
        raise NotImplementedError(f"`layout={layout}` is not supported")
    dtype = _oxidiff.float32 if dtype is None else _oxidiff.dtype_of(dtype)
    if isinstance(generator, (list, tuple)) and len(generator) == 1:
        generator = generator[0]
    if not isinstance(generator, (list, tuple)):
        return _oxidiff.imported_like(_oxidiff.randn(*shape, generator=generator, dtype=dtype))
    if len(generator) != shape[0]:
        raise ValueError(f"{len(generator)} generators for a batch of {shape[0]}: give one, or one per item")
    items = [_oxidiff.randn(1, *shape[1:], generator=one, dtype=dtype) for one in generator]
    return _oxidiff.imported_like(_oxidiff.cat(items, 0))
