"""The parts of a pipeline, which are its attributes."""

from ._incomplete import ABSENT, Incomplete
from ._models import CLASSES as MODELS
from ._models import ModelMixin
from ._multi import Several
from ._pipeline_parts import Part
from ._schedulers import CLASSES as SCHEDULERS
from ._schedulers import SchedulerMixin
from ._unsupported import READ_BY_DIFFUSERS, refuse_overrides


class PartAttributes:
    """How a pipeline gives its parts and takes others, and keeps the library's pipeline up to date."""

    def _note(self, name):
        part = self._parts[name]
        self._synchronised[name] = (id(part._core), getattr(part, "_changes", 0))

    def _synchronise(self):
        """Brings the library's pipeline up to date with the objects that Python has changed."""
        if isinstance(self._core, Incomplete):
            return
        for name, part in self._parts.items():
            if name == "scheduler":
                self._core.set_scheduler_state(part._core)
            elif self._synchronised[name] != (id(part._core), getattr(part, "_changes", 0)):
                self._core.set_part(name, part._core)
                self._note(name)

    def _refresh(self):
        """Brings Python's objects up to date with the library's pipeline, whose models have changed."""
        found = self._core.parts()
        for name, _, class_name, core in found:
            part = self._parts.get(name)
            if isinstance(part, ModelMixin):
                part._core, part._config = core, None
            elif part is None or isinstance(part, Part):
                self._parts[name] = python(core, class_name)
            self._note(name)
        # Those that came with an IP-Adapter can go with it.
        for name in {"image_encoder", "feature_extractor"} & set(self._parts) - {name for name, *_ in found}:
            del self._parts[name]

    def __getattr__(self, name):
        parts = self.__dict__.get("_parts", {})
        if name in parts:
            return parts[name]
        if not name.startswith("_"):
            if isinstance(self.config.get(name), list):
                # A part that the class has and this pipeline lacks.
                return None
        raise AttributeError(f"a {type(self).__name__} has no `{name}`")

    def __setattr__(self, name, value):
        if name == "_guidance_scale":
            raise NotImplementedError("the guidance scale cannot be changed during a call")
        if name in READ_BY_DIFFUSERS:
            raise NotImplementedError(f"`{name}` of a {type(self).__name__} cannot be set: the library would not read it")
        if isinstance(getattr(type(self), name, None), property):
            raise NotImplementedError(f"`{name}` of a {type(self).__name__} cannot be set: it follows from its parts")
        if name.startswith("_") or (name not in self._parts and not isinstance(self.config.get(name), list)):
            object.__setattr__(self, name, value)
        elif self._is_called:
            raise NotImplementedError(f"`{name}` cannot be replaced during a call")
        else:
            if value is not None and not hasattr(value, "_core"):
                raise TypeError(f"`{name}`: must be a part of this package, not a {type(value).__name__}")
            for one in value.nets if isinstance(value, Several) else [value]:
                refuse_overrides(one)
            self._put(name, value)

    def _put(self, name, value):
        """Replaces a part, or takes it away."""
        if isinstance(self._core, Incomplete):
            others = {other: part for other, part in self._parts.items() if other != name}
            parts = others if value is None else {**others, name: value}
            self.__dict__["_core"] = self._core.changed(name, value, parts)
        elif value is None:
            try:
                self._core.set_part(name, None)
            except ValueError:
                self.__dict__["_core"] = Incomplete(self._class_name, {**self.config, name: ABSENT}, f"`{name}`")
        elif name == "scheduler" and isinstance(value, SchedulerMixin):
            self._core.set_scheduler_state(value._core)
        else:
            self._core.set_part(name, value._core)
        if value is None:
            self._parts.pop(name, None)
        else:
            self._parts[name] = value
            self._note(name)

    def __delattr__(self, name):
        if name in self._parts:
            setattr(self, name, None)
        else:
            object.__delattr__(self, name)


def python(core, class_name):
    """The object of Python for a part of the library."""
    if class_name in SCHEDULERS and hasattr(core, "compatibles"):
        return SCHEDULERS[class_name]._of(core)
    if class_name in MODELS and hasattr(core, "num_parameters"):
        return MODELS[class_name]._of(core)
    return Part(core, class_name)
