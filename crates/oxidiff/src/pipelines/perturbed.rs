//! From a pipeline to the one of its family that guides by perturbed attention (Ahn et al. 2024, <https://arxiv.org/abs/2403.17377>).

use super::diffusion_pipeline::DiffusionPipeline;
use super::registry;
use crate::error::{Error, Result};

/// The ends of the names of pipelines, before which those with perturbed attention have [`MARK`].
const ENDS: [&str; 3] = ["Img2ImgPipeline", "InpaintPipeline", "Pipeline"];
const MARK: &str = "PAG";

impl DiffusionPipeline {
    /// The pipeline of the same family and task that guides by perturbed attention: `enable_pag=True` in Python. Both share the weights.
    ///
    /// ```no_run
    /// use oxidiff::{DiffusionPipeline, Request};
    ///
    /// let pipeline = DiffusionPipeline::from_pretrained("stabilityai/stable-diffusion-3-medium-diffusers")?;
    /// let mut pipeline = pipeline.with_perturbed_attention()?;
    /// assert_eq!(pipeline.class_name(), "StableDiffusion3PAGPipeline");
    /// let images = pipeline.call(Request::new("a capybara").with("pag_scale", 0.7))?.images.into_images();
    /// # Ok::<(), oxidiff::Error>(())
    /// ```
    ///
    /// # Errors
    /// When the family has no such pipeline for the task.
    pub fn with_perturbed_attention(&self) -> Result<Self> {
        let class_name = self.class_name();
        if class_name.contains(MARK) {
            return Ok(self.clone());
        }
        let family = ENDS.into_iter().find_map(|end| Some((class_name.strip_suffix(end)?, end)));
        let wanted = family.map(|(family, end)| format!("{family}{MARK}{end}"));
        match wanted.filter(|wanted| registry::find(wanted).is_ok()) {
            Some(wanted) => self.to_class(&wanted),
            None => Err(Error::unsupported(
                format!("perturbed attention with a {class_name}"),
                "no pipeline of its family has it for this task",
            )),
        }
    }
}
