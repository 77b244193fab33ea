"""All schedulers, where diffusers has them: `from oxidiff.schedulers import DDIMScheduler`."""

from ._schedulers import CLASSES, SchedulerMixin

globals().update(CLASSES)

__all__ = ["SchedulerMixin", *CLASSES]
