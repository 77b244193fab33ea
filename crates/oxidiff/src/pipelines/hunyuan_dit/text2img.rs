//! Text to image.

use super::arguments::prompt_arguments;
use super::components::{HunyuanDiTComponents, expose_fields, pipeline_methods};
use super::denoising::Run;
use crate::error::Result;
use crate::pipelines::model_index::ModelIndex;
use crate::pipelines::output::ImagePipelineOutput;
use crate::pipelines::pipeline::Pipeline;

/// Makes images from prompts in Chinese or English.
///
/// Its fields are those of [`HunyuanDiTComponents`]: `pipeline.transformer`, `pipeline.scheduler = Box::new(...)`.
///
/// ```no_run
/// use oxidiff::{HunyuanDiTPipeline, HunyuanDiTTextToImage, Pipeline};
///
/// let mut pipeline = HunyuanDiTPipeline::from_pretrained("Tencent-Hunyuan/HunyuanDiT-v1.2-Diffusers")?;
/// let images = pipeline.call(HunyuanDiTTextToImage {
///     height: Some(768),
///     width: Some(1280),
///     ..HunyuanDiTTextToImage::new("一个宇航员在骑马")
/// })?;
/// # Ok::<(), oxidiff::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct HunyuanDiTPipeline {
    components: HunyuanDiTComponents,
    index: ModelIndex,
    progress_bar: bool,
}

prompt_arguments! {
    /// The arguments of a call; names and defaults are those of Python's `HunyuanDiTPipeline.__call__`.
    pub struct HunyuanDiTTextToImage: "text to image with HunyuanDiT" {}
}

impl From<&str> for HunyuanDiTTextToImage {
    fn from(prompt: &str) -> Self {
        Self::new(prompt)
    }
}

impl Pipeline for HunyuanDiTPipeline {
    const CLASS_NAME: &'static str = "HunyuanDiTPipeline";

    type Arguments = HunyuanDiTTextToImage;

    /// Makes images from a prompt with the defaults, or from the arguments given.
    fn call(&mut self, arguments: impl Into<HunyuanDiTTextToImage>) -> Result<ImagePipelineOutput> {
        let mut arguments = arguments.into();
        let settings = arguments.settings()?;
        let size = self.components.image_size(&settings.sizes)?;
        let texts = self.components.embed(&arguments.prompts())?;
        let run = Run { size, texts, latents: arguments.latents.take(), control: None, perturbed: None };
        self.components.run(run, settings, &self.index, self.progress_bar)
    }

    pipeline_methods!();
}

expose_fields!(HunyuanDiTPipeline);
