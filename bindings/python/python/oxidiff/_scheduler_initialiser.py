"""How schedulers are made: with the values of their configuration as arguments."""

import json
import types

from . import _oxidiff
from ._config import dumps


def defaults_of(class_name):
    """The values of a new scheduler's configuration, in the order of its arguments."""
    if class_name not in _DEFAULTS:
        core = _oxidiff.SchedulerCore.from_config(class_name, "{}")
        values = json.loads(core.config())
        _DEFAULTS[class_name] = {name: values[name] for name in core.fields() if not name.startswith("_")}
    return _DEFAULTS[class_name]


_DEFAULTS = {}


class Initialiser:
    """The method `__init__` of a class: its arguments are the values of the configuration.

    They are found out when they are asked for, since finding those of all classes would make the import slow.
    """

    __name__ = "__init__"
    __module__ = "oxidiff"

    def __init__(self, class_name):
        self._class_name = class_name
        self.__qualname__ = f"{class_name}.__init__"
        self.__doc__ = "A scheduler with these values of its configuration, and the defaults for the others."

    @property
    def __signature__(self):
        from inspect import Parameter, Signature

        kind = Parameter.POSITIONAL_OR_KEYWORD
        values = (Parameter(name, kind, default=value) for name, value in defaults_of(self._class_name).items())
        return Signature([Parameter("self", kind), *values])

    def __get__(self, scheduler, owner=None):
        return self if scheduler is None else types.MethodType(self, scheduler)

    def __call__(self, scheduler, /, *args, **kwargs):
        name, defaults = self._class_name, defaults_of(self._class_name)
        if len(args) > len(defaults):
            raise TypeError(f"{name}() takes at most {len(defaults)} arguments ({len(args)} given)")
        given = dict(zip(defaults, args))
        for argument, value in kwargs.items():
            if argument not in defaults:
                raise TypeError(f"{name}() got an unexpected keyword argument '{argument}'")
            if argument in given:
                raise TypeError(f"{name}() got multiple values for argument '{argument}'")
            given[argument] = value
        scheduler._start(_oxidiff.SchedulerCore.from_config(name, dumps(given)))
