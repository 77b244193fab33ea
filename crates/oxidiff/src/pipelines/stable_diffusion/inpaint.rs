//! Inpainting: part of an image is repainted. A UNet that was trained for it is given the mask and the image without that
//! part; any other UNet denoises all of the image, of which the rest is put back behind each step (as in RePaint, Lugmayr
//! et al. 2022, <https://arxiv.org/abs/2201.09865>).

use burn::tensor::{DType, Tensor};
use image::DynamicImage;

use super::arguments::{call_arguments, check_strength};
use super::components::{Correction, StableDiffusionComponents, correct};
use super::denoising::{AfterStep, Denoising};
use super::image_latents::{PreparedImage, check_generators, draw, repeat_batch};
use super::pipeline_fields::expose_fields;
use super::timesteps::{choose_timesteps, no_step_left, start_from_image};
use crate::error::{Error, Result};
use crate::image_processor::{
    CropRegion, Images, OutputType, PipelineImageInput, PreprocessOptions, ResizeMode, VaeImageProcessor,
    resize_nearest,
};
use crate::loading::LoadOptions;
use crate::loading::folder::Folder;
use crate::models::model::Model;
use crate::models::unets::UNet2DConditionInputs;
use crate::pipelines::model_index::ModelIndex;
use crate::pipelines::output::ImagePipelineOutput;
use crate::pipelines::pipeline::{Component, Pipeline};
use crate::pipelines::pipeline_fields::{field_methods, vae_methods};
use crate::random::Generators;
use crate::schedulers::Scheduler;

/// Repaints the masked part of an image as a prompt says.
///
/// Its fields are those of [`StableDiffusionComponents`].
///
/// ```
/// use oxidiff::{Inpaint, Pipeline, StableDiffusionInpaintPipeline, image::DynamicImage};
///
/// # let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/emoji-diffusion");
/// let mut pipeline = StableDiffusionInpaintPipeline::from_pretrained(folder)?;
/// let (image, mut mask) = (DynamicImage::new_rgb8(128, 128), DynamicImage::new_luma8(128, 128));
/// mask.invert();
/// let arguments = Inpaint { num_inference_steps: 4, ..Inpaint::new("red apple", image, mask) };
/// let images = pipeline.call(arguments)?.images.into_images();
/// assert_eq!(images[0].width(), 128);
/// # Ok::<(), oxidiff::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct StableDiffusionInpaintPipeline {
    components: StableDiffusionComponents,
    index: ModelIndex,
    progress_bar: bool,
}

call_arguments! {
    /// The arguments of a call; names and defaults are those of Python's `StableDiffusionInpaintPipeline.__call__`.
    pub struct Inpaint {
        num_inference_steps: 50,
        guidance_scale: 7.5,
        /// The images of which a part is repainted: one for all prompts, or one for each. They are resized to `height` and
        /// `width`. A tensor of four channels is taken for latents.
        pub image: PipelineImageInput = PipelineImageInput::Images(Vec::new()),
        /// What to repaint, white, and what to keep, black: one for all images, or one for each.
        pub mask_image: PipelineImageInput = PipelineImageInput::Images(Vec::new()),
        /// The latents of the images without the masked part, instead of encoding them:
        /// `[images, channels, height / 8, width / 8]`.
        pub masked_image_latents: Option<Tensor<4>> = None,
        /// Height of the images in pixels; by default that of the images that the model was trained on.
        pub height: Option<usize> = None,
        /// Width of the images in pixels; by default that of the images that the model was trained on.
        pub width: Option<usize> = None,
        /// Works on the masked part and so many pixels around it, as large as the whole image would be, and puts the result
        /// back into the image. Image and mask must then be one image each.
        pub padding_mask_crop: Option<usize> = None,
        /// How much of the masked part to change, from 0 to 1; at 1 nothing of it is left.
        pub strength: f64 = 1.0,
        /// The timesteps of the whole run, where the scheduler shall not choose them.
        pub timesteps: Option<Vec<f32>> = None,
        /// The noise levels of the whole run, where the scheduler shall not choose them.
        pub sigmas: Option<Vec<f32>> = None,
        /// The noise to start from, `[images, channels, height / 8, width / 8]`, instead of drawing it.
        pub latents: Option<Tensor<4>> = None,
    }
}

