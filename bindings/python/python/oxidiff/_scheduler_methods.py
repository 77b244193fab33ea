"""Methods that only some classes of schedulers have."""

import math

from . import _oxidiff
from ._devices import device_name
from ._outputs import SchedulerOutput, SdeVeOutput


class PreviousTimestep:
    """Schedulers that find the next timestep of a run by the one before it."""

    def previous_timestep(self, timestep):
        """The timestep that a step from `timestep` leads to; -1 after the last."""
        if self.num_inference_steps is None:
            return timestep - 1
        timesteps = self.timesteps
        following = timesteps.tolist().index(int(timestep)) + 1
        return timesteps[following] if following < len(timesteps) else _oxidiff.scalar(-1, True)


class ContinuousTime:
    """Schedulers whose timesteps are times between 0 and 1."""

    def previous_timestep(self, timestep):
        """The timestep that a step from `timestep` leads to."""
        return _oxidiff.scalar(self._core.previous_timestep(float(timestep)), False)


class StepIndex:
    """Schedulers that count their steps, and find the first by its timestep."""

    #: Whether a timestep that the run does not have stands for the last step.
    _takes_any_timestep = False

    def index_for_timestep(self, timestep, schedule_timesteps=None):
        """The index of a timestep in the run, or in `schedule_timesteps`. Of two that are equal, it is the second, so that
        image to image does not leave out a noise level.

        Raises:
            IndexError: when there is no such timestep.
        """
        timesteps = self.timesteps if schedule_timesteps is None else schedule_timesteps
        wanted = float(timestep)
        found = [index for index, other in enumerate(timesteps.tolist()) if other == wanted]
        if not found and self._takes_any_timestep:
            return len(self.timesteps) - 1
        if not found:
            raise IndexError(f"the timestep {wanted} is none of the run's")
        return found[1 if len(found) > 1 else 0]


class MultistepIndex(StepIndex):
    """Solvers of several steps, which take a timestep that they do not know for the last."""

    _takes_any_timestep = True


class HalfSteps:
    """Methods of the second order, which call the model twice for a step."""

    @property
    def state_in_first_order(self):
        """Whether the next call of `step` begins a step, rather than finishing one."""
        return (self.step_index or 0) % 2 == 0


class Velocity:
    """Schedulers that know what a model with v-prediction is trained to predict."""

    def get_velocity(self, sample, noise, timesteps):
        """The velocity √ᾱ·noise − √(1 − ᾱ)·sample, with ᾱ at the timestep of each sample."""
        return self._core.get_velocity(sample, noise, timesteps)


class VelocityAtLevels(Velocity):
    """Schedulers whose timesteps lie between those of the training."""

    def get_velocity(self, sample, noise, timesteps):
        """The velocity √ᾱ·noise − √(1 − ᾱ)·sample, with ᾱ at the timestep of each sample: one of `timesteps`, not its index.

        Raises:
            ValueError: when the timesteps are whole numbers, as indices are.
        """
        if isinstance(timesteps, int) or "int" in str(getattr(timesteps, "dtype", "")):
            raise ValueError("`timesteps`: must be some of the scheduler's `timesteps`, not indices of them")
        return super().get_velocity(sample, noise, timesteps)


class VariancePreserving:
    """Solvers that work with the logarithm of the ratio of signal to noise."""

    @property
    def alpha_t(self):
        """The standard deviation of the signal at each timestep of the training."""
        return self.alphas_cumprod ** 0.5

    @property
    def sigma_t(self):
        """The standard deviation of the noise at each timestep of the training."""
        return (1.0 - self.alphas_cumprod) ** 0.5

    @property
    def lambda_t(self):
        """Half the logarithm of the ratio of signal to noise at each timestep of the training."""
        ratio = self.alphas_cumprod / (1.0 - self.alphas_cumprod)
        return _oxidiff.like(_oxidiff.Tensor(ratio).log() * 0.5, ratio)

    @property
    def sigmas(self):
        """The noise levels of the run; before `set_timesteps`, those of the training, from clean to noisy."""
        sigmas = self._core.sigmas()
        if sigmas is not None:
            return sigmas
        signal = self.alphas_cumprod
        return ((1.0 - signal) / signal) ** 0.5


class TrainedLevels:
    """Schedulers of flows, whose noise levels lie between those of the training."""

    @property
    def sigma_min(self):
        """The lowest noise level of the training."""
        return min(self._trained_levels())

    @property
    def sigma_max(self):
        """The highest noise level of the training."""
        return max(self._trained_levels())

    def _trained_levels(self):
        untouched = _oxidiff.SchedulerCore.from_config(self._class_name, self._core.config())
        return untouched.sigmas().tolist()


