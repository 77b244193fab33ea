//! A model without prompts, from scratch: `train_unconditional.py`.

use std::path::{Path, PathBuf};

use clap::Args;
use oxidiff::training::{
    EMAModel, EMAModelConfig, ParameterGradients, Recording, StateFile, Trained, compute_snr, mse, target,
    weighted_mse,
};
use oxidiff::{
    BetaSchedule, Config, DDPMPipeline, DDPMScheduler, DDPMSchedulerConfig, DType, Device, DownBlockType,
    Generator, Model, Pipeline, PredictionType, Resample, SampleSize, Scheduler, UNet2DConfig, UNet2DModel,
    Unconditional, UpBlockType,
};

use crate::batches::Batch;
use crate::error::{Error, Result};
use crate::learner::{Learner, has_no_average, saved_average};
use crate::options::{CommonOptions, DatasetOptions, Differences, RateCourse, positive, with_defaults};
use crate::random::Random;
use crate::report::{Family, Method, ModelCard};
use crate::stop::Stop;
use crate::task::{Due, SampleImages, Task};
use crate::trainer::{Outcome, train};
use crate::validation::Calls;

/// The options of `oxidiff train unconditional`: the flags of `train_unconditional.py`.
#[derive(Args, Clone, Debug)]
#[command(
    mut_arg("output_dir", |it| it.default_value("ddpm-model-64")),
    mut_arg("resolution", |it| it.default_value("64")),
    mut_arg("lr_scheduler", |it| it.default_value("cosine")),
    mut_arg("max_grad_norm", |it| it.default_value("1")),
    mut_arg("adam_beta1", |it| it.default_value("0.95")),
    mut_arg("adam_weight_decay", |it| it.default_value("1e-6"))
)]
pub struct UnconditionalOptions {
    /// What all trainings share.
    #[command(flatten)]
    pub common: CommonOptions,
    /// What to train on.
    #[command(flatten)]
    pub dataset: DatasetOptions,
    /// The configuration of the UNet: a file, or a folder with config.json; by default that of the script
    #[arg(long, value_name = "DIR_OR_FILE")]
    pub model_config_name_or_path: Option<PathBuf>,
    /// A model to go on with, instead of a new one: a folder or a name on the hub
    #[arg(long, value_name = "DIR_OR_HUB_ID", conflicts_with = "model_config_name_or_path")]
    pub pretrained_model_name_or_path: Option<String>,
    /// How many images to make at a time to show the progress
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..))]
    pub eval_batch_size: u32,
    /// After how many epochs to make images
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..))]
    pub save_images_epochs: u64,
    /// After how many epochs to write the model
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..))]
    pub save_model_epochs: u64,
    /// Write a moving average of the weights
    #[arg(long)]
    pub use_ema: bool,
    /// How slowly the average's decay rises
    #[arg(long, value_name = "GAMMA", default_value_t = 1.0)]
    pub ema_inv_gamma: f64,
    /// The exponent with which the average's decay rises
    #[arg(long, value_name = "POWER", default_value_t = 0.75)]
    pub ema_power: f64,
    /// The highest decay of the average
    #[arg(long, value_name = "DECAY", default_value_t = 0.9999)]
    pub ema_max_decay: f64,
    /// What the model predicts: epsilon, the noise, or sample, the image
    #[arg(long, value_name = "TYPE", default_value = "epsilon")]
    pub prediction_type: String,
    /// Number of timesteps
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..))]
    pub ddpm_num_steps: u32,
    /// Denoising steps of the images that show the progress
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..))]
    pub ddpm_num_inference_steps: u32,
    /// How the noise grows over the timesteps: linear, scaled_linear, squaredcos_cap_v2 or sigmoid
    #[arg(long, value_name = "NAME", default_value = "linear")]
    pub ddpm_beta_schedule: String,
}

impl UnconditionalOptions {
    /// The defaults, for the images in a folder.
    pub fn new(train_data_dir: impl AsRef<Path>, output_dir: impl AsRef<Path>) -> Self {
        with_defaults(&[("train-data-dir", train_data_dir.as_ref()), ("output-dir", output_dir.as_ref())])
    }

    fn average(&self) -> Result<EMAModelConfig> {
        let decay = self.ema_max_decay;
        if !(0.0..=1.0).contains(&decay) {
            return Err(Error::option("ema-max-decay", format!("is {decay}, but must be from 0 to 1")));
        }
        Ok(EMAModelConfig {
            decay,
            use_ema_warmup: true,
            inv_gamma: positive("ema-inv-gamma", self.ema_inv_gamma)?,
            power: positive("ema-power", self.ema_power)?,
            ..Default::default()
        })
    }

