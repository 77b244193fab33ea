//! What both trainings of DreamBooth share: the images of the subject and of its class.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use oxidiff::training::mse;
use oxidiff::{
    CLIPTextModel, Pipeline, Resample, StableDiffusionPipeline, Tensor, TextToImage, UNet2DConditionModel,
};

use crate::data::Dataset;
use crate::error::{Error, Result};
use crate::image_transform::ImageTransform;
use crate::latent_diffusion::LatentDiffusion;
use crate::options::{CommonOptions, not_negative};
use crate::random::Random;
use crate::sources::{Class, SubjectImages};
use crate::stable_diffusion::StableDiffusion;
use crate::stop::Stop;
use crate::task::SampleImages;
use crate::validation::{Calls, Validation};

/// What the trainings of DreamBooth share.
#[derive(Args, Clone, Debug)]
pub struct SubjectOptions {
    /// The folder of the images of the subject
    #[arg(long, value_name = "DIR")]
    pub instance_data_dir: PathBuf,
    /// The prompt for the subject, with a rare word for it: a photo of sks dog
    #[arg(long, value_name = "PROMPT")]
    pub instance_prompt: String,
    /// Train on images of the class as well, so that the model does not forget it
    #[arg(long, requires = "class_data_dir", requires = "class_prompt")]
    pub with_prior_preservation: bool,
    /// The folder of the images of the class; those that are missing are made by the model
    #[arg(long, value_name = "DIR")]
    pub class_data_dir: Option<PathBuf>,
    /// The prompt for the class: a photo of a dog
    #[arg(long, value_name = "PROMPT")]
    pub class_prompt: Option<String>,
    /// How many images of the class to use
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub num_class_images: u32,
    /// How many of them to make at a time
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub sample_batch_size: u32,
    /// How much the images of the class weigh
    #[arg(long, value_name = "WEIGHT", default_value_t = 1.0)]
    pub prior_loss_weight: f64,
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
    /// Checks the options that need nothing but themselves.
    pub(crate) fn check(&self) -> Result<()> {
        not_negative("prior-loss-weight", self.prior_loss_weight)?;
        if !self.with_prior_preservation {
            for (option, is_given) in [
                ("class-data-dir", self.class_data_dir.is_some()),
                ("class-prompt", self.class_prompt.is_some()),
            ] {
                if is_given {
                    tracing::warn!("--{option} is not used without --with-prior-preservation");
                }
            }
        }
        Ok(())
    }

    /// The images to train on.
    ///
    /// # Errors
    /// When a folder has no images.
    pub(crate) fn images(&self, resolution: u32, filter: Resample) -> Result<SubjectImages> {
        let (center_crop, random_flip) = (self.center_crop, false);
        let class = match (&self.class_data_dir, &self.class_prompt) {
            (Some(folder), Some(prompt)) if self.with_prior_preservation => {
                let images = Dataset::open_plain_folder(folder)?;
                let count = images.len().min(self.num_class_images as usize);
                Some(Class { images: Arc::new(images), count, prompt: prompt.clone() })
            }
            _ => None,
        };
        Ok(SubjectImages {
            instances: Arc::new(Dataset::open_plain_folder(&self.instance_data_dir)?),
            instance_prompt: self.instance_prompt.clone(),
            class,
            transform: ImageTransform { resolution, center_crop, random_flip, filter },
        })
    }

    /// Lets the model make the images of the class that are missing, with the training's random numbers.
    ///
    /// # Errors
    /// When the model cannot be called, or the folder cannot be written.
    pub(crate) fn make_class_images(
        &self,
        mut pipeline: StableDiffusionPipeline,
        random: &mut Random,
        stop: &Stop,
    ) -> Result<()> {
        let (Some(folder), Some(prompt), true) =
            (&self.class_data_dir, &self.class_prompt, self.with_prior_preservation)
        else {
            return Ok(());
        };
        std::fs::create_dir_all(folder).map_err(Error::io(folder))?;
        let present = std::fs::read_dir(folder).map_err(Error::io(folder))?.count();
        let missing = (self.num_class_images as usize).saturating_sub(present);
        if missing == 0 {
            return Ok(());
        }
        tracing::info!("making {missing} images of the class");
        pipeline.set_progress_bar(true);
        let mut calls = Calls::of(random.torch.clone());
        let mut made = 0;
        while made < missing {
            let count = (missing - made).min(self.sample_batch_size as usize);
            let images = calls.one(stop, |generator, callback| {
                pipeline.call(TextToImage {
                    generator: Some(generator.into()),
                    callback_on_step_end: Some(callback),
                    ..TextToImage::from(vec![prompt.clone(); count])
                })
            })?;
            let Some(images) = images else {
                return Err(oxidiff::Error::Stopped { message: "no training has begun".to_owned() }.into());
            };
            for image in images {
                let path = folder.join(format!("class-{:05}.png", present + made));
                let bytes = crate::report::png_file::encode(&image, prompt, &path)?;
                oxidiff::write_whole(&path, &bytes)?;
                made += 1;
            }
        }
        random.torch = calls.into_generator();
        Ok(())
    }

    /// The loss of a batch, whose second half is of the class.
    ///
    /// # Errors
    /// When the scheduler has no signal-to-noise ratio.
    pub(crate) fn loss(
        &self,
        diffusion: &LatentDiffusion,
        prediction: Tensor<4>,
        target: Tensor<4>,
        timesteps: &[f32],
        snr_gamma: Option<f64>,
    ) -> Result<Tensor<1>> {
        let target = target.autodiff();
        if !self.with_prior_preservation {
            return diffusion.loss(prediction, target, timesteps, snr_gamma);
        }
        let half = timesteps.len() / 2;
        let split = |all: Tensor<4>| [all.clone().narrow(0, 0, half), all.narrow(0, half, half)];
        let ([ours, prior], [target, prior_target]) = (split(prediction), split(target));
        let loss = diffusion.loss(ours, target, &timesteps[..half], snr_gamma)?;
        Ok(loss + mse(prior, prior_target) * self.prior_loss_weight)
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
        let validation = Validation { prompts: &prompts, images, steps: 25, seed: common.seed };
        validation.samples(&mut pipeline, stop)
    }
}
