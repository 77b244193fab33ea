//! Inpainting: repaints a part of an image, which the transformer looks at as well.

use burn::tensor::Tensor;
use image::DynamicImage;

use super::arguments::prompt_arguments;
use super::components::Flux2KleinComponents;
use super::denoising::Run;
use super::pipeline_fields::expose_fields;
use super::reference_images::ReferenceTokens;
use crate::error::{Error, Result};
use crate::image_processor::{PipelineImageInput, ResizeMode, VaeImageProcessor};
use crate::interpolation::{Corners, Interpolation, interpolate};
use crate::pipelines::common::denoising::AfterStep;
use crate::pipelines::common::flow_timesteps::start_flow_from_image;
use crate::pipelines::common::ignored::warn_of_ignored;
use crate::pipelines::common::image_latents::PreparedImage;
use crate::pipelines::common::inpainting::{Crop, MaskedImage, PutBack, Start};
use crate::pipelines::common::latents::repeat_batch;
use crate::pipelines::common::reference_images::{MOST_AREA, limited};
use crate::pipelines::common::strength::Strength;
use crate::pipelines::model_index::ModelIndex;
use crate::pipelines::output::ImagePipelineOutput;
use crate::pipelines::pipeline::Pipeline;
use crate::schedulers::Scheduler;

/// Repaints the masked part of an image according to a prompt, and possibly further reference images. The rest is put back after
/// each step.
///
/// Its fields are those of [`Flux2KleinComponents`].
#[derive(Clone, Debug)]
pub struct Flux2KleinInpaintPipeline {
    components: Flux2KleinComponents,
    index: ModelIndex,
    progress_bar: bool,
}

prompt_arguments! {
    /// The arguments of a call; names and defaults are those of Python's `Flux2KleinInpaintPipeline.__call__`. The result has the
    /// size of the image, rounded down to a multiple of 16; an image of more than a megapixel is made smaller.
    pub struct Flux2KleinInpaint: "inpainting with FLUX.2 klein", steps: 50, layers: KLEIN_LAYERS, guidance: 8.0 {
        /// The images to repaint in part: one for all prompts, or one for each. A tensor with as many channels as a patch has values is
        /// treated as latents in patches.
        pub image: PipelineImageInput = PipelineImageInput::Images(Vec::new()),
        /// Further images to look at, all of the size of the first: one for all prompts, one for each, or several for all of them.
        pub image_reference: Option<PipelineImageInput> = None,
        /// The masks, white where to repaint and black where to keep the image: one for all images, or one for each.
        pub mask_image: PipelineImageInput = PipelineImageInput::Images(Vec::new()),
        /// Repaint only the masked part and this many pixels around it, at the size of the whole image.
        pub padding_mask_crop: Option<usize> = None,
        /// How much of the masked part to change, from 0 to 1; at 1 nothing of it is left.
        pub strength: f64 = 0.8,
    }
}

impl Flux2KleinInpaint {
    /// Arguments with one prompt, images, masks, and the defaults.
    pub fn new(
        prompt: impl Into<String>,
        image: impl Into<PipelineImageInput>,
        mask_image: impl Into<PipelineImageInput>,
    ) -> Self {
        Self {
            prompt: vec![prompt.into()],
            image: image.into(),
            mask_image: mask_image.into(),
            ..Self::default()
        }
    }
}

impl Flux2KleinComponents {
    /// Rows and columns of the patches of an image: those of latents in patches, or those of its size, rounded down.
    fn patch_grid_of(&self, image: &PipelineImageInput) -> Result<[usize; 2]> {
        match image {
            PipelineImageInput::Tensor(values) if values.dims()[1] == self.patch_features() => {
                Ok([values.dims()[2], values.dims()[3]])
            }
            image => {
                let size = self.image_processor().get_default_height_width(image, None, None)?;
                Ok(size.map(|side| side / self.patch_pixels()))
            }
        }
    }
}

impl Pipeline for Flux2KleinInpaintPipeline {
    const CLASS_NAME: &'static str = "Flux2KleinInpaintPipeline";

    type Arguments = Flux2KleinInpaint;

