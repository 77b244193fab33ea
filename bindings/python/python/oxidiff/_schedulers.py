"""Schedulers: one class for each of the library's registry."""

import math
import warnings

from . import _oxidiff
from ._config import JsonMixin, dumps, html, loads, taken_over
from ._devices import device_name
from ._loading import folder, others, own_options, path, refuse_others
from ._methods import REQUIRED, method
from ._outputs import SchedulerOutput
from ._scheduler_initialiser import Initialiser, defaults_of
from ._scheduler_methods import FURTHER
from ._unsupported import COMPUTED_BY_SCHEDULERS, SCHEDULER_METHODS, SCHEDULER_STATE, refuse_override, refuses


@refuses(*SCHEDULER_METHODS)
class SchedulerMixin(JsonMixin):
    """Removes predicted noise from a sample, step by step.

    Samples and predictions are arrays `[batch, channels, ...]` of numpy, torch, mindspore or this package; results are of
    the same kind.
    """

    config_name = "scheduler_config.json"
    _class_name = None
    _step_arguments = ()
    # Names of arguments that older versions had; programs for diffusers look at it.
    _deprecated_kwargs = ()

    @classmethod
    def _of(cls, core, **further):
        kind = cls if cls._class_name == core.class_name else CLASSES[core.class_name]
        scheduler = object.__new__(kind)
        scheduler._start(core, **further)
        return scheduler

    def _start(self, core, **further):
        self.__dict__.update(_core=core, _further=further, _config=None, num_inference_steps=None)

    @classmethod
    def from_config(cls, config=None, return_unused_kwargs=False, **kwargs):
        """A scheduler with the configuration of any scheduler; keyword arguments replace values of it."""
        if config is None:
            raise ValueError("`config` must be given")
        if not hasattr(config, "items"):
            raise ValueError("`config` must be a configuration; load a folder with `from_pretrained`")
        values = taken_over(config)
        own = set(defaults_of(cls._class_name))
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
        own = set(defaults_of(cls._class_name))
        changes = {name: kwargs.pop(name) for name in list(kwargs) if name in own}
        unused = others(kwargs) if return_unused_kwargs else {}
        loaded = {name: value for name, value in kwargs.items() if name not in unused}
        config = cls.load_config(pretrained_model_name_or_path, subfolder=subfolder, **loaded)
        scheduler = cls.from_config(config, **changes)
        return (scheduler, unused) if return_unused_kwargs else scheduler

    def save_pretrained(self, save_directory, push_to_hub=False, **kwargs):
        """Writes `scheduler_config.json` into a folder, which is created if it does not exist."""
        if push_to_hub:
            raise NotImplementedError("`push_to_hub` is not supported")
        refuse_others(kwargs)
        self._core.save_pretrained(folder(save_directory))

    save_config = save_pretrained

    @property
    def config(self):
        """The configuration: a mapping that cannot be changed, whose values are also attributes."""
        if self._config is None:
            defaults = self._core.defaults()
            further = {"_use_default_values": defaults, **self._further} if defaults else self._further
            self._config = loads(self._core.config(), self._core.fields(), **further)
        return self._config

    @property
    def has_compatibles(self):
        """Whether other classes can take over this scheduler's configuration."""
        return bool(self._core.compatibles)

    @property
    def timesteps(self):
        """The timesteps of the run, from noisy to clean; before `set_timesteps`, usually all of the training."""
        return self._core.timesteps()

    @property
    def sigmas(self):
        """The noise levels of the run."""
        sigmas = self._core.sigmas()
        if sigmas is None:
            raise self._no_attribute("sigmas")
        return sigmas

    @property
    def betas(self):
        """The variance of the noise that each timestep of the training adds."""
        return self._training_noise("betas")[0]

    @property
    def alphas(self):
        """`1 - betas`."""
        return 1.0 - self._training_noise("alphas")[0]

    @property
    def alphas_cumprod(self):
        """The part of the variance that is still the sample's at each timestep of the training."""
        return self._training_noise("alphas_cumprod")[1]

    @property
    def final_alpha_cumprod(self):
        """What the last step takes for `alphas_cumprod`."""
        if "set_alpha_to_one" not in defaults_of(self._class_name):
            raise self._no_attribute("final_alpha_cumprod")
        return _oxidiff.scalar(1.0, False) if self.config.set_alpha_to_one else self.alphas_cumprod[0]

    @property
    def initial_alpha_cumprod(self):
        """What the first step of an inversion takes for `alphas_cumprod`."""
        if self._class_name != "DDIMInverseScheduler":
            raise self._no_attribute("initial_alpha_cumprod")
        return self.final_alpha_cumprod

    def _training_noise(self, name):
        # Another class's configuration may have brought a schedule along.
        if "beta_schedule" not in defaults_of(self._class_name):
            raise self._no_attribute(name)
        return self._core.training_noise()

    @property
    def init_noise_sigma(self):
        """The standard deviation of the initial noise."""
        level = self._core.init_noise_sigma
        # A tensor in diffusers, too, where it follows from the schedule of β.
        is_computed = level != 1.0 and "beta_schedule" in defaults_of(self._class_name)
        return _oxidiff.scalar(level, False) if is_computed else level

    @property
    def order(self):
        """How often the model is called for one step."""
        return self._core.order

    @property
    def compatibles(self):
        """The classes that can take over this scheduler's configuration and work with the same model."""
        return [CLASSES[name] for name in self._core.compatibles]

    @property
    def begin_index(self):
        """The index of the timestep that the run starts with; `None` if it was not set."""
        return self._core.begin_index

    def set_begin_index(self, begin_index=0):
        """Sets the index of the timestep that the run starts with, if that is not the first."""
        self._core.set_begin_index(begin_index)

    @property
    def _begin_index(self):
        return self._core.begin_index

    @_begin_index.setter
    def _begin_index(self, begin_index):
        self._core.set_begin_index(begin_index)

    @property
    def step_index(self):
        """The index of the next step; `None` before the first, and for classes that find steps by their timesteps."""
        return self._core.step_index

    @property
    def _step_index(self):
        return self._core.step_index

    # Programs set it to `None`, to go through the same timesteps again.
    @_step_index.setter
    def _step_index(self, step_index):
        self._core.set_step_index(step_index)

    def _set_timesteps(self, given):
        device = given.pop("device")
        if device is not None:
            # The timesteps stay on the CPU. This refuses devices other than that and cards.
            device_name(device)
        self._core.set_timesteps(given)
        count = given["num_inference_steps"]
        # Some classes leave out timesteps that are equal.
        length = len(self.timesteps)
        self.__dict__["num_inference_steps"] = length if count is None else min(count, length, self._most_steps())

    def _most_steps(self):
        return math.inf

    def register_to_config(self, **kwargs):
        """Changes values of the configuration, or adds some. Choose the timesteps again afterwards."""
        self._start(self._core.convert(self._core.class_name, dumps(kwargs)), **self._further)

    def scale_model_input(self, sample, timestep=None, *args, **kwargs):
        """Scales a sample to what the model expects at a timestep."""
        return self._core.scale_model_input(sample, 0 if timestep is None else timestep)

    def add_noise(self, original_samples, noise, timesteps):
        """Adds noise to clean samples, to each up to the level of its timestep."""
        return self._core.add_noise(original_samples, noise, timesteps)

    def _step(self, given):
        whole = given.pop("return_dict")
        output, timestep, sample = (given.pop(name) for name in ("model_output", "timestep", "sample"))
        if given.get("per_token_timesteps") is not None:
            return self._step_per_token(output, timestep, sample, given, whole)
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
        return self.__copy__()

    def __copy__(self):
        copied = object.__new__(type(self))
        # With the attributes that the program has set.
        copied.__dict__.update(self.__dict__, _core=self._core.copy())
        return copied

    def __setattr__(self, name, value):
        refuse_override(self, name, "scheduler")
        if name in COMPUTED_BY_SCHEDULERS:
            how = "`set_timesteps`, `set_begin_index` or another configuration"
            raise NotImplementedError(f"`{name}` of a {type(self).__name__} cannot be set: use {how}")
        if name in SCHEDULER_STATE:
            raise NotImplementedError(f"`{name}` of a {type(self).__name__} cannot be set: `set_timesteps` starts afresh")
        object.__setattr__(self, name, value)

    def __getattr__(self, name):
        if name in SCHEDULER_STATE:
            raise NotImplementedError(f"`{name}` of a {type(self).__name__} is not available: the library holds it")
        # A value of the configuration, as diffusers allows with a warning.
        if not name.startswith("_") and name in self.config:
            message = f"`{name}` is a value of the configuration: use `config.{name}` of the scheduler"
            warnings.warn(message, FutureWarning, stacklevel=2)
            return self.config[name]
        raise self._no_attribute(name)

    def _no_attribute(self, name):
        return AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")


