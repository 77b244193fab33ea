//! All weights of Stable Diffusion on a few images of a subject (Ruiz et al. 2022, <https://arxiv.org/abs/2208.12242>):
//! `train_dreambooth.py`.

use std::path::Path;

use clap::Args;
use oxidiff::training::{ParameterGradients, Recording, StateFile};
use oxidiff::{CLIPTextModel, Model, Pipeline, Resample, UNet2DConditionInputs, UNet2DConditionModel};

use super::SubjectOptions;
use crate::batches::Batch;
use crate::error::Result;
use crate::latent_diffusion::{Example, NoiseOptions};
use crate::learner::Learner;
use crate::options::{CommonOptions, Differences, ModelOptions, RateCourse, positive, with_defaults};
use crate::random::Random;
use crate::report::{Family, Method, ModelCard};
use crate::stable_diffusion::{StableDiffusion, load_saved};
use crate::stop::Stop;
use crate::subject::{Subject, SubjectLeaves, TEXT_ENCODERS, UNET};
use crate::task::{Due, SampleImages, Task};
use crate::trainer::{Outcome, train};

/// The options of `oxidiff train dreambooth`: the flags of `train_dreambooth.py`.
#[derive(Args, Clone, Debug)]
#[command(
    mut_arg("output_dir", |it| it.default_value("dreambooth-model")),
    mut_arg("train_batch_size", |it| it.default_value("4")),
    mut_arg("num_train_epochs", |it| it.default_value("1")),
    mut_arg("learning_rate", |it| it.default_value("5e-6")),
    mut_arg("max_grad_norm", |it| it.default_value("1"))
)]
pub struct DreamBoothOptions {
    /// What to begin with.
    #[command(flatten)]
    pub model: ModelOptions,
    /// What all trainings share.
    #[command(flatten)]
    pub common: CommonOptions,
    /// What to train on.
    #[command(flatten)]
    pub subject: SubjectOptions,
    /// After how many steps to make images of the validation prompt
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..))]
    pub validation_steps: u64,
    /// The γ of Min-SNR weights, 5 is recommended; by default all timesteps weigh the same
    #[arg(long, value_name = "GAMMA")]
    pub snr_gamma: Option<f64>,
    /// Add a tenth of noise that is the same everywhere in an image
    #[arg(long)]
    pub offset_noise: bool,
}

impl DreamBoothOptions {
    /// The defaults, for a model and the images of a subject with their prompt.
    pub fn new(
        pretrained_model_name_or_path: &str,
        instance_data_dir: impl AsRef<Path>,
        instance_prompt: &str,
        output_dir: impl AsRef<Path>,
    ) -> Self {
        with_defaults(&[
            ("pretrained-model-name-or-path", Path::new(pretrained_model_name_or_path)),
            ("instance-data-dir", instance_data_dir.as_ref()),
            ("instance-prompt", Path::new(instance_prompt)),
            ("output-dir", output_dir.as_ref()),
        ])
    }
}

/// Trains the UNet, and the text encoder if wanted, until the end, or until `stop` asks to stop. The result in `output_dir` is
/// a [`StableDiffusionPipeline`](oxidiff::StableDiffusionPipeline).
///
/// # Errors
/// When an option makes no sense, the model, the images or a checkpoint cannot be read, or a folder cannot be written.
pub fn dreambooth(options: &DreamBoothOptions, stop: &Stop) -> Result<Outcome> {
    let differences = Differences { run_name: "dreambooth", loss_tag: "loss", rate: RateCourse::Steps };
    let DreamBoothOptions { model, common, subject, .. } = options;
    common.check()?;
    subject.prior.check()?;
    model.check(subject.train_text_encoder)?;
    options.snr_gamma.map(|gamma| positive("snr-gamma", gamma)).transpose()?;
    let mut random = common.random();
    let dtype = common.dtype()?;
    let (frozen, unet, text_encoder) = StableDiffusion::load(model, dtype, common.resolution)?;
    let pipeline = frozen.pipeline(unet.clone(), text_encoder.clone())?;
    subject.prior.make_class_images(pipeline, &mut random, stop)?;
    let data = common.data(subject.images(common.resolution, Resample::Bilinear)?);
    let prepared = common.prepare(&data, &differences)?;

    let trained_text_encoder =
        subject.train_text_encoder.then(|| model.in_f32(TEXT_ENCODERS[0], text_encoder.clone(), dtype));
    let trained = Subject {
        unet: model.in_f32(UNET, unet, dtype)?,
        text_encoders: Vec::from_iter(trained_text_encoder.transpose()?),
    };
    let mut task = DreamBoothTask {
        options: options.clone(),
        frozen,
        text_encoder,
        learner: Learner::new(trained, prepared.adam_w, None),
    };
    train(&mut task, &data, &prepared.plan, random, prepared.report, stop)
}

