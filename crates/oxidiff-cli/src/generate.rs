//! `oxidiff generate`.

use std::path::PathBuf;

use anyhow::{Context, anyhow, bail};
use oxidiff::image::DynamicImage;
use oxidiff::{
    AutoPipelineForImage2Image, AutoPipelineForInpainting, DiffusionPipeline, Error, Generator, LoadOptions,
    Scheduler, Task, load_image, load_image_unconverted,
};

use crate::adapters;
use crate::arguments::GenerateArguments;
use crate::controlnets;
use crate::ip_adapters;
use crate::output::Output;
use crate::redux;
use crate::request::{self, Inputs};
use crate::standard_output::print_line;
use crate::t2i_adapters;

pub(crate) fn run(mut arguments: GenerateArguments) -> anyhow::Result<()> {
    let output = Output::new("--output", arguments.output.clone(), arguments.num_images)?;
    let mut images = InputImages::read(&arguments)?.preprocessed(&arguments)?;
    let redux = arguments.redux.clone().map(|name| (name, std::mem::take(&mut images.image)));
    let pipeline = crate::load(arguments.model.as_deref(), &arguments.load)?;
    let mut pipeline = match (arguments.controlnet.as_slice(), arguments.adapter.as_slice()) {
        ([], []) => for_task(pipeline, &images)?,
        ([], names) => t2i_adapters::add(&pipeline, names, &arguments.load)?,
        (names, _) => controlnets::add(pipeline, names, &arguments.load, images.task_with_controlnet())?,
    };
    pipeline = perturbed(pipeline, &arguments)?;
    if let Some(layers) = layers(&pipeline, &arguments) {
        output.check_transparent(arguments.num_images.saturating_mul(layers))?;
        images.image = transparent(&arguments.image)?;
    }
    adapters::load(&mut pipeline, &arguments)?;
    ip_adapters::load(&mut pipeline, &arguments)?;
    if let Some(class_name) = &arguments.scheduler {
        let own = pipeline.scheduler();
        let scheduler = oxidiff::scheduler_from_config(class_name, own.config()).context("--scheduler")?;
        if !own.compatibles().contains(&class_name.as_str()) {
            tracing::warn!("a model trained for the {} may not work with the {class_name}", class_of(own));
        }
        pipeline.set_scheduler(scheduler);
    }
    let class_name = class_of(pipeline.scheduler());
    let uses_eta = pipeline.scheduler().role().uses_eta;
    if arguments.eta.is_some_and(|eta| eta != 0.0) && pipeline.takes("eta") && !uses_eta {
        tracing::warn!("--eta has no effect: the {class_name} does not use it");
    }
    if arguments.vae_tiling {
        pipeline.set_vae_tiling(true).context("--vae-tiling")?;
    }
    if arguments.vae_slicing {
        pipeline.set_vae_slicing(true).context("--vae-slicing")?;
    }
    if arguments.freeu.is_some() {
        pipeline.set_freeu(arguments.freeu).context("--freeu")?;
    }
    pipeline.set_progress_bar(!arguments.no_progress);

    let generator = arguments.seed.map_or_else(Generator::from_entropy, Generator::manual_seed);
    let seed = generator.initial_seed();
    let embedded =
        redux.map(|(name, images)| redux::prompt(&pipeline, &name, images, &mut arguments)).transpose()?;
    let InputImages { image, mask, control } = images;
    let inputs = Inputs { image, mask, control, embedded, generator, output_type: output.output_type() };
    let request = request::new(&pipeline, arguments, inputs)?;
    let made = match pipeline.call(request) {
        Ok(made) => made,
        Err(error) => return Err(controlnets::name_option(error, &pipeline)),
    };
    for path in output.write(made.images)? {
        print_line(format_args!("{} (seed {seed})", path.display()))?;
    }
    Ok(())
}

fn class_of(scheduler: &dyn Scheduler) -> &str {
    scheduler.config().class_name().unwrap_or_default()
}

/// The pipeline that guides by perturbed attention, if an option asks for it.
fn perturbed(
    pipeline: DiffusionPipeline,
    arguments: &GenerateArguments,
) -> anyhow::Result<DiffusionPipeline> {
    let asked = arguments.keywords.iter().find(|(name, _)| name.starts_with("pag_"));
    match asked {
        Some((name, _)) if !pipeline.takes(name) => {
            let option = format!("--{}", name.replace('_', "-"));
            pipeline.with_perturbed_attention().with_context(|| option)
        }
        _ => Ok(pipeline),
    }
}