class Shift:
    """Schedulers of flows whose noise levels are shifted for larger images (Esser et al. 2024,
    <https://arxiv.org/abs/2403.03206>)."""

    @property
    def shift(self):
        """The shift of the noise levels of the next run, unless it is dynamic."""
        return self._core.shift

    def set_shift(self, shift):
        """Sets the shift of the noise levels of later runs. The configuration keeps its own."""
        self._core.set_shift(shift)


class TimeShift:
    """Schedulers that can shift the noise levels of a flow by the size of the image."""

    def time_shift(self, mu, sigma, t):
        """The noise levels `t` shifted by `mu`, exponentially or linearly as `time_shift_type` says."""
        if self.config.get("time_shift_type", "exponential") == "exponential":
            mu = math.exp(mu)
        return mu / (mu + (1 / t - 1) ** sigma)

    def stretch_shift_to_terminal(self, t):
        """The noise levels `t` stretched to end with `shift_terminal`."""
        rest = 1 - t
        return 1 - rest / (rest[-1] / (1 - self.config.shift_terminal))


class PerToken:
    """Schedulers whose tokens can have timesteps of their own, as in videos with some given frames."""

    def _step_per_token(self, model_output, timestep, sample, given, whole):
        timesteps = given["per_token_timesteps"]
        stepped = self._core.step_per_token(model_output, timestep, sample, timesteps, given)
        return SchedulerOutput(stepped) if whole else (stepped,)


class Growing:
    """Schedulers whose samples grow during the run."""

    def set_scale_factors(self, scale_factors, upscale_mode):
        """Sets how the sample grows from step to step, by factors and a mode of interpolation such as `"bicubic"`."""
        self._core.set_scale_factors(list(scale_factors), upscale_mode)


class Preconditioned:
    """Schedulers of EDM, which scale what goes into the model and what comes out (Karras et al. 2022,
    <https://arxiv.org/abs/2206.00364>, Table 1)."""

    def precondition_inputs(self, sample, sigma):
        """The sample at a noise level, scaled to the variance 1."""
        return sample * (1 / (sigma**2 + self.config.sigma_data**2) ** 0.5)

    def precondition_noise(self, sigma):
        """What the model is told about a noise level: ln(σ) / 4."""
        return _oxidiff.scalar(0.25 * math.log(float(sigma)), False)

    def precondition_outputs(self, sample, model_output, sigma):
        """The noise-free sample that a prediction of the model means."""
        data = self.config.sigma_data
        total = sigma**2 + data**2
        kept = data**2 / total
        factor = sigma * data / total**0.5
        if self.config.prediction_type == "v_prediction":
            factor = -factor
        return kept * sample + factor * model_output


class CosinePreconditioned(Preconditioned):
    """EDM with the time as an angle."""

    def precondition_noise(self, sigma):
        """What the model is told about a noise level: atan(σ) · 2/π."""
        return _oxidiff.scalar(math.atan(float(sigma)) / math.pi * 2, False)


class RungeKutta:
    """Runs that begin with steps of one method and continue with those of another. `step` chooses between them."""

    @property
    def prk_timesteps(self):
        """The timesteps of the Runge-Kutta steps; none with `skip_prk_steps`."""
        return self.timesteps[:self._core.prk_calls]

    @property
    def plms_timesteps(self):
        """The timesteps of the linear multi-step steps, which follow."""
        return self.timesteps[self._core.prk_calls:]

    def step_prk(self, model_output, timestep, sample, return_dict=True):
        """`step` with one of the four model calls of a Runge-Kutta step."""
        stepped = self._core.step_prk(model_output, timestep, sample)
        return SchedulerOutput(stepped) if return_dict else (stepped,)

    def step_plms(self, model_output, timestep, sample, return_dict=True):
        """`step` with a linear multi-step step.

        Raises:
            ValueError: before three Runge-Kutta steps, unless `skip_prk_steps`.
        """
        stepped = self._core.step_plms(model_output, timestep, sample)
        return SchedulerOutput(stepped) if return_dict else (stepped,)


class BackAndForth:
    """RePaint, whose runs also go back to noisier timesteps."""

    @property
    def final_alpha_cumprod(self):
        """What the last step takes for `alphas_cumprod`: 1."""
        return _oxidiff.scalar(1.0, False)

    def _most_steps(self):
        return self.config.num_train_timesteps

    def undo_step(self, sample, timestep, generator=None):
        """Goes back from the sample at a timestep to the noisier one that the step came from."""
        return self._core.undo_step(sample, timestep, {"generator": generator})


