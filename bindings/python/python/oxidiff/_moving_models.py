"""How models move to an NVIDIA card and back, and change their element type."""

from ._devices import device_of_program, moved


class MovingModelMixin:
    """Where a model computes, and in which type."""

    @property
    def device(self):
        """The device that the model computes on: an NVIDIA card or the CPU."""
        return device_of_program(self._core.card)

    def to(self, *args, **kwargs):
        """Moves the model to the CPU or to an NVIDIA card (`"cuda"`, `"cuda:1"`), and converts the weights to another element type. A model
        without kernels there that is called once for a generation, such as a T2I-Adapter, stays on the CPU. Arrays stay there too. Returns the model.

        Raises:
            RuntimeError: when there is no such card, or no driver for it.
            NotImplementedError: when models of this class, or weights like these, compute on the CPU only.
        """
        device, dtype = moved(args, {name: value for name, value in kwargs.items() if name in ("device", "dtype")})
        if device is not None:
            self._place(device)
        if dtype is not None:
            self._core.convert(dtype)
            self._changes += 1
        return self

    def _place(self, name):
        before = self._core.card
        self._core.place(name)
        self._changes += self._core.card != before

    def half(self):
        """Converts the weights to float16."""
        return self.to("float16")

    def float(self):
        """Converts the weights to float32."""
        return self.to("float32")

    def cpu(self):
        """Moves the model to the CPU."""
        return self.to("cpu")

    def cuda(self, device=None):
        """Moves the model to an NVIDIA card, by default the first one: see `to`."""
        return self.to("cuda" if device is None else device)
