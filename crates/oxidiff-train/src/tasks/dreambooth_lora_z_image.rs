//! Low-rank layers for Z-Image on a few images of a subject: `train_dreambooth_lora_z_image.py`.

use std::path::Path;

use clap::Args;
use oxidiff::training::{LowRankInit, LowRankLayers, ParameterGradients, StateFile};

use super::{InstanceOptions, LORA_WEIGHTS, PriorOptions};
use crate::batches::Batch;
use crate::error::{Error, Result};
use crate::flow_matching::{FlowExample, FlowOptions};
use crate::image_encoder::ImageEncoder;
use crate::learner::Learner;
use crate::options::{
    CommonOptions, Differences, ModelOptions, RateCourse, not_negative, only_adam_w, with_defaults,
};
use crate::random::Random;
use crate::report::{Family, Method, ModelCard};
use crate::sources::{BucketTransform, Buckets, SubjectImagesInBuckets};
use crate::stop::Stop;
use crate::task::{Due, SampleImages, Task};
use crate::trainer::{Outcome, train};
use crate::validation::Validation;
use crate::z_image::ZImage;

/// The options of `oxidiff train dreambooth-lora-z-image`: the flags of `train_dreambooth_lora_z_image.py`.
#[derive(Args, Clone, Debug)]
#[command(
    mut_arg("pretrained_model_name_or_path", |it| {
        it.help("The model to begin with, a Z-Image: a folder or a name on the hub")
    }),
    mut_arg("cache_text_embeddings", |it| it.help("Has no effect, as each caption is encoded once in any case")),
    mut_arg("output_dir", |it| it.default_value("z-image-dreambooth-lora")),
    mut_arg("train_batch_size", |it| it.default_value("4")),
    mut_arg("num_train_epochs", |it| it.default_value("1")),
    mut_arg("adam_weight_decay", |it| it.default_value("1e-4")),
    mut_arg("max_grad_norm", |it| it.default_value("1"))
)]
pub struct DreamBoothLoraZImageOptions {
    /// What to begin with.
    #[command(flatten)]
    pub model: ModelOptions,
    /// What all trainings share.
    #[command(flatten)]
    pub common: CommonOptions,
    /// Which noise levels to draw.
    #[command(flatten)]
    pub flow: FlowOptions,
    /// What to learn.
    #[command(flatten)]
    pub instances: InstanceOptions,
    /// The most tokens of a prompt with the words around it that the language model expects
    #[arg(long, value_name = "N", default_value_t = 512, value_parser = clap::value_parser!(u32).range(1..=65536))]
    pub max_sequence_length: u32,
    /// What the model should not forget.
    #[command(flatten)]
    pub prior: PriorOptions,
    /// Take the middle of images that have another shape; by default a random part of each, drawn once
    #[arg(long)]
    pub center_crop: bool,
    /// Mirror every other image of the subject, drawn once
    #[arg(long)]
    pub random_flip: bool,
    /// Keep the shapes of images: cut each to the nearest of some sizes with about as many pixels as --resolution squared
    #[arg(long)]
    pub use_aspect_ratio_buckets: bool,
    /// These sizes instead, heights and widths: 1024,1024;768,1360
    #[arg(long, value_name = "SIZES", requires = "use_aspect_ratio_buckets")]
    pub aspect_ratio_buckets: Option<String>,
    /// The optimizer; only AdamW is supported
    #[arg(long, value_name = "NAME", default_value = "AdamW")]
    pub optimizer: String,
    /// The rank of the layers
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=4096))]
    pub rank: u32,
    /// The layers are scaled by this number over the rank
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=65536))]
    pub lora_alpha: u32,
    /// Which linear layers of the transformer to train, by the ends of their names; by default to_k,to_q,to_v,to_out.0
    #[arg(long, value_name = "NAMES")]
    pub lora_layers: Option<String>,
    /// A prompt to make images of, to show the progress
    #[arg(long, value_name = "PROMPT")]
    pub validation_prompt: Option<String>,
    /// How many images to make of it, --resolution pixels wide and high
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub num_validation_images: u32,
    /// After how many epochs to make them
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u64).range(1..))]
    pub validation_epochs: u64,
    /// Make no images at the end
    #[arg(long)]
    pub skip_final_inference: bool,
    /// A prompt to make images of at the end only; not used with --validation-prompt
    #[arg(long, value_name = "PROMPT")]
    pub final_validation_prompt: Option<String>,
    /// How strongly prompts guide these images, and those of the class: 5 for Z-Image, 0 for Z-Image-Turbo
    #[arg(long, value_name = "SCALE", default_value_t = 5.0)]
    pub guidance_scale: f64,
    /// Write the layers in f32, as is done in any case
    #[arg(long)]
    pub upcast_before_saving: bool,
    /// In the script without effect, which would surprise.
    #[arg(long, hide = true, value_name = "RATE")]
    text_encoder_lr: Option<f64>,
    /// As `text_encoder_lr`.
    #[arg(long, hide = true, value_name = "DECAY")]
    adam_weight_decay_text_encoder: Option<f64>,
}

