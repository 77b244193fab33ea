//! Low-rank layers for Stable Diffusion on a few images of a subject: `train_dreambooth_lora.py`.

use std::path::Path;

use clap::Args;
use oxidiff::training::{LowRankInit, LowRankLayers, ParameterGradients, Recording, StateFile};
use oxidiff::{CLIPTextModel, UNet2DConditionInputs, UNet2DConditionModel};

use super::{LORA_WEIGHTS, SubjectOptions};
use crate::batches::Batch;
use crate::error::Result;
use crate::image_transform::interpolation_mode;
use crate::latent_diffusion::{Example, NoiseOptions};
use crate::learner::Learner;
use crate::options::{CommonOptions, Differences, ModelOptions, RateCourse, with_defaults};
use crate::random::Random;
use crate::report::{Family, Method, ModelCard};
use crate::stable_diffusion::StableDiffusion;
use crate::stop::Stop;
use crate::subject::{Subject, SubjectLeaves};
use crate::task::{Due, SampleImages, Task};
use crate::trainer::{Outcome, train};

/// The options of `oxidiff train dreambooth-lora`: the flags of `train_dreambooth_lora.py`.
#[derive(Args, Clone, Debug)]
#[command(
    mut_arg("output_dir", |it| it.default_value("lora-dreambooth-model")),
    mut_arg("train_batch_size", |it| it.default_value("4")),
    mut_arg("num_train_epochs", |it| it.default_value("1")),
    mut_arg("learning_rate", |it| it.default_value("5e-4")),
    mut_arg("max_grad_norm", |it| it.default_value("1"))
)]
pub struct DreamBoothLoraOptions {
    /// What to begin with.
    #[command(flatten)]
    pub model: ModelOptions,
    /// What all trainings share.
    #[command(flatten)]
    pub common: CommonOptions,
    /// What to train on.
    #[command(flatten)]
    pub subject: SubjectOptions,
    /// After how many epochs to make images of the validation prompt
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u64).range(1..))]
    pub validation_epochs: u64,
    /// The rank of the layers
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=4096))]
    pub rank: u32,
    /// The filter for resizing: nearest, bilinear, bicubic or lanczos
    #[arg(long, value_name = "NAME", default_value = "lanczos")]
    pub image_interpolation_mode: String,
}

