"""Schedulers: one class for each of the library's registry."""

import json

from . import _oxidiff
from ._config import dumps, html, loads, taken_over
from ._loading import device as check_device
from ._loading import own_options, path, refuse_others
from ._methods import REQUIRED, method
from ._outputs import SchedulerOutput


class SchedulerMixin:
    """Removes predicted noise from a sample, step by step.

    Samples and predictions are arrays `[batch, channels, ...]` of numpy, torch, mindspore or this package; results are of
    the same kind.
    """

    config_name = "scheduler_config.json"
    _class_name = None
    _step_arguments = ()

    @classmethod
    def _of(cls, core, **further):
        kind = cls if cls._class_name == core.class_name else CLASSES[core.class_name]
        scheduler = object.__new__(kind)
        scheduler._start(core, **further)
        return scheduler

    def _start(self, core, **further):
        self._core = core
        self._further = further
        self._config = None
        self.num_inference_steps = None

    @classmethod
    def from_config(cls, config=None, return_unused_kwargs=False, **kwargs):
        """A scheduler with the configuration of any scheduler; keyword arguments replace values of it."""
        if config is None:
            raise ValueError("`config` must be given")
        if not hasattr(config, "items"):
            raise ValueError("`config` must be a configuration; load a folder with `from_pretrained`")
        values = taken_over(config, cls._class_name)
        own = set(_defaults(cls._class_name))
        values.update({name: value for name, value in kwargs.items() if name in own})
        scheduler = cls._of(_oxidiff.SchedulerCore.from_config(cls._class_name, dumps(values)))
        unused = {name: value for name, value in kwargs.items() if name not in own}
        return (scheduler, unused) if return_unused_kwargs else scheduler

    @classmethod
    def load_config(cls, pretrained_model_name_or_path, **kwargs):
        """The configuration in a folder or on the hub."""
        chosen = own_options(kwargs, cls.__name__)
        return loads(_oxidiff.SchedulerCore.load_config(path(pretrained_model_name_or_path), chosen))

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path, subfolder=None, return_unused_kwargs=False, **kwargs):
        """A scheduler with the configuration in a folder or on the hub, which any class may have written.

        Raises:
            OSError: when the file is missing or damaged.
            ValueError: when a value of it is none that the class knows.
        """
        own = set(_defaults(cls._class_name))
        changes = {name: kwargs.pop(name) for name in list(kwargs) if name in own}
        config = cls.load_config(pretrained_model_name_or_path, subfolder=subfolder, **kwargs)
        scheduler = cls.from_config(config, **changes)
        return (scheduler, {}) if return_unused_kwargs else scheduler

    def save_pretrained(self, save_directory, push_to_hub=False, **kwargs):
        """Writes `scheduler_config.json` into a folder, which is created if it does not exist."""
        if push_to_hub:
            raise NotImplementedError("`push_to_hub` is not supported")
        refuse_others(kwargs)
        self._core.save_pretrained(path(save_directory))

    save_config = save_pretrained

    @property
    def config(self):
        """The configuration: a mapping that cannot be changed, whose values are also attributes."""
        if self._config is None:
            self._config = loads(
                self._core.config(), self._core.fields(), _use_default_values=self._core.defaults(), **self._further
            )
        return self._config

    @property
    def timesteps(self):
        """The timesteps of the run, from noisy to clean; before `set_timesteps`, usually all of the training."""
        return self._core.timesteps()

    @property
    def sigmas(self):
        """The noise levels of the run."""
        sigmas = self._core.sigmas()
        if sigmas is None:
            raise AttributeError(f"a {type(self).__name__} has no `sigmas`")
        return sigmas

    @property
    def init_noise_sigma(self):
        """The standard deviation of the initial noise."""
        return self._core.init_noise_sigma

    @property
    def order(self):
        """How often the model is called for one step."""
        return self._core.order

    @property
    def compatibles(self):
        """The classes that can take over this scheduler's configuration and work with the same model."""
        return [CLASSES[name] for name in self._core.compatibles]

    def set_begin_index(self, begin_index=0):
        """Sets the index of the timestep that the run starts with, if that is not the first."""
        self._core.set_begin_index(begin_index)

    def set_timesteps(self, num_inference_steps=None, device=None, **kwargs):
        """Chooses the timesteps of a run.

        Args:
            num_inference_steps (int): The number of steps.
            device: Must be the CPU.
            timesteps, sigmas (Sequence[float]): The timesteps or the noise levels of the run, in descending order.
            mu (float): The shift of the noise levels of a flow.
            original_inference_steps (int), strength (float): For distilled models.
        """
        if device is not None:
            check_device(device)
        self._core.set_timesteps(num_inference_steps, **kwargs)
        self.num_inference_steps = num_inference_steps if num_inference_steps is not None else len(self.timesteps)

    def scale_model_input(self, sample, timestep=None, *args, **kwargs):
        """Scales a sample to what the model expects at a timestep."""
        return self._core.scale_model_input(sample, 0 if timestep is None else timestep)

    def add_noise(self, original_samples, noise, timesteps):
        """Adds noise to clean samples, to each up to the level of its timestep."""
        return self._core.add_noise(original_samples, noise, timesteps)

    def _step(self, given):
        whole = given.pop("return_dict")
        output, timestep, sample = (given.pop(name) for name in ("model_output", "timestep", "sample"))
        previous, original = self._core.step(output, timestep, sample, given, "generator" in given)
        if not whole:
            return (previous,) if original is None else (previous, original)
        return SchedulerOutput(previous, original)

    def __len__(self):
        return self.config.num_train_timesteps

    def __repr__(self):
        return f"{type(self).__name__} {self.to_json_string()}"

    def to_json_string(self):
        """The configuration as JSON, as it is saved."""
        return self._core.config() + "\n"

    def _repr_html_(self):
        return html(type(self).__name__, self.config, repr(self))

    def __deepcopy__(self, memo):
        copied = self._of(self._core.copy(), **self._further)
        copied.num_inference_steps = self.num_inference_steps
        return copied

    def __getattr__(self, name):
        # A value of the configuration, as diffusers allows with a warning.
        if not name.startswith("_") and name in self.config:
            return self.config[name]
        raise AttributeError(f"a {type(self).__name__} has no `{name}`")

    def _init(self, given):
        self._start(_oxidiff.SchedulerCore.from_config(self._class_name, dumps(given)))


