//! Low-rank layers for the attentions of Stable Diffusion's UNet, on images with captions: `train_text_to_image_lora.py`.

use std::ops::ControlFlow;
use std::path::Path;

use clap::Args;
use oxidiff::training::{
    LowRankInit, LowRankLayers, ParameterGradients, Recording, StateFile, min_snr_weights, mse, target,
    weighted_mse,
};
use oxidiff::{
    DDPMScheduler, DType, Device, EncodedImage, Generator, LoadOptions, Model, Pipeline, PredictionType,
    Scheduler, StableDiffusionPipeline, Tensor, TextToImage, UNet2DConditionInputs,
};

use crate::batches::Batch;
use crate::error::{Error, Result};
use crate::image_transform::interpolation_mode;
use crate::learner::Learner;
use crate::options::{CommonOptions, Differences, not_negative, positive, with_defaults};
use crate::random::Random;
use crate::report::{Family, Method, ModelCard};
use crate::stop::Stop;
use crate::task::{Due, SampleImages, Task};
use crate::trainer::{Outcome, train};

/// The file of the result, and of each checkpoint's layers.
const WEIGHTS: &str = "pytorch_lora_weights.safetensors";
/// Denoising steps of the images that show the progress.
const VALIDATION_STEPS: usize = 30;
/// The seed of a generator of torch that nobody seeded.
const UNSEEDED: u64 = 67_280_421_310_721;

/// The options of `oxidiff train text-to-image-lora`: the flags of `train_text_to_image_lora.py`.
#[derive(Args, Clone, Debug)]
#[command(mut_arg("output_dir", |it| it.default_value("sd-model-finetuned-lora")))]
pub struct TextToImageLoraOptions {
    /// The model to finetune, a Stable Diffusion 1 or 2: a folder or a name on the hub
    #[arg(long, value_name = "DIR_OR_HUB_ID")]
    pub pretrained_model_name_or_path: String,
    /// Which revision to fetch from the hub: a branch, a tag or a commit
    #[arg(long)]
    pub revision: Option<String>,
    /// Which variant of the weights to read, such as fp16
    #[arg(long)]
    pub variant: Option<String>,
    /// What all trainings share.
    #[command(flatten)]
    pub common: CommonOptions,
    /// The column of the captions; of several captions, one is drawn each time
    #[arg(long, value_name = "NAME", default_value = "text")]
    pub caption_column: String,
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

impl TextToImageLoraOptions {
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

/// Trains low-rank layers until the end, or until `stop` asks to stop. The result is `pytorch_lora_weights.safetensors` in
/// `output_dir`, which [`load_lora_weights`](oxidiff::LoraLoader::load_lora_weights) reads.
///
/// # Errors
/// When an option makes no sense, the model, the data or a checkpoint cannot be read, or the folder cannot be written.
pub fn text_to_image_lora(options: &TextToImageLoraOptions, stop: &Stop) -> Result<Outcome> {
    let differences = Differences {
        run_name: "text2image-fine-tune",
        loss_tag: "train_loss",
        split: None,
        caption_column: Some(options.caption_column.as_str()),
        filter: interpolation_mode(&options.image_interpolation_mode)?,
        rate_counts_batches: false,
    };
    let snr_gamma = options.snr_gamma.map(|gamma| positive("snr-gamma", gamma)).transpose()?;
    not_negative("noise-offset", options.noise_offset)?;
    let mut prepared = options.common.prepare(&differences)?;
    let mut load =
        LoadOptions { dtype: prepared.dtype, variant: options.variant.clone(), ..Default::default() };
    load.safety_checker = false;
    load.hub.revision = options.revision.clone();
    let name = &options.pretrained_model_name_or_path;
    let mut pipeline = StableDiffusionPipeline::from_pretrained_with(name, &load)?;
    pipeline.set_progress_bar(false);
    check(&pipeline, options.common.resolution)?;
    let scheduler = DDPMScheduler::from_config(pipeline.scheduler.config())?;
    let prediction_type = prediction_type(options, &scheduler)?;
    let rank = options.rank as usize;
    let random = &mut prepared.random.torch;
    let layers = LowRankLayers::new(&mut pipeline.unet, rank, rank as f64, LowRankInit::Gaussian, random)?;
    let mut task = TextToImageLoraTask {
        options: options.clone(),
        prediction_type,
        snr_gamma,
        scheduler,
        pipeline,
        learner: Learner::new(layers, prepared.adam_w, None),
        dtype: prepared.dtype,
    };
    train(&mut task, &prepared.data, &prepared.plan, prepared.random, prepared.report, stop)
}

/// Refuses models that take more than latents and a prompt.
fn check(pipeline: &StableDiffusionPipeline, resolution: u32) -> Result<()> {
    let config = pipeline.unet.config();
    let refuse = |message: String| Err(Error::option("pretrained-model-name-or-path", message));
    if config.in_channels != pipeline.vae.latent_channels() {
        let (takes, has) = (config.in_channels, pipeline.vae.latent_channels());
        return refuse(format!("the UNet takes {takes} channels, but latents have {has}"));
    }
    let factor = pipeline.vae.scale_factor();
    if !(resolution as usize).is_multiple_of(factor) {
        let message = format!("is {resolution}, but must be a multiple of {factor}");
        return Err(Error::option("resolution", message));
    }
    Ok(())
}

fn prediction_type(options: &TextToImageLoraOptions, scheduler: &DDPMScheduler) -> Result<PredictionType> {
    let own = scheduler.config().get("prediction_type").and_then(|name| name.as_str());
    match options.prediction_type.as_deref().or(own).unwrap_or("epsilon") {
        "epsilon" => Ok(PredictionType::Epsilon),
        "v_prediction" => Ok(PredictionType::VPrediction),
        other => {
            let message = format!("is `{other}`, but must be epsilon or v_prediction");
            Err(Error::option("prediction-type", message))
        }
    }
}

struct TextToImageLoraTask {
    options: TextToImageLoraOptions,
    prediction_type: PredictionType,
    snr_gamma: Option<f64>,
    scheduler: DDPMScheduler,
    /// The model, without the layers.
    pipeline: StableDiffusionPipeline,
    learner: Learner<LowRankLayers>,
    dtype: DType,
}

impl TextToImageLoraTask {
    fn latents(&self, images: Tensor<4>, generator: &mut Generator) -> Result<Tensor<4>> {
        let latents = match self.pipeline.vae.encode(images.cast(self.dtype))? {
            EncodedImage::Distribution(distribution) => {
                let mean = distribution.mode();
                let drawn = generator.randn(mean.dims(), self.dtype, &Device::flex());
                mean + distribution.std() * drawn
            }
            other => other.mode(),
        };
        Ok(latents * self.pipeline.vae.scaling_factor())
    }

