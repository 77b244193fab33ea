//! The pipeline that takes images apart.

use burn::tensor::{Int, Tensor};
use image::DynamicImage;

use super::Layering;
use crate::error::{Error, Result};
use crate::image_processor::{Bitmap, PipelineImageInput, PreprocessOptions};
use crate::pipelines::common::flow_timesteps::{SpreadBy, choose_flow_timesteps};
use crate::pipelines::common::image_latents::PreparedImage;
use crate::pipelines::common::patches::PATCH_SIZE;
use crate::pipelines::model_index::ModelIndex;
use crate::pipelines::output::ImagePipelineOutput;
use crate::pipelines::pipeline::Pipeline;
use crate::pipelines::qwen_image::arguments::{Settings, check, prompt_arguments};
use crate::pipelines::qwen_image::components::QwenImageComponents;
use crate::pipelines::qwen_image::denoising::{Run, Seen};
use crate::pipelines::qwen_image::latents::tokens;
use crate::pipelines::qwen_image::processor::{expose_processor, processor_methods};
use crate::pipelines::qwen_image::size::{pictures, resized, size_of};
use crate::random::Generators;
use crate::text_encoders::Qwen2VLProcessor;

/// The sides of a square with as many pixels as the result can have.
const RESOLUTIONS: [usize; 2] = [640, 1024];
/// The tokens of the image for which noise levels are shifted by 1.
const BASE_TOKENS: f64 = 256.0;

/// Takes an image apart into layers with transparency, which laid over each other make the image again (Qwen-Image-Layered, Yin et al.
/// 2025, <https://arxiv.org/abs/2512.15603>). The prompt says what the whole image shows; without one, the text encoder writes it.
///
/// Its fields are those of [`QwenImageComponents`], and `processor`.
///
/// ```no_run
/// use oxidiff::{Images, Pipeline, QwenImageLayered, QwenImageLayeredPipeline, load_image_unconverted};
///
/// let mut pipeline = QwenImageLayeredPipeline::from_pretrained("Qwen/Qwen-Image-Layered")?;
/// let made = pipeline.call(QwenImageLayered {
///     layers: 3,
///     negative_prompt: vec![" ".to_owned()],
///     ..QwenImageLayered::captioned(load_image_unconverted("apple.png")?)
/// })?;
/// for (index, layer) in made.images.into_images().into_iter().enumerate() {
///     layer.save(format!("layer-{index}.png")).expect("the folder can be written");
/// }
/// # Ok::<(), oxidiff::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct QwenImageLayeredPipeline {
    /// Prepares images and prompts for the language model.
    pub processor: Qwen2VLProcessor,
    components: QwenImageComponents,
    index: ModelIndex,
    progress_bar: bool,
}

prompt_arguments! {
    /// The arguments of a call; names and defaults are those of Python's `QwenImageLayeredPipeline.__call__`. The layers have about as many
    /// pixels as `resolution` by `resolution`, in the proportion of the first image.
    pub struct QwenImageLayered: "taking images apart with Qwen-Image", guidance: None, size: |_| [None; 2], {
        /// The images to take apart, opaque or not: one for all prompts, or one for each.
        pub image: PipelineImageInput = PipelineImageInput::Images(Vec::new()),
        /// The number of layers of each image.
        pub layers: usize = 4,
        /// The side of a square with about as many pixels as the layers: 640 or 1024.
        pub resolution: usize = 640,
        /// Whether each token of the result stays as long as without guidance.
        pub cfg_normalize: bool = false,
        /// Whether the caption that the text encoder writes where there is no prompt is in English; otherwise it is in Chinese.
        pub use_en_prompt: bool = false,
    }, {}, {
        /// The latents to start from: for each image the whole, then its layers, `[images * (layers + 1), channels, height / 8, width / 8]`
        /// or `[images, layers + 1, channels, height / 8, width / 8]`, or in patches of 2 by 2, `[images, patches, 4 * channels]`.
        pub latents: Option<crate::pipelines::AnyTensor> = None,
    }, {
        /// The type of the returned layers. Latents are not in patches: for each image the whole, then its layers,
        /// `[images * (layers + 1), channels, height / 8, width / 8]`.
        pub output_type: crate::image_processor::OutputType = Default::default(),
    }
}

impl QwenImageLayered {
    /// Arguments with one prompt, images to take apart, and the defaults.
    pub fn new(prompt: impl Into<String>, image: impl Into<PipelineImageInput>) -> Self {
        Self { prompt: vec![prompt.into()], image: image.into(), ..Self::default() }
    }

    /// Arguments with an image to take apart, and the defaults: the text encoder says what the image shows.
    pub fn captioned(image: impl Into<PipelineImageInput>) -> Self {
        Self { image: image.into(), ..Self::default() }
    }

    /// Whether there is nothing that says what the image shows.
    fn lacks_prompt(&self) -> bool {
        let is_missing = match self.prompt.as_slice() {
            [] => true,
            [one] => one.is_empty() || one == " ",
            _ => false,
        };
        is_missing && self.prompt_embeds.is_none()
    }

    /// The pixels of a layer.
    ///
    /// # Errors
    /// When the model was not trained for them.
    fn area(&self) -> Result<usize> {
        if RESOLUTIONS.contains(&self.resolution) {
            return Ok(self.resolution * self.resolution);
        }
        let [small, large] = RESOLUTIONS;
        let message = format!("must be {small} or {large}, but is {}", self.resolution);
        Err(Error::argument("resolution", message))
    }
}

