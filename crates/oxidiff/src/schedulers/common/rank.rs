//! Samples of any rank.
//!
//! Schedulers step `[batch, channels, height, width]`. They treat all values of an item alike, and noise is drawn for all
//! values in order, so that other shapes can be folded to that one and back without changing what a step computes.

use burn::tensor::Tensor;

use crate::error::{Error, Result};
use crate::schedulers::{Scheduler, SchedulerOutput, StepOptions};

/// The forms of the methods for samples `[batch, channels, rest...]` of any rank `D` from 2 on, such as packed latents
/// `[batch, tokens, channels]` or videos `[batch, channels, frames, height, width]`.
impl dyn Scheduler + '_ {
    /// [`Scheduler::step`] for a sample of any rank.
    ///
    /// ```
    /// use oxidiff::{Device, FlowMatchEulerDiscreteScheduler, Scheduler, StepOptions, Tensor};
    ///
    /// let mut scheduler: Box<dyn Scheduler> =
    ///     FlowMatchEulerDiscreteScheduler::new(Default::default())?.into();
    /// scheduler.set_timesteps(2)?;
    /// let timesteps = scheduler.timesteps().to_vec();
    ///
    /// // Packed latents, [batch, tokens, channels].
    /// let mut sample = Tensor::<3>::ones([1, 6, 64], &Device::default());
    /// for &timestep in &timesteps {
    ///     let velocity = sample.clone(); // a model's output
    ///     sample = scheduler.step_any(velocity, timestep, sample, StepOptions::default())?.prev_sample;
    /// }
    /// assert_eq!(sample.dims(), [1, 6, 64]);
    ///
    /// // A video, [batch, channels, frames, height, width].
    /// scheduler.set_timesteps(2)?;
    /// let video = Tensor::<5>::ones([1, 16, 3, 4, 4], &Device::default());
    /// let output = scheduler.step_any(video.clone(), timesteps[0], video, StepOptions::default())?;
    /// assert_eq!(output.prev_sample.dims(), [1, 16, 3, 4, 4]);
    /// # Ok::<(), oxidiff::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Scheduler::step`]; and when the rank is not 4, but the scheduler or an option is
    /// [only for images](Scheduler::images_only).
    pub fn step_any<const D: usize>(
        &mut self,
        model_output: Tensor<D>,
        timestep: f32,
        sample: Tensor<D>,
        options: StepOptions<'_, D>,
    ) -> Result<SchedulerOutput<D>> {
        let shape = sample.dims();
        if D != 4 && self.images_only() {
            let class_name = self.config().class_name().unwrap_or_default();
            return Err(only_for_images(class_name, D));
        }
        let model_output = folded_output(model_output, shape)?;
        let options = folded_options(options, shape)?;
        let output = self.step(model_output, timestep, folded(sample)?, options)?;
        Ok(SchedulerOutput {
            prev_sample: unfolded(output.prev_sample, shape),
            pred_original_sample: output.pred_original_sample.map(|original| unfolded(original, shape)),
        })
    }

    /// [`Scheduler::scale_model_input`] for a sample of any rank.
    ///
    /// # Errors
    /// As [`Scheduler::scale_model_input`].
    pub fn scale_model_input_any<const D: usize>(
        &mut self,
        sample: Tensor<D>,
        timestep: f32,
    ) -> Result<Tensor<D>> {
        let shape = sample.dims();
        Ok(unfolded(self.scale_model_input(folded(sample)?, timestep)?, shape))
    }

    /// [`Scheduler::add_noise`] for samples of any rank.
    ///
    /// # Errors
    /// As [`Scheduler::add_noise`].
    pub fn add_noise_any<const D: usize>(
        &self,
        original_samples: Tensor<D>,
        noise: Tensor<D>,
        timesteps: &[f32],
    ) -> Result<Tensor<D>> {
        let shape = original_samples.dims();
        must_be_like(&noise, shape)?;
        let noisy = self.add_noise(folded(original_samples)?, folded(noise)?, timesteps)?;
        Ok(unfolded(noisy, shape))
    }

    /// [`Scheduler::get_velocity`] for samples of any rank.
    ///
    /// # Errors
    /// As [`Scheduler::get_velocity`].
    pub fn get_velocity_any<const D: usize>(
        &self,
        sample: Tensor<D>,
        noise: Tensor<D>,
        timesteps: &[f32],
    ) -> Result<Tensor<D>> {
        let shape = sample.dims();
        must_be_like(&noise, shape)?;
        let velocity = self.get_velocity(folded(sample)?, folded(noise)?, timesteps)?;
        Ok(unfolded(velocity, shape))
    }
}