class FlowSchedulerMixin:
    """What schedulers of flows do besides: diffusers has another name for adding noise to their samples."""

    def scale_noise(self, sample, timestep, noise):
        """Adds noise to clean samples, to each up to the level of its timestep."""
        return self._core.add_noise(sample, noise, timestep)


def _class(class_name, step_arguments, timestep_arguments, is_for_flows):
    if class_name in PER_TOKEN:
        step_arguments = [*step_arguments, "per_token_timesteps"]
    parameters = [("model_output", REQUIRED), ("timestep", REQUIRED), ("sample", REQUIRED)]
    defaults = {"eta": ETA.get(class_name, 0.0), "use_clipped_model_output": False, "s_churn": 0.0, "s_tmin": 0.0,
                "s_tmax": float("inf"), "s_noise": 1.0, "order": 4, "return_dict": True}
    names = step_arguments if "return_dict" in step_arguments else [*step_arguments, "return_dict"]
    parameters += [(name, defaults.get(name)) for name in names]
    timestep_defaults = {"strength": 1.0, "jump_length": 10, "jump_n_sample": 10, "max_timesteps": 1.5708,
                         "intermediate_timesteps": 1.3}
    timestep_parameters = [
        (name, timestep_defaults.get(name)) for name in ("num_inference_steps", *timestep_arguments)
    ]
    space = {
        "_class_name": class_name,
        "_step_arguments": tuple(step_arguments),
        "__module__": "oxidiff",
        "__doc__": f"`{class_name}` of diffusers: see `SchedulerMixin` for its methods.",
        "__init__": Initialiser(class_name),
        "step": method(class_name, "step", parameters, "_step", lambda: ABOUT_STEPS),
    }
    bases = (FlowSchedulerMixin, SchedulerMixin) if is_for_flows else (SchedulerMixin,)
    bases = (*FURTHER.get(class_name, ()), *bases)
    if not any(hasattr(base, "set_timesteps") for base in bases):
        space["set_timesteps"] = method(
            class_name, "set_timesteps", timestep_parameters, "_set_timesteps",
            lambda: _about_timesteps(timestep_arguments),
        )
    return type(class_name, bases, space)


