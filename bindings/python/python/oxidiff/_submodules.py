"""Modules where diffusers has them: `from oxidiff.schedulers.scheduling_ddim import DDIMScheduler`.

diffusers has a file for each class. Here every one of those modules holds all that the package holds, made when it is
imported; names that the package lacks raise the same errors as in the package.
"""

import sys
from importlib.machinery import ModuleSpec

#: What the names of the modules begin with.
BEGINNINGS = ("oxidiff.schedulers.scheduling_", "oxidiff.pipelines.", "oxidiff.models.", "oxidiff.loaders",
              "oxidiff.callbacks", "oxidiff.configuration_utils")


class Finder:
    """Finds the modules for Python's `import`."""

    @classmethod
    def find_spec(cls, name, path=None, target=None):
        # A name of diffusers is written in lower case.
        if name.startswith(BEGINNINGS) and name == name.lower():
            return ModuleSpec(name, cls, is_package=True)
        return None

    @staticmethod
    def create_module(spec):
        return None

    @staticmethod
    def exec_module(module):
        module.__doc__ = "See `oxidiff`, which has everything that this module has."
        module.__getattr__ = _find


def _find(name):
    if name.startswith("__"):
        raise AttributeError(name)
    package = sys.modules["oxidiff"]
    if name in package.__all__:
        return getattr(package, name)
    from . import _outputs

    if name.endswith("Output"):
        kind = getattr(_outputs, name, None)
        # A class of outputs for each family or scheduler, all of which have the same fields.
        return kind or (_outputs.SchedulerOutput if "Scheduler" in name else _outputs.ImagePipelineOutput)
    return getattr(package, name)


if Finder not in sys.meta_path:
    sys.meta_path.append(Finder)
