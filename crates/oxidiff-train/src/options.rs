//! The options that all trainings share: the flags of the example scripts, with their names and defaults.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Args, Command};
use oxidiff::training::{AdamWConfig, SchedulerType, get_scheduler, with_gradient_checkpointing};
use oxidiff::{DType, Resample};

use crate::batches::{Source, TrainingData};
use crate::data::{Dataset, OpenOptions, Role};
use crate::error::{Error, Result};
use crate::image_transform::ImageTransform;
use crate::random::Random;
use crate::report::{Logger, ReportOptions};
use crate::sources::CaptionedImages;
use crate::trainer::{Plan, Steps};

/// The options that all trainings share.
#[derive(Args, Clone, Debug)]
pub struct CommonOptions {
    /// The folder for the result, checkpoints and logs
    #[arg(long, value_name = "DIR", default_value = "model")]
    pub output_dir: PathBuf,
    /// Remove the checkpoints of an earlier training in --output-dir
    #[arg(long)]
    pub overwrite_output_dir: bool,
    /// Seed of all random numbers; by default a new one each time
    #[arg(long, value_name = "N")]
    pub seed: Option<u32>,
    /// Both sides of the images in pixels
    #[arg(long, value_name = "PIXELS", default_value_t = 512, value_parser = clap::value_parser!(u32).range(1..=8192))]
    pub resolution: u32,
    /// Images in a batch
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=65536))]
    pub train_batch_size: u32,
    /// Threads that read images ahead; the result does not depend on it
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u32).range(..=256))]
    pub dataloader_num_workers: u32,
    /// How often to train on all samples
    #[arg(long, alias = "num-epochs", value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..))]
    pub num_train_epochs: u64,
    /// How many steps to train, instead of --num-train-epochs
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub max_train_steps: Option<u64>,
    /// Batches in a step
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub gradient_accumulation_steps: u32,
    /// Keep only the inputs of the model's blocks for the backward pass, which computes the blocks again: less memory, more time
    #[arg(long)]
    pub gradient_checkpointing: bool,
    /// The learning rate, after its warm-up
    #[arg(long, value_name = "RATE", default_value_t = 1e-4)]
    pub learning_rate: f64,
    /// Multiply the learning rate by the number of images in a step
    #[arg(long)]
    pub scale_lr: bool,
    /// The course of the learning rate: linear, cosine, cosine_with_restarts, polynomial, constant or constant_with_warmup
    #[arg(long, value_name = "NAME", default_value = "constant")]
    pub lr_scheduler: String,
    /// Steps in which the learning rate rises
    #[arg(long, value_name = "N", default_value_t = 500)]
    pub lr_warmup_steps: u64,
    /// How often the course of cosine_with_restarts begins
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub lr_num_cycles: u32,
    /// The exponent of the course polynomial
    #[arg(long, value_name = "POWER", default_value_t = 1.0)]
    pub lr_power: f64,
    /// AdamW's decay of the mean of the gradients
    #[arg(long, value_name = "BETA", default_value_t = 0.9)]
    pub adam_beta1: f64,
    /// AdamW's decay of the mean of their squares
    #[arg(long, value_name = "BETA", default_value_t = 0.999)]
    pub adam_beta2: f64,
    /// AdamW's decay of the weights
    #[arg(long, value_name = "DECAY", default_value_t = 1e-2)]
    pub adam_weight_decay: f64,
    /// AdamW's addition to denominators
    #[arg(long, value_name = "EPSILON", default_value_t = 1e-8)]
    pub adam_epsilon: f64,
    /// The highest norm of a step's gradients, to which larger ones are scaled down
    #[arg(long, value_name = "NORM")]
    pub max_grad_norm: Option<f64>,
    /// What to compute in: no (f32) or bf16; weights and moments are f32 in any case
    #[arg(long, value_name = "TYPE", default_value = "no")]
    pub mixed_precision: String,
    /// Write a checkpoint after every N steps
    #[arg(long, value_name = "N", default_value_t = 500, value_parser = clap::value_parser!(u64).range(1..))]
    pub checkpointing_steps: u64,
    /// How many checkpoints to keep; by default all
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub checkpoints_total_limit: Option<u32>,
    /// Go on from a checkpoint: a folder, or `latest`, which begins anew if there is none
    #[arg(long, value_name = "DIR|latest")]
    pub resume_from_checkpoint: Option<String>,
    /// The folder for logs in --output-dir
    #[arg(long, value_name = "DIR", default_value = "logs")]
    pub logging_dir: PathBuf,
    /// The logs to write: tensorboard (with a CSV file), csv, all or none
    #[arg(long, alias = "logger", value_name = "NAME", default_value = "tensorboard")]
    pub report_to: String,
    /// Show no progress
    #[arg(long)]
    pub no_progress: bool,
}

