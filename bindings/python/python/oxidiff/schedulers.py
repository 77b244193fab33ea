"""All schedulers, where diffusers has them: `from oxidiff.schedulers import DDIMScheduler`."""

from ._schedulers import CLASSES, SchedulerMixin
from ._submodules import find

__getattr__ = find

#: A package for Python, so that it can look for further modules in it: see `_submodules`.
__path__ = []

globals().update(CLASSES)

__all__ = ["SchedulerMixin", *CLASSES]
