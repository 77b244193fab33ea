//! A scheduler by itself goes from a noisy sample to a less noisy one.

use std::error::Error;

use oxidiff::{DDPMScheduler, Scheduler, StepOptions, Tensor};

use super::models;

/// Returns a sample after one denoising step.
pub fn run(name_or_path: &str) -> Result<Tensor<4>, Box<dyn Error>> {
    let mut scheduler = DDPMScheduler::from_pretrained(name_or_path)?;
    println!("{}", scheduler.config());

    let [noisy_sample, noisy_residual] = models::run(name_or_path)?;
    let less_noisy_sample =
        scheduler.step(noisy_residual, 2.0, noisy_sample, StepOptions::default())?.prev_sample;
    println!("{:?}", less_noisy_sample.dims());
    Ok(less_noisy_sample)
}
