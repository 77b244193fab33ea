"""Methods with the signatures that the registries of the library describe.

They are compiled from source, as those of named tuples are: Python then refuses unknown keywords itself, and editors show
names and defaults.
"""


def method(owner, name, parameters, body, about):
    """A method of the class `owner` that passes its arguments as a dictionary to the method `body`.

    `parameters` are pairs of a name and a default; `*` separates those that can only be given by name. A default of
    `REQUIRED` is none, and a name that begins with `**` takes all others. `about` returns the documentation.
    """
    return Method(lambda: _compiled(owner, name, parameters, body, about()))


class Method:
    """A method that is compiled when it is first used: compiling those of all classes would take half of the import."""

    def __init__(self, compiled):
        self._compiled = compiled
        self._names = []

    def __set_name__(self, owner, name):
        self._owner = owner
        self._names.append(name)

    def __get__(self, instance, owner=None):
        function = self._compiled()
        for name in self._names:
            setattr(self._owner, name, function)
        return function.__get__(instance, owner)


def _compiled(owner, name, parameters, body, about):
    listed = []
    names = []
    defaults = {}
    for parameter, default in parameters:
        if parameter.startswith("*"):
            listed.append(parameter)
        elif default is REQUIRED:
            listed.append(parameter)
        else:
            defaults[f"_{parameter}"] = default
            listed.append(f"{parameter}={_literal(default, parameter)}")
        bare = parameter.lstrip("*")
        if bare:
            names.append(bare)
    given = ", ".join(f"{name!r}: {name}" for name in names)
    source = f"def {name}(self, {', '.join(listed)}):\n    return self.{body}({{{given}}})\n"
    space = {}
    exec(compile(source, f"<oxidiff.{owner}.{name}>", "exec"), defaults, space)
    function = space[name]
    function.__qualname__ = f"{owner}.{name}"
    function.__module__ = "oxidiff"
    function.__doc__ = about
    return function


#: The default of a parameter that must be given.
REQUIRED = object()


def _literal(default, parameter):
    return repr(default) if default is None or isinstance(default, (bool, int, str)) else f"_{parameter}"


def describe(title, arguments, returns, errors):
    """The documentation of a call."""
    lines = [title, "", "Args:"]
    lines += [f"    {info['name']} ({info['annotation']}): {info['help']}" for info in arguments]
    lines += ["", "Returns:", f"    {returns}", "", "Raises:"]
    lines += [f"    {error}" for error in errors]
    return "\n".join(lines)