impl QwenImageComponents {
    /// Pictures with the channels of the autoencoder; opaque ones get an alpha channel.
    ///
    /// # Errors
    /// When the autoencoder takes none, or neither three channels nor four.
    fn with_channels(&self, pictures: &[DynamicImage]) -> Result<Vec<DynamicImage>> {
        let channels = self.vae.in_channels();
        let convert = |picture| {
            let bitmap = Bitmap::from_image(picture)?;
            match channels {
                4 => Ok(bitmap.to_rgba().into_image()),
                3 if bitmap.has_alpha() => {
                    let message =
                        "has an alpha channel, which the autoencoder does not take; convert it to RGB";
                    Err(Error::argument("image", message))
                }
                3 => Ok(bitmap.to_rgb().into_image()),
                _ => {
                    let message = format!("is {channels}, but images have 3 or 4 channels");
                    Err(Error::config("vae/config.json", "input_channels", message))
                }
            }
        };
        pictures.iter().map(convert).collect()
    }

    /// The latents of the image to take apart, for each image of the call.
    ///
    /// # Errors
    /// When the pictures do not fit the autoencoder, or their number does not fit the call.
    fn reference_latents(
        &self,
        pictures: &[DynamicImage],
        pixels: [usize; 2],
        size: [usize; 2],
        settings: &mut Settings,
        index: &ModelIndex,
    ) -> Result<Tensor<4>> {
        let [height, width] = pixels.map(Some);
        let options = PreprocessOptions { height, width, ..Default::default() };
        let processor = self.image_processor();
        let mut given = self.with_channels(pictures)?;
        // As in Python, one image is resized twice, which matters for autoencoders whose patches have more than 32 pixels.
        if let [one] = given.as_mut_slice() {
            *one = resized(&processor, one, pixels)?;
        }
        let values = processor.preprocess(&given.into(), options)?;
        let latents = self.image_latents(PreparedImage::Pixels(values), false, size, settings, index)?;
        // Images of one prompt are next to each other.
        let order = (0..settings.images).map(|image| image / settings.num_images_per_prompt % pictures.len());
        let order: Vec<i64> = order.map(|picture| picture as i64).collect();
        let device = latents.device();
        Ok(latents.select(0, Tensor::<1, Int>::from_data(order.as_slice(), &device)))
    }
}

impl QwenImageLayeredPipeline {
    /// What the image shows that is to be taken apart.
    ///
    /// # Errors
    /// When there are several, or the text encoder cannot write.
    fn caption(&self, arguments: &mut QwenImageLayered, pixels: [usize; 2]) -> Result<String> {
        let [image] = pictures(&arguments.image)? else {
            let message = "is missing: a caption is written for one image, several need prompts";
            return Err(Error::argument("prompt", message));
        };
        let components = &self.components;
        let image = resized(&components.image_processor(), image, pixels)?;
        let generators = arguments.generator.get_or_insert_with(Generators::from_entropy);
        components.caption(&self.processor, image, arguments.use_en_prompt, generators, self.progress_bar)
    }
}

impl Pipeline for QwenImageLayeredPipeline {
    const CLASS_NAME: &'static str = "QwenImageLayeredPipeline";

    type Arguments = QwenImageLayered;

    fn call(&mut self, arguments: impl Into<QwenImageLayered>) -> Result<ImagePipelineOutput> {
        let mut arguments = arguments.into();
        let layering = Layering::new(arguments.layers, arguments.cfg_normalize)?;
        let area = arguments.area()?;
        let pixels = size_of(&pictures(&arguments.image)?[0], area)?;
        let size = self.components.latent_size(pixels.map(Some))?;
        if arguments.lacks_prompt() {
            // What the rest of the call would refuse is refused before a caption is written, which takes long.
            arguments.prompt = vec![String::new()];
            check(arguments.num_inference_steps, arguments.guidance_scale, arguments.true_cfg_scale)?;
            arguments.prompts().images()?;
            arguments.prompt = vec![self.caption(&mut arguments, pixels)?];
        }
        let mut settings = arguments.settings()?;
        let pictures = pictures(&arguments.image)?;
        let (components, index) = (&mut self.components, &self.index);
        let texts = components.embed(&arguments.prompts())?;
        let whole = components.reference_latents(pictures, pixels, size, &mut settings, index)?;
        let latents = components.initial_frames(&mut settings, layering, size)?;
        let in_image = size.iter().map(|side| side / PATCH_SIZE).product::<usize>();
        let shift = (in_image as f64 / BASE_TOKENS).sqrt();
        let (count, sigmas) = (settings.num_inference_steps, settings.sigmas.as_deref());
        let steps =
            choose_flow_timesteps(&mut *components.scheduler, count, sigmas, shift, SpreadBy::Pipeline)?;
        components.scheduler.set_begin_index(0);
        let timesteps = components.scheduler.timesteps().to_vec();
        let seen = Seen { images: vec![(tokens(whole), size)], ..Seen::default() };
        let run = Run { timesteps, steps, texts, seen, layering: Some(layering), after_step: None };
        components.run(latents, run, settings, index, self.progress_bar)
    }

    processor_methods!();
}

expose_processor!(QwenImageLayeredPipeline);