class FlowSchedulerMixin:
    """What schedulers of flows do besides: diffusers has another name for adding noise to their samples."""

    def scale_noise(self, sample, timestep, noise):
        """Adds noise to clean samples, to each up to the level of its timestep."""
        return self._core.add_noise(sample, noise, timestep)


def _defaults(class_name):
    """The values of a new scheduler's configuration, in the order of its arguments."""
    if class_name not in _DEFAULTS:
        core = _oxidiff.SchedulerCore.from_config(class_name, "{}")
        values = json.loads(core.config())
        _DEFAULTS[class_name] = {name: values[name] for name in core.fields() if not name.startswith("_")}
    return _DEFAULTS[class_name]


_DEFAULTS = {}


def _class(class_name, step_arguments, is_for_flows):
    parameters = [("model_output", REQUIRED), ("timestep", REQUIRED), ("sample", REQUIRED)]
    defaults = {"eta": None, "use_clipped_model_output": False, "s_churn": 0.0, "s_tmin": 0.0, "s_tmax": float("inf"),
                "s_noise": 1.0, "order": 4}
    parameters += [(name, defaults.get(name)) for name in step_arguments]
    about = (
        "One step: from the sample at a timestep to the less noisy one before it.\n\n"
        "Args:\n"
        "    model_output (ArrayLike): What the model predicted, `[batch, channels, ...]`.\n"
        "    timestep (int | float | ArrayLike): The timestep of the sample, one of `timesteps`.\n"
        "    sample (ArrayLike): The sample, of the same shape.\n"
        "    return_dict (bool): Whether to return a `SchedulerOutput` rather than a tuple.\n\n"
        "Returns:\n"
        "    A `SchedulerOutput`, whose arrays are of the kind of `sample`.\n\n"
        "Raises:\n"
        "    ValueError: when a shape or the timestep does not fit."
    )
    space = {
        "_class_name": class_name,
        "_step_arguments": tuple(step_arguments),
        "__module__": "oxidiff",
        "__doc__": f"`{class_name}` of diffusers: see `SchedulerMixin` for its methods.",
        "__init__": _initialise,
        "step": method(class_name, "step", [*parameters, ("return_dict", True)], "_step", about),
    }
    bases = (FlowSchedulerMixin, SchedulerMixin) if is_for_flows else (SchedulerMixin,)
    return type(class_name, bases, space)


def _initialise(self, *args, **kwargs):
    """A scheduler with these values of its configuration, and the defaults for the others."""
    defaults = _defaults(self._class_name)
    if len(args) > len(defaults):
        raise TypeError(f"{self._class_name}() takes at most {len(defaults)} arguments ({len(args)} given)")
    given = dict(zip(defaults, args))
    for name, value in kwargs.items():
        if name not in defaults:
            raise TypeError(f"{self._class_name}() got an unexpected keyword argument '{name}'")
        if name in given:
            raise TypeError(f"{self._class_name}() got multiple values for argument '{name}'")
        given[name] = value
    self._init(given)


CLASSES = {name: _class(name, *about) for name, *about in _oxidiff.scheduler_classes()}
