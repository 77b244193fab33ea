//! All weights of Stable Diffusion's UNet, on images with captions: `train_text_to_image.py`.

use std::path::Path;

use clap::Args;
use oxidiff::training::{EMAModel, EMAModelConfig, ParameterGradients, Recording, StateFile};
use oxidiff::{CLIPTextModel, Model, Pipeline, UNet2DConditionInputs, UNet2DConditionModel};

use crate::batches::Batch;
use crate::error::Result;
use crate::image_transform::interpolation_mode;
use crate::latent_diffusion::NoiseOptions;
use crate::learner::{Learner, has_no_average, saved_average};
use crate::options::{
    CommonOptions, DatasetOptions, Differences, ModelOptions, RateCourse, not_negative, positive,
    with_defaults,
};
use crate::random::Random;
use crate::report::{Family, Method, ModelCard};
use crate::stable_diffusion::{StableDiffusion, load_saved};
use crate::stop::Stop;
use crate::task::{Due, SampleImages, Task};
use crate::trainer::{Outcome, train};
use crate::validation::Validation;

/// The options of `oxidiff train text-to-image`: the flags of `train_text_to_image.py`.
#[derive(Args, Clone, Debug)]
#[command(
    mut_arg("output_dir", |it| it.default_value("sd-model-finetuned")),
    mut_arg("max_grad_norm", |it| it.default_value("1"))
)]
pub struct TextToImageOptions {
    /// What to begin with.
    #[command(flatten)]
    pub model: ModelOptions,
    /// What all trainings share.
    #[command(flatten)]
    pub common: CommonOptions,
    /// What to train on.
    #[command(flatten)]
    pub dataset: DatasetOptions,
    /// The column of the captions; of several captions, one is drawn each time
    #[arg(long, value_name = "NAME", default_value = "text")]
    pub caption_column: String,
    /// Prompts to make an image each of, to show the progress
    #[arg(long, value_name = "PROMPT", num_args = 1..)]
    pub validation_prompts: Vec<String>,
    /// After how many epochs to make them
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..))]
    pub validation_epochs: u64,
    /// Write a moving average of the weights
    #[arg(long)]
    pub use_ema: bool,
    /// The γ of Min-SNR weights, 5 is recommended; by default all timesteps weigh the same
    #[arg(long, value_name = "GAMMA")]
    pub snr_gamma: Option<f64>,
    /// What the model predicts: epsilon or v_prediction; by default what the checkpoint's scheduler says
    #[arg(long, value_name = "TYPE")]
    pub prediction_type: Option<String>,
    /// How much noise that is the same everywhere in an image to add
    #[arg(long, value_name = "SCALE", default_value_t = 0.0)]
    pub noise_offset: f64,
    /// How much noise to add that the model does not have to predict; 0.1 is recommended
    #[arg(long, value_name = "SCALE", default_value_t = 0.0)]
    pub input_perturbation: f64,
    /// The filter for resizing: nearest, bilinear, bicubic or lanczos
    #[arg(long, value_name = "NAME", default_value = "lanczos")]
    pub image_interpolation_mode: String,
}

impl TextToImageOptions {
    /// The defaults, for a model and the images and captions in a folder.
    pub fn new(
        pretrained_model_name_or_path: &str,
        train_data_dir: impl AsRef<Path>,
        output_dir: impl AsRef<Path>,
    ) -> Self {
        with_defaults(&[
            ("pretrained-model-name-or-path", Path::new(pretrained_model_name_or_path)),
            ("train-data-dir", train_data_dir.as_ref()),
            ("output-dir", output_dir.as_ref()),
        ])
    }
}

