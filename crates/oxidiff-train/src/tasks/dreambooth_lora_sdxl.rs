//! Low-rank layers for Stable Diffusion XL on a few images of a subject: `train_dreambooth_lora_sdxl.py`.

use std::path::Path;

use clap::Args;
use oxidiff::training::{LearningRate, ParameterGradients, ParameterGroup, StateFile};
use oxidiff::{DType, Resample};

use super::{InstanceOptions, LORA_WEIGHTS, PriorOptions};
use crate::batches::Batch;
use crate::edm::{Edm, is_of_edm};
use crate::error::{Error, Result};
use crate::image_transform::{ImageTransform, interpolation_mode};
use crate::latent_diffusion::{Example, NoiseOptions};
use crate::learner::Learner;
use crate::options::{
    CommonOptions, Differences, ModelOptions, RateCourse, not_negative, only_adam_w, positive, with_defaults,
};
use crate::random::Random;
use crate::report::{Family, Method, ModelCard};
use crate::sources::SubjectImagesXl;
use crate::stable_diffusion_xl::{StableDiffusionXl, XlLayers, XlModels};
use crate::stop::Stop;
use crate::subject::UNET;
use crate::task::{Due, SampleImages, Task};
use crate::trainer::{Outcome, train};
use crate::validation::Validation;

/// The options of `oxidiff train dreambooth-lora-sdxl`: the flags of `train_dreambooth_lora_sdxl.py`.
#[derive(Args, Clone, Debug)]
#[command(
    mut_arg("pretrained_model_name_or_path", |it| {
        it.help("The model to begin with, a Stable Diffusion XL: a folder or a name on the hub")
    }),
    mut_arg("output_dir", |it| it.default_value("lora-dreambooth-model")),
    mut_arg("resolution", |it| it.default_value("1024")),
    mut_arg("train_batch_size", |it| it.default_value("4")),
    mut_arg("num_train_epochs", |it| it.default_value("1")),
    mut_arg("adam_weight_decay", |it| {
        it.default_value("1e-4").help("AdamW's decay of the weights of the UNet's layers")
    }),
    mut_arg("learning_rate", |it| it.help("The learning rate of the UNet's layers, after its warm-up")),
    mut_arg("max_grad_norm", |it| it.default_value("1"))
)]
pub struct DreamBoothLoraSdxlOptions {
    /// What to begin with.
    #[command(flatten)]
    pub model: ModelOptions,
    /// A VAE to use instead of the model's: a folder or a name on the hub. Either computes in f32
    #[arg(long, value_name = "DIR_OR_HUB_ID")]
    pub pretrained_vae_model_name_or_path: Option<String>,
    /// What all trainings share.
    #[command(flatten)]
    pub common: CommonOptions,
    /// What to learn.
    #[command(flatten)]
    pub instances: InstanceOptions,
    /// What the model should not forget.
    #[command(flatten)]
    pub prior: PriorOptions,
    /// Take the middle of images that are not square; by default a random part of each, drawn once
    #[arg(long)]
    pub center_crop: bool,
    /// Mirror every other image of the subject, drawn once
    #[arg(long)]
    pub random_flip: bool,
    /// Train layers of both text encoders as well
    #[arg(long)]
    pub train_text_encoder: bool,
    /// The learning rate of their layers, after its warm-up; with 0 that of the UNet's
    #[arg(long, value_name = "RATE", default_value_t = 5e-6, requires = "train_text_encoder")]
    pub text_encoder_lr: f64,
    /// AdamW's decay of the weights of their layers
    #[arg(long, value_name = "DECAY", default_value_t = 1e-3, requires = "train_text_encoder")]
    pub adam_weight_decay_text_encoder: f64,
    /// The optimizer; only AdamW is supported
    #[arg(long, value_name = "NAME", default_value = "AdamW")]
    pub optimizer: String,
    /// The γ of Min-SNR weights, 5 is recommended; by default all timesteps weigh the same
    #[arg(long, value_name = "GAMMA")]
    pub snr_gamma: Option<f64>,
    /// Add noise and weigh losses as EDM does; always on if the model's scheduler is one of EDM
    #[arg(long)]
    pub do_edm_style_training: bool,
    /// A prompt to make images of, to show the progress
    #[arg(long, value_name = "PROMPT")]
    pub validation_prompt: Option<String>,
    /// How many images to make of it
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub num_validation_images: u32,
    /// After how many epochs to make them
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u64).range(1..))]
    pub validation_epochs: u64,
    /// The rank of the layers
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=4096))]
    pub rank: u32,
    /// Write the layers in kohya's layout as well, as pytorch_lora_weights_kohya.safetensors
    #[arg(long)]
    pub output_kohya_format: bool,
    /// The filter for resizing: nearest, bilinear, bicubic or lanczos
    #[arg(long, value_name = "NAME", default_value = "lanczos")]
    pub image_interpolation_mode: String,
}

