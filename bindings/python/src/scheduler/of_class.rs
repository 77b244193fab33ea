//! Methods that only some classes of schedulers have.

use burn::tensor::Tensor;
use oxidiff::{
    DDPMWuerstchenScheduler, FlowMatchEulerDiscreteScheduler, FlowMatchLCMScheduler, PNDMScheduler,
    RePaintScheduler, Scheduler, ScoreSdeVeScheduler, StepOptions, UpscaleMode,
};
use pyo3::exceptions::{PyAttributeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use super::options::Options;
use super::{PyScheduler, tensor};
use crate::arguments::number;
use crate::array::{Array, Given};
use crate::errors::to_py;

impl PyScheduler {
    /// A step by a method that only class `S` has, of samples `[batch, channels, height, width]`.
    fn step_of_class<S: Scheduler + 'static>(
        &self,
        model_output: &Bound<'_, PyAny>,
        sample: &Bound<'_, PyAny>,
        step: impl FnOnce(&mut S, Tensor<4>, Tensor<4>) -> oxidiff::Result<Tensor<4>> + Send,
    ) -> PyResult<Py<PyAny>> {
        let py = sample.py();
        let output = tensor(&Given::take(model_output)?.array, "model_output")?;
        let Given { array, like } = Given::take(sample)?;
        let sample = tensor(&array, "sample")?;
        let stepped =
            py.detach(|| of_class(&mut self.lock(), |scheduler| step(scheduler, output, sample)))?;
        like.give(py, Array::from_tensor(stepped.into())?)
    }

    /// As [`Self::step_of_class`], for a step that draws noise from the generator of `options`.
    fn drawing_step_of_class<S: Scheduler + 'static>(
        &self,
        model_output: &Bound<'_, PyAny>,
        sample: &Bound<'_, PyAny>,
        options: &Bound<'_, PyDict>,
        step: impl FnOnce(&mut S, Tensor<4>, Tensor<4>, StepOptions<'_>) -> oxidiff::Result<Tensor<4>> + Send,
    ) -> PyResult<Py<PyAny>> {
        let mut options = Options::of(options, true)?;
        let stepped = self.step_of_class(model_output, sample, |scheduler: &mut S, output, sample| {
            let generator = options.generators.as_mut();
            step(scheduler, output, sample, StepOptions { generator, ..Default::default() })
        })?;
        options.give_back(sample.py())?;
        Ok(stepped)
    }
}

#[pymethods]
impl PyScheduler {
    /// How many of the timesteps belong to Runge-Kutta steps.
    #[getter]
    fn prk_calls(&self) -> PyResult<usize> {
        of_class::<PNDMScheduler, _>(&mut self.lock(), |scheduler| Ok(scheduler.prk_timesteps().len()))
    }

    fn step_prk(
        &self,
        model_output: &Bound<'_, PyAny>,
        timestep: &Bound<'_, PyAny>,
        sample: &Bound<'_, PyAny>,
    ) -> PyResult<Py<PyAny>> {
        let timestep = number(timestep)? as f32;
        self.step_of_class(model_output, sample, |scheduler: &mut PNDMScheduler, output, sample| {
            scheduler.step_prk(output, timestep, sample)
        })
    }

    fn step_plms(
        &self,
        model_output: &Bound<'_, PyAny>,
        timestep: &Bound<'_, PyAny>,
        sample: &Bound<'_, PyAny>,
    ) -> PyResult<Py<PyAny>> {
        let timestep = number(timestep)? as f32;
        self.step_of_class(model_output, sample, |scheduler: &mut PNDMScheduler, output, sample| {
            scheduler.step_plms(output, timestep, sample)
        })
    }

    /// The end of a run, as a time.
    fn set_timesteps_to(&self, num_inference_steps: usize, sampling_eps: f64) -> PyResult<()> {
        of_class::<ScoreSdeVeScheduler, _>(&mut self.lock(), |scheduler| {
            scheduler.set_timesteps_to(num_inference_steps, sampling_eps)
        })
    }

    fn set_sigmas(
        &self,
        num_inference_steps: usize,
        sigma_min: Option<f64>,
        sigma_max: Option<f64>,
        sampling_eps: Option<f64>,
    ) -> PyResult<()> {
        of_class::<ScoreSdeVeScheduler, _>(&mut self.lock(), |scheduler| {
            scheduler.set_sigmas(num_inference_steps, sigma_min, sigma_max, sampling_eps)
        })
    }

    /// The predictor. Returns the sample before it, and the mean of that.
    fn step_pred(
        &self,
        model_output: &Bound<'_, PyAny>,
        timestep: &Bound<'_, PyAny>,
        sample: &Bound<'_, PyAny>,
        options: &Bound<'_, PyDict>,
    ) -> PyResult<(Py<PyAny>, Py<PyAny>)> {
        let timestep = number(timestep)? as f32;
        let mut mean = None;
        let prev_sample = self.drawing_step_of_class(
            model_output,
            sample,
            options,
            |scheduler: &mut ScoreSdeVeScheduler, output, sample, options| {
                let stepped = scheduler.step_pred(output, timestep, sample, options)?;
                mean = Some(stepped.prev_sample_mean);
                Ok(stepped.prev_sample)
            },
        )?;
        let mean = mean.expect("the step returned it");
        Ok((prev_sample, Given::take(sample)?.like.give(sample.py(), Array::from_tensor(mean.into())?)?))
    }

