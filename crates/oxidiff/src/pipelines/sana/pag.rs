//! Text to image with perturbed attention guidance (Ahn et al. 2024, <https://arxiv.org/abs/2403.17377>): each step is guided away from a
//! prediction in which tokens see only themselves in some blocks. As in Python, queries and keys are not normalized in these blocks, and
//! the model is told the scheduler's timesteps as they are.

use super::arguments::guided_arguments;
use super::components::SanaComponents;
use super::denoising::Further;
use super::pipeline_fields::{expose_fields, pipeline_methods};
use crate::error::Result;
use crate::models::model::Model;
use crate::pipelines::common::perturbed_guidance::PerturbedGuidance;
use crate::pipelines::model_index::ModelIndex;
use crate::pipelines::output::ImagePipelineOutput;
use crate::pipelines::pipeline::Pipeline;

/// Makes images from prompts with perturbed attention guidance.
///
/// Its fields are those of [`SanaComponents`], and `pag_applied_layers`.
///
/// ```no_run
/// use oxidiff::{Pipeline, SanaPAGPipeline, SanaPAGTextToImage};
///
/// let mut pipeline =
///     SanaPAGPipeline::from_pretrained("Efficient-Large-Model/Sana_1600M_1024px_BF16_diffusers")?;
/// pipeline.pag_applied_layers = vec!["transformer_blocks.8".into()];
/// let images = pipeline.call(SanaPAGTextToImage {
///     pag_scale: 2.0,
///     ..SanaPAGTextToImage::new("a cyberpunk cat with a neon sign that says \"Sana\"")
/// })?;
/// # Ok::<(), oxidiff::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct SanaPAGPipeline {
    /// Regular expressions for the names of the layers in which tokens see only themselves, such as `transformer_blocks.8.attn1`. As in
    /// Python, a part of a name is enough: `blocks.1` means `blocks.10` as well.
    pub pag_applied_layers: Vec<String>,
    components: SanaComponents,
    index: ModelIndex,
    progress_bar: bool,
}

guided_arguments! {
    /// The arguments of a call; names and defaults are those of Python's `SanaPAGPipeline.__call__`.
    pub struct SanaPAGTextToImage: "text to image with Sana and perturbed attention guidance" {
        /// How far to go away from the prediction with perturbed attention; 0 turns it off.
        pub pag_scale: f64 = 3.0,
        /// By how much `pag_scale` falls with each timestep of training; it falls to 0 at most.
        pub pag_adaptive_scale: f64 = 0.0,
        /// The layers, instead of the pipeline's: regular expressions for their names, such as `transformer_blocks.8.attn1`.
        pub pag_applied_layers: Option<Vec<String>> = None,
    }
}

impl SanaPAGTextToImage {
    /// Arguments with one prompt and the defaults.
    pub fn new(prompt: impl Into<String>) -> Self {
        Self { prompt: vec![prompt.into()], ..Self::default() }
    }
}

impl From<&str> for SanaPAGTextToImage {
    fn from(prompt: &str) -> Self {
        Self::new(prompt)
    }
}

impl SanaPAGPipeline {
    /// Python's default.
    fn pag_applied_layers() -> Vec<String> {
        vec!["transformer_blocks.0".to_owned()]
    }
}

impl Pipeline for SanaPAGPipeline {
    const CLASS_NAME: &'static str = "SanaPAGPipeline";

    type Arguments = SanaPAGTextToImage;

    /// Makes images from a prompt with the defaults, or from the arguments given.
    fn call(&mut self, arguments: impl Into<SanaPAGTextToImage>) -> Result<ImagePipelineOutput> {
        let mut arguments = arguments.into();
        let settings = arguments.settings()?;
        let blocks = 0..self.transformer.config().num_layers;
        let names: Vec<String> = blocks.map(|block| format!("transformer_blocks.{block}.attn1")).collect();
        let perturbed = PerturbedGuidance::new(
            [arguments.pag_scale, arguments.pag_adaptive_scale],
            arguments.pag_applied_layers.as_deref().unwrap_or(&self.pag_applied_layers),
            &names,
        )?;
        let further = Further { perturbed, has_plain_times: true, ..Further::default() };
        let (prompts, index) = (arguments.prompts(), &self.index);
        self.components.make_from_noise(settings, &prompts, further, index, self.progress_bar)
    }

    pipeline_methods!();
}

expose_fields!(SanaPAGPipeline, pag_applied_layers);
