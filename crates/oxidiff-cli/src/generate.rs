//! `oxidiff generate`.

use std::path::PathBuf;

use anyhow::{Context, bail};
use oxidiff::image::DynamicImage;
use oxidiff::{
    AutoPipelineForImage2Image, AutoPipelineForInpainting, DepthToImage, DiffusionPipeline, Generator,
    ImageToImage, Inpaint, InstructPix2Pix, PipelineArguments, Scheduler, TextToImage, Upscale, load_image,
};

use crate::arguments::GenerateArguments;
use crate::output::Output;
use crate::standard_output::print_line;
use crate::without_text;

pub(crate) fn run(arguments: GenerateArguments) -> anyhow::Result<()> {
    let output = Output::new(arguments.output.clone(), arguments.num_images)?;
    let images = InputImages::read(&arguments)?;
    let pipeline = crate::load(arguments.model.as_deref(), &arguments.load)?;
    let mut pipeline = for_task(pipeline, &images)?;
    if let Some(class_name) = &arguments.scheduler {
        let own = pipeline.scheduler();
        let scheduler = oxidiff::scheduler_from_config(class_name, own.config()).context("--scheduler")?;
        if !own.compatibles().contains(&class_name.as_str()) {
            tracing::warn!("a model trained for the {} may not work with the {class_name}", class_of(own));
        }
        pipeline.set_scheduler(scheduler);
    }
    let class_name = class_of(pipeline.scheduler());
    if arguments.eta != 0.0 && !pipeline.scheduler().role().uses_eta {
        tracing::warn!("--eta has no effect: the {class_name} does not use it");
    }
    if arguments.vae_tiling {
        pipeline.set_vae_tiling(true).context("--vae-tiling")?;
    }
    if arguments.vae_slicing {
        pipeline.set_vae_slicing(true).context("--vae-slicing")?;
    }
    pipeline.set_progress_bar(!arguments.no_progress);

    let generator = arguments.seed.map_or_else(Generator::from_entropy, Generator::manual_seed);
    let seed = generator.initial_seed();
    let made = pipeline.call(call_arguments(&pipeline, arguments, images, generator, &output)?)?;
    for path in output.write(made.images)? {
        print_line(format_args!("{} (seed {seed})", path.display()))?;
    }
    Ok(())
}

fn class_of(scheduler: &dyn Scheduler) -> &str {
    scheduler.config().class_name().unwrap_or_default()
}

/// The image files that were named.
struct InputImages {
    image: Option<DynamicImage>,
    mask: Option<DynamicImage>,
}

impl InputImages {
    fn read(arguments: &GenerateArguments) -> anyhow::Result<Self> {
        let read = |option: &'static str, path: &Option<PathBuf>| {
            path.as_ref().map(|path| load_image(path).context(option)).transpose()
        };
        Ok(Self {
            image: read("--image", &arguments.image)?,
            mask: read("--mask-image", &arguments.mask_image)?,
        })
    }
}

/// The pipeline that does with the model's parts what the images ask for.
fn for_task(pipeline: DiffusionPipeline, images: &InputImages) -> anyhow::Result<DiffusionPipeline> {
    let of_text = matches!(pipeline, DiffusionPipeline::StableDiffusion(_));
    Ok(match images {
        InputImages { image: Some(_), mask: Some(_) }
            if !matches!(pipeline, DiffusionPipeline::RePaint(_)) =>
        {
            AutoPipelineForInpainting::from_pipe(&pipeline).context("--mask-image")?
        }
        InputImages { image: Some(_), mask: None } if of_text => {
            AutoPipelineForImage2Image::from_pipe(&pipeline).context("--image")?
        }
        _ => pipeline,
    })
}

