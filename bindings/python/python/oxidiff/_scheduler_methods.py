"""Methods that only some classes of schedulers have."""

from . import _oxidiff
from ._loading import device as check_device
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


class PredictorCorrector:
    """Score models, whose sample is first corrected and then moved to the next noise level."""

    def set_timesteps(self, num_inference_steps, sampling_eps=None, device=None):
        """Chooses the timesteps of a run, which ends at the time `sampling_eps`. Call `set_sigmas`, too."""
        if device is not None:
            check_device(device)
        end = self.config.sampling_eps if sampling_eps is None else sampling_eps
        self._core.set_timesteps_to(num_inference_steps, end)
        self.num_inference_steps = num_inference_steps

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


FURTHER = {
    "CMStochasticIterativeScheduler": NoiseLevels,
    "DDPMScheduler": PreviousTimestep,
    "LCMScheduler": PreviousTimestep,
    "PNDMScheduler": RungeKutta,
    "ScoreSdeVeScheduler": PredictorCorrector,
    "TCDScheduler": PreviousTimestep,
}