class PredictorCorrector:
    """Score models, whose sample is first corrected and then moved to the next noise level."""

    def set_timesteps(self, num_inference_steps, sampling_eps=None, device=None):
        """Chooses the timesteps of a run, which ends at the time `sampling_eps`. Call `set_sigmas`, too."""
        if device is not None:
            # The timesteps stay on the CPU. This refuses devices other than that and cards.
            device_name(device)
        end = self.config.sampling_eps if sampling_eps is None else sampling_eps
        self._core.set_timesteps_to(num_inference_steps, end)
        self.__dict__["num_inference_steps"] = num_inference_steps

    def set_sigmas(self, num_inference_steps, sigma_min=None, sigma_max=None, sampling_eps=None):
        """Chooses the noise levels of a run between these bounds, which are by default those of the configuration."""
        self._core.set_sigmas(num_inference_steps, sigma_min, sigma_max, sampling_eps)

    def step_pred(self, model_output, timestep, sample, generator=None, return_dict=True):
        """The predictor: the sample at the next noise level, and its mean before noise is added."""
        stepped = self._core.step_pred(model_output, timestep, sample, {"generator": generator})
        return SdeVeOutput(*stepped) if return_dict else stepped

    def step_correct(self, model_output, sample, generator=None, return_dict=True):
        """The corrector: a step of Langevin dynamics at the noise level of the sample."""
        stepped = self._core.step_correct(model_output, sample, {"generator": generator})
        return SchedulerOutput(stepped) if return_dict else (stepped,)


class NoiseLevels:
    """Consistency models, which are told the noise level instead of a timestep."""

    def sigma_to_t(self, sigmas):
        """What the model receives for noise levels: 250 ln σ, as an array of numpy."""
        import numpy

        return 250.0 * numpy.log(numpy.asarray(sigmas, dtype=numpy.float64) + 1e-44)


#: The further methods of each class.
FURTHER = {
    "CMStochasticIterativeScheduler": (NoiseLevels, StepIndex),
    "CosineDPMSolverMultistepScheduler": (CosinePreconditioned, MultistepIndex),
    "DDIMScheduler": (Velocity,),
    "DDPMScheduler": (PreviousTimestep, Velocity),
    "DDPMWuerstchenScheduler": (ContinuousTime,),
    "DEISMultistepScheduler": (MultistepIndex, VariancePreserving),
    "DPMSolverMultistepInverseScheduler": (VariancePreserving,),
    "DPMSolverMultistepScheduler": (MultistepIndex, VariancePreserving),
    "DPMSolverSDEScheduler": (HalfSteps, StepIndex),
    "DPMSolverSinglestepScheduler": (MultistepIndex, VariancePreserving),
    "EDMDPMSolverMultistepScheduler": (Preconditioned, MultistepIndex),
    "EDMEulerScheduler": (Preconditioned, StepIndex),
    "EulerAncestralDiscreteScheduler": (StepIndex,),
    "EulerDiscreteScheduler": (StepIndex, VelocityAtLevels),
    "FlowMatchEulerDiscreteScheduler": (PerToken, Shift, StepIndex, TimeShift, TrainedLevels),
    "FlowMatchHeunDiscreteScheduler": (HalfSteps, StepIndex, TrainedLevels),
    "FlowMatchLCMScheduler": (Growing, Shift, StepIndex, TimeShift, TrainedLevels),
    "HeunDiscreteScheduler": (HalfSteps, StepIndex),
    "IPNDMScheduler": (StepIndex,),
    "KDPM2AncestralDiscreteScheduler": (HalfSteps, StepIndex),
    "KDPM2DiscreteScheduler": (HalfSteps, StepIndex),
    "LCMScheduler": (PreviousTimestep, StepIndex, Velocity),
    "LMSDiscreteScheduler": (StepIndex,),
    "PNDMScheduler": (RungeKutta,),
    "RePaintScheduler": (BackAndForth,),
    "SASolverScheduler": (MultistepIndex, VariancePreserving),
    "SCMScheduler": (StepIndex,),
    "ScoreSdeVeScheduler": (PredictorCorrector,),
    "TCDScheduler": (PreviousTimestep, StepIndex, Velocity),
    "UniPCMultistepScheduler": (MultistepIndex, TimeShift, VariancePreserving),
}
