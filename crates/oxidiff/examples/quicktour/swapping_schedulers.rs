//! The same pipeline with different schedulers, which balance speed and quality differently.

use std::error::Error;
use std::path::Path;

use oxidiff::{DiffusionPipeline, EulerDiscreteScheduler, Generator, Scheduler, TextToImage};

/// Makes an image with the pipeline's own scheduler, then one with [`EulerDiscreteScheduler`], in the folder `output`.
pub fn run(name_or_path: &str, output: &Path) -> Result<(), Box<dyn Error>> {
    let mut pipeline = DiffusionPipeline::from_pretrained(name_or_path)?;
    let arguments = || TextToImage {
        num_inference_steps: 20,
        generator: Some(Generator::manual_seed(0).into()),
        ..TextToImage::new("a red apple")
    };
    println!("{}", pipeline.scheduler().config());
    pipeline.call(arguments())?.images.into_images()[0].save(output.join("own_scheduler.png"))?;

    let scheduler = EulerDiscreteScheduler::from_config(pipeline.scheduler().config())?;
    pipeline.set_scheduler(scheduler);
    pipeline.call(arguments())?.images.into_images()[0].save(output.join("euler_discrete.png"))?;
    println!("compatible schedulers: {}", pipeline.scheduler().compatibles().join(", "));
    Ok(())
}