impl ModelOptions {
    /// Refuses to keep what a text encoder says if it is trained.
    pub(crate) fn check(&self, trains_text_encoder: bool) -> Result<()> {
        if self.cache_text_embeddings && trains_text_encoder {
            let message = "a text encoder is trained, so that its results change";
            return Err(Error::option("cache-text-embeddings", message));
        }
        Ok(())
    }
}

/// Where a dataset is.
#[derive(Args, Clone, Debug)]
pub struct DatasetFolder {
    /// A dataset as it is on the hub, downloaded into a folder; its split `train` is used
    #[arg(long, value_name = "DIR")]
    pub dataset_name: Option<PathBuf>,
    /// A folder of images; for captions, with a metadata.jsonl, metadata.csv or metadata.parquet, or a .txt beside each image; or a
    /// folder of Parquet files. Ignored with --dataset-name
    #[arg(long, value_name = "DIR")]
    pub train_data_dir: Option<PathBuf>,
    /// Use this many samples only, drawn at random
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub max_train_samples: Option<u32>,
}

/// Which images of a dataset to train on, and how.
#[derive(Args, Clone, Debug)]
pub struct DatasetOptions {
    /// Where the dataset is.
    #[command(flatten)]
    pub folder: DatasetFolder,
    /// The column of the images
    #[arg(long, value_name = "NAME", default_value = "image")]
    pub image_column: String,
    /// Take the middle of images that are not square; by default a random part
    #[arg(long)]
    pub center_crop: bool,
    /// Mirror every other image, at random
    #[arg(long)]
    pub random_flip: bool,
}

/// The Stable Diffusion 1 or 2 to begin with.
#[derive(Args, Clone, Debug)]
pub struct ModelOptions {
    /// The model to begin with, a Stable Diffusion 1 or 2: a folder or a name on the hub
    #[arg(long, value_name = "DIR_OR_HUB_ID")]
    pub pretrained_model_name_or_path: String,
    /// Which revision to fetch from the hub: a branch, a tag or a commit
    #[arg(long)]
    pub revision: Option<String>,
    /// Which variant of the weights to read, such as fp16
    #[arg(long)]
    pub variant: Option<String>,
    /// Encode each part of an image once, and keep the result in memory
    #[arg(long)]
    pub cache_latents: bool,
    /// Encode each caption once, and keep the result in memory; only if no text encoder is trained
    #[arg(long, alias = "pre-compute-text-embeddings")]
    pub cache_text_embeddings: bool,
}

/// The options in the form that a training needs.
pub(crate) struct Prepared {
    pub plan: Plan,
    pub report: ReportOptions,
    pub adam_w: AdamWConfig,
}

/// What the scripts do differently.
pub(crate) struct Differences<'a> {
    /// The tracker's name.
    pub run_name: &'a str,
    /// What TensorBoard calls the loss.
    pub loss_tag: &'a str,
    /// What the course of the learning rate counts.
    pub rate: RateCourse,
}

/// What the course of the learning rate and its warm-up count. Whatever that is, it advances once a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RateCourse {
    /// The steps.
    Steps,
    /// The batches of all epochs.
    Batches,
    /// The steps, as if each batch of a step counted.
    BatchesOfSteps,
    /// The steps, for groups of parameters with rates of their own. PyTorch's schedule of a polynomial knows none of these rates,
    /// and falls as from the optimizer's default.
    StepsOfGroups,
}

/// The learning rate of `torch.optim.AdamW` for those who name none.
const DEFAULT_RATE: f64 = 1e-3;

impl CommonOptions {
    /// The generators of the training.
    pub(crate) fn random(&self) -> Random {
        Random::new(self.seed)
    }

    /// The batches of a source.
    pub(crate) fn data<S: Source>(&self, source: S) -> TrainingData<S> {
        let (batch_size, workers) = (self.train_batch_size as usize, self.dataloader_num_workers as usize);
        TrainingData { source, batch_size, workers }
    }