    fn prediction_type(&self) -> Result<PredictionType> {
        match self.prediction_type.as_str() {
            "epsilon" => Ok(PredictionType::Epsilon),
            "sample" => Ok(PredictionType::Sample),
            other => {
                Err(Error::option("prediction-type", format!("is `{other}`, but must be epsilon or sample")))
            }
        }
    }

    fn scheduler(&self) -> Result<DDPMScheduler> {
        let name = self.ddpm_beta_schedule.as_str();
        let beta_schedule: BetaSchedule = serde_json::from_value(name.into())
            .map_err(|error| Error::option("ddpm-beta-schedule", format!("{name}: {error}")))?;
        Ok(DDPMScheduler::new(DDPMSchedulerConfig {
            num_train_timesteps: self.ddpm_num_steps as usize,
            beta_schedule,
            prediction_type: self.prediction_type()?,
            ..Default::default()
        })?)
    }

    /// The model to train; a new one has random weights.
    fn model(&self, seed: u64) -> Result<UNet2DModel> {
        let device = Device::flex();
        let model = match (&self.pretrained_model_name_or_path, &self.model_config_name_or_path) {
            (Some(name), _) => UNet2DModel::from_pretrained(name)?,
            (None, Some(path)) => {
                let file = if path.is_dir() { path.join("config.json") } else { path.clone() };
                UNet2DModel::from_config(&Config::from_file(file)?, &device)?
            }
            (None, None) => UNet2DModel::init(&default_model(self.common.resolution as usize), &device)?,
        };
        let config = model.config();
        let option = match self.pretrained_model_name_or_path {
            Some(_) => "pretrained-model-name-or-path",
            None => "model-config-name-or-path",
        };
        let refuse = |message: String| Err(Error::option(option, message));
        if config.in_channels != 3 || config.out_channels != 3 {
            let (inputs, outputs) = (config.in_channels, config.out_channels);
            return refuse(format!("the model has {inputs} and {outputs} channels; images have 3"));
        }
        if config.dropout != 0.0 {
            return refuse(format!("`dropout` is {}, and only 0 is supported", config.dropout));
        }
        if config.num_class_embeds.is_some() || config.class_embed_type.is_some() {
            return refuse("the model has classes, but the training has none".to_owned());
        }
        let step = 1 << (config.down_block_types.len() - 1);
        if !self.common.resolution.is_multiple_of(step) {
            let message = format!("is {}, but the model takes multiples of {step}", self.common.resolution);
            return Err(Error::option("resolution", message));
        }
        // Parameters are made when they are first read, in the order of the model's fields.
        device.seed(seed);
        model.read(&mut |_, _, _| {});
        Ok(model)
    }
}

/// The model of the script.
fn default_model(resolution: usize) -> UNet2DConfig {
    let blocks = |attention: usize, with: DownBlockType, without: DownBlockType| {
        (0..6).map(|block| if block == attention { with } else { without }).collect()
    };
    let up_blocks = (0..6)
        .map(|block| if block == 1 { UpBlockType::AttnUpBlock2D } else { UpBlockType::UpBlock2D })
        .collect();
    UNet2DConfig {
        sample_size: Some(SampleSize::Square(resolution)),
        layers_per_block: 2,
        block_out_channels: vec![128, 128, 256, 256, 512, 512],
        down_block_types: blocks(4, DownBlockType::AttnDownBlock2D, DownBlockType::DownBlock2D),
        up_block_types: up_blocks,
        ..Default::default()
    }
}

/// Trains a model without prompts until the end, or until `stop` asks to stop. The result in `output_dir` is a
/// [`DDPMPipeline`].
///
/// # Errors
/// When an option makes no sense, the data or a checkpoint cannot be read, or the folder cannot be written.
pub fn unconditional(options: &UnconditionalOptions, stop: &Stop) -> Result<Outcome> {
    let differences =
        Differences { run_name: "train_unconditional", loss_tag: "loss", rate: RateCourse::Batches };
    let UnconditionalOptions { common, dataset, .. } = options;
    common.check()?;
    let (scheduler, average) = (options.scheduler()?, options.average()?);
    if options.ddpm_num_inference_steps > options.ddpm_num_steps {
        let message = format!(
            "is {}, but there are only {} timesteps (--ddpm-num-steps)",
            options.ddpm_num_inference_steps, options.ddpm_num_steps
        );
        return Err(Error::option("ddpm-num-inference-steps", message));
    }
    let random = common.random();
    let images = dataset.folder.open(Some("train"), random.torch.initial_seed())?;
    let images = dataset.captioned_images(images, None, common.resolution, Resample::Bilinear)?;
    let data = common.data(images);
    let prepared = common.prepare(&data, &differences)?;
    let model = options.model(random.torch.initial_seed())?;
    let average = options.use_ema.then(|| EMAModel::new(&model, average));
    let mut task = UnconditionalTask {
        options: options.clone(),
        prediction_type: options.prediction_type()?,
        scheduler,
        learner: Learner::new(model, prepared.adam_w, average),
        dtype: common.dtype()?,
    };
    train(&mut task, &data, &prepared.plan, random, prepared.report, stop)
}

