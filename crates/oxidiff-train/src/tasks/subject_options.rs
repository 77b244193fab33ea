//! What both trainings of DreamBooth for Stable Diffusion 1 and 2 share: the images of the subject, and samples.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use oxidiff::{CLIPTextModel, Resample, UNet2DConditionModel};

use super::PriorOptions;
use crate::data::Dataset;
use crate::error::Result;
use crate::image_transform::ImageTransform;
use crate::options::CommonOptions;
use crate::sources::SubjectImages;
use crate::stable_diffusion::StableDiffusion;
use crate::stop::Stop;
use crate::task::SampleImages;
use crate::validation::Validation;

/// What the trainings of DreamBooth for Stable Diffusion 1 and 2 share.
#[derive(Args, Clone, Debug)]
pub struct SubjectOptions {
    /// The folder of the images of the subject
    #[arg(long, value_name = "DIR")]
    pub instance_data_dir: PathBuf,
    /// The prompt for the subject, with a rare word for it: a photo of sks dog
    #[arg(long, value_name = "PROMPT")]
    pub instance_prompt: String,
    /// What the model should not forget.
    #[command(flatten)]
    pub prior: PriorOptions,
    /// Take the middle of images that are not square; by default a random part
    #[arg(long)]
    pub center_crop: bool,
    /// Train the text encoder as well
    #[arg(long)]
    pub train_text_encoder: bool,
    /// A prompt to make images of, to show the progress
    #[arg(long, value_name = "PROMPT")]
    pub validation_prompt: Option<String>,
    /// How many images to make of it
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub num_validation_images: u32,
}

impl SubjectOptions {
    /// The images to train on.
    ///
    /// # Errors
    /// When a folder has no images.
    pub(crate) fn images(&self, resolution: u32, filter: Resample) -> Result<SubjectImages> {
        let (center_crop, random_flip) = (self.center_crop, false);
        Ok(SubjectImages {
            instances: Arc::new(Dataset::open_plain_folder(&self.instance_data_dir)?),
            instance_prompt: self.instance_prompt.clone(),
            class: self.prior.class()?,
            transform: ImageTransform { resolution, center_crop, random_flip, filter },
        })
    }

    /// Images of the validation prompt.
    ///
    /// # Errors
    /// When the model cannot be called.
    pub(crate) fn samples(
        &self,
        model: &StableDiffusion,
        unet: UNet2DConditionModel,
        text_encoder: CLIPTextModel,
        common: &CommonOptions,
        stop: &Stop,
    ) -> Result<Option<SampleImages>> {
        let prompts = Vec::from_iter(self.validation_prompt.clone());
        let mut pipeline = model.solver_pipeline(unet, text_encoder)?;
        let images = self.num_validation_images;
        let validation = Validation { prompts: &prompts, images, steps: Some(25), seed: common.seed };
        validation.samples(&mut pipeline, stop)
    }
}