/// The file of the layers in kohya's layout.
const KOHYA_WEIGHTS: &str = "pytorch_lora_weights_kohya.safetensors";

impl DreamBoothLoraSdxlOptions {
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

    /// Checks the options that need nothing but themselves.
    fn check(&self) -> Result<()> {
        self.common.check()?;
        self.prior.check()?;
        self.model.check(self.train_text_encoder)?;
        not_negative("text-encoder-lr", self.text_encoder_lr)?;
        not_negative("adam-weight-decay-text-encoder", self.adam_weight_decay_text_encoder)?;
        self.snr_gamma.map(|gamma| positive("snr-gamma", gamma)).transpose()?;
        self.instances.check()?;
        only_adam_w(&self.optimizer)
    }

    fn transform(&self, filter: Resample) -> ImageTransform {
        let (resolution, center_crop, random_flip) =
            (self.common.resolution, self.center_crop, self.random_flip);
        ImageTransform { resolution, center_crop, random_flip, filter }
    }

    /// Whether the model is one of Playground, which the script treats as a relative.
    fn is_playground(&self) -> bool {
        self.model.pretrained_model_name_or_path.contains("playground")
    }

    /// The noise of EDM, if the model or the user wants it.
    fn edm(&self, model: &StableDiffusionXl) -> Result<Option<Edm>> {
        let scheduler = model.scheduler_config();
        if !self.do_edm_style_training && !is_of_edm(scheduler) {
            return Ok(None);
        }
        if self.snr_gamma.is_some() {
            let message = "has no meaning for EDM, which weighs losses in its own way";
            return Err(Error::option("snr-gamma", message));
        }
        Edm::new(scheduler, model.diffusion.prediction_type).map(Some)
    }
}

/// Trains low-rank layers of the UNet, and of both text encoders if wanted, until the end, or until `stop` asks to stop. The
/// result is `pytorch_lora_weights.safetensors` in `output_dir`, which
/// [`load_lora_weights`](oxidiff::LoraLoader::load_lora_weights) reads.
///
/// # Errors
/// When an option makes no sense, the model is not Stable Diffusion XL, a model, the images or a checkpoint cannot be read, or a
/// folder cannot be written.
pub fn dreambooth_lora_sdxl(options: &DreamBoothLoraSdxlOptions, stop: &Stop) -> Result<Outcome> {
    options.check()?;
    let run_name =
        if options.is_playground() { "dreambooth-lora-playground" } else { "dreambooth-lora-sd-xl" };
    let differences = Differences { run_name, loss_tag: "loss", rate: RateCourse::StepsOfGroups };
    let DreamBoothLoraSdxlOptions { model, common, prior, .. } = options;
    let filter = interpolation_mode(&options.image_interpolation_mode)?;
    let mut random = common.random();
    let instances = options.instances.open(random.torch.initial_seed())?;
    // Texts that are the same in all batches are encoded once.
    let keeps_texts = !options.train_text_encoder && options.instances.caption_column.is_none();
    let model =
        ModelOptions { cache_text_embeddings: model.cache_text_embeddings || keeps_texts, ..model.clone() };
    let vae = options.pretrained_vae_model_name_or_path.as_deref().map(|vae| (vae, DType::F32));
    let (frozen, mut models) = StableDiffusionXl::load(&model, vae, common.dtype()?, common.resolution)?;
    let edm = options.edm(&frozen)?;
    prior.make_class_images(frozen.pipeline(models.clone())?, &mut random, stop)?;

    let rank = options.rank as usize;
    let layers = models.new_layers(rank, options.train_text_encoder, &mut random.torch)?;
    let images = SubjectImagesXl::new(instances, prior.class()?, options.transform(filter), &mut random)?;
    let data = common.data(images);
    let prepared = common.prepare(&data, &differences)?;
    let learning_rate = prepared.plan.learning_rate;
    let mut task = DreamBoothLoraSdxlTask {
        options: options.clone(),
        frozen,
        models,
        edm,
        learner: Learner::new(layers, prepared.adam_w, None),
        step: 0,
        text_encoder_rate: match options.text_encoder_lr {
            0.0 => learning_rate,
            rate => learning_rate.with_base(rate),
        },
    };
    train(&mut task, &data, &prepared.plan, random, prepared.report, stop)
}

struct DreamBoothLoraSdxlTask {
    options: DreamBoothLoraSdxlOptions,
    frozen: StableDiffusionXl,
    /// Without the layers.
    models: XlModels,
    /// The noise of EDM, if it is that.
    edm: Option<Edm>,
    learner: Learner<XlLayers>,
    /// How many steps were made.
    step: u64,
    text_encoder_rate: LearningRate,
}