    fn noise(&self, shape: [usize; 4], generator: &mut Generator) -> Tensor<4> {
        let device = Device::flex();
        let noise = generator.randn(shape, self.dtype, &device);
        if self.options.noise_offset == 0.0 {
            return noise;
        }
        let [batch, channels, ..] = shape;
        let offset = generator.randn([batch, channels, 1, 1], DType::F32, &device);
        noise + (offset * self.options.noise_offset).cast(self.dtype)
    }

    fn text(&self, captions: &[String]) -> Result<Tensor<3>> {
        let tokenizer = &self.pipeline.tokenizer;
        let most = self.pipeline.text_encoder.config().max_position_embeddings;
        let length = tokenizer.model_max_length().map_or(most, |length| length.min(most));
        let tokens = tokenizer.tokenize(captions, length)?;
        Ok(self.pipeline.text_encoder.forward(&tokens.input_ids, None)?.last_hidden_state)
    }

    fn weights(&self) -> StateFile {
        let mut file = StateFile::new();
        self.learner.trained().export("unet", &mut file);
        file
    }
}

impl Task for TextToImageLoraTask {
    fn learn(
        &mut self,
        batch: Batch,
        parts: usize,
        random: &mut Random,
    ) -> Result<(f32, ParameterGradients)> {
        let latents = self.latents(batch.images, &mut random.torch)?;
        let noise = self.noise(latents.dims(), &mut random.torch);
        let steps = self.scheduler.config().get("num_train_timesteps").and_then(|steps| steps.as_i64());
        let timesteps = random.torch.randint_vec(0, steps.unwrap_or(1000), latents.dims()[0])?;
        let timesteps: Vec<f32> = timesteps.into_iter().map(|timestep| timestep as f32).collect();
        let noisy = self.scheduler.add_noise(latents.clone(), noise.clone(), &timesteps)?;
        let text = self.text(&batch.captions)?;
        let target = target(&self.scheduler, self.prediction_type, latents, noise, &timesteps)?.autodiff();

        let mut unet = Recording::frozen(&self.pipeline.unet, self.dtype);
        let leaves = self.learner.trained().record(&mut unet, self.dtype)?;
        let inputs = UNet2DConditionInputs::default();
        let prediction = unet.forward_with(noisy.autodiff(), &timesteps, text.autodiff(), inputs)?;
        let loss = match self.snr_gamma {
            None => mse(prediction, target),
            Some(gamma) => {
                let gamma = gamma as f32;
                let weights = min_snr_weights(&self.scheduler, self.prediction_type, &timesteps, gamma)?;
                weighted_mse(prediction, target, &weights)
            }
        };
        let value = loss.clone().into_scalar::<f32>();
        drop(unet);
        Ok((value, leaves.take(&mut (loss / parts as f64).backward())))
    }