impl DreamBoothLoraOptions {
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

/// Trains low-rank layers of the UNet, and of the text encoder if wanted, until the end, or until `stop` asks to stop. The
/// result is `pytorch_lora_weights.safetensors` in `output_dir`, which
/// [`load_lora_weights`](oxidiff::LoraLoader::load_lora_weights) reads.
///
/// # Errors
/// When an option makes no sense, the model, the images or a checkpoint cannot be read, or a folder cannot be written.
pub fn dreambooth_lora(options: &DreamBoothLoraOptions, stop: &Stop) -> Result<Outcome> {
    let differences = Differences { run_name: "dreambooth-lora", loss_tag: "loss", rate: RateCourse::Steps };
    let DreamBoothLoraOptions { model, common, subject, .. } = options;
    common.check()?;
    subject.prior.check()?;
    model.check(subject.train_text_encoder)?;
    let filter = interpolation_mode(&options.image_interpolation_mode)?;
    let mut random = common.random();
    let (frozen, mut unet, mut text_encoder) =
        StableDiffusion::load(model, common.dtype()?, common.resolution)?;
    let pipeline = frozen.pipeline(unet.clone(), text_encoder.clone())?;
    subject.prior.make_class_images(pipeline, &mut random, stop)?;
    let data = common.data(subject.images(common.resolution, filter)?);
    let prepared = common.prepare(&data, &differences)?;

    let rank = options.rank as usize;
    let (alpha, init) = (rank as f64, LowRankInit::Gaussian);
    let unet_layers = LowRankLayers::new(&mut unet, rank, alpha, init, &mut random.torch)?;
    let text_layers = subject
        .train_text_encoder
        .then(|| LowRankLayers::new(&mut text_encoder, rank, alpha, init, &mut random.torch));
    let trained = Subject { unet: unet_layers, text_encoders: Vec::from_iter(text_layers.transpose()?) };
    let mut task = DreamBoothLoraTask {
        options: options.clone(),
        frozen,
        unet,
        text_encoder,
        learner: Learner::new(trained, prepared.adam_w, None),
    };
    train(&mut task, &data, &prepared.plan, random, prepared.report, stop)
}

struct DreamBoothLoraTask {
    options: DreamBoothLoraOptions,
    frozen: StableDiffusion,
    /// Without the layers.
    unet: UNet2DConditionModel,
    /// Without the layers.
    text_encoder: CLIPTextModel,
    learner: Learner<Subject<LowRankLayers, LowRankLayers>>,
}

impl Task for DreamBoothLoraTask {
    fn learn(
        &mut self,
        batch: Batch,
        parts: usize,
        random: &mut Random,
    ) -> Result<(f32, ParameterGradients)> {
        let Example { noisy, timesteps, target } =
            self.frozen.diffusion.example(batch.images, NoiseOptions::default(), &mut random.torch)?;

        let trained = self.learner.trained();
        let dtype = self.frozen.diffusion.dtype;
        let mut unet = Recording::frozen(&self.unet, dtype);
        let unet_leaves = trained.unet.record(&mut unet, dtype)?;
        let (text, text_encoders) = match trained.text_encoders.first() {
            Some(layers) => {
                let mut text_encoder = Recording::frozen(&self.text_encoder, dtype);
                let leaves = layers.record(&mut text_encoder, dtype)?;
                (self.frozen.text(&batch.captions, &text_encoder)?, Some(leaves))
            }
            None => (self.frozen.frozen_text(&batch.captions, &self.text_encoder)?, None),
        };
        let inputs = UNet2DConditionInputs::default();
        let noisy = noisy.autodiff();
        let prediction =
            self.options.common.predict(|| unet.forward_with(noisy, &timesteps, text, inputs))?;
        drop(unet);
        let loss = self.options.subject.prior.loss(prediction, target, None, None);
        let leaves = SubjectLeaves { unet: unet_leaves, text_encoders: Vec::from_iter(text_encoders) };
        Ok(leaves.learn(loss, parts))
    }

    fn update(&mut self, gradients: &ParameterGradients, learning_rate: f64) {
        self.learner.update(gradients, learning_rate);
    }

    fn save(&self, folder: &Path, state: &mut StateFile) -> Result<()> {
        self.write(folder)?;
        self.learner.save_layers(state);
        Ok(())
    }

    fn load(&mut self, _folder: &Path, state: &StateFile) -> Result<()> {
        self.learner.load_layers(state)
    }

    fn due_after_epoch(&self, epoch: u64, is_last: bool) -> Due {
        let is_time = is_last || epoch.is_multiple_of(self.options.validation_epochs);
        let samples = is_time && self.options.subject.validation_prompt.is_some();
        Due { samples, model: is_last, interim: false }
    }

    fn samples(&self, stop: &Stop) -> Result<Option<SampleImages>> {
        let DreamBoothLoraOptions { common, subject, .. } = &self.options;
        let trained = self.learner.trained();
        let (mut unet, mut text_encoder) = (self.unet.clone(), self.text_encoder.clone());
        trained.unet.apply(&mut unet, self.frozen.diffusion.dtype)?;
        if let Some(layers) = trained.text_encoders.first() {
            layers.apply(&mut text_encoder, self.frozen.diffusion.dtype)?;
        }
        subject.samples(&self.frozen, unet, text_encoder, common, stop)
    }

    fn write(&self, folder: &Path) -> Result<()> {
        Ok(self.learner.trained().weights().write(&folder.join(LORA_WEIGHTS))?)
    }

    fn card(&self) -> ModelCard {
        let DreamBoothLoraOptions { model, common, subject, .. } = &self.options;
        let mut hyperparameters = common.hyperparameters();
        hyperparameters.push(("Rank".to_owned(), self.options.rank.to_string()));
        ModelCard {
            base_model: Some(model.pretrained_model_name_or_path.clone()),
            instance_prompt: Some(subject.instance_prompt.clone()),
            train_text_encoder: subject.train_text_encoder,
            hyperparameters,
            ..ModelCard::new(Method::DreamBoothLora, Family::StableDiffusion, common.name())
        }
    }
}