impl Task for DreamBoothLoraSdxlTask {
    fn learn(
        &mut self,
        batch: Batch,
        parts: usize,
        random: &mut Random,
    ) -> Result<(f32, ParameterGradients)> {
        let Self { frozen, models, options, .. } = self;
        let diffusion = &frozen.diffusion;
        let (example, preconditioned) = match &self.edm {
            Some(edm) => {
                let (example, preconditioned) = edm.example(diffusion, batch.images, &mut random.torch)?;
                (example, Some(preconditioned))
            }
            None => (diffusion.example(batch.images, NoiseOptions::default(), &mut random.torch)?, None),
        };
        let Example { noisy, timesteps, target } = example;

        let noisy = (noisy, &timesteps[..]);
        let (output, leaves) = frozen.predict(
            models,
            self.learner.trained(),
            noisy,
            &batch.captions,
            &batch.origins,
            &options.common,
        )?;
        let loss = match preconditioned {
            Some(preconditioned) => {
                let weights = preconditioned.weights.as_deref();
                options.prior.loss(preconditioned.latents(output), target, weights, weights)
            }
            None => {
                let weights = options.snr_gamma.map(|gamma| diffusion.raised_snr_weights(&timesteps, gamma));
                options.prior.loss(output, target, weights.transpose()?.as_deref(), None)
            }
        };
        Ok(leaves.learn(loss, parts))
    }

    fn update(&mut self, gradients: &ParameterGradients, learning_rate: f64) {
        let options = &self.options;
        let unet = ParameterGroup { learning_rate, weight_decay: options.common.adam_weight_decay };
        let text_encoders = ParameterGroup {
            learning_rate: self.text_encoder_rate.at(self.step),
            weight_decay: options.adam_weight_decay_text_encoder,
        };
        let is_of_unet = |path: &str| path.strip_prefix(UNET).is_some_and(|rest| rest.starts_with('.'));
        self.learner.update_groups(gradients, |path| if is_of_unet(path) { unet } else { text_encoders });
        self.step += 1;
    }

    fn save(&self, folder: &Path, state: &mut StateFile) -> Result<()> {
        self.learner.trained().weights().write(&folder.join(LORA_WEIGHTS))?;
        self.learner.save_layers(state);
        Ok(())
    }

    fn load(&mut self, _folder: &Path, state: &StateFile) -> Result<()> {
        self.learner.load_layers(state)?;
        self.step = state.u64("step")?;
        Ok(())
    }

    fn due_after_epoch(&self, epoch: u64, is_last: bool) -> Due {
        let is_time = is_last || epoch.is_multiple_of(self.options.validation_epochs);
        Due { samples: is_time && self.options.validation_prompt.is_some(), model: is_last, interim: false }
    }

    fn samples(&self, stop: &Stop) -> Result<Option<SampleImages>> {
        let prompts = Vec::from_iter(self.options.validation_prompt.clone());
        let dtype = self.frozen.diffusion.dtype;
        let models = self.models.with_layers(self.learner.trained(), dtype)?;
        // The schedulers of EDM's models are not those that a DPM-Solver stands in for.
        let mut pipeline = match &self.edm {
            Some(_) => self.frozen.pipeline(models)?,
            None => self.frozen.solver_pipeline(models)?,
        };
        let images = self.options.num_validation_images;
        let validation =
            Validation { prompts: &prompts, images, steps: Some(25), seed: self.options.common.seed };
        validation.samples(&mut pipeline, stop)
    }

    fn write(&self, folder: &Path) -> Result<()> {
        self.learner.trained().weights().write(&folder.join(LORA_WEIGHTS))?;
        if self.options.output_kohya_format {
            self.learner.trained().kohya_weights()?.write(&folder.join(KOHYA_WEIGHTS))?;
        }
        Ok(())
    }

    fn card(&self) -> ModelCard {
        let DreamBoothLoraSdxlOptions { model, common, .. } = &self.options;
        let mut hyperparameters = common.hyperparameters();
        hyperparameters.push(("Rank".to_owned(), self.options.rank.to_string()));
        if self.options.train_text_encoder {
            let rate = self.text_encoder_rate.base().to_string();
            hyperparameters.push(("Learning rate of the text encoders".to_owned(), rate));
        }
        let dataset = self.options.instances.dataset();
        ModelCard {
            base_model: Some(model.pretrained_model_name_or_path.clone()),
            dataset,
            instance_prompt: Some(self.options.instances.instance_prompt.clone()),
            train_text_encoder: self.options.train_text_encoder,
            vae: self.options.pretrained_vae_model_name_or_path.clone(),
            license: self.options.is_playground().then(|| "playground-v2dot5-community".to_owned()),
            hyperparameters,
            ..ModelCard::new(Method::DreamBoothLora, Family::StableDiffusionXl, common.name())
        }
    }
}