/// Trains the UNet until the end, or until `stop` asks to stop. The result in `output_dir` is a
/// [`StableDiffusionPipeline`](oxidiff::StableDiffusionPipeline).
///
/// # Errors
/// When an option makes no sense, the model, the data or a checkpoint cannot be read, or the folder cannot be written.
pub fn text_to_image(options: &TextToImageOptions, stop: &Stop) -> Result<Outcome> {
    let differences =
        Differences { run_name: "text2image-fine-tune", loss_tag: "train_loss", rate: RateCourse::Steps };
    let TextToImageOptions { model, common, dataset, .. } = options;
    common.check()?;
    options.snr_gamma.map(|gamma| positive("snr-gamma", gamma)).transpose()?;
    let noise = NoiseOptions {
        offset: not_negative("noise-offset", options.noise_offset)?,
        perturbation: not_negative("input-perturbation", options.input_perturbation)?,
    };
    let filter = interpolation_mode(&options.image_interpolation_mode)?;
    let random = common.random();
    let images = dataset.folder.open(None, random.torch.initial_seed())?;
    let images =
        dataset.captioned_images(images, Some(&options.caption_column), common.resolution, filter)?;
    let data = common.data(images);
    let prepared = common.prepare(&data, &differences)?;

    let dtype = common.dtype()?;
    let (mut frozen, unet, text_encoder) = StableDiffusion::load(model, dtype, common.resolution)?;
    frozen.diffusion.set_prediction_type(options.prediction_type.as_deref())?;
    let unet = model.in_f32("unet", unet, dtype)?;
    let average = options.use_ema.then(|| EMAModel::new(&unet, EMAModelConfig::default()));
    let learner = Learner::new(unet, prepared.adam_w, average);
    let mut task = TextToImageTask { options: options.clone(), frozen, text_encoder, noise, learner };
    train(&mut task, &data, &prepared.plan, random, prepared.report, stop)
}

struct TextToImageTask {
    options: TextToImageOptions,
    frozen: StableDiffusion,
    text_encoder: CLIPTextModel,
    noise: NoiseOptions,
    learner: Learner<UNet2DConditionModel>,
}

impl Task for TextToImageTask {
    fn learn(
        &mut self,
        batch: Batch,
        parts: usize,
        random: &mut Random,
    ) -> Result<(f32, ParameterGradients)> {
        let example = self.frozen.diffusion.example(batch.images, self.noise, &mut random.torch)?;
        let text = self.frozen.frozen_text(&batch.captions, &self.text_encoder)?;

        let recording = Recording::of(self.learner.trained(), self.frozen.diffusion.dtype);
        let inputs = UNet2DConditionInputs::default();
        let noisy = example.noisy.autodiff();
        let unet = recording.model();
        let prediction =
            self.options.common.predict(|| unet.forward_with(noisy, &example.timesteps, text, inputs))?;
        let snr_gamma = self.options.snr_gamma;
        let loss = self.frozen.diffusion.loss(
            prediction,
            example.target.autodiff(),
            &example.timesteps,
            snr_gamma,
        )?;
        let value = loss.clone().into_scalar::<f32>();
        Ok((value, recording.backward(&(loss / parts as f64))))
    }

    fn update(&mut self, gradients: &ParameterGradients, learning_rate: f64) {
        self.learner.update(gradients, learning_rate);
    }

    fn save(&self, folder: &Path, state: &mut StateFile) -> Result<()> {
        let unet = self.learner.trained();
        unet.save_pretrained(folder.join("unet"))?;
        self.learner.save(state);
        if let Some(average) = &self.learner.average {
            average.save_pretrained(unet, &folder.join("unet_ema"))?;
        }
        Ok(())
    }

    fn load(&mut self, folder: &Path, state: &StateFile) -> Result<()> {
        let unet: UNet2DConditionModel = load_saved(&folder.join("unet"))?;
        if self.options.use_ema {
            self.learner.average = Some(saved_average(&unet, EMAModelConfig::default(), folder)?);
        } else {
            has_no_average(folder)?;
        }
        self.learner.load(unet, state)
    }

    fn due_after_epoch(&self, epoch: u64, is_last: bool) -> Due {
        let is_time = is_last || epoch.is_multiple_of(self.options.validation_epochs);
        Due {
            samples: is_time && !self.options.validation_prompts.is_empty(),
            model: is_last,
            interim: false,
        }
    }

    fn samples(&self, stop: &Stop) -> Result<Option<SampleImages>> {
        let prompts = &self.options.validation_prompts;
        let validation = Validation { prompts, images: 1, steps: Some(20), seed: self.options.common.seed };
        let unet = self.learner.averaged().cast(self.frozen.diffusion.dtype);
        let mut pipeline = self.frozen.pipeline(unet, self.text_encoder.clone())?;
        validation.samples(&mut pipeline, stop)
    }

    fn write(&self, folder: &Path) -> Result<()> {
        let mut pipeline = self.options.model.load_pipeline()?;
        pipeline.unet = self.learner.averaged();
        Ok(pipeline.save_pretrained(folder)?)
    }

    fn card(&self) -> ModelCard {
        let TextToImageOptions { model, common, dataset, .. } = &self.options;
        ModelCard {
            base_model: Some(model.pretrained_model_name_or_path.clone()),
            dataset: dataset.folder.name(),
            hyperparameters: common.hyperparameters(),
            ..ModelCard::new(Method::TextToImage, Family::StableDiffusion, common.name())
        }
    }
}
