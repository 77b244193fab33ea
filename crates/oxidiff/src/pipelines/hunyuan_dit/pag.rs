//! Text to image with perturbed attention guidance (Ahn et al. 2024, <https://arxiv.org/abs/2403.17377>): a further prediction, in which
//! tokens see only themselves in some blocks, shows what to go away from.

use super::arguments::prompt_arguments;
use super::components::{HunyuanDiTComponents, expose_fields, pipeline_methods};
use super::denoising::Run;
use crate::error::Result;
use crate::models::model::Model;
use crate::pipelines::common::perturbed_guidance::PerturbedGuidance;
use crate::pipelines::model_index::ModelIndex;
use crate::pipelines::output::ImagePipelineOutput;
use crate::pipelines::pipeline::Pipeline;

/// Makes images from prompts in Chinese or English, with perturbed attention guidance.
///
/// Its fields are those of [`HunyuanDiTComponents`], and `pag_applied_layers`.
///
/// ```no_run
/// use oxidiff::{HunyuanDiTPAGPipeline, HunyuanDiTPAGTextToImage, Pipeline};
///
/// let mut pipeline = HunyuanDiTPAGPipeline::from_pretrained("Tencent-Hunyuan/HunyuanDiT-v1.2-Diffusers")?;
/// pipeline.pag_applied_layers = vec!["blocks.14".into()];
/// let images = pipeline.call(HunyuanDiTPAGTextToImage {
///     guidance_scale: 4.0,
///     pag_scale: 3.0,
///     ..HunyuanDiTPAGTextToImage::new("一个宇航员在骑马")
/// })?;
/// # Ok::<(), oxidiff::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct HunyuanDiTPAGPipeline {
    /// Regular expressions for the names of the layers in which tokens see only themselves, such as `blocks.14.attn1`. As in Python, a
    /// part of a name is enough: `blocks.1` means `blocks.10` as well.
    pub pag_applied_layers: Vec<String>,
    components: HunyuanDiTComponents,
    index: ModelIndex,
    progress_bar: bool,
}

prompt_arguments! {
    /// The arguments of a call; names and defaults are those of Python's `HunyuanDiTPAGPipeline.__call__`.
    pub struct HunyuanDiTPAGTextToImage: "text to image with HunyuanDiT and perturbed attention guidance" {
        /// How far to go away from the prediction whose tokens see only themselves in some layers; 0 turns it off.
        pub pag_scale: f64 = 3.0,
        /// By how much `pag_scale` falls with each timestep of training; it falls to 0 at most.
        pub pag_adaptive_scale: f64 = 0.0,
        /// The layers, instead of the pipeline's: regular expressions for their names, such as `blocks.14.attn1`.
        pub pag_applied_layers: Option<Vec<String>> = None,
    }
}

impl From<&str> for HunyuanDiTPAGTextToImage {
    fn from(prompt: &str) -> Self {
        Self::new(prompt)
    }
}

impl HunyuanDiTPAGPipeline {
    /// Python's default.
    fn pag_applied_layers() -> Vec<String> {
        vec!["blocks.1".to_owned()]
    }

    /// The names of the self-attentions.
    fn layer_names(&self) -> Vec<String> {
        (0..self.transformer.config().num_layers).map(|block| format!("blocks.{block}.attn1")).collect()
    }
}

impl Pipeline for HunyuanDiTPAGPipeline {
    const CLASS_NAME: &'static str = "HunyuanDiTPAGPipeline";

    type Arguments = HunyuanDiTPAGTextToImage;

    /// Makes images from a prompt with the defaults, or from the arguments given.
    fn call(&mut self, arguments: impl Into<HunyuanDiTPAGTextToImage>) -> Result<ImagePipelineOutput> {
        let mut arguments = arguments.into();
        let settings = arguments.settings()?;
        let layers = arguments.pag_applied_layers.take();
        let perturbed = PerturbedGuidance::new(
            [arguments.pag_scale, arguments.pag_adaptive_scale],
            layers.as_deref().unwrap_or(&self.pag_applied_layers),
            &self.layer_names(),
        )?;
        let size = self.components.image_size(&settings.sizes)?;
        let texts = self.components.embed(&arguments.prompts())?;
        let run = Run { size, texts, latents: arguments.latents.take(), control: None, perturbed };
        self.components.run(run, settings, &self.index, self.progress_bar)
    }

    pipeline_methods!();
}

expose_fields!(HunyuanDiTPAGPipeline, pag_applied_layers);