    /// Checks the options that need nothing but themselves.
    pub(crate) fn check(&self) -> Result<()> {
        self.dtype()?;
        self.report_to.parse::<Logger>()?;
        self.adam_w()?;
        self.lr_scheduler.parse::<SchedulerType>()?;
        not_negative("learning-rate", self.learning_rate)?;
        not_negative("lr-power", self.lr_power)?;
        self.max_grad_norm.map(|norm| positive("max-grad-norm", norm)).transpose()?;
        Ok(())
    }

    /// The plan for a source.
    pub(crate) fn prepare<S: Source>(
        &self,
        data: &TrainingData<S>,
        differences: &Differences<'_>,
    ) -> Result<Prepared> {
        self.check()?;
        let accumulated = self.gradient_accumulation_steps as usize;
        let steps = Steps::new(data.batches(), accumulated, self.num_train_epochs, self.max_train_steps)?;
        let batch_size = u64::from(self.train_batch_size) * u64::from(self.gradient_accumulation_steps);
        let plan = Plan {
            steps,
            learning_rate: self.learning_rate(differences, data.batches(), steps, batch_size)?,
            max_grad_norm: self.max_grad_norm,
            checkpointing_steps: self.checkpointing_steps,
            checkpoints_total_limit: self.checkpoints_total_limit.map(|limit| limit as usize),
            resume_from_checkpoint: self.resume_from_checkpoint.clone(),
            overwrite_output_dir: self.overwrite_output_dir,
        };
        let report = ReportOptions {
            logging_dir: self.logging_dir.clone(),
            quiet: self.no_progress,
            logger: self.report_to.parse()?,
            loss_tag: differences.loss_tag.to_owned(),
            ..ReportOptions::new(&self.output_dir, differences.run_name, steps.total, batch_size)
        };
        Ok(Prepared { plan, report, adam_w: self.adam_w()? })
    }

    /// Calls the model that is trained: with `--gradient-checkpointing`, its blocks are recomputed in the backward pass.
    pub(crate) fn predict<R>(&self, call: impl FnOnce() -> R) -> R {
        if self.gradient_checkpointing { with_gradient_checkpointing(call) } else { call() }
    }

    /// What the model computes in.
    pub(crate) fn dtype(&self) -> Result<DType> {
        let invalid = |message: String| Err(Error::option("mixed-precision", message));
        match self.mixed_precision.as_str() {
            "no" => Ok(DType::F32),
            "bf16" => Ok(DType::BF16),
            "fp16" => invalid(
                "fp16 is not supported, as gradients would vanish in its range; use bf16, which has that of f32".to_owned(),
            ),
            other => invalid(format!("is `{other}`, but must be no or bf16")),
        }
    }

    fn adam_w(&self) -> Result<AdamWConfig> {
        let beta = |option, value: f64| match (0.0..1.0).contains(&value) {
            true => Ok(value),
            false => Err(Error::option(
                option,
                format!("is {value}, but must be from 0 up to but not including 1"),
            )),
        };
        Ok(AdamWConfig {
            beta1: beta("adam-beta1", self.adam_beta1)?,
            beta2: beta("adam-beta2", self.adam_beta2)?,
            epsilon: not_negative("adam-epsilon", self.adam_epsilon)?,
            weight_decay: not_negative("adam-weight-decay", self.adam_weight_decay)?,
        })
    }

    fn learning_rate(
        &self,
        differences: &Differences<'_>,
        batches: usize,
        steps: Steps,
        batch_size: u64,
    ) -> Result<oxidiff::training::LearningRate> {
        let mut base = not_negative("learning-rate", self.learning_rate)?;
        if self.scale_lr {
            base *= batch_size as f64;
        }
        let scheduler_type: SchedulerType = self.lr_scheduler.parse()?;
        let (mut warmup, mut total) = (self.lr_warmup_steps, steps.total);
        let accumulated = u64::from(self.gradient_accumulation_steps);
        match differences.rate {
            RateCourse::Steps | RateCourse::StepsOfGroups => {}
            RateCourse::Batches => {
                warmup = warmup.saturating_mul(accumulated);
                if self.max_train_steps.is_none() {
                    total = (batches as u64).saturating_mul(self.num_train_epochs);
                }
            }
            RateCourse::BatchesOfSteps => {
                warmup = warmup.saturating_mul(accumulated);
                total = total.saturating_mul(accumulated);
            }
        }
        let cycles =
            (scheduler_type == SchedulerType::CosineWithRestarts).then_some(self.lr_num_cycles.into());
        let start = if differences.rate == RateCourse::StepsOfGroups { DEFAULT_RATE } else { base };
        let course = get_scheduler(scheduler_type, start, warmup, total, cycles, self.lr_power)?;
        Ok(course.with_base(base))
    }