    fn update(&mut self, gradients: &ParameterGradients, learning_rate: f64) {
        self.learner.update(gradients, learning_rate);
    }

    fn save(&self, folder: &Path, state: &mut StateFile) -> Result<()> {
        self.weights().write(&folder.join(WEIGHTS))?;
        self.learner.trained().save(state, "layers");
        self.learner.save(state);
        Ok(())
    }

    fn load(&mut self, _folder: &Path, state: &StateFile) -> Result<()> {
        let layers = self.learner.trained().clone().restored(state, "layers")?;
        self.learner.load(layers, state)
    }

    fn due(&self, epoch: u64, is_last: bool) -> Due {
        let is_time = is_last || epoch.is_multiple_of(self.options.validation_epochs);
        Due { samples: is_time && self.options.validation_prompt.is_some(), model: is_last }
    }

    fn samples(&self, stop: &Stop) -> Result<Option<SampleImages>> {
        let Some(prompt) = &self.options.validation_prompt else { return Ok(None) };
        let mut pipeline = self.pipeline.clone();
        self.learner.trained().apply(&mut pipeline.unet, self.dtype)?;
        let seed = self.options.common.seed.map_or(UNSEEDED, u64::from);
        // The images share a generator, one after the other.
        let mut generator = Generator::manual_seed(seed);
        let mut images = Vec::new();
        for _ in 0..self.options.num_validation_images {
            let stop = stop.clone();
            let (lent, loan) = generator.lend();
            let result = pipeline.call(TextToImage {
                num_inference_steps: VALIDATION_STEPS,
                generator: Some(lent.into()),
                callback_on_step_end: Some(Box::new(move |step| match stop.is_requested() {
                    false => ControlFlow::Continue(step.latents),
                    true => ControlFlow::Break(oxidiff::Stop::Fail(oxidiff::Error::Stopped {
                        message: "the training stops".to_owned(),
                    })),
                })),
                ..TextToImage::new(prompt.clone())
            });
            match result {
                Ok(output) => images.extend(output.images.into_images().into_iter().map(|it| it.into_rgb8())),
                Err(oxidiff::Error::Stopped { .. }) => return Ok(None),
                Err(error) => return Err(error.into()),
            }
            generator = loan.returned().expect("the call is over");
        }
        Ok(Some(SampleImages { images, prompt: Some(prompt.clone()), tag: "validation" }))
    }

    fn write(&self, folder: &Path) -> Result<()> {
        Ok(self.weights().write(&folder.join(WEIGHTS))?)
    }

    fn card(&self) -> ModelCard {
        let common = &self.options.common;
        let name = common.output_dir.display().to_string();
        let mut hyperparameters = common.hyperparameters();
        hyperparameters.push(("Rank".to_owned(), self.options.rank.to_string()));
        ModelCard {
            base_model: Some(self.options.pretrained_model_name_or_path.clone()),
            dataset: common.dataset(),
            hyperparameters,
            ..ModelCard::new(Method::TextToImageLora, Family::StableDiffusion, name)
        }
    }
}