ABOUT_STEPS = (
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
#: The arguments of `set_timesteps`.
TIMESTEP_ARGUMENTS = {
    "num_inference_steps": "(int): The number of steps.",
    "device": "(str): The CPU or an NVIDIA card; the timesteps stay on the CPU.",
    "timesteps": "(Sequence[float]): The timesteps of the run instead, in descending order.",
    "sigmas": "(Sequence[float]): The noise levels of the run instead, in descending order.",
    "mu": "(float): The shift of the noise levels of a flow.",
    "original_inference_steps": "(int): The number of steps that the model was distilled with.",
    "strength": "(float): The part of the timesteps that is used when the run starts from an image.",
    "num_train_timesteps": "(int): The timesteps of the training to spread the run over, instead of the configuration's.",
    "jump_length": "(int): How many steps the run goes back at a time.",
    "jump_n_sample": "(int): How often the run makes the steps between.",
    "max_timesteps": "(float): The first timestep.",
    "intermediate_timesteps": "(float): The second timestep of a run of two steps; must be None for other runs.",
}
#: The default of `eta` where it is not 0.
ETA = {"TCDScheduler": 0.3, "RePaintScheduler": None}
#: The classes whose tokens can have timesteps of their own.
PER_TOKEN = ("FlowMatchEulerDiscreteScheduler",)


def _about_timesteps(arguments):
    lines = (f"    {name} {TIMESTEP_ARGUMENTS[name]}\n" for name in ("num_inference_steps", *arguments))
    return "Chooses the timesteps of a run.\n\nArgs:\n" + "".join(lines)


CLASSES = {name: _class(name, *about) for name, *about in _oxidiff.scheduler_classes()}
