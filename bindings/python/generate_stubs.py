"""Writes the stubs of the installed package (`python/oxidiff/*.pyi`), also those of classes that come from the library's
registries.

    python generate_stubs.py          writes the files
    python generate_stubs.py --check  fails if they are not up to date
"""

import difflib
import inspect
import itertools
import sys
import textwrap
from pathlib import Path

import oxidiff
from oxidiff import _oxidiff
from oxidiff._methods import Method

FOLDER = Path(__file__).parent / "python" / "oxidiff"

HEADER = '''"""Written by `generate_stubs.py`: do not edit."""

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, TypeAlias

from PIL.Image import Image
from typing_extensions import Self

#: Arrays of numpy, torch, mindspore or this package.
ArrayLike: TypeAlias = Any
#: Images of Pillow, arrays, tensors, or names of files; one, or several.
ImageInput: TypeAlias = Image | ArrayLike | str | Sequence[Image] | Sequence[ArrayLike] | Sequence[str]
#: `oxidiff.Generator` or `torch.Generator`.
GeneratorLike: TypeAlias = Any
#: Called with the pipeline, the number of the step, its timestep, and the tensors asked for.
StepCallback: TypeAlias = Callable[[Any, int, Any, dict[str, Any]], Mapping[str, Any] | None]
'''

#: Types of parameters that have the same meaning wherever they occur.
TYPES = {
    "return_dict": "bool",
    "pretrained_model_name_or_path": "str",
    "subfolder": "str | None",
    "num_inference_steps": "int | None",
    "model_output": "ArrayLike",
    "sample": "ArrayLike",
    "timestep": "int | float | ArrayLike",
    "generator": "GeneratorLike | list[GeneratorLike] | None",
    "prompt": "str | list[str] | None",
    "callback_on_step_end_tensor_inputs": "Sequence[str]",
}


def method(name, function, infos=(), returns="Any"):
    """The stub of a function or a method."""
    bare = function.__func__ if isinstance(function, (classmethod, staticmethod)) else function
    try:
        signature = inspect.signature(bare)
    except ValueError:
        signature = None
    annotations = {info["name"]: info["annotation"] for info in infos}
    decorator = {classmethod: "@classmethod\n", staticmethod: "@staticmethod\n"}.get(type(function), "")
    listed = "*args: Any, **kwargs: Any" if signature is None else ", ".join(parameters(signature, annotations))
    is_operator = name.startswith("__") and name not in ("__init__", "__call__")
    text = " ..." if is_operator else body(bare)
    # Comparisons of tensors return tensors.
    ignored = "  # type: ignore[override]" if name in ("__eq__", "__ne__") else ""
    return f"{decorator}def {name}({listed}) -> {RETURNS.get(name, returns)}:{text}{ignored}"


def parameters(signature, annotations):
    """The parameters of a signature, with their types and defaults."""
    by_name = False
    for name, parameter in signature.parameters.items():
        if parameter.kind is parameter.KEYWORD_ONLY and not by_name:
            yield "*"
        by_name = by_name or parameter.kind in (parameter.KEYWORD_ONLY, parameter.VAR_POSITIONAL)
        star = {parameter.VAR_POSITIONAL: "*", parameter.VAR_KEYWORD: "**"}.get(parameter.kind, "")
        if name in ("self", "cls", "slf", "$self"):
            yield "self" if name != "cls" else "cls"
            continue
        kind = annotations.get(name)
        kind = f"{kind} | None" if kind and parameter.default is None else kind or TYPES.get(name, "Any")
        default = "" if parameter.default is parameter.empty else f" = {literal(parameter.default)}"
        yield f"{star}{name}: {kind}{default}"


def literal(value):
    simple = value is None or isinstance(value, (bool, int, str)) or isinstance(value, float) and abs(value) < 1e300
    return repr(value) if simple else "..."


def body(function):
    about = inspect.getdoc(function)
    if not about or about == inspect.getdoc(object.__init__):
        return " ..."
    return "\n" + textwrap.indent(docstring(about), "    ")


def docstring(about):
    about = about.replace("\\", "\\\\")
    return f'"""{about}\n"""' if "\n" in about else f'"""{about}"""'


