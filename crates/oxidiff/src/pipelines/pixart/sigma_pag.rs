//! Text to image with PixArt-Sigma and perturbed attention guidance.

use super::arguments::prompt_arguments;
use super::components::PixArtComponents;
use super::denoising::Run;
use super::pipeline_fields::{constructors, expose_fields, pipeline_methods};
use super::size::sigma_bins;
use crate::error::Result;
use crate::models::model::Model;
use crate::pipelines::common::perturbed_guidance::PerturbedGuidance;
use crate::pipelines::common::perturbed_layers::PerturbedLayers;
use crate::pipelines::common::perturbed_scale::PerturbedScale;
use crate::pipelines::model_index::ModelIndex;
use crate::pipelines::output::ImagePipelineOutput;
use crate::pipelines::pipeline::Pipeline;

/// Makes images from prompts with PixArt-Sigma, and guides each step away from a prediction in which the tokens of some layers see only
/// themselves (Ahn et al. 2024, <https://arxiv.org/abs/2403.17377>).
///
/// Its fields are those of [`PixArtComponents`]: `pipeline.transformer`, `pipeline.scheduler = Box::new(...)`.
///
/// ```no_run
/// use oxidiff::{Pipeline, PixArtSigmaPAGPipeline, PixArtSigmaPAGTextToImage};
///
/// let mut pipeline = PixArtSigmaPAGPipeline::from_pretrained("PixArt-alpha/PixArt-Sigma-XL-2-1024-MS")?;
/// pipeline.set_pag_applied_layers(&["blocks.14"])?;
/// let images = pipeline.call(PixArtSigmaPAGTextToImage {
///     pag_scale: 4.0,
///     guidance_scale: 1.0,
///     ..PixArtSigmaPAGTextToImage::new("A small cactus with a happy face in the Sahara desert")
/// })?;
/// # Ok::<(), oxidiff::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct PixArtSigmaPAGPipeline {
    components: PixArtComponents,
    index: ModelIndex,
    progress_bar: bool,
    layers: PerturbedLayers,
}

prompt_arguments! {
    /// The arguments of a call; names and defaults are those of Python's `PixArtSigmaPAGPipeline.__call__`.
    pub struct PixArtSigmaPAGTextToImage: "text to image with PixArt-Sigma and perturbed attention", tokens: 300 {
        /// How far to go away from the prediction with perturbed attention; 0 turns it off.
        pub pag_scale: f64 = 3.0,
        /// How much less to go for each timestep that the noise has become weaker; with 0, always as far.
        pub pag_adaptive_scale: f64 = 0.0,
        /// The layers, instead of the pipeline's: regular expressions for their names, such as `blocks.14.attn1`.
        pub pag_applied_layers: Option<Vec<String>> = None,
    }
}

impl PixArtSigmaPAGPipeline {
    /// The layers whose attention is perturbed: parts of their names, or regular expressions for them. By default `blocks.1`, which as in
    /// Python means the blocks 10 to 19, too.
    ///
    /// # Errors
    /// When an expression is not a regular one.
    pub fn set_pag_applied_layers(&mut self, layers: &[&str]) -> Result<()> {
        self.layers = PerturbedLayers::new(layers)?;
        Ok(())
    }
}

impl Pipeline for PixArtSigmaPAGPipeline {
    const CLASS_NAME: &'static str = "PixArtSigmaPAGPipeline";

    type Arguments = PixArtSigmaPAGTextToImage;

    /// Makes images from a prompt with the defaults, or from the arguments given.
    fn call(&mut self, arguments: impl Into<PixArtSigmaPAGTextToImage>) -> Result<ImagePipelineOutput> {
        let mut arguments = arguments.into();
        let scale = PerturbedScale::new(arguments.pag_scale, arguments.pag_adaptive_scale)?;
        let settings = arguments.settings()?;
        let components = &mut self.components;
        let count = components.transformer.config().num_layers;
        let names: Vec<String> =
            (0..count).map(|block| format!("transformer_blocks.{block}.attn1")).collect();
        let given = arguments.pag_applied_layers.as_deref().map(PerturbedLayers::new).transpose()?;
        let layers = given.as_ref().unwrap_or(&self.layers);
        let perturbed = PerturbedGuidance::of(scale, layers, &names)?;
        let run = Run {
            size: components.image_size(&settings, sigma_bins)?,
            texts: components.embed(&arguments.prompts(), arguments.clean_caption)?,
            perturbed,
            ends_denoised: false,
        };
        components.run(&run, settings, &self.index, self.progress_bar)
    }

    pipeline_methods!();
}

constructors!(PixArtSigmaPAGPipeline, false, layers: PerturbedLayers::default());
expose_fields!(PixArtSigmaPAGPipeline);