    /// The name of the result, for its card.
    pub(crate) fn name(&self) -> String {
        self.output_dir.display().to_string()
    }

    /// The settings that a model's card names.
    pub(crate) fn hyperparameters(&self) -> Vec<(String, String)> {
        [
            ("Learning rate", self.learning_rate.to_string()),
            ("Learning rate scheduler", self.lr_scheduler.clone()),
            ("Batch size", self.train_batch_size.to_string()),
            ("Gradient accumulation steps", self.gradient_accumulation_steps.to_string()),
            ("Image resolution", self.resolution.to_string()),
            ("Mixed precision", self.mixed_precision.clone()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .to_vec()
    }
}

impl DatasetFolder {
    /// Opens the dataset. Without `--dataset-name`, `split` says which files of the folder to read; all of them if there is none.
    pub(crate) fn open(&self, split: Option<&str>, seed: u64) -> Result<Dataset> {
        let (folder, split) = match (&self.dataset_name, &self.train_data_dir) {
            (Some(name), _) if !name.is_dir() => {
                let message = format!(
                    "{0} is no folder; download the dataset first: hf download --repo-type dataset {0} --local-dir DIR",
                    name.display()
                );
                return Err(Error::option("dataset-name", message));
            }
            (Some(name), _) => (name, Some("train")),
            (None, Some(folder)) => (folder, split),
            (None, None) => {
                return Err(Error::option(
                    "train-data-dir",
                    "is needed: the folder of the images to train on",
                ));
            }
        };
        let dataset = Dataset::open(folder, &OpenOptions { split: split.map(str::to_owned) })?;
        Ok(match self.max_train_samples {
            Some(count) => dataset.shuffled_first(seed, count as usize)?,
            None => dataset,
        })
    }

    /// The name of the dataset, for the model's card.
    pub(crate) fn name(&self) -> Option<String> {
        let folder = self.dataset_name.as_ref().or(self.train_data_dir.as_ref())?;
        Some(folder.display().to_string())
    }
}

impl DatasetOptions {
    /// The images of the dataset, and the captions in a column.
    pub(crate) fn captioned_images(
        &self,
        dataset: Dataset,
        caption_column: Option<&str>,
        resolution: u32,
        filter: Resample,
    ) -> Result<CaptionedImages> {
        let (center_crop, random_flip) = (self.center_crop, self.random_flip);
        let caption = caption_column.map(|name| dataset.choose(Role::Caption, Some(name)));
        Ok(CaptionedImages {
            image_column: dataset.choose(Role::Image, Some(&self.image_column))?,
            caption_column: caption.transpose()?,
            dataset: Arc::new(dataset),
            transform: ImageTransform { resolution, center_crop, random_flip, filter },
        })
    }
}

/// Options with these values; the others have their defaults.
pub(crate) fn with_defaults<T: Args>(values: &[(&str, &Path)]) -> T {
    // The equals sign keeps a value that begins with a hyphen from being taken for an option.
    let words = values.iter().map(|(name, value)| {
        let mut word = OsString::from(format!("--{name}="));
        word.push(value);
        word
    });
    let command = T::augment_args(Command::new("train").no_binary_name(true));
    let matches = command.try_get_matches_from(words).expect("known options and all required ones");
    T::from_arg_matches(&matches).expect("valid defaults")
}

pub(crate) fn positive(option: &'static str, value: f64) -> Result<f64> {
    match value.is_finite() && value > 0.0 {
        true => Ok(value),
        false => Err(Error::option(option, format!("is {value}, but must be a finite number above 0"))),
    }
}

/// Refuses optimizers other than AdamW, in any case of letters.
///
/// # Errors
/// When it is another one.
pub(crate) fn only_adam_w(optimizer: &str) -> Result<()> {
    match optimizer.to_ascii_lowercase().as_str() {
        "adamw" => Ok(()),
        other => Err(Error::option("optimizer", format!("`{other}` is not supported, only AdamW is"))),
    }
}

pub(crate) fn not_negative(option: &'static str, value: f64) -> Result<f64> {
    match value.is_finite() && value >= 0.0 {
        true => Ok(value),
        false => Err(Error::option(option, format!("is {value}, but must be a finite number from 0"))),
    }
}
