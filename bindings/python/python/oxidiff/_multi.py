"""Several ControlNets or T2I-Adapters as one part of a pipeline."""

import os

from ._models import CLASSES as MODELS
from ._unsupported import refuses

#: The classes for several models, by the class of each of them.
NAMES = {
    "ControlNetModel": "MultiControlNetModel",
    "ControlNetUnionModel": "MultiControlNetUnionModel",
    "FluxControlNetModel": "FluxMultiControlNetModel",
    "HunyuanDiT2DControlNetModel": "HunyuanDiT2DMultiControlNetModel",
    "QwenImageControlNetModel": "QwenImageMultiControlNetModel",
    "SD3ControlNetModel": "SD3MultiControlNetModel",
    "T2IAdapter": "MultiAdapter",
}


@refuses("forward", "state_dict", "parameters", "push_to_hub")
class Several:
    """Several models of one class, in an order. A pipeline takes it in the place of one, and a list of the models as well."""

    _class_name = None
    _of_class = None

    def __init__(self, models):
        nets = list(models)
        kind = MODELS[self._of_class]
        if not nets or not all(isinstance(net, kind) for net in nets):
            raise TypeError(f"a {self._class_name} takes a list of objects of the class {self._of_class}")
        #: The models.
        self.nets = nets

    @property
    def _core(self):
        # Not kept: a pipeline that has one of the models too can give it another one.
        return [net._core for net in self.nets]

    @property
    def _changes(self):
        return sum(net._changes for net in self.nets)

    @property
    def dtype(self):
        """The element type of the models."""
        return self.nets[0].dtype

    def to(self, *args, **kwargs):
        """Moves all models to a device, and converts their weights to another element type: see `ModelMixin.to`."""
        for net in self.nets:
            net.to(*args, **kwargs)
        return self

    def save_pretrained(self, save_directory, **kwargs):
        """Writes the models into this folder and into those with `_1`, `_2` and so on at the end of their names."""
        for number, net in enumerate(self.nets):
            net.save_pretrained(_folder(save_directory, number), **kwargs)

    @classmethod
    def from_pretrained(cls, pretrained_model_path, **kwargs):
        """Loads the models from this folder, and from those with `_1`, `_2` and so on at the end of their names, as far as there are any."""
        folders = [os.fspath(pretrained_model_path)]
        while os.path.isdir(_folder(pretrained_model_path, len(folders))):
            folders.append(_folder(pretrained_model_path, len(folders)))
        return cls([MODELS[cls._of_class].from_pretrained(folder, **kwargs) for folder in folders])

    def __call__(self, *args, **kwargs):
        raise NotImplementedError(f"a {self._class_name} cannot be called from Python: call its `nets`, or give it to a pipeline")

    def __repr__(self):
        return f"<{self._class_name} of {len(self.nets)}>"


class _Adapters(Several):
    @property
    def adapters(self):
        """The models."""
        return self.nets

    @property
    def total_downscale_factor(self):
        """How many pixels one position of the smallest feature stands for, in each direction."""
        return self.nets[0].total_downscale_factor


def _folder(name, number):
    return os.fspath(name) + (f"_{number}" if number else "")


def _class(single, name):
    base = _Adapters if single == "T2IAdapter" else Several
    about = f"`{name}` of diffusers: several {single} objects as one part of a pipeline."
    return type(name, (base,), {"_class_name": name, "_of_class": single, "__module__": "oxidiff", "__doc__": about})


CLASSES = {name: _class(single, name) for single, name in NAMES.items()}


def together(part):
    """A list of models as the object that stands for several, where there is one for their class; other values as they are."""
    if not isinstance(part, (list, tuple)) or not part:
        return part
    name = NAMES.get(getattr(part[0], "_class_name", None))
    if name is None or any(getattr(one, "_class_name", None) != part[0]._class_name for one in part):
        return part
    return CLASSES[name](part)
