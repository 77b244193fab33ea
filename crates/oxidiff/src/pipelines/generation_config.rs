//! `generation_config.json`: the arguments that a checkpoint recommends.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::request::{Argument, Request};
use crate::error::{Error, Result};
use crate::loading::config::Config;
use crate::loading::folder::Folder;
use crate::loading::hub::GENERATION_CONFIG;
use crate::loading::write_whole;

/// The arguments that the author of a checkpoint recommends in `generation_config.json`, next to `model_index.json`.
///
/// Python diffusers does not read this file, so the library does not apply it by itself: the arguments of a call have
/// Python's defaults, and [`GenerationConfig::apply_to`] replaces them by the checkpoint's. The command line does so. The
/// file of the embedded model:
///
/// ```json
/// {
///   "guidance_scale": 4.0,
///   "num_inference_steps": 25
/// }
/// ```
///
/// ```
/// use oxidiff::{DiffusionPipeline, TextToImage};
///
/// # let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/emoji-diffusion");
/// let mut pipeline = DiffusionPipeline::from_pretrained(folder)?;
/// let arguments = pipeline.generation_config().apply_to(TextToImage::new("flat red apple"));
/// assert_eq!((arguments.num_inference_steps, arguments.guidance_scale), (25, 4.0));
/// # Ok::<(), oxidiff::Error>(())
/// ```
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
#[non_exhaustive]
pub struct GenerationConfig {
    /// Number of denoising steps.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub num_inference_steps: Option<usize>,
    /// How strongly to follow the prompt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub guidance_scale: Option<f64>,
}

/// The arguments of a call that a [`GenerationConfig`] can set.
///
/// ```
/// use oxidiff::{CallDefaults, ImageToImage};
///
/// let mut arguments = ImageToImage::default();
/// arguments.set_num_inference_steps(25);
/// assert_eq!(arguments.num_inference_steps, 25);
/// ```
pub trait CallDefaults {
    /// Sets the number of denoising steps.
    fn set_num_inference_steps(&mut self, steps: usize);

    /// Sets how strongly to follow the prompt. Does nothing for arguments without guidance.
    fn set_guidance_scale(&mut self, scale: f64);
}

impl GenerationConfig {
    const FIELDS: [&str; 2] = ["num_inference_steps", "guidance_scale"];

    /// Sets the `arguments` that the checkpoint names, and leaves the others as they are.
    pub fn apply_to<A: CallDefaults>(&self, mut arguments: A) -> A {
        if let Some(steps) = self.num_inference_steps {
            arguments.set_num_inference_steps(steps);
        }
        if let Some(scale) = self.guidance_scale {
            arguments.set_guidance_scale(scale);
        }
        arguments
    }

    /// Sets the arguments of a request that the checkpoint names, that the call takes, and that are not set yet.
    pub fn fill(&self, request: &mut Request, takes: impl Fn(&str) -> bool) {
        let named = [
            ("num_inference_steps", self.num_inference_steps.map(Argument::from)),
            ("guidance_scale", self.guidance_scale.map(Argument::from)),
        ];
        for (name, value) in named {
            if let Some(value) = value.filter(|_| takes(name) && !request.has(name)) {
                request.set(name, value);
            }
        }
    }

    /// Reads the file in the folder of a pipeline; empty if there is no such file.
    pub(crate) fn read(folder: &Folder) -> Result<Self> {
        if !folder.has(GENERATION_CONFIG) {
            return Ok(Self::default());
        }
        let origin = folder.locate(GENERATION_CONFIG).display().to_string();
        let config = Config::parse(&folder.read(GENERATION_CONFIG, "a pipeline")?, &origin)?;
        // transformers has a file of this name, mostly about text generation: that is no reason to refuse the pipeline.
        let unknown: Vec<&str> = config
            .values()
            .keys()
            .map(String::as_str)
            .filter(|field| !Self::FIELDS.contains(field))
            .collect();
        if !unknown.is_empty() {
            tracing::warn!("{origin}: ignoring unknown fields: `{}`", unknown.join("`, `"));
        }
        let (read, _) = config.resolve::<Self>("GenerationConfig")?;
        if read.num_inference_steps == Some(0) {
            return Err(Error::config(origin, "num_inference_steps", "must be at least 1"));
        }
        Ok(read)
    }

    /// Writes the file into the folder of a pipeline. If there is nothing to write, an existing file is removed: it
    /// belonged to a pipeline that was saved there earlier.
    pub(crate) fn save(&self, folder: &Path) -> Result<()> {
        let file = folder.join(GENERATION_CONFIG);
        if *self != Self::default() {
            let json = Config::from_transformers_fields(self).to_json() + "\n";
            return write_whole(&file, json.as_bytes());
        }
        match std::fs::remove_file(&file) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Error::io(file)(error)),
            _ => Ok(()),
        }
    }
}
