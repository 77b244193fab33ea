//! Low-rank layers for the attentions of Stable Diffusion XL, on images with captions: `train_text_to_image_lora_sdxl.py`.

use std::path::Path;

use clap::Args;
use oxidiff::training::{ParameterGradients, StateFile};

use super::LORA_WEIGHTS;
use crate::batches::Batch;
use crate::error::Result;
use crate::image_transform::interpolation_mode;
use crate::latent_diffusion::{Example, NoiseOptions};
use crate::learner::Learner;
use crate::options::{
    CommonOptions, DatasetOptions, Differences, ModelOptions, RateCourse, not_negative, positive,
    with_defaults,
};
use crate::random::Random;
use crate::report::{Family, Method, ModelCard};
use crate::sources::CaptionedImagesXl;
use crate::stable_diffusion_xl::{StableDiffusionXl, XlLayers, XlModels};
use crate::stop::Stop;
use crate::task::{Due, SampleImages, Task};
use crate::trainer::{Outcome, train};
use crate::validation::Validation;

/// The options of `oxidiff train text-to-image-lora-sdxl`: the flags of `train_text_to_image_lora_sdxl.py`.
#[derive(Args, Clone, Debug)]
#[command(
    mut_arg("pretrained_model_name_or_path", |it| {
        it.help("The model to begin with, a Stable Diffusion XL: a folder or a name on the hub")
    }),
    mut_arg("output_dir", |it| it.default_value("sd-model-finetuned-lora")),
    mut_arg("resolution", |it| it.default_value("1024")),
    mut_arg("max_grad_norm", |it| it.default_value("1"))
)]
pub struct TextToImageLoraSdxlOptions {
    /// What to begin with.
    #[command(flatten)]
    pub model: ModelOptions,
    /// A VAE to use instead of the model's: a folder or a name on the hub. Unlike the model's own, it computes in
    /// --mixed-precision
    #[arg(long, value_name = "DIR_OR_HUB_ID")]
    pub pretrained_vae_model_name_or_path: Option<String>,
    /// What all trainings share.
    #[command(flatten)]
    pub common: CommonOptions,
    /// What to train on.
    #[command(flatten)]
    pub dataset: DatasetOptions,
    /// The column of the captions; of several captions, one is drawn each time
    #[arg(long, value_name = "NAME", default_value = "text")]
    pub caption_column: String,
    /// Train layers of both text encoders as well
    #[arg(long)]
    pub train_text_encoder: bool,
    /// A prompt to make images of, to show the progress
    #[arg(long, value_name = "PROMPT")]
    pub validation_prompt: Option<String>,
    /// How many images to make of it
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub num_validation_images: u32,
    /// After how many epochs to make them
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    pub validation_epochs: u64,
    /// The γ of Min-SNR weights, 5 is recommended; by default all timesteps weigh the same
    #[arg(long, value_name = "GAMMA")]
    pub snr_gamma: Option<f64>,
    /// What the model predicts: epsilon or v_prediction; by default what the checkpoint's scheduler says
    #[arg(long, value_name = "TYPE")]
    pub prediction_type: Option<String>,
    /// How much noise that is the same everywhere in an image to add
    #[arg(long, value_name = "SCALE", default_value_t = 0.0)]
    pub noise_offset: f64,
    /// The rank of the layers
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=4096))]
    pub rank: u32,
    /// The filter for resizing: nearest, bilinear, bicubic or lanczos
    #[arg(long, value_name = "NAME", default_value = "lanczos")]
    pub image_interpolation_mode: String,
}