/// The layers that are trained unless others are named.
const LAYERS: &str = "to_k,to_q,to_v,to_out.0";

impl DreamBoothLoraZImageOptions {
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
        self.flow.check()?;
        self.prior.check()?;
        not_negative("guidance-scale", self.guidance_scale)?;
        self.instances.check()?;
        if self.aspect_ratio_buckets.is_some() && !self.use_aspect_ratio_buckets {
            return Err(Error::option("aspect-ratio-buckets", "needs --use-aspect-ratio-buckets"));
        }
        for (option, is_given) in [
            ("text-encoder-lr", self.text_encoder_lr.is_some()),
            ("adam-weight-decay-text-encoder", self.adam_weight_decay_text_encoder.is_some()),
        ] {
            if is_given {
                return Err(Error::option(option, "has no meaning, as the text encoder is not trained"));
            }
        }
        only_adam_w(&self.optimizer)
    }

    /// What happens to images, whose sides must be multiples of `factor`.
    fn transform(&self, factor: usize) -> Result<BucketTransform> {
        let side = self.common.resolution;
        let buckets = match &self.aspect_ratio_buckets {
            Some(list) => Buckets::parse(list, factor)?,
            None if self.use_aspect_ratio_buckets => Buckets::up_to(side, factor)?,
            None => {
                ImageEncoder::check_side("resolution", side, factor)?;
                Buckets::Listed(vec![[side, side]])
            }
        };
        Ok(BucketTransform {
            buckets,
            is_centered: self.center_crop,
            random_flip: self.random_flip,
            batch_size: self.common.train_batch_size as usize,
            keeps_latents: self.model.cache_latents,
        })
    }

    /// The layers that are trained, by the ends of their names.
    fn targets(&self) -> Vec<String> {
        let names = self.lora_layers.as_deref().unwrap_or(LAYERS);
        names.split(',').map(|name| name.trim().to_owned()).collect()
    }
}

/// Trains low-rank layers of the transformer until the end, or until `stop` asks to stop. The result is
/// `pytorch_lora_weights.safetensors` in `output_dir`, which
/// [`load_lora_weights`](oxidiff::LoraLoader::load_lora_weights) reads.
///
/// # Errors
/// When an option makes no sense, the model is not Z-Image, a model, the images or a checkpoint cannot be read, or a folder cannot
/// be written.
pub fn dreambooth_lora_z_image(options: &DreamBoothLoraZImageOptions, stop: &Stop) -> Result<Outcome> {
    options.check()?;
    let differences = Differences {
        run_name: "dreambooth-z-image-lora",
        loss_tag: "loss",
        rate: RateCourse::StepsOfGroups,
    };
    let DreamBoothLoraZImageOptions { model, common, prior, .. } = options;
    let mut random = common.random();
    let instances = options.instances.open(random.torch.initial_seed())?;
    let max_sequence_length = options.max_sequence_length as usize;
    let mut frozen = ZImage::load(model, common.dtype()?, options.flow.clone(), max_sequence_length)?;
    let transform = options.transform(frozen.patch_pixels())?;
    let targets = options.targets();
    let pipeline = frozen.pipeline(None, common.resolution, options.guidance_scale)?;
    prior.make_class_images(pipeline, &mut random, stop)?;

    let (rank, alpha) = (options.rank as usize, f64::from(options.lora_alpha));
    let (init, transformer) = (LowRankInit::Gaussian, frozen.transformer_mut());
    let layers = LowRankLayers::new_for(transformer, &targets, rank, alpha, init, &mut random.torch)
        .map_err(|error| match &options.lora_layers {
            Some(_) => Error::option("lora-layers", error.to_string()),
            None => error.into(),
        })?;
    let images = SubjectImagesInBuckets::new(instances, prior.class()?, &transform, &mut random)?;
    let data = common.data(images);
    let prepared = common.prepare(&data, &differences)?;
    let mut task = DreamBoothLoraZImageTask {
        options: options.clone(),
        frozen,
        learner: Learner::new(layers, prepared.adam_w, None),
    };
    train(&mut task, &data, &prepared.plan, random, prepared.report, stop)
}

