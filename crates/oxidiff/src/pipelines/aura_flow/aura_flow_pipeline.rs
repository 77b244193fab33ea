//! Text to image.

use burn::tensor::Tensor;

use super::arguments::AuraFlowTextToImage;
use super::components::AuraFlowComponents;
use crate::error::{Error, Result};
use crate::image_processor::{Images, OutputType, postprocess};
use crate::memory;
use crate::models::finite::Suspect;
use crate::models::model::Model;
use crate::models::transformers::AuraFlowInputs;
use crate::pipelines::common::decoding;
use crate::pipelines::common::denoising::{Denoising, Stepped};
use crate::pipelines::common::finite::{Condition, Watch};
use crate::pipelines::common::flow_timesteps::choose_own_flow_timesteps;
use crate::pipelines::common::guidance::Guidance;
use crate::pipelines::common::latents::given_or_noise;
use crate::pipelines::model_index::ModelIndex;
use crate::pipelines::output::ImagePipelineOutput;
use crate::pipelines::pipeline::Pipeline;
use crate::pipelines::pipeline_fields::{component_methods, expose_components};
use crate::random::Generators;
use crate::schedulers::StepOptions;

/// The timestep of pure noise, at which the model's time is 1.
const NOISE_TIMESTEP: f32 = 1000.0;

/// Makes images from prompts.
///
/// Its fields are those of [`AuraFlowComponents`]: `pipeline.transformer`, `pipeline.scheduler = Box::new(...)`.
///
/// ```no_run
/// use oxidiff::{AuraFlowPipeline, Pipeline};
///
/// let mut pipeline = AuraFlowPipeline::from_pretrained("fal/AuraFlow-v0.3")?;
/// let images = pipeline.call("A cat holding a sign that says hello world")?;
/// # Ok::<(), oxidiff::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct AuraFlowPipeline {
    components: AuraFlowComponents,
    index: ModelIndex,
    progress_bar: bool,
}

impl AuraFlowPipeline {
    /// A pipeline with the given parts.
    ///
    /// # Errors
    /// When the parts do not fit each other.
    pub fn new(components: AuraFlowComponents) -> Result<Self> {
        Self::assemble(components, ModelIndex::of_class(Self::CLASS_NAME))
    }

    fn assemble(components: AuraFlowComponents, mut index: ModelIndex) -> Result<Self> {
        components.prepare(&mut index)?;
        Ok(Self { components, index, progress_bar: true })
    }
}

impl AuraFlowComponents {
    /// The height and width of latents for images of this size.
    ///
    /// # Errors
    /// When a side is no multiple of a patch, or longer than the positions that the model has learned.
    fn latent_size(&self, [height, width]: [Option<usize>; 2]) -> Result<[usize; 2]> {
        let (config, factor) = (self.transformer.config(), self.vae.scale_factor());
        // As in Python, twice the factor whatever the size of a patch.
        let multiple = factor * config.patch_size.max(2);
        let most = factor * config.patch_size * config.table_side();
        let side = |argument, given: Option<usize>| {
            let pixels = given.unwrap_or(config.sample_size * factor);
            if !pixels.is_multiple_of(multiple) || !(multiple..=most).contains(&pixels) {
                let message = format!(
                    "must be a multiple of {multiple} up to {most}, for which the model has learned positions, but is {pixels}"
                );
                return Err(Error::argument(argument, message));
            }
            Ok(pixels / factor)
        };
        Ok([side("height", height)?, side("width", width)?])
    }

    /// Checks that calling the model for latents of this shape and texts of so many tokens fits into the available memory.
    fn check_memory(&self, [batch, height, width]: [usize; 3], texts: usize) -> Result<()> {
        let patch = self.transformer.config().patch_size;
        let tokens = (height / patch) * (width / patch) + texts;
        let work = format!("denoising {batch} x {height}x{width} latents");
        let needed = self.transformer.least_memory(batch.saturating_mul(tokens));
        memory::check_call(&self.transformer, &work, needed, &self.transformer.device())
    }
}

impl Pipeline for AuraFlowPipeline {
    const CLASS_NAME: &'static str = "AuraFlowPipeline";

    type Arguments = AuraFlowTextToImage;

    /// Makes images from a prompt with the defaults, or from the arguments given.
    fn call(&mut self, arguments: impl Into<AuraFlowTextToImage>) -> Result<ImagePipelineOutput> {
        let mut arguments = arguments.into();
        arguments.check()?;
        let images = arguments.prompts().given.images()?;
        let components = &mut self.components;
        let [height, width] = components.latent_size([arguments.height, arguments.width])?;
        let text = components.embed(&arguments.prompts())?;
        let sigmas = arguments.sigmas.as_deref();
        let steps = arguments.num_inference_steps;
        let steps = choose_own_flow_timesteps(&mut *components.scheduler, steps, sigmas, None)?;
        components.scheduler.set_begin_index(0);
        let dtype = components
            .text_encoder
            .as_ref()
            .map_or(components.transformer.dtype(), |encoder| encoder.dtype());
        let shape = [images, components.transformer.config().in_channels, height, width];
        let device = components.transformer.device();
        let mut generator = arguments.generator.take().unwrap_or_else(Generators::from_entropy);
        let latents = given_or_noise(arguments.latents.take(), shape, &mut generator, dtype, &device)?;
        let latents = latents.cast(dtype);
        let guidance = Guidance::by_scale(arguments.guidance_scale);
        let copies = guidance.copies();
        components.check_memory([images * copies, height, width], text.dims()[1])?;
        if arguments.output_type != OutputType::Latent {
            decoding::check_size(&*components.vae, &latents)?;
        }
        let timesteps = components.scheduler.timesteps().to_vec();
        let AuraFlowComponents { transformer, scheduler, text_encoder, vae, .. } = components;
        let encoder = text_encoder.as_ref().map(|encoder| ("text_encoder", encoder as &dyn Suspect));
        let denoising = Denoising {
            timesteps: &timesteps,
            steps,
            order: scheduler.order(),
            watch: Watch {
                condition: Some(Condition { encoders: encoder.into_iter().collect(), values: text.clone() }),
                ..Watch::of(&self.index, ("transformer", transformer), &**scheduler)
            },
            callback: arguments.callback_on_step_end.take(),
            progress_bar: self.progress_bar,
        };
        let latents = denoising.run(latents, |step, latents| {
            let predictions = transformer.forward(&AuraFlowInputs {
                hidden_states: Tensor::cat(vec![latents.clone(); copies], 0),
                encoder_hidden_states: text.clone(),
                timestep: &[step.timestep / NOISE_TIMESTEP],
            })?;
            let prediction = guidance.combine(predictions.cast(latents.dtype()));
            let options = StepOptions { generator: Some(&mut generator), ..Default::default() };
            let output = scheduler.step(prediction.clone(), step.timestep, latents, options)?;
            Ok(Stepped { prediction: Some(prediction), sample: output.prev_sample })
        })?;
        let images = match arguments.output_type {
            OutputType::Latent => Images::Latent(latents),
            output_type => {
                transformer.release_memory();
                let decoded = decoding::decode(&**vae, latents / vae.scaling_factor(), &self.index)?;
                postprocess(decoded, output_type)?
            }
        };
        Ok(ImagePipelineOutput { images, nsfw_content_detected: None })
    }

    component_methods!(AuraFlowComponents);
}

expose_components!(AuraFlowPipeline, AuraFlowComponents);