    /// A step in which each token has its own timestep: of samples `[batch, tokens, channels]`.
    fn step_per_token(
        &self,
        model_output: &Bound<'_, PyAny>,
        timestep: &Bound<'_, PyAny>,
        sample: &Bound<'_, PyAny>,
        per_token_timesteps: &Bound<'_, PyAny>,
        options: &Bound<'_, PyDict>,
    ) -> PyResult<Py<PyAny>> {
        let py = sample.py();
        let timestep = number(timestep)? as f32;
        let mut options = Options::of(options, true)?;
        let output = tensor::<3>(&Given::take(model_output)?.array, "model_output")?;
        let timesteps = tensor::<2>(&Given::take(per_token_timesteps)?.array, "per_token_timesteps")?;
        let Given { array, like } = Given::take(sample)?;
        let sample = tensor::<3>(&array, "sample")?;
        let stepped = py.detach(|| {
            of_class(&mut self.lock(), |scheduler: &mut FlowMatchEulerDiscreteScheduler| {
                let generator = options.generators.as_mut();
                scheduler.step_per_token(output, timestep, timesteps, sample, generator)
            })
        })?;
        options.give_back(py)?;
        like.give(py, Array::from_tensor(stepped.into())?)
    }

    /// RePaint's way back: from a sample at `timestep` to the noisier one that the step came from.
    fn undo_step(
        &self,
        sample: &Bound<'_, PyAny>,
        timestep: &Bound<'_, PyAny>,
        options: &Bound<'_, PyDict>,
    ) -> PyResult<Py<PyAny>> {
        let timestep = number(timestep)? as f32;
        self.drawing_step_of_class(
            sample,
            sample,
            options,
            |scheduler: &mut RePaintScheduler, _, sample, options| {
                scheduler.undo_step(sample, timestep, options)
            },
        )
    }

    /// The timestep of Würstchen's schedule that a step from `timestep` leads to.
    fn previous_timestep(&self, timestep: f32) -> PyResult<f32> {
        of_class(&mut self.lock(), |scheduler: &mut DDPMWuerstchenScheduler| {
            scheduler.previous_timestep(timestep)
        })
    }

    /// The shift of the noise levels of a flow.
    #[getter]
    fn shift(&self) -> PyResult<f64> {
        let mut scheduler = self.lock();
        if let Some(lcm) = scheduler.downcast_mut::<FlowMatchLCMScheduler>() {
            return Ok(lcm.shift());
        }
        of_class(&mut scheduler, |euler: &mut FlowMatchEulerDiscreteScheduler| Ok(euler.shift()))
    }

    fn set_shift(&self, shift: f64) -> PyResult<()> {
        let mut scheduler = self.lock();
        if let Some(lcm) = scheduler.downcast_mut::<FlowMatchLCMScheduler>() {
            lcm.set_shift(shift);
            return Ok(());
        }
        of_class(&mut scheduler, |euler: &mut FlowMatchEulerDiscreteScheduler| {
            euler.set_shift(shift);
            Ok(())
        })
    }

    /// How the sample grows from step to step.
    fn set_scale_factors(&self, scale_factors: Vec<f64>, upscale_mode: &str) -> PyResult<()> {
        let mode = match upscale_mode {
            "nearest" => UpscaleMode::Nearest,
            "nearest-exact" => UpscaleMode::NearestExact,
            "bilinear" => UpscaleMode::Bilinear,
            "bicubic" => UpscaleMode::Bicubic,
            "area" => UpscaleMode::Area,
            "linear" => UpscaleMode::Linear,
            "trilinear" => UpscaleMode::Trilinear,
            other => {
                return Err(PyValueError::new_err(format!("`upscale_mode`: there is no mode `{other}`")));
            }
        };
        of_class(&mut self.lock(), |scheduler: &mut FlowMatchLCMScheduler| {
            scheduler.set_scale_factors(&scale_factors, mode)
        })
    }

    /// The corrector.
    fn step_correct(
        &self,
        model_output: &Bound<'_, PyAny>,
        sample: &Bound<'_, PyAny>,
        options: &Bound<'_, PyDict>,
    ) -> PyResult<Py<PyAny>> {
        self.drawing_step_of_class(
            model_output,
            sample,
            options,
            |scheduler: &mut ScoreSdeVeScheduler, output, sample, options| {
                scheduler.step_correct(output, sample, options)
            },
        )
    }
}

/// Calls a method that only class `S` has.
fn of_class<S: Scheduler + 'static, R>(
    scheduler: &mut Box<dyn Scheduler>,
    call: impl FnOnce(&mut S) -> oxidiff::Result<R>,
) -> PyResult<R> {
    match scheduler.downcast_mut() {
        Some(scheduler) => call(scheduler).map_err(to_py),
        None => Err(PyAttributeError::new_err("this class has no such method")),
    }
}