struct DreamBoothTask {
    options: DreamBoothOptions,
    frozen: StableDiffusion,
    /// As it was before the training.
    text_encoder: CLIPTextModel,
    learner: Learner<Subject<UNet2DConditionModel, CLIPTextModel>>,
}

impl Task for DreamBoothTask {
    fn learn(
        &mut self,
        batch: Batch,
        parts: usize,
        random: &mut Random,
    ) -> Result<(f32, ParameterGradients)> {
        let offset = if self.options.offset_noise { 0.1 } else { 0.0 };
        let noise = NoiseOptions { offset, perturbation: 0.0 };
        let Example { noisy, timesteps, target } =
            self.frozen.diffusion.example(batch.images, noise, &mut random.torch)?;

        let trained = self.learner.trained();
        let dtype = self.frozen.diffusion.dtype;
        let (unet, unet_leaves) = Recording::of(&trained.unet, dtype).into_parts();
        let (text, text_encoders) = match trained.text_encoders.first() {
            Some(text_encoder) => {
                let (text_encoder, leaves) = Recording::of(text_encoder, dtype).into_parts();
                (self.frozen.text(&batch.captions, &text_encoder)?, Some(leaves))
            }
            None => (self.frozen.frozen_text(&batch.captions, &self.text_encoder)?, None),
        };
        let inputs = UNet2DConditionInputs::default();
        let noisy = noisy.autodiff();
        let prediction =
            self.options.common.predict(|| unet.forward_with(noisy, &timesteps, text, inputs))?;
        drop(unet);
        let gamma = self.options.snr_gamma;
        let weights = gamma.map(|gamma| self.frozen.diffusion.snr_weights(&timesteps, gamma)).transpose()?;
        let loss = self.options.subject.prior.loss(prediction, target, weights.as_deref(), None);
        let leaves = SubjectLeaves { unet: unet_leaves, text_encoders: Vec::from_iter(text_encoders) };
        Ok(leaves.learn(loss, parts))
    }

    fn update(&mut self, gradients: &ParameterGradients, learning_rate: f64) {
        self.learner.update(gradients, learning_rate);
    }

    fn save(&self, folder: &Path, state: &mut StateFile) -> Result<()> {
        let Subject { unet, text_encoders } = self.learner.trained();
        unet.save_pretrained(folder.join(UNET))?;
        for (text_encoder, name) in text_encoders.iter().zip(TEXT_ENCODERS) {
            text_encoder.save_pretrained(folder.join(name))?;
        }
        self.learner.save(state);
        Ok(())
    }

    fn load(&mut self, folder: &Path, state: &StateFile) -> Result<()> {
        let names = TEXT_ENCODERS.iter().take(self.learner.trained().text_encoders.len());
        let text_encoders = names.map(|name| load_saved(&folder.join(name))).collect::<Result<_>>()?;
        self.learner.load(Subject { unet: load_saved(&folder.join(UNET))?, text_encoders }, state)
    }

    fn due_after_epoch(&self, _epoch: u64, is_last: bool) -> Due {
        let samples = is_last && self.options.subject.validation_prompt.is_some();
        Due { samples, model: is_last, interim: false }
    }

    fn due_after_step(&self, step: u64) -> Due {
        let is_time = step.is_multiple_of(self.options.validation_steps);
        Due { samples: is_time && self.options.subject.validation_prompt.is_some(), ..Due::default() }
    }

    fn samples(&self, stop: &Stop) -> Result<Option<SampleImages>> {
        let DreamBoothOptions { common, subject, .. } = &self.options;
        let dtype = self.frozen.diffusion.dtype;
        let trained = self.learner.trained();
        let text_encoder = trained.text_encoders.first().unwrap_or(&self.text_encoder).cast(dtype);
        let unet = trained.unet.cast(dtype);
        subject.samples(&self.frozen, unet, text_encoder, common, stop)
    }

    fn write(&self, folder: &Path) -> Result<()> {
        let Subject { unet, text_encoders } = self.learner.trained();
        let mut pipeline = self.options.model.load_pipeline()?;
        pipeline.unet = unet.clone();
        if let Some(text_encoder) = text_encoders.first() {
            pipeline.text_encoder = text_encoder.clone();
        }
        Ok(pipeline.save_pretrained(folder)?)
    }

    fn card(&self) -> ModelCard {
        let DreamBoothOptions { model, common, subject, .. } = &self.options;
        ModelCard {
            base_model: Some(model.pretrained_model_name_or_path.clone()),
            instance_prompt: Some(subject.instance_prompt.clone()),
            train_text_encoder: subject.train_text_encoder,
            hyperparameters: common.hyperparameters(),
            ..ModelCard::new(Method::DreamBooth, Family::StableDiffusion, common.name())
        }
    }
}
