//! `oxidiff generate`.

use anyhow::Context;
use oxidiff::{Generator, TextToImage};

use crate::arguments::GenerateArguments;
use crate::output::Output;

pub(crate) fn run(arguments: GenerateArguments) -> anyhow::Result<()> {
    let output = Output::new(arguments.output.clone())?;
    let mut pipeline = crate::load(arguments.model.as_deref(), &arguments.load)?;
    if let Some(class_name) = &arguments.scheduler {
        let scheduler = oxidiff::scheduler_from_config(class_name, pipeline.scheduler().config())
            .context("--scheduler")?;
        pipeline.set_scheduler(scheduler);
    }
    pipeline.set_progress_bar(!arguments.no_progress);

    let generator = arguments.seed.map_or_else(Generator::from_entropy, Generator::manual_seed);
    let seed = generator.initial_seed();
    let made = pipeline.call(TextToImage {
        prompt: vec![arguments.prompt()],
        negative_prompt: arguments.negative_prompt.into_iter().collect(),
        height: arguments.height,
        width: arguments.width,
        num_inference_steps: arguments.steps,
        guidance_scale: arguments.guidance_scale,
        guidance_rescale: arguments.guidance_rescale,
        num_images_per_prompt: arguments.num_images,
        eta: arguments.eta,
        clip_skip: arguments.clip_skip,
        generator: Some(generator.into()),
        output_type: output.output_type(),
        ..TextToImage::default()
    })?;
    for path in output.write(made.images)? {
        println!("{} (seed {seed})", path.display());
    }
    Ok(())
}