impl Inpaint {
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

    /// The part of the image to work on, where it is not all of it.
    fn crop(&self, height: usize, width: usize) -> Result<Option<Crop>> {
        let Some(pad) = self.padding_mask_crop else { return Ok(None) };
        let one = |argument, input: &PipelineImageInput| match input {
            PipelineImageInput::Images(images) if images.len() == 1 => Ok(images[0].clone()),
            _ => Err(Error::argument(argument, "must be one image where `padding_mask_crop` is given")),
        };
        if self.output_type != OutputType::Image {
            let message = "must be images where `padding_mask_crop` is given";
            return Err(Error::argument("output_type", message));
        }
        let (image, mask) = (one("image", &self.image)?, one("mask_image", &self.mask_image)?);
        if (image.width(), image.height()) != (mask.width(), mask.height()) {
            let message = format!(
                "is {}x{}, `image` {}x{}: with `padding_mask_crop` they must be of one size",
                mask.width(),
                mask.height(),
                image.width(),
                image.height()
            );
            return Err(Error::argument("mask_image", message));
        }
        let region = VaeImageProcessor::get_crop_region(&mask, width, height, pad)?;
        Ok(Some(Crop { image, mask, region }))
    }
}

/// The images that a part was taken from, and which part.
struct Crop {
    image: DynamicImage,
    mask: DynamicImage,
    region: CropRegion,
}

impl Crop {
    /// Puts each image in the place of the part.
    fn put_back(&self, processor: &VaeImageProcessor, images: Images) -> Result<Images> {
        let put_back = |image| processor.apply_overlay(&self.mask, &self.image, &image, Some(self.region));
        Ok(Images::Image(images.into_images().into_iter().map(put_back).collect::<Result<_>>()?))
    }
}

/// What the latents are made from before the first step.
struct Start {
    latents: Tensor<4>,
    noise: Tensor<4>,
    /// The image's latents, where they are needed behind each step.
    image: Option<Tensor<4>>,
}

impl StableDiffusionInpaintPipeline {
    /// A pipeline of the given parts.
    ///
    /// # Errors
    /// When the parts do not fit each other.
    pub fn new(components: StableDiffusionComponents) -> Result<Self> {
        let mut index = ModelIndex::of_class(Self::CLASS_NAME);
        index.set_option("requires_safety_checker", false);
        Self::assemble(components, index)
    }

    fn assemble(mut components: StableDiffusionComponents, mut index: ModelIndex) -> Result<Self> {
        let masked = components.vae.latent_channels() + 1;
        components.check_channels(&[0, masked])?;
        components.scheduler =
            correct(components.scheduler, &[Correction::StepsOffset, Correction::SkipPrkSteps])?;
        components.prepare_index(&mut index, &StableDiffusionComponents::INDEX_NAMES)?;
        Ok(Self { components, index, progress_bar: true })
    }

    /// Whether the UNet was trained to be given the mask and the masked image.
    fn is_given_mask(&self) -> bool {
        self.unet.config().in_channels != self.vae.latent_channels()
    }