/// The arguments of the pipeline's call: what was given, else what the checkpoint says, else Python's defaults.
fn call_arguments(
    pipeline: &DiffusionPipeline,
    arguments: GenerateArguments,
    images: InputImages,
    generator: Generator,
    output: &Output,
) -> anyhow::Result<PipelineArguments> {
    let class_name = pipeline.class_name();
    if let DiffusionPipeline::RePaint(_) = pipeline {
        let image = images.image.with_context(|| format!("a {class_name} needs an --image"))?;
        let mask = images.mask.with_context(|| format!("a {class_name} needs a --mask-image"))?;
        let config = pipeline.generation_config();
        return without_text::inpainting_arguments(&arguments, config, image, mask, generator, output);
    }
    if let Some(call) = without_text::call_arguments(pipeline, &arguments, &generator, output)? {
        return Ok(call);
    }
    let prompt =
        arguments.prompt().with_context(|| format!("PROMPT: a {class_name} needs to know what to show"))?;

    /// Arguments of a type, with those that all types have.
    macro_rules! common {
        ($arguments:ident { $($field:ident: $value:expr),* $(,)? }) => {{
            let default = pipeline.generation_config().apply_to($arguments::default());
            $arguments {
                prompt: vec![prompt],
                negative_prompt: arguments.negative_prompt.into_iter().collect(),
                num_inference_steps: arguments.steps.unwrap_or(default.num_inference_steps),
                guidance_scale: arguments.guidance_scale.unwrap_or(default.guidance_scale),
                num_images_per_prompt: arguments.num_images,
                eta: arguments.eta,
                clip_skip: arguments.clip_skip,
                generator: Some(generator.into()),
                output_type: output.output_type(),
                $($field: $value,)*
                ..default
            }
        }};
    }

    let image = || {
        let image = images.image.with_context(|| format!("a {class_name} needs an --image"))?;
        Ok::<_, anyhow::Error>(image.into())
    };
    let refuse = |option: &str, given: bool| {
        if given {
            bail!("{option}: a {class_name} knows no such option");
        }
        Ok(())
    };
    refuse("--class-labels", !arguments.class_labels.is_empty())?;
    if !matches!(pipeline, DiffusionPipeline::StableDiffusion(_)) {
        refuse("--guidance-rescale", arguments.guidance_rescale != 0.0)?;
        if !matches!(pipeline, DiffusionPipeline::StableDiffusionInpaint(_)) {
            // The size follows from the image.
            refuse("--height", arguments.height.is_some())?;
            refuse("--width", arguments.width.is_some())?;
        }
    }
    let strength = |default: f64| arguments.strength.unwrap_or(default);
    Ok(match pipeline {
        DiffusionPipeline::StableDiffusion(_) => common!(TextToImage {
            height: arguments.height,
            width: arguments.width,
            guidance_rescale: arguments.guidance_rescale,
        })
        .into(),
        DiffusionPipeline::StableDiffusionImg2Img(_) => {
            common!(ImageToImage { image: image()?, strength: strength(ImageToImage::default().strength) })
                .into()
        }
        DiffusionPipeline::StableDiffusionDepth2Img(_) => {
            common!(DepthToImage { image: image()?, strength: strength(DepthToImage::default().strength) })
                .into()
        }
        DiffusionPipeline::StableDiffusionInpaint(_) => {
            let original = image()?;
            let mask = images.mask.with_context(|| format!("a {class_name} needs a --mask-image"))?;
            common!(Inpaint {
                image: original,
                mask_image: mask.into(),
                height: arguments.height,
                width: arguments.width,
                strength: strength(Inpaint::default().strength),
            })
            .into()
        }
        DiffusionPipeline::StableDiffusionUpscale(_) => {
            refuse("--strength", arguments.strength.is_some())?;
            common!(Upscale { image: image()? }).into()
        }
        DiffusionPipeline::StableDiffusionInstructPix2Pix(_) => {
            refuse("--strength", arguments.strength.is_some())?;
            common!(InstructPix2Pix { image: image()? }).into()
        }
        _ => bail!("a {class_name} cannot be run from the command line"),
    })
}
