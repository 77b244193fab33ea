"""How pipelines move to an NVIDIA card and back."""

from . import _oxidiff
from ._devices import device_name, device_of_program, moved
from ._models import ModelMixin
from ._multi import Several


class MovingMixin:
    """Where the models of a pipeline compute.

    Models that are called once for a generation and have no kernels there stay on the CPU. The weights of the others are there too, so that moving costs nothing.
    """

    #: No part has a device of its own.
    hf_device_map = None

    def _models(self):
        """The models, also those that are several in one part."""
        for part in self._parts.values():
            if isinstance(part, Several):
                yield from part.nets
            elif isinstance(part, ModelMixin):
                yield part

    @property
    def device(self):
        """The device that the models compute on: the card of those that are on one, or else the CPU."""
        return device_of_program(next((model._core.card for model in self._models() if model._core.card is not None), None))

    _execution_device = device

    def to(self, *args, **kwargs):
        """Moves the models to the CPU or to an NVIDIA card (`"cuda"`, `"cuda:1"`), and converts them to another element type. Models that are
        called once for a generation and have no kernels there, such as T2I-Adapters, stay on the CPU. Arrays stay there too. Returns the pipeline.

        Raises:
            RuntimeError: when there is no such card, or no driver for it.
            NotImplementedError: when one of the models computes on the CPU only; then none is moved.
        """
        kwargs.pop("silence_dtype_warnings", None)
        device, dtype = moved(args, kwargs)
        if device is not None:
            self._place(device)
        if dtype is not None:
            for model in self._models():
                model.to(dtype)
            self._synchronise()
        return self

    def _place(self, name):
        for model in self._models():
            # Before any is moved, as none is if one cannot be.
            model._core.copy().place(name)
        for model in self._models():
            model._place(name)
        self._synchronise()

    def cuda(self, device=None):
        """Moves the models to an NVIDIA card, by default the first one: see `to`."""
        return self.to("cuda" if device is None else device)

    def cpu(self):
        """Moves the models to the CPU."""
        return self.to("cpu")

    def enable_model_cpu_offload(self, gpu_id=None, device=None):
        """Moves the models to an NVIDIA card, by default the first one, where only the model that computes takes memory. On a machine without a
        card, this does nothing. It holds for all pipelines of the process until `remove_all_hooks`.
        """
        self._offload(gpu_id, device, models=True, weights=False)

    def enable_sequential_cpu_offload(self, gpu_id=None, device=None):
        """Moves the models to an NVIDIA card, by default the first one, where weights are only while they are used: that takes the least memory,
        and is slow. On a machine without a card, this does nothing. It holds for all pipelines of the process until `remove_all_hooks`.
        """
        self._offload(gpu_id, device, models=False, weights=True)

    def _offload(self, gpu_id, device, **kinds):
        if not _oxidiff.has_card():
            return
        if gpu_id is not None and device is not None and ":" in str(device):
            raise ValueError(f"`gpu_id` is {gpu_id} and `device` is {device}: give the number of the card once")
        self._place(device_name("cuda" if device is None else device) if gpu_id is None else device_name(gpu_id))
        _oxidiff.set_cpu_offload(**kinds)

    def remove_all_hooks(self):
        """Ends what `enable_model_cpu_offload` and `enable_sequential_cpu_offload` began, for all pipelines of the process: models stay in the
        memory of their card."""
        _oxidiff.set_cpu_offload(models=False, weights=False)

    def maybe_free_model_hooks(self):
        """Does nothing: models leave the card by themselves after `enable_model_cpu_offload`."""

    def reset_device_map(self):
        """Moves the models to the CPU."""
        self.to("cpu")
