"""Configurations: mappings that cannot be changed, whose values are also attributes."""

import json
from collections import OrderedDict

#: Entries that are not part of the configuration itself.
HIDDEN = ("_use_default_values", "_name_or_path", "_class_name", "_diffusers_version")


class FrozenDict(OrderedDict):
    """A mapping that cannot be changed: `config["sample_size"]` and `config.sample_size`."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        for name, value in self.items():
            super().__setattr__(name, value)
        super().__setattr__("_FrozenDict__frozen", True)

    def _refuse(self, what):
        raise TypeError(f"a {type(self).__name__} cannot be changed: {what}")

    def __delitem__(self, name):
        self._refuse(f"`{name}` was to be deleted")

    def setdefault(self, *args, **kwargs):
        self._refuse("`setdefault` was called")

    def pop(self, *args, **kwargs):
        self._refuse("`pop` was called")

    def update(self, *args, **kwargs):
        if getattr(self, "_FrozenDict__frozen", False):
            self._refuse("`update` was called")
        super().update(*args, **kwargs)

    def __setattr__(self, name, value):
        if getattr(self, "_FrozenDict__frozen", False):
            self._refuse(f"`{name}` was to be set")
        super().__setattr__(name, value)

    def __setitem__(self, name, value):
        if getattr(self, "_FrozenDict__frozen", False):
            self._refuse(f"`{name}` was to be set")
        super().__setitem__(name, value)

    def __reduce__(self):
        return type(self), (dict(self),)

    def __deepcopy__(self, memo):
        return self

    def _repr_html_(self):
        return table(self)


class JsonMixin:
    """Objects whose configuration can be written as JSON: `to_json_string` returns it."""

    def to_json_file(self, json_file_path):
        """Writes the configuration into a file, as JSON."""
        with open(json_file_path, "w", encoding="utf-8") as file:
            file.write(self.to_json_string())


def loads(text, order=(), **further):
    """The configuration that JSON holds, with its names in this order."""
    values = json.loads(text)
    ordered = {name: values[name] for name in order if name in values}
    return FrozenDict({**ordered, **values, **further})


def dumps(values):
    """JSON of a configuration's own values."""
    return json.dumps({name: value for name, value in values.items() if name not in HIDDEN}, default=plain)


def taken_over(config):
    """The values of a configuration that an object takes over: not those that are only defaults of the class that has it."""
    defaults = config.get("_use_default_values", ())
    return {name: value for name, value in config.items() if name not in defaults}


def plain(value):
    """What JSON has no form for: arrays become lists."""
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"{value!r} cannot be a value of a configuration")


def table(values):
    """A configuration for notebooks."""
    from html import escape

    rows = "".join(
        f"<tr><td>{escape(str(name))}</td><td>{escape(repr(value))}</td></tr>"
        for name, value in values.items()
        if name not in HIDDEN
    )
    return f"<table><tbody>{rows}</tbody></table>"


def html(title, values, text):
    """An object with a configuration for notebooks: its class, its values, and its text where those are folded."""
    from html import escape

    return (
        f"<div><strong>{escape(title)}</strong>{table(values)}"
        f"<details><summary>JSON</summary><pre>{escape(text)}</pre></details></div>"
    )
