//! Editing images by instructions (InstructPix2Pix, Brooks et al. 2022, <https://arxiv.org/abs/2211.09800>).

use burn::tensor::Tensor;

use super::arguments::prompt_arguments;
use super::components::{Options, StableDiffusionXLComponents};
use super::denoising::Run;
use super::ensemble;
use super::micro_conditioning::Conditions;
use super::pipeline_fields::{expose_fields, pipeline_methods};
use crate::error::{Error, Result};
use crate::image_processor::{PipelineImageInput, PreprocessOptions};
use crate::pipelines::common::arguments::check_finite;
use crate::pipelines::common::guidance::Guidance;
use crate::pipelines::common::image_latents::{PreparedImage, likeliest_latents};
use crate::pipelines::common::latents::repeat_batch;
use crate::pipelines::common::timesteps::choose_timesteps;
use crate::pipelines::model_index::ModelIndex;
use crate::pipelines::output::ImagePipelineOutput;
use crate::pipelines::pipeline::Pipeline;
use crate::schedulers::zero_terminal_snr;

/// Edits an image according to an instruction.
///
/// Its fields are those of [`StableDiffusionXLComponents`].
#[derive(Clone, Debug)]
pub struct StableDiffusionXLInstructPix2PixPipeline {
    components: StableDiffusionXLComponents,
    options: Options,
    /// Whether the model receives scaled latents of the image, as CosXL Edit does.
    scales_image: bool,
    index: ModelIndex,
    progress_bar: bool,
}

prompt_arguments! {
    /// The arguments of a call; names and defaults are those of Python's
    /// `StableDiffusionXLInstructPix2PixPipeline.__call__`.
    pub struct StableDiffusionXLInstructPix2Pix: "editing by instructions with Stable Diffusion XL" {
        num_inference_steps: 100,
        guidance_scale: 5.0,
        /// The images to edit: one for all prompts, or one for each. They are resized to `height` and `width`. A tensor
        /// with four channels is treated as latents.
        pub image: PipelineImageInput = PipelineImageInput::Images(Vec::new()),
        /// Height of the images in pixels; by default that of the model's training images.
        pub height: Option<usize> = None,
        /// Width of the images in pixels; by default that of the model's training images.
        pub width: Option<usize> = None,
        /// How closely the result follows the image; below 1 all guidance is off.
        pub image_guidance_scale: f64 = 1.5,
    }
}

impl StableDiffusionXLInstructPix2Pix {
    /// Arguments with one instruction, images to edit, and the defaults.
    pub fn new(prompt: impl Into<String>, image: impl Into<PipelineImageInput>) -> Self {
        Self { prompt: vec![prompt.into()], image: image.into(), ..Self::default() }
    }
}

impl StableDiffusionXLInstructPix2PixPipeline {
    const IS_COSXL_EDIT: &'static str = "is_cosxl_edit";

    /// The names that its index can have.
    const INDEX_NAMES: [&str; 9] = [
        "vae",
        "text_encoder",
        "text_encoder_2",
        "tokenizer",
        "tokenizer_2",
        "unet",
        "scheduler",
        Options::FORCE_ZEROS,
        Self::IS_COSXL_EDIT,
    ];

    /// A pipeline with the given parts.
    ///
    /// # Errors
    /// When the parts do not fit each other.
    pub fn new(components: StableDiffusionXLComponents) -> Result<Self> {
        Self::assemble(components, ModelIndex::of_class(Self::CLASS_NAME))
    }

    fn assemble(components: StableDiffusionXLComponents, mut index: ModelIndex) -> Result<Self> {
        components.check_channels(&[components.vae.latent_channels()])?;
        zero_terminal_snr::check_configuration(&*components.scheduler)?;
        components.prepare_index(&mut index)?;
        let options = Options::read(&mut index, false)?;
        let scales_image = match index.option(Self::IS_COSXL_EDIT) {
            None => false,
            Some(value) => value.as_bool().ok_or_else(|| {
                let message = format!("must be true or false, not {value}");
                Error::config(index.origin(), Self::IS_COSXL_EDIT, message)
            })?,
        };
        Ok(Self { components, options, scales_image, index, progress_bar: true })
    }
}

