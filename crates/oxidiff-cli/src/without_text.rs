//! The arguments of pipelines that are given no text.

use anyhow::{Context, bail};
use oxidiff::image::DynamicImage;
use oxidiff::{
    ClassConditional, DiTPipeline, DiffusionPipeline, GenerationConfig, Generator, PipelineArguments,
    RePaint, Unconditional,
};

use crate::arguments::GenerateArguments;
use crate::output::Output;

/// More images at once than fit into any memory.
const MOST_IMAGES: usize = 65_536;

/// The arguments of the call of a pipeline that is given no text; `None` for the others.
pub(crate) fn call_arguments(
    pipeline: &DiffusionPipeline,
    arguments: &GenerateArguments,
    generator: &Generator,
    output: &Output,
) -> anyhow::Result<Option<PipelineArguments>> {
    let labels = match pipeline {
        DiffusionPipeline::DDPM(_)
        | DiffusionPipeline::DDIM(_)
        | DiffusionPipeline::PNDM(_)
        | DiffusionPipeline::ScoreSdeVe(_) => None,
        DiffusionPipeline::ConsistencyModel(_) => Some(None),
        DiffusionPipeline::DiT(dit) => Some(Some(dit)),
        _ => return Ok(None),
    };
    let class_name = pipeline.class_name();
    for (option, given) in [
        ("--prompt", arguments.prompt().is_some()),
        ("--negative-prompt", arguments.negative_prompt.is_some()),
        ("--image", arguments.image.is_some()),
        ("--height", arguments.height.is_some()),
        ("--width", arguments.width.is_some()),
        ("--guidance-scale", arguments.guidance_scale.is_some() && !matches!(labels, Some(Some(_)))),
        ("--guidance-rescale", arguments.guidance_rescale != 0.0),
        ("--clip-skip", arguments.clip_skip.is_some()),
        ("--class-labels", !arguments.class_labels.is_empty() && labels.is_none()),
    ] {
        if given {
            bail!("{option}: a {class_name} knows no such option; it makes images from noise alone");
        }
    }
    let class_labels = numbers(&arguments.class_labels, labels.flatten())?;
    let images = class_labels.len().max(1).saturating_mul(arguments.num_images);
    if images == 0 || images > MOST_IMAGES {
        bail!("--num-images: 1 to {MOST_IMAGES} images can be made at once, not {images}");
    }
    // The images of one class next to each other, as those of one prompt are.
    let class_labels: Vec<usize> =
        class_labels.into_iter().flat_map(|label| vec![label; arguments.num_images]).collect();

    if let DiffusionPipeline::DiT(_) = pipeline {
        if class_labels.is_empty() {
            bail!("--class-labels: a {class_name} needs to know what to show");
        }
        if arguments.eta != 0.0 {
            bail!("--eta: a {class_name} knows no such option");
        }
        let defaults = pipeline.generation_config().apply_to(ClassConditional::new(class_labels));
        return Ok(Some(
            ClassConditional {
                guidance_scale: arguments.guidance_scale.unwrap_or(defaults.guidance_scale),
                num_inference_steps: arguments.steps.unwrap_or(defaults.num_inference_steps),
                generator: Some(generator.clone().into()),
                output_type: output.output_type(),
                ..defaults
            }
            .into(),
        ));
    }
    let defaults = pipeline.generation_config().apply_to(Unconditional::default());
    Ok(Some(
        Unconditional {
            batch_size: images,
            num_inference_steps: arguments.steps.or(defaults.num_inference_steps),
            class_labels: (!class_labels.is_empty()).then_some(class_labels),
            eta: arguments.eta,
            generator: Some(generator.clone().into()),
            output_type: output.output_type(),
            ..defaults
        }
        .into(),
    ))
}

/// The arguments of an inpainting call that is given no text: so many times the image.
pub(crate) fn inpainting_arguments(
    arguments: &GenerateArguments,
    config: &GenerationConfig,
    image: DynamicImage,
    mask: DynamicImage,
    generator: Generator,
    output: &Output,
) -> anyhow::Result<PipelineArguments> {
    for (option, given) in [
        ("--prompt", arguments.prompt().is_some()),
        ("--negative-prompt", arguments.negative_prompt.is_some()),
        ("--class-labels", !arguments.class_labels.is_empty()),
        ("--height", arguments.height.is_some()),
        ("--width", arguments.width.is_some()),
        ("--strength", arguments.strength.is_some()),
        ("--guidance-scale", arguments.guidance_scale.is_some()),
        ("--guidance-rescale", arguments.guidance_rescale != 0.0),
        ("--clip-skip", arguments.clip_skip.is_some()),
    ] {
        if given {
            bail!("{option}: a RePaintPipeline knows no such option; it is given an image and a mask alone");
        }
    }
    let images = arguments.num_images;
    if images == 0 || images > MOST_IMAGES {
        bail!("--num-images: 1 to {MOST_IMAGES} images can be made at once, not {images}");
    }
    let defaults = config.apply_to(RePaint::default());
    Ok(RePaint {
        image: vec![image; images].into(),
        mask_image: mask.into(),
        num_inference_steps: arguments.steps.unwrap_or(defaults.num_inference_steps),
        eta: arguments.eta,
        generator: Some(generator.into()),
        output_type: output.output_type(),
        ..defaults
    }
    .into())
}

/// The classes that are meant: by their numbers or, where the pipeline knows them, their names.
fn numbers(labels: &[String], pipeline: Option<&DiTPipeline>) -> anyhow::Result<Vec<usize>> {
    let number = |label: &String| match (label.trim().parse(), pipeline) {
        (Ok(number), _) => Ok(number),
        (Err(_), Some(dit)) => Ok(dit.get_label_ids(&[label.trim()]).context("--class-labels")?[0]),
        (Err(_), None) => bail!("--class-labels {label}: must be the number of a class"),
    };
    labels.iter().map(number).collect()
}