/// The layers that the pipeline makes of each image, if it takes images apart.
fn layers(pipeline: &DiffusionPipeline, arguments: &GenerateArguments) -> Option<usize> {
    let known = DiffusionPipeline::arguments_of(pipeline.class_name()).ok()?;
    let usual = known.into_iter().find(|argument| argument.name == "layers")?;
    let written = arguments.keywords.iter().find(|(name, _)| name == "layers");
    match written {
        // The library says what is wrong with it.
        Some((_, value)) => Some(value.parse().unwrap_or(1)),
        None => (usual.default)().as_u64().map(|layers| layers as usize),
    }
}

/// Images from files, with their transparency.
fn transparent(paths: &[PathBuf]) -> anyhow::Result<Vec<DynamicImage>> {
    paths.iter().map(|path| load_image_unconverted(path).context("--image")).collect()
}

/// The images from the given files.
struct InputImages {
    /// Several only for T2I-Adapters, and for models that look at reference images.
    image: Vec<DynamicImage>,
    mask: Option<DynamicImage>,
    /// For ControlNets.
    control: Vec<DynamicImage>,
}

impl InputImages {
    fn read(arguments: &GenerateArguments) -> anyhow::Result<Self> {
        let read = |option: &'static str, path: &PathBuf| load_image(path).context(option);
        let all = |option: &'static str, paths: &[PathBuf]| {
            paths.iter().map(|path| read(option, path)).collect::<anyhow::Result<_>>()
        };
        Ok(Self {
            image: all("--image", &arguments.image)?,
            mask: arguments.mask_image.as_ref().map(|path| read("--mask-image", path)).transpose()?,
            control: all("--control-image", &arguments.control_image)?,
        })
    }

    /// With the images to follow made out of the given ones.
    fn preprocessed(mut self, arguments: &GenerateArguments) -> anyhow::Result<Self> {
        let preprocessors = &arguments.control_preprocessor;
        // T2I-Adapters follow the images themselves.
        let follows = if arguments.adapter.is_empty() { &mut self.control } else { &mut self.image };
        let (given, images) = (preprocessors.len(), follows.len());
        if given > 0 && images == 0 {
            bail!(
                "--control-preprocessor: there is no --control-image, nor an --adapter that follows --image"
            );
        }
        if given > 1 && given != images {
            bail!(
                "--control-preprocessor: got {given}, but the number of images is {images}: give one, or one for each"
            );
        }
        let context = |error| anyhow!("--control-preprocessor: {error}");
        let options = LoadOptions::default();
        let loaded = preprocessors.iter().map(|it| it.load(&options).map_err(context));
        let loaded = loaded.collect::<anyhow::Result<Vec<_>>>()?;
        for (image, preprocessor) in follows.iter_mut().zip(loaded.iter().cycle()) {
            *image = preprocessor.apply(image).map_err(context)?;
        }
        Ok(self)
    }

    /// The AutoPipeline for the task that they imply if there are ControlNets.
    fn task_with_controlnet(&self) -> &'static str {
        match self {
            Self { mask: Some(_), .. } => "AutoPipelineForInpainting",
            Self { image, control, .. } if !image.is_empty() && !control.is_empty() => {
                "AutoPipelineForImage2Image"
            }
            // An image alone is the one to follow, as in Python.
            _ => "AutoPipelineForText2Image",
        }
    }
}

/// The pipeline for the task that the given images imply, with the model's parts.
fn for_task(pipeline: DiffusionPipeline, images: &InputImages) -> anyhow::Result<DiffusionPipeline> {
    let (option, made) = match images {
        InputImages { image, mask: Some(_), .. } if !image.is_empty() && !pipeline.takes("mask_image") => {
            ("--mask-image", AutoPipelineForInpainting::from_pipe(&pipeline))
        }
        // A pipeline with a ControlNet already takes an image: that to follow.
        InputImages { image, mask: None, control }
            if !image.is_empty()
                && pipeline.task() == Some(Task::TextToImage)
                && (!control.is_empty() || !pipeline.takes("image")) =>
        {
            ("--image", AutoPipelineForImage2Image::from_pipe(&pipeline))
        }
        _ => return Ok(pipeline),
    };
    made.map_err(|error| match error {
        // The message of the library is about classes that a user of the command line does not choose.
        Error::Unsupported { .. } => anyhow!("{option}: {} does not take it", pipeline.class_name()),
        other => anyhow!(other).context(option),
    })
}
