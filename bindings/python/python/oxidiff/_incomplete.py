"""Pipelines without a part that the library's own needs: `del pipeline.transformer`, `from_pretrained(..., vae=None)`."""

import json

from . import _oxidiff
from ._config import dumps

#: What an index has in the place of the class of a part that is not there.
ABSENT = [None, None]


class Incomplete:
    """Stands for the library's pipeline until the missing part is assigned. It holds no part, so that the program can free the memory of
    those that it has taken away."""

    def __init__(self, class_name, index, needed):
        self.class_name = class_name
        self._index = index
        self._needed = needed

    def changed(self, name, part, parts):
        """What stands for the pipeline with another `part`, which `parts` include: the library's own, once it can be made.

        Raises:
            ValueError: when the parts do not fit.
        """
        index = {**self._index, name: entry(name, part)}
        options = {name: value for name, value in index.items() if not name.startswith("_") and not isinstance(value, list)}
        absent = {name for name, value in index.items() if value == ABSENT}
        core = made(self.class_name, parts, options, absent)
        return Incomplete(self.class_name, index, core._needed) if isinstance(core, Incomplete) else core

    def parts(self):
        """None: those that there are belong to Python alone."""
        return []

    def config(self):
        return json.dumps(self._index)

    def describe(self):
        return f"{self.class_name} {json.dumps(self._index, indent=2)}"

    def __getattr__(self, name):
        if name.startswith("_"):
            raise AttributeError(name)
        raise ValueError(f"the {self.class_name} has no {self._needed}, which it needs for this: assign one first")


def entry(name, part):
    """What an index says of a part."""
    if part is None:
        return ABSENT
    library = "diffusers" if name in ("scheduler", "transformer", "unet", "vae", "controlnet", "adapter") else "transformers"
    return [library, part._class_name]


def made(class_name, parts, options, absent):
    """The library's pipeline of `parts`; an `Incomplete` if it needs one of those that are `absent`.

    Raises:
        ValueError: when the parts do not fit.
    """
    cores = [(name, [one._core for one in part] if isinstance(part, (list, tuple)) else part._core) for name, part in parts.items()]
    try:
        return _oxidiff.PipelineCore.from_parts(class_name, cores, dumps(options))
    except ValueError as error:
        needed = next((f"`{name}`" for name in absent if f"`{name}`" in str(error)), None)
        if needed is None:
            raise
    index = {"_class_name": class_name, **options, **{name: ABSENT for name in absent}}
    return Incomplete(class_name, {**index, **{name: entry(name, part) for name, part in parts.items()}}, needed)
