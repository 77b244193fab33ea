//! Prior preservation (Ruiz et al. 2022, <https://arxiv.org/abs/2208.12242>, section 4.2): images of the class of a subject, which the
//! model made itself, so that it does not forget them.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use oxidiff::Tensor;

use crate::data::Dataset;
use crate::error::{Error, Result};
use crate::latent_diffusion::squared_error;
use crate::options::not_negative;
use crate::random::Random;
use crate::sources::Class;
use crate::stop::Stop;
use crate::validation::{Calls, Prompted};

/// What a model should not forget while it learns a subject.
#[derive(Args, Clone, Debug)]
pub struct PriorOptions {
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
}

impl PriorOptions {
    /// Checks the options that need nothing but themselves.
    pub(crate) fn check(&self) -> Result<()> {
        not_negative("prior-loss-weight", self.prior_loss_weight)?;
        for (option, is_given) in
            [("class-data-dir", self.class_data_dir.is_some()), ("class-prompt", self.class_prompt.is_some())]
        {
            if self.with_prior_preservation && !is_given {
                return Err(Error::option(option, "is needed with --with-prior-preservation"));
            }
            if !self.with_prior_preservation && is_given {
                tracing::warn!("--{option} is not used without --with-prior-preservation");
            }
        }
        Ok(())
    }

    /// The images of the class, if they are wanted.
    ///
    /// # Errors
    /// When the folder has no images.
    pub(crate) fn class(&self) -> Result<Option<Class>> {
        let (Some(folder), Some(prompt), true) =
            (&self.class_data_dir, &self.class_prompt, self.with_prior_preservation)
        else {
            return Ok(None);
        };
        let images = Dataset::open_plain_folder(folder)?;
        let count = images.len().min(self.num_class_images as usize);
        Ok(Some(Class { images: Arc::new(images), count, prompt: prompt.clone() }))
    }

    /// Lets the model make the images of the class that are missing, with the training's random numbers.
    ///
    /// # Errors
    /// When the model cannot be called, or the folder cannot be written.
    pub(crate) fn make_class_images(
        &self,
        mut pipeline: impl Prompted,
        random: &mut Random,
        stop: &Stop,
    ) -> Result<()> {
        let (Some(folder), Some(prompt), true) =
            (&self.class_data_dir, &self.class_prompt, self.with_prior_preservation)
        else {
            return Ok(());
        };
        std::fs::create_dir_all(folder).map_err(Error::io(folder))?;
        let present = Dataset::images_in_plain_folder(folder)?;
        let missing = (self.num_class_images as usize).saturating_sub(present);
        if missing == 0 {
            return Ok(());
        }
        tracing::info!("making {missing} images of the class");
        pipeline.set_progress_bar(true);
        let mut calls = Calls::of(random.torch.clone());
        let mut names = (0..).map(|number| folder.join(format!("class-{number:05}.png")));
        let mut made = 0;
        while made < missing {
            let count = (missing - made).min(self.sample_batch_size as usize);
            let images = calls.one(stop, |generator, callback| {
                pipeline.images_of(vec![prompt.clone(); count], None, generator, callback)
            })?;
            let Some(images) = images else {
                return Err(oxidiff::Error::Stopped { message: "no training has begun".to_owned() }.into());
            };
            for image in images {
                let path = names.find(|path| !path.exists()).expect("there are names without end");
                let bytes = crate::report::png_file::encode(&image, prompt, &path)?;
                oxidiff::write_whole(&path, &bytes)?;
                made += 1;
            }
        }
        random.torch = calls.into_generator();
        Ok(())
    }

    /// The loss of a batch, whose second half is of the class if there is one. Each half has weights for its items, of which there
    /// is one for each item of the batch.
    pub(crate) fn loss(
        &self,
        prediction: Tensor<4>,
        target: Tensor<4>,
        weights: Option<&[f32]>,
        prior_weights: Option<&[f32]>,
    ) -> Tensor<1> {
        let target = target.autodiff();
        if !self.with_prior_preservation {
            return squared_error(prediction, target, weights);
        }
        let half = target.dims()[0] / 2;
        let split = |all: Tensor<4>| [all.clone().narrow(0, 0, half), all.narrow(0, half, half)];
        let ([ours, prior], [target, prior_target]) = (split(prediction), split(target));
        let loss = squared_error(ours, target, weights.map(|weights| &weights[..half]));
        let prior_loss = squared_error(prior, prior_target, prior_weights.map(|weights| &weights[half..]));
        loss + prior_loss * self.prior_loss_weight
    }
}