impl Pipeline for StableDiffusionXLInstructPix2PixPipeline {
    const CLASS_NAME: &'static str = "StableDiffusionXLInstructPix2PixPipeline";

    type Arguments = StableDiffusionXLInstructPix2Pix;

    fn call(
        &mut self,
        arguments: impl Into<StableDiffusionXLInstructPix2Pix>,
    ) -> Result<ImagePipelineOutput> {
        let mut arguments = arguments.into();
        check_finite("image_guidance_scale", arguments.image_guidance_scale)?;
        ensemble::check(None, arguments.denoising_end)?;
        let images = arguments.check()?;
        let mut settings = arguments.settings();
        let factor = self.vae.scale_factor();
        // Sides are rounded down to multiples of the factor, as the sides of the image are.
        let round = |side: Option<usize>| side.map(|side| side / factor * factor);
        let [rows, columns] = self.latent_size(factor, round(arguments.height), round(arguments.width))?;
        let size = [arguments.height.unwrap_or(rows * factor), arguments.width.unwrap_or(columns * factor)];
        let guidance = if arguments.guidance_scale > 1.0 && arguments.image_guidance_scale >= 1.0 {
            Guidance::TextAndImage {
                scale: arguments.guidance_scale,
                image_scale: arguments.image_guidance_scale,
                rescale: arguments.guidance_rescale,
            }
        } else {
            Guidance::Off
        };
        let force_zeros = self.options.force_zeros_for_empty_prompt;
        let text =
            self.embed(&arguments.prompts(), None, guidance, force_zeros)?.for_text_and_image_guidance();
        let (dtype, device) = (self.dtype(), self.text_device());

        let options = PreprocessOptions {
            height: Some(rows * factor),
            width: Some(columns * factor),
            ..Default::default()
        };
        let image = PreparedImage::new(&self.image_processor(), &arguments.image, options)?;
        let steps = choose_timesteps(&mut *self.scheduler, arguments.num_inference_steps, None, None)?;
        let vae = self.precise_vae();
        let is_pixels = matches!(image, PreparedImage::Pixels(_));
        let image = likeliest_latents(&*vae, image.cast(dtype, &device), &self.index)?;
        let image = if self.scales_image && is_pixels { image * vae.scaling_factor() } else { image };
        let image = repeat_batch("image", image, images)?;

        settings.generator.check(images)?;
        let shape = [images, self.vae.latent_channels(), rows, columns];
        if image.dims() != shape {
            let message = format!("has latents of shape {:?}, this call needs {shape:?}", image.dims());
            return Err(Error::argument("image", message));
        }
        let latents = self.initial_latents(arguments.latents, shape, &mut settings.generator)?;
        let all = self.scheduler.timesteps().to_vec();
        let (timesteps, steps) = ensemble::stop_early(&*self.scheduler, all, steps, arguments.denoising_end)?;
        let image = match guidance {
            Guidance::Off => image,
            _ => Tensor::cat(vec![image.clone(), image.clone(), image.zeros_like()], 0),
        };
        let conditions = Conditions::Size {
            original: arguments.original_size.unwrap_or(size),
            crop: arguments.crops_coords_top_left,
            target: arguments.target_size.unwrap_or(size),
        };
        let run = Run {
            timesteps,
            steps,
            text,
            ip_adapter: None,
            conditions: vec![conditions; images * guidance.copies()],
            guidance,
            timestep_cond: None,
            further_channels: Some(image),
            control: None,
            after_step: None,
        };
        self.components.run(latents, run, settings, &self.index, self.progress_bar)
    }

    pipeline_methods!();
}

expose_fields!(StableDiffusionXLInstructPix2PixPipeline);
