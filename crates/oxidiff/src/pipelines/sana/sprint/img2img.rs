//! Image to image.

use burn::tensor::{DType, Tensor};

use super::arguments::sprint_arguments;
use crate::error::{Error, Result};
use crate::image_processor::{PipelineImageInput, PreprocessOptions};
use crate::interpolation::{Corners, Interpolation, interpolate};
use crate::pipelines::common::flow_timesteps::start_flow_from_image;
use crate::pipelines::common::image_latents::{PreparedImage, likeliest_latents};
use crate::pipelines::common::latents::{given_or_noise, repeat_batch};
use crate::pipelines::common::strength::Strength;
use crate::pipelines::model_index::ModelIndex;
use crate::pipelines::output::ImagePipelineOutput;
use crate::pipelines::pipeline::Pipeline;
use crate::pipelines::sana::arguments::Settings;
use crate::pipelines::sana::components::SanaComponents;
use crate::pipelines::sana::pipeline_fields::{expose_fields, pipeline_methods};
use crate::pipelines::sana::size::sprint_bins;

/// The default of `strength`.
const STRENGTH: f64 = 0.6;

/// Makes images from other images and prompts, in one to four steps.
///
/// Its fields are those of [`SanaComponents`]: `pipeline.transformer`, `pipeline.vae = ...`.
///
/// ```no_run
/// use oxidiff::{Pipeline, SanaSprintImageToImage, SanaSprintImg2ImgPipeline, load_image};
///
/// let mut pipeline =
///     SanaSprintImg2ImgPipeline::from_pretrained("Efficient-Large-Model/Sana_Sprint_1.6B_1024px_diffusers")?;
/// let images = pipeline.call(SanaSprintImageToImage {
///     strength: 0.5,
///     ..SanaSprintImageToImage::new("a cute pink bear", load_image("penguin.png")?)
/// })?;
/// # Ok::<(), oxidiff::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct SanaSprintImg2ImgPipeline {
    components: SanaComponents,
    index: ModelIndex,
    progress_bar: bool,
}

sprint_arguments! {
    /// The arguments of a call; names and defaults are those of Python's `SanaSprintImg2ImgPipeline.__call__`.
    pub struct SanaSprintImageToImage: "image to image with SANA-Sprint" {
        /// The images to start from: one for all prompts, or one for each. They are resized to the size of the result. A tensor has values
        /// in [0, 1] or [-1, 1]; one with as many channels as latents have is taken as these.
        pub image: PipelineImageInput = PipelineImageInput::Images(Vec::new()),
        /// How much of the image to change, from 0 to 1: the part of the steps that are made.
        pub strength: f64 = STRENGTH,
    }
}

impl SanaSprintImageToImage {
    /// Arguments with one prompt, images, and the defaults.
    pub fn new(prompt: impl Into<String>, image: impl Into<PipelineImageInput>) -> Self {
        Self { image: image.into(), ..Self::of_prompt(prompt) }
    }
}

impl Pipeline for SanaSprintImg2ImgPipeline {
    const CLASS_NAME: &'static str = "SanaSprintImg2ImgPipeline";

    type Arguments = SanaSprintImageToImage;

    fn call(&mut self, arguments: impl Into<SanaSprintImageToImage>) -> Result<ImagePipelineOutput> {
        let mut arguments = arguments.into();
        let strength = Strength::new(arguments.strength, STRENGTH)?;
        let (mut settings, asked) = arguments.settings()?;
        let components = &mut self.components;
        components.check_guidance_embeds(true)?;
        let size = components.image_size(&settings, sprint_bins)?;
        let image = components.prepared_image(&arguments.image, size.made)?;
        let texts = components.embed(&arguments.positive_prompts())?.positive;
        let steps = components.set_angles(&asked)?;
        let (mut timesteps, _) = start_flow_from_image(&mut *components.scheduler, steps, strength)?;
        timesteps.pop();
        let (index, progress_bar) = (&self.index, self.progress_bar);
        let latents = components.noised(image, timesteps[0], size.made, &mut settings, index)?;
        let latents = components.sprint(latents, &texts, &timesteps, &mut settings, index, progress_bar)?;
        components.decode(latents, Some(size), settings.output_type, index)
    }

    pipeline_methods!();
}

expose_fields!(SanaSprintImg2ImgPipeline);

impl SanaComponents {
    /// Images of the size of the result, or latents.
    fn prepared_image(
        &self,
        image: &PipelineImageInput,
        [height, width]: [usize; 2],
    ) -> Result<PreparedImage> {
        let options = PreprocessOptions { height: Some(height), width: Some(width), ..Default::default() };
        let resized = match image {
            PipelineImageInput::Tensor(values)
                if values.dims()[1] != self.vae.latent_channels()
                    && values.dims()[2..] != [height, width] =>
            {
                let resized =
                    interpolate(values.clone(), [height, width], Interpolation::Bilinear, Corners::Free);
                Some(PipelineImageInput::Tensor(resized))
            }
            _ => None,
        };
        PreparedImage::new(&self.image_processor(), resized.as_ref().unwrap_or(image), options)
    }

    /// What a run from an image starts with: the image's latents, turned towards noise by an angle. `latents` that are given replace them.
    fn noised(
        &self,
        image: PreparedImage,
        angle: f32,
        size: [usize; 2],
        settings: &mut Settings,
        index: &ModelIndex,
    ) -> Result<Tensor<4>> {
        let [height, width] = self.latent_size(size);
        let shape = [settings.images[0], self.vae.latent_channels(), height, width];
        let (sigma_data, device) = (self.sigma_data()?, self.transformer.device());
        let generator = &mut settings.generator;
        if let given @ Some(_) = settings.latents.take() {
            return Ok(given_or_noise(given, shape, generator, DType::F32, &device)?.cast(DType::F32));
        }
        let is_encoded = matches!(image, PreparedImage::Latents(_));
        let image = likeliest_latents(&*self.vae, image.cast(self.vae.dtype(), &device), index)?;
        let image = image.cast(DType::F32);
        let image = if is_encoded { image } else { image * (self.vae.scaling_factor() * sigma_data) };
        if image.dims()[2..] != shape[2..] {
            let message = format!("has latents of shape {:?}, this call needs {shape:?}", image.dims());
            return Err(Error::argument("image", message));
        }
        let image = repeat_batch("image", image, settings.images[0])?;
        let noise = generator.randn(shape, DType::F32, &device)? * sigma_data;
        Ok(image * f64::from(angle.cos()) + noise * f64::from(angle.sin()))
    }
}