    /// The latents to start from, `shape`. Draws first for the image's latents, where they are needed, then the noise.
    fn start(
        &self,
        image: PreparedImage,
        arguments: &Inpaint,
        shape: [usize; 4],
        timestep: f32,
        generator: &mut Generators,
    ) -> Result<Start> {
        let [images, ..] = shape;
        let (dtype, device) = (self.text_encoder.dtype(), image.device());
        let from_image = arguments.latents.is_none() && arguments.strength < 1.0;
        let image = if from_image || !self.is_given_mask() {
            let latents = self.sample_latents(image, generator, &self.index)?;
            if latents.dims()[2..] != shape[2..] {
                let message = format!("has latents of shape {:?}, this call needs {shape:?}", latents.dims());
                return Err(Error::argument("image", message));
            }
            Some(repeat_batch("image", latents, images)?)
        } else {
            None
        };
        let (latents, noise) = match (&arguments.latents, &image) {
            (Some(noise), _) => {
                if noise.dims() != shape {
                    let message = format!("have shape {:?}, this call needs {shape:?}", noise.dims());
                    return Err(Error::argument("latents", message));
                }
                let noise = noise.clone().to_device(&device);
                (noise.clone() * self.scheduler.init_noise_sigma(), noise)
            }
            (None, Some(image)) if from_image => {
                let noise = generator.randn(shape, dtype, &device)?;
                (self.scheduler.add_noise(image.clone(), noise.clone(), &vec![timestep; images])?, noise)
            }
            _ => {
                let noise = generator.randn(shape, dtype, &device)?;
                (noise.clone() * self.scheduler.init_noise_sigma(), noise)
            }
        };
        Ok(Start { latents, noise, image })
    }

    /// The latents of the image without its masked part, one for each image given; none where the UNet does not take them.
    /// Then only the noise is drawn that they take: the steps' noise comes behind it.
    fn masked_latents(
        &self,
        image: PreparedImage,
        mask: &Tensor<4>,
        given: Option<Tensor<4>>,
        generator: &mut Generators,
    ) -> Result<Option<Tensor<4>>> {
        let masked = match given {
            Some(given) if given.dims()[1] == self.vae.latent_channels() => PreparedImage::Latents(given),
            Some(given) => PreparedImage::Pixels(given),
            None => {
                let image = image.into_values();
                let ([images, _, height, width], [masks, _, mask_height, mask_width]) =
                    (image.dims(), mask.dims());
                if [height, width] != [mask_height, mask_width] {
                    let message = "are needed where `image` is latents";
                    return Err(Error::argument("masked_image_latents", message));
                }
                if images != masks && images != 1 && masks != 1 {
                    let message = format!("{masks} of them for {images} images");
                    return Err(Error::argument("mask_image", message));
                }
                PreparedImage::Pixels(image * (mask.clone().neg() + 1.0))
            }
        };
        let masked = masked.cast(self.text_encoder.dtype(), &mask.device());
        match masked {
            PreparedImage::Pixels(pixels) if !self.is_given_mask() => {
                let [items, _, height, width] = pixels.dims();
                let (channels, factor) = (self.vae.latent_channels(), self.vae.scale_factor());
                draw([items, channels, height / factor, width / factor], &pixels, generator)?;
                Ok(None)
            }
            masked if self.is_given_mask() => {
                Ok(Some(self.sample_latents(masked, generator, &self.index)?))
            }
            _ => Ok(None),
        }
    }
}

impl Pipeline for StableDiffusionInpaintPipeline {
    const CLASS_NAME: &'static str = "StableDiffusionInpaintPipeline";

    type Arguments = Inpaint;

    fn load(folder: &Folder, index: ModelIndex, options: &LoadOptions) -> Result<Self> {
        Self::assemble(StableDiffusionComponents::load(folder, &index, options)?, index)
    }

    fn from_components(components: &[(&'static str, Component<'_>)], index: ModelIndex) -> Result<Self> {
        let index = index.for_class(Self::CLASS_NAME, &StableDiffusionComponents::INDEX_NAMES);
        Self::assemble(StableDiffusionComponents::of(components)?, index)
    }