#: What functions and methods return, wherever they occur.
RETURNS = {
    "__init__": "None", "__repr__": "str", "__len__": "int", "__float__": "float", "__int__": "int", "__index__": "int",
    "__bool__": "bool", "__setattr__": "None", "_repr_html_": "str", "numel": "int", "dim": "int", "save_pretrained": "None",
    "set_timesteps": "None", "make_image_grid": "Image", "load_image": "Image", "export_to_gif": "str",
    "randn": "Tensor", "zeros": "Tensor", "ones": "Tensor", "cat": "Tensor", "stack": "Tensor", "arange": "Tensor",
    "manual_seed": "Generator", "default_generator": "Generator", "set_state": "Generator", "get_state": "bytes",
    "initial_seed": "int", "seed": "int", "to_json_string": "str", "num_parameters": "int",
    "tolist": "Any", "item": "Any", "asnumpy": "Any", "size": "Any", "chunk": "list[Tensor]",
    "all": "bool", "any": "bool", "is_floating_point": "bool", "__iter__": "Any",
    "numpy": "Any", "__dlpack__": "Any", "__dlpack_device__": "tuple[int, int]",
}
#: Methods that return an object of their own class.
OWN = ("from_config", "from_pretrained", "from_single_file", "from_pipe", "to", "half", "float", "eval", "cpu", "cuda")
#: What properties are.
PROPERTIES = {
    "config": "FrozenDict", "shape": "tuple[int, ...]", "ndim": "int", "itemsize": "int", "name": "str",
    "is_floating_point": "bool", "components": "dict[str, Any]", "order": "int", "init_noise_sigma": "float",
}
#: Special methods that programs do not call by name.
HIDDEN = ("__module__", "__doc__", "__dict__", "__weakref__", "__qualname__", "__new__", "__reduce__", "__hash__",
          "__copy__", "__deepcopy__", "__array_interface__", "__array_priority__", "__static_attributes__", "__firstlineno__")


def members(kind, infos):
    """The stubs of a class's own members."""
    if "__new__" in vars(kind):
        yield method("__init__", _with_self(kind))
    for name, value in sorted(vars(kind).items()):
        is_special = name.startswith("__") and name.endswith("__")
        if name in HIDDEN or (name.startswith("_") and not is_special and name != "_repr_html_"):
            continue
        if isinstance(value, Method):
            value = getattr(kind, name)
        if isinstance(value, property) or inspect.isgetsetdescriptor(value):
            yield f"@property\ndef {name}(self) -> {PROPERTIES.get(name, 'Any')}:{body(value)}"
        elif isinstance(value, (classmethod, staticmethod)) or callable(value):
            yield method(name, value, infos if name in ("__call__", "forward") else (), result(kind, name))
        elif isinstance(value, (str, int)):
            yield f"{name}: {type(value).__name__}"


def _with_self(kind):
    """A function with the parameters of a class of the extension module."""

    def construct():
        pass

    own = inspect.Parameter("self", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    parameters = inspect.signature(kind).parameters.values()
    construct.__signature__ = inspect.Signature([own, *parameters])
    return construct


def result(kind, name):
    """What a method returns whose name does not say it."""
    if kind is oxidiff.Tensor:
        return "Tensor"
    if name in OWN:
        return "DiffusionPipeline" if kind.__name__.startswith("AutoPipeline") else "Self"
    return "Any"


def class_stub(name, kind, infos=()):
    bases = [base.__name__ for base in kind.__bases__ if base is not object]
    content = [docstring(inspect.cleandoc(kind.__doc__))] if kind.__doc__ else []
    content += members(kind, infos)
    head = f"class {name}({', '.join(bases)}):" if bases else f"class {name}:"
    return head + "\n" + textwrap.indent("\n\n".join(content) or "...", "    ")


def stubs():
    registered = {name: infos for name, infos, *_ in (*_oxidiff.pipeline_classes(), *_oxidiff.model_classes())}
    listed = {name: getattr(oxidiff, name) for name in oxidiff.__all__}
    # What the public classes inherit from comes first.
    hidden = {kind.__name__: kind for value in listed.values() if isinstance(value, type)
              for kind in value.__mro__ if kind.__module__.startswith("oxidiff") and kind.__name__ not in listed}
    parts = [HEADER]
    for name, value in sorted({**hidden, **listed}.items()):
        if isinstance(value, type):
            parts.append(class_stub(name, value, registered.get(name, ())))
        elif callable(value):
            parts.append(method(name, value))
        else:
            parts.append(f"{name}: {'str' if isinstance(value, str) else 'dtype'}")
    return "\n\n".join(parts) + "\n"


def reexports(module):
    """The stubs of a module with classes of the package."""
    lines = [f"from . import {name} as {name}" for name in sorted(module.__all__)]
    return "\n".join(['"""Written by `generate_stubs.py`: do not edit."""', "", *lines]) + "\n"


def files():
    """The text of each file of stubs."""
    from oxidiff import models, pipelines, schedulers

    texts = {module.__name__.split(".")[1]: reexports(module) for module in (models, pipelines, schedulers)}
    return {FOLDER / f"{name}.pyi": text for name, text in {"__init__": stubs(), **texts}.items()}


def main():
    outdated = False
    for path, text in files().items():
        if "--check" not in sys.argv:
            path.write_text(text)
            continue
        old = path.read_text() if path.exists() else ""
        difference = difflib.unified_diff(old.splitlines(), text.splitlines(), path.name, "package", lineterm="")
        for line in itertools.islice(difference, 40):
            outdated = True
            print(line)
    if outdated:
        sys.exit("the stubs are not up to date: run generate_stubs.py")


if __name__ == "__main__":
    main()