struct DreamBoothLoraZImageTask {
    options: DreamBoothLoraZImageOptions,
    /// Without the layers.
    frozen: ZImage,
    learner: Learner<LowRankLayers>,
}

impl DreamBoothLoraZImageTask {
    /// The name of the model that has the layers, in their file.
    const COMPONENT: &'static str = "transformer";

    fn write_layers(&self, folder: &Path) -> Result<()> {
        let mut file = StateFile::new();
        self.learner.trained().export_peft(Self::COMPONENT, &mut file);
        Ok(file.write(&folder.join(LORA_WEIGHTS))?)
    }
}

impl Task for DreamBoothLoraZImageTask {
    fn learn(
        &mut self,
        batch: Batch,
        parts: usize,
        random: &mut Random,
    ) -> Result<(f32, ParameterGradients)> {
        let Self { frozen, options, .. } = self;
        let example = frozen.flow.example(&batch.images, &mut random.torch)?;
        let FlowExample { noisy, timesteps, target, weights } = example;
        let noisy = (noisy, &timesteps[..]);
        let layers = self.learner.trained();
        let (velocity, leaves) = frozen.predict(layers, noisy, &batch.captions, &options.common)?;
        let loss = options.prior.loss(velocity, target, weights.as_deref(), weights.as_deref());
        let value = loss.clone().into_scalar::<f32>();
        Ok((value, leaves.take(&mut (loss / parts as f64).backward())))
    }

    fn update(&mut self, gradients: &ParameterGradients, learning_rate: f64) {
        self.learner.update(gradients, learning_rate);
    }

    fn save(&self, folder: &Path, state: &mut StateFile) -> Result<()> {
        self.write_layers(folder)?;
        self.learner.save_layers(state);
        Ok(())
    }

    fn load(&mut self, _folder: &Path, state: &StateFile) -> Result<()> {
        self.learner.load_layers(state)
    }

    fn due_after_epoch(&self, epoch: u64, is_last: bool) -> Due {
        let DreamBoothLoraZImageOptions { validation_prompt, final_validation_prompt, .. } = &self.options;
        let is_time = epoch.is_multiple_of(self.options.validation_epochs) && validation_prompt.is_some();
        let is_final = is_last
            && !self.options.skip_final_inference
            && (validation_prompt.is_some() || final_validation_prompt.is_some());
        Due { samples: is_time || is_final, model: is_last, interim: false }
    }

    fn samples(&self, stop: &Stop) -> Result<Option<SampleImages>> {
        let DreamBoothLoraZImageOptions { common, validation_prompt, final_validation_prompt, .. } =
            &self.options;
        let prompts = Vec::from_iter(validation_prompt.clone().or_else(|| final_validation_prompt.clone()));
        let layers = Some(self.learner.trained());
        let mut pipeline = self.frozen.pipeline(layers, common.resolution, self.options.guidance_scale)?;
        let images = self.options.num_validation_images;
        let validation = Validation { prompts: &prompts, images, steps: None, seed: common.seed };
        validation.samples(&mut pipeline, stop)
    }

    fn write(&self, folder: &Path) -> Result<()> {
        self.write_layers(folder)
    }

    fn card(&self) -> ModelCard {
        let DreamBoothLoraZImageOptions { model, common, .. } = &self.options;
        let mut hyperparameters = common.hyperparameters();
        hyperparameters.push(("Rank".to_owned(), self.options.rank.to_string()));
        hyperparameters.push(("Alpha".to_owned(), self.options.lora_alpha.to_string()));
        ModelCard {
            base_model: Some(model.pretrained_model_name_or_path.clone()),
            dataset: self.options.instances.dataset(),
            instance_prompt: Some(self.options.instances.instance_prompt.clone()),
            hyperparameters,
            ..ModelCard::new(Method::DreamBoothLora, Family::ZImage, common.name())
        }
    }
}