/// Different shapes may become the same one when they are folded.
fn must_be_like<const D: usize>(noise: &Tensor<D>, shape: [usize; D]) -> Result<()> {
    if noise.dims() == shape {
        return Ok(());
    }
    Err(Error::argument("noise", format!("has shape {:?}, the samples have {shape:?}", noise.dims())))
}

/// `[batch, channels, rest..., last]` as `[batch, channels, product of rest, last]`; missing dimensions are 1.
fn folded<const D: usize>(tensor: Tensor<D>) -> Result<Tensor<4>> {
    let dims = tensor.dims();
    let [batch, channels, rest @ ..] = dims.as_slice() else {
        let message = format!("has shape {dims:?}, needs at least [batch, channels]");
        return Err(Error::argument("sample", message));
    };
    let shape = match rest {
        [] => [*batch, *channels, 1, 1],
        [only] => [*batch, *channels, *only, 1],
        [others @ .., last] => [*batch, *channels, others.iter().product(), *last],
    };
    Ok(tensor.reshape(shape))
}

/// The inverse of [`folded`]. A step may change the size of an image, which has rank 4 already.
fn unfolded<const D: usize>(tensor: Tensor<4>, shape: [usize; D]) -> Tensor<D> {
    let dims = tensor.dims();
    tensor.reshape(if D == 4 { std::array::from_fn(|index| dims[index]) } else { shape })
}

/// Folds what a model predicts, which may have further channels for the variance.
fn folded_output<const D: usize>(model_output: Tensor<D>, shape: [usize; D]) -> Result<Tensor<4>> {
    let dims = model_output.dims();
    if (0..D).any(|index| index != 1 && dims[index] != shape[index]) {
        let message = format!("has shape {dims:?}, the sample has {shape:?}");
        return Err(Error::argument("model_output", message));
    }
    folded(model_output)
}

fn folded_options<'a, const D: usize>(
    options: StepOptions<'a, D>,
    shape: [usize; D],
) -> Result<StepOptions<'a>> {
    let like_the_sample = |name: &'static str, tensor: Option<Tensor<D>>| match tensor {
        Some(tensor) if D != 4 && tensor.dims() != shape => {
            let message = format!("has shape {:?}, the sample has {shape:?}", tensor.dims());
            Err(Error::argument(name, message))
        }
        tensor => tensor.map(folded).transpose(),
    };
    let of_an_image = |name: &'static str, tensor: Option<Tensor<D>>| match tensor {
        Some(_) if D != 4 => Err(only_for_images(&format!("`{name}`"), D)),
        tensor => tensor.map(folded).transpose(),
    };
    Ok(StepOptions {
        eta: options.eta,
        use_clipped_model_output: options.use_clipped_model_output,
        generator: options.generator,
        variance_noise: like_the_sample("variance_noise", options.variance_noise)?,
        s_churn: options.s_churn,
        s_tmin: options.s_tmin,
        s_tmax: options.s_tmax,
        s_noise: options.s_noise,
        order: options.order,
        prev_timestep: options.prev_timestep,
        pred_original_sample: like_the_sample("pred_original_sample", options.pred_original_sample)?,
        original_image: of_an_image("original_image", options.original_image)?,
        mask: of_an_image("mask", options.mask)?,
    })
}

fn only_for_images(what: &str, rank: usize) -> Error {
    Error::unsupported(
        format!("{what} with a sample of rank {rank}"),
        "it is only for images, [batch, channels, height, width]",
    )
}