    fn call(&mut self, arguments: impl Into<Flux2KleinInpaint>) -> Result<ImagePipelineOutput> {
        let mut arguments = arguments.into();
        let strength = Strength::new(arguments.strength, Flux2KleinInpaint::default().strength)?;
        let images = arguments.check()?;
        let why = "the result has the size of the image";
        warn_of_ignored("height", arguments.height.is_some(), why);
        warn_of_ignored("width", arguments.width.is_some(), why);
        let mut settings = arguments.settings();
        let components = &mut self.components;
        let processor = components.image_processor();
        let features = components.patch_features();
        let is_latent =
            matches!(&arguments.image, PipelineImageInput::Tensor(values) if values.dims()[1] == features);
        let image = match is_latent {
            true => arguments.image.clone(),
            false => limited(&processor, &arguments.image, MOST_AREA)?,
        };
        let size = components.patch_grid_of(&image)?;
        let pixels = size.map(|patches| patches * components.patch_pixels());
        let (mut mask, mut crop) = (arguments.mask_image.clone(), None);
        if let Some(pad) = arguments.padding_mask_crop {
            mask = resized_like(&processor, &mask, &arguments.image, &image)?;
            crop = Some(Crop::new(&image, &mask, pad, pixels, settings.output_type)?);
        }
        let device = components.transformer.device();
        let masked = MaskedImage::new(&processor, &image, &mask, pixels, crop.as_ref(), &device)?;
        let mask = interpolate(masked.mask, size, Interpolation::Bilinear, Corners::Free);
        let mask = repeat_batch("mask_image", mask, images)?;
        let reference = match &arguments.image_reference {
            Some(PipelineImageInput::Tensor(values)) if values.dims()[1] == features => {
                Some(PreparedImage::Latents(values.clone()))
            }
            Some(reference) => Some(components.cropped(reference).map_err(of_reference)?),
            None => None,
        };

        let texts = components.embed(&arguments.prompts(), &self.index)?;
        let sigmas = arguments.sigmas.as_deref();
        let steps = components.set_timesteps(arguments.num_inference_steps, sigmas, size)?;
        let (timesteps, steps) = start_flow_from_image(&mut *components.scheduler, steps, strength)?;
        let image = components.encode(masked.image, &self.index)?;
        let (given, generator) = (arguments.latents.take(), &mut settings.generator);
        let image = repeat_batch("image", image, images)?;
        let start = Start::of_flow(image, given, timesteps[0], generator, &*components.scheduler)?;
        let mut references = vec![start.image.clone().expect("made above")];
        if let Some(reference) = reference {
            references.push(components.encode(reference, &self.index).map_err(of_reference)?);
        }
        let references = Some(ReferenceTokens::new(references, images)?);
        let latents = start.latents.clone();
        let put_back = PutBack { start, mask, levels: timesteps.clone() };
        let mut put_back = |index: usize, latents: Tensor<4>, scheduler: &dyn Scheduler| {
            put_back.apply(index, latents, scheduler)
        };
        let after_step: Option<AfterStep<'_>> = Some(&mut put_back);
        let run =
            Run { timesteps, steps, texts, references, keeps_references: false, guidance: None, after_step };
        let mut made = components.run(latents, run, settings, &self.index, self.progress_bar)?;
        if let Some(crop) = crop {
            made.images = crop.put_back(&processor, made.images)?;
        }
        Ok(made)
    }

    crate::pipelines::pipeline_fields::component_methods!(Flux2KleinComponents);
}

/// A mask in the size that its image was made smaller to, if it was.
fn resized_like(
    processor: &VaeImageProcessor,
    mask: &PipelineImageInput,
    image: &PipelineImageInput,
    smaller: &PipelineImageInput,
) -> Result<PipelineImageInput> {
    let size = |input: &PipelineImageInput| {
        let first: Option<&DynamicImage> = input.images().and_then(<[_]>::first);
        first.map(|image| [image.height(), image.width()])
    };
    match (mask.images(), size(smaller)) {
        (Some(masks), Some([height, width])) if size(image) != size(smaller) && size(mask) == size(image) => {
            let (height, width) = (height as usize, width as usize);
            let masks = masks.iter().map(|mask| processor.resize(mask, height, width, ResizeMode::Default));
            Ok(masks.collect::<Result<Vec<_>>>()?.into())
        }
        _ => Ok(mask.clone()),
    }
}

/// An error of preparing images, about the argument `image_reference`.
fn of_reference(error: Error) -> Error {
    match error {
        Error::InvalidArgument { argument: "image", message } => Error::argument("image_reference", message),
        other => other,
    }
}

expose_fields!(Flux2KleinInpaintPipeline, Flux2KleinComponents, distilled: false);