    fn call(&mut self, arguments: impl Into<Inpaint>) -> Result<ImagePipelineOutput> {
        let mut arguments = arguments.into();
        check_strength(arguments.strength)?;
        let images = arguments.check()?;
        let factor = self.vae.scale_factor();
        let [rows, columns] = self.latent_size(factor, arguments.height, arguments.width)?;
        let [height, width] = [rows * factor, columns * factor];
        let crop = arguments.crop(height, width)?;
        let guidance = self.classifier_free_guidance(arguments.guidance_scale, 0.0);
        let text = self.embed(&arguments.prompts(), guidance)?.for_guidance();
        let device = text.device();
        let dtype = self.text_encoder.dtype();

        let all_steps = choose_timesteps(
            &mut *self.scheduler,
            arguments.num_inference_steps,
            arguments.timesteps.as_deref(),
            arguments.sigmas.as_deref(),
        )?;
        let (timesteps, steps) = start_from_image(&mut *self.scheduler, all_steps, arguments.strength)?;
        if steps == 0 {
            return Err(no_step_left(arguments.strength, all_steps));
        }

        let options = PreprocessOptions {
            height: Some(height),
            width: Some(width),
            resize_mode: if crop.is_some() { ResizeMode::Fill } else { ResizeMode::Default },
            crops_coords: crop.as_ref().map(|crop| crop.region),
        };
        let image = PreparedImage::new(&self.image_processor(), &arguments.image, options)?;
        let image = image.cast(DType::F32, &device);
        let mask = VaeImageProcessor::of_masks(factor).preprocess(&arguments.mask_image, options)?;
        let mask = mask.to_device(&device);
        if mask.dims()[1] != 1 {
            let message = format!("has {} channels; a mask has one", mask.dims()[1]);
            return Err(Error::argument("mask_image", message));
        }

        let mut generator = arguments.generator.take().unwrap_or_else(Generators::from_entropy);
        check_generators(&generator, images)?;
        let shape = [images, self.vae.latent_channels(), rows, columns];
        let start =
            self.start(image.clone().cast(dtype, &device), &arguments, shape, timesteps[0], &mut generator)?;
        let given = arguments.masked_image_latents.take();
        let masked = self.masked_latents(image, &mask, given, &mut generator)?;
        let mask = resize_nearest(mask, [rows, columns]).cast(dtype);
        let mask = repeat_batch("mask_image", mask, images)?;

        let further_channels = match masked {
            Some(masked) => {
                let masked = repeat_batch("masked_image_latents", masked, images)?;
                if masked.dims() != shape {
                    let message = format!("have shape {:?}, this call needs {shape:?}", masked.dims());
                    return Err(Error::argument("masked_image_latents", message));
                }
                let each = Tensor::cat(vec![mask.clone(), masked], 1);
                Some(Tensor::cat(vec![each; guidance.copies()], 0))
            }
            None => None,
        };
        let levels = timesteps.clone();
        let Start { latents, noise, image } = start;
        let mut put_back = |index: usize, latents: Tensor<4>, scheduler: &dyn Scheduler| {
            let Some(image) = &image else { return Ok(latents) };
            let original = match levels.get(index + 1) {
                Some(&level) => scheduler.add_noise(image.clone(), noise.clone(), &vec![level; images])?,
                None => image.clone(),
            };
            Ok((mask.clone().neg() + 1.0) * original + mask.clone() * latents)
        };
        let after_step: Option<AfterStep<'_>> = if self.is_given_mask() { None } else { Some(&mut put_back) };

        let timestep_cond = self.embed_guidance_scale(arguments.guidance_scale, images, &device);
        let run = Denoising {
            timesteps,
            steps,
            text,
            guidance,
            inputs: UNet2DConditionInputs { timestep_cond, ..Default::default() },
            further_channels,
            after_step,
            eta: arguments.eta,
            generator: &mut generator,
            index: &self.index,
            output_type: arguments.output_type,
            callback: arguments.callback_on_step_end,
            progress_bar: self.progress_bar,
        };
        let latents = self.components.denoise(latents, run)?;
        let mut output = self.decode(latents, arguments.output_type, &self.index)?;
        if let Some(crop) = crop {
            output.images = crop.put_back(&self.image_processor(), output.images)?;
        }
        Ok(output)
    }

    fn components(&self) -> Vec<(&'static str, Component<'_>)> {
        self.components.list()
    }

    field_methods!();
    vae_methods!();
}

expose_fields!(StableDiffusionInpaintPipeline);
