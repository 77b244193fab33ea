//! What schedulers refuse, and their error messages.

mod configurations;
mod runs;
mod steps;

use oxidiff::{Config, Device, Result, Scheduler, StepOptions, Tensor, schedulers};

fn error<T>(result: Result<T>) -> String {
    match result {
        Ok(_) => panic!("should have failed"),
        Err(error) => error.to_string(),
    }
}

fn build(class_name: &str, json: &str) -> Result<Box<dyn Scheduler>> {
    schedulers::from_config(class_name, &Config::from_json(json)?)
}

/// The classes for models that were trained with a schedule of β; any of them can replace any other.
fn with_betas() -> Vec<&'static str> {
    let mut class_names = build("DDIMScheduler", "{}").unwrap().compatibles();
    class_names.retain(|&class_name| class_name != "EDMEulerScheduler");
    class_names
}

fn sample(channels: usize) -> Tensor<4> {
    Tensor::ones([2, channels, 3, 5], &Device::default())
}

fn step(scheduler: &mut dyn Scheduler, timestep: f32) -> Result<Tensor<4>> {
    let options = StepOptions { variance_noise: Some(sample(3)), ..Default::default() };
    scheduler.step(sample(3), timestep, sample(3), options).map(|output| output.prev_sample)
}