impl TextToImageLoraSdxlOptions {
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

/// Trains low-rank layers of the UNet, and of both text encoders if wanted, until the end, or until `stop` asks to stop. The
/// result is `pytorch_lora_weights.safetensors` in `output_dir`, which
/// [`load_lora_weights`](oxidiff::LoraLoader::load_lora_weights) reads.
///
/// # Errors
/// When an option makes no sense, the model is not Stable Diffusion XL, a model, the data or a checkpoint cannot be read, or the
/// folder cannot be written.
pub fn text_to_image_lora_sdxl(options: &TextToImageLoraSdxlOptions, stop: &Stop) -> Result<Outcome> {
    let differences = Differences {
        run_name: "text2image-fine-tune",
        loss_tag: "train_loss",
        rate: RateCourse::BatchesOfSteps,
    };
    let TextToImageLoraSdxlOptions { model, common, dataset, .. } = options;
    common.check()?;
    model.check(options.train_text_encoder)?;
    options.snr_gamma.map(|gamma| positive("snr-gamma", gamma)).transpose()?;
    let offset = not_negative("noise-offset", options.noise_offset)?;
    let filter = interpolation_mode(&options.image_interpolation_mode)?;
    let mut random = common.random();
    let images = dataset.folder.open(None, random.torch.initial_seed())?;
    let images =
        dataset.captioned_images(images, Some(&options.caption_column), common.resolution, filter)?;
    let data = common.data(CaptionedImagesXl(images));
    let prepared = common.prepare(&data, &differences)?;

    let dtype = common.dtype()?;
    let vae = options.pretrained_vae_model_name_or_path.as_deref().map(|vae| (vae, dtype));
    let (mut frozen, mut models) = StableDiffusionXl::load(model, vae, dtype, common.resolution)?;
    frozen.diffusion.set_prediction_type(options.prediction_type.as_deref())?;
    let rank = options.rank as usize;
    let layers = models.new_layers(rank, options.train_text_encoder, &mut random.torch)?;
    let mut task = TextToImageLoraSdxlTask {
        options: options.clone(),
        noise: NoiseOptions { offset, perturbation: 0.0 },
        frozen,
        models,
        learner: Learner::new(layers, prepared.adam_w, None),
    };
    train(&mut task, &data, &prepared.plan, random, prepared.report, stop)
}

struct TextToImageLoraSdxlTask {
    options: TextToImageLoraSdxlOptions,
    noise: NoiseOptions,
    frozen: StableDiffusionXl,
    /// Without the layers.
    models: XlModels,
    learner: Learner<XlLayers>,
}

impl Task for TextToImageLoraSdxlTask {
    fn learn(
        &mut self,
        batch: Batch,
        parts: usize,
        random: &mut Random,
    ) -> Result<(f32, ParameterGradients)> {
        let Self { frozen, models, .. } = self;
        let Example { noisy, timesteps, target } =
            frozen.diffusion.example(batch.images, self.noise, &mut random.torch)?;

        let noisy = (noisy, &timesteps[..]);
        let (prediction, leaves) = frozen.predict(
            models,
            self.learner.trained(),
            noisy,
            &batch.captions,
            &batch.origins,
            &self.options.common,
        )?;
        let snr_gamma = self.options.snr_gamma;
        let loss = frozen.diffusion.loss(prediction, target.autodiff(), &timesteps, snr_gamma)?;
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
        Due { samples: is_time && self.options.validation_prompt.is_some(), model: is_last, interim: false }
    }

    fn samples(&self, stop: &Stop) -> Result<Option<SampleImages>> {
        let prompts = Vec::from_iter(self.options.validation_prompt.clone());
        let dtype = self.frozen.diffusion.dtype;
        let models = self.models.with_layers(self.learner.trained(), dtype)?;
        let mut pipeline = self.frozen.pipeline(models)?;
        let images = self.options.num_validation_images;
        let validation =
            Validation { prompts: &prompts, images, steps: Some(50), seed: self.options.common.seed };
        validation.samples(&mut pipeline, stop)
    }

    fn write(&self, folder: &Path) -> Result<()> {
        Ok(self.learner.trained().weights().write(&folder.join(LORA_WEIGHTS))?)
    }

    fn card(&self) -> ModelCard {
        let TextToImageLoraSdxlOptions { model, common, dataset, .. } = &self.options;
        let mut hyperparameters = common.hyperparameters();
        hyperparameters.push(("Rank".to_owned(), self.options.rank.to_string()));
        ModelCard {
            base_model: Some(model.pretrained_model_name_or_path.clone()),
            dataset: dataset.folder.name(),
            train_text_encoder: self.options.train_text_encoder,
            vae: self.options.pretrained_vae_model_name_or_path.clone(),
            hyperparameters,
            ..ModelCard::new(Method::TextToImageLora, Family::StableDiffusionXl, common.name())
        }
    }
}