struct UnconditionalTask {
    options: UnconditionalOptions,
    prediction_type: PredictionType,
    scheduler: DDPMScheduler,
    learner: Learner<UNet2DModel>,
    dtype: DType,
}

impl UnconditionalTask {
    /// The pipeline with the average of the weights, if there is one.
    fn pipeline(&self) -> Result<DDPMPipeline> {
        Ok(DDPMPipeline::new(self.learner.averaged(), self.scheduler.clone())?)
    }
}

impl Task for UnconditionalTask {
    fn learn(
        &mut self,
        batch: Batch,
        parts: usize,
        random: &mut Random,
    ) -> Result<(f32, ParameterGradients)> {
        let device = Device::flex();
        let clean = batch.images.cast(self.dtype);
        let noise = random.torch.randn(clean.dims(), self.dtype, &device);
        let steps = i64::from(self.options.ddpm_num_steps);
        let timesteps = random.torch.randint_vec(0, steps, clean.dims()[0])?;
        let timesteps: Vec<f32> = timesteps.into_iter().map(|timestep| timestep as f32).collect();
        let noisy = self.scheduler.add_noise(clean.clone(), noise.clone(), &timesteps)?;
        let target = target(&self.scheduler, self.prediction_type, clean, noise, &timesteps)?.autodiff();

        let recording = Recording::of(self.learner.trained(), self.dtype);
        let prediction =
            self.options.common.predict(|| recording.model().forward(noisy.autodiff(), &timesteps))?;
        let loss = match self.prediction_type {
            PredictionType::Epsilon => mse(prediction, target),
            // The weights of distillation.
            _ => weighted_mse(prediction, target, &compute_snr(&self.scheduler, &timesteps)?),
        };
        let value = loss.clone().into_scalar::<f32>();
        Ok((value, recording.backward(&(loss / parts as f64))))
    }

    fn update(&mut self, gradients: &ParameterGradients, learning_rate: f64) {
        self.learner.update(gradients, learning_rate);
    }

    fn metrics(&self) -> Vec<(&'static str, f32)> {
        let decay = self.learner.average.as_ref().map(|average| ("ema_decay", average.cur_decay() as f32));
        decay.into_iter().collect()
    }

    fn save(&self, folder: &Path, state: &mut StateFile) -> Result<()> {
        let model = self.learner.trained();
        model.save_pretrained(folder.join("unet"))?;
        self.learner.save(state);
        if let Some(average) = &self.learner.average {
            average.save_pretrained(model, &folder.join("unet_ema"))?;
        }
        Ok(())
    }

    fn load(&mut self, folder: &Path, state: &StateFile) -> Result<()> {
        let model = UNet2DModel::from_pretrained(&folder.join("unet").to_string_lossy())?;
        if self.options.use_ema {
            self.learner.average = Some(saved_average(&model, self.options.average()?, folder)?);
        } else {
            has_no_average(folder)?;
        }
        self.learner.load(model, state)
    }

    fn due_after_epoch(&self, epoch: u64, is_last: bool) -> Due {
        let every = |epochs: u64| is_last || epoch.is_multiple_of(epochs);
        let (samples, model) =
            (every(self.options.save_images_epochs), every(self.options.save_model_epochs));
        Due { samples, model, interim: false }
    }

    fn samples(&self, stop: &Stop) -> Result<Option<SampleImages>> {
        let mut pipeline = self.pipeline()?;
        pipeline.set_progress_bar(false);
        // As in the script, the images of every epoch are drawn from the same noise.
        let images = Calls::of(Generator::manual_seed(0)).one(stop, |generator, callback| {
            pipeline.call(Unconditional {
                batch_size: self.options.eval_batch_size as usize,
                num_inference_steps: Some(self.options.ddpm_num_inference_steps as usize),
                generator: Some(generator.into()),
                callback_on_step_end: Some(callback),
                ..Default::default()
            })
        })?;
        Ok(images.map(|images| SampleImages { images, prompts: Vec::new(), tag: "test_samples" }))
    }

    fn write(&self, folder: &Path) -> Result<()> {
        Ok(self.pipeline()?.save_pretrained(folder)?)
    }

    fn card(&self) -> ModelCard {
        let common = &self.options.common;
        ModelCard {
            dataset: self.options.dataset.folder.name(),
            hyperparameters: common.hyperparameters(),
            ..ModelCard::new(Method::Unconditional, Family::default(), common.name())
        }
    }
}
