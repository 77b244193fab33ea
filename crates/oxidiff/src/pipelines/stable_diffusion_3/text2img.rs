//! Text to image.

use burn::tensor::Tensor;

use super::arguments::{Settings, prompt_arguments};
use super::components::StableDiffusion3Components;
use super::conditioning::Texts;
use super::denoising::Run;
use super::pipeline_fields::{expose_fields, pipeline_methods};
use super::skip_layer_guidance::SkipLayerGuidance;
use crate::error::Result;
use crate::models::model::Model;
use crate::pipelines::common::ignored::warn_of_ignored;
use crate::pipelines::common::perturbed_guidance::PerturbedGuidance;
use crate::pipelines::model_index::ModelIndex;
use crate::pipelines::output::ImagePipelineOutput;
use crate::pipelines::pipeline::Pipeline;
use crate::pipelines::pipeline_fields::ip_adapter_methods;

/// Makes images from prompts.
///
/// Its fields are those of [`StableDiffusion3Components`].
///
/// ```no_run
/// use oxidiff::{Pipeline, StableDiffusion3Pipeline, StableDiffusion3TextToImage};
///
/// let mut pipeline = StableDiffusion3Pipeline::from_pretrained("stabilityai/stable-diffusion-3.5-medium")?;
/// let output = pipeline.call(StableDiffusion3TextToImage {
///     num_inference_steps: 40,
///     guidance_scale: 4.5,
///     ..StableDiffusion3TextToImage::new("a capybara with a sign that says hello")
/// })?;
/// output.images.into_images()[0].save("capybara.png")?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct StableDiffusion3Pipeline {
    components: StableDiffusion3Components,
    index: ModelIndex,
    progress_bar: bool,
}

prompt_arguments! {
    /// The arguments of a call; names and defaults are those of Python's `StableDiffusion3Pipeline.__call__`.
    pub struct StableDiffusion3TextToImage: "text to image with Stable Diffusion 3", steps: 28, with mu {
        /// Layers of the transformer to leave out for a further prediction, from which guidance leads away.
        pub skip_guidance_layers: Option<Vec<usize>> = None,
        /// How far that guidance goes.
        pub skip_layer_guidance_scale: f64 = 2.8,
        /// The part of the steps before which that guidance ends.
        pub skip_layer_guidance_stop: f64 = 0.2,
        /// The part of the steps after which that guidance starts.
        pub skip_layer_guidance_start: f64 = 0.01,
    }
}

impl StableDiffusion3TextToImage {
    /// Arguments with one prompt and the defaults.
    pub fn new(prompt: impl Into<String>) -> Self {
        Self { prompt: vec![prompt.into()], ..Self::default() }
    }

    /// The layers to leave out of a transformer of this many blocks, if the call names some and is guided.
    fn skip_layer_guidance(&mut self, blocks: usize, is_guided: bool) -> Result<Option<SkipLayerGuidance>> {
        let Some(layers) = self.skip_guidance_layers.take() else { return Ok(None) };
        let why = "the call uses no guidance, which a `guidance_scale` above 1 turns on";
        warn_of_ignored("skip_guidance_layers", !is_guided, why);
        let guidance = SkipLayerGuidance {
            layers,
            scale: self.skip_layer_guidance_scale,
            start: self.skip_layer_guidance_start,
            stop: self.skip_layer_guidance_stop,
        };
        guidance.check(blocks)?;
        Ok(Some(guidance).filter(|_| is_guided))
    }
}

impl<S: Into<String>> From<S> for StableDiffusion3TextToImage {
    fn from(prompt: S) -> Self {
        Self::new(prompt)
    }
}

/// What a run predicts besides the usual, to be guided by.
pub(super) enum Further {
    SkippedLayers(Option<SkipLayerGuidance>),
    Perturbed(Option<PerturbedGuidance>),
}

impl StableDiffusion3Components {
    /// Makes images out of noise.
    ///
    /// # Errors
    /// When an argument has a value that the parts cannot work with.
    pub(super) fn make_from_noise(
        &mut self,
        mut settings: Settings,
        texts: &Texts<'_>,
        latents: Option<Tensor<4>>,
        further: Further,
        index: &ModelIndex,
        progress_bar: bool,
    ) -> Result<ImagePipelineOutput> {
        let size = self.latent_size(settings.size)?;
        let text = self.embed(texts, settings.guidance.copies() > 1)?;
        let latents = self.initial_latents(latents, &mut settings, size)?;
        let steps = self.set_timesteps(&settings, size)?;
        self.scheduler.set_begin_index(0);
        let (skip_layers, perturbed) = match further {
            Further::SkippedLayers(guidance) => (guidance, None),
            Further::Perturbed(guidance) => (None, guidance),
        };
        let run = Run {
            timesteps: self.scheduler.timesteps().to_vec(),
            steps,
            text,
            skip_layers,
            perturbed,
            control: None,
            further_channels: None,
            after_step: None,
            shifts: true,
        };
        self.run(latents, run, settings, index, progress_bar)
    }
}

impl Pipeline for StableDiffusion3Pipeline {
    const CLASS_NAME: &'static str = "StableDiffusion3Pipeline";

    type Arguments = StableDiffusion3TextToImage;

    /// Makes images from a prompt with the defaults, or from the arguments given.
    fn call(&mut self, arguments: impl Into<StableDiffusion3TextToImage>) -> Result<ImagePipelineOutput> {
        let mut arguments = arguments.into();
        let settings = arguments.settings()?;
        let is_guided = settings.guidance.copies() > 1;
        let components = &mut self.components;
        let blocks = components.transformer.config().num_layers;
        let further = Further::SkippedLayers(arguments.skip_layer_guidance(blocks, is_guided)?);
        let (latents, texts) = (arguments.latents.take(), arguments.texts());
        components.make_from_noise(settings, &texts, latents, further, &self.index, self.progress_bar)
    }

    pipeline_methods!();
    ip_adapter_methods!();
}

expose_fields!(StableDiffusion3Pipeline, takes_mask: false);
