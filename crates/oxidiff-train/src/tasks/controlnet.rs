//! A ControlNet for Stable Diffusion (Zhang et al. 2023, <https://arxiv.org/abs/2302.05543>): `train_controlnet.py`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use oxidiff::image::DynamicImage;
use oxidiff::training::{ParameterGradients, Recording, StateFile, Trained};
use oxidiff::{
    CLIPTextModel, ControlNetInputs, ControlNetModel, ControlNetTextToImage, FromUNetOptions, Generator,
    Model, Pipeline, Resample, Scheduler, StableDiffusionControlNetPipeline, UNet2DConditionInputs,
    UNet2DConditionModel, UniPCMultistepScheduler,
};

use crate::batches::Batch;
use crate::data::Role;
use crate::error::{Error, Result};
use crate::image_transform::ImageTransform;
use crate::latent_diffusion::{Example, NoiseOptions};
use crate::learner::Learner;
use crate::options::{CommonOptions, DatasetFolder, Differences, ModelOptions, RateCourse, with_defaults};
use crate::random::Random;
use crate::report::{Family, Method, ModelCard};
use crate::sources::ControlledImages;
use crate::stable_diffusion::{StableDiffusion, load_saved};
use crate::stop::Stop;
use crate::task::{Due, SampleImages, Task};
use crate::trainer::{Outcome, train};
use crate::validation::Calls;

/// The options of `oxidiff train controlnet`: the flags of `train_controlnet.py`.
#[derive(Args, Clone, Debug)]
#[command(
    mut_arg("output_dir", |it| it.default_value("controlnet-model")),
    mut_arg("train_batch_size", |it| it.default_value("4")),
    mut_arg("num_train_epochs", |it| it.default_value("1")),
    mut_arg("learning_rate", |it| it.default_value("5e-6")),
    mut_arg("max_grad_norm", |it| it.default_value("1"))
)]
pub struct ControlNetOptions {
    /// What to begin with.
    #[command(flatten)]
    pub model: ModelOptions,
    /// The ControlNet to go on with: a folder or a name on the hub; by default a new one with the UNet's weights
    #[arg(long, value_name = "DIR_OR_HUB_ID")]
    pub controlnet_model_name_or_path: Option<String>,
    /// What all trainings share.
    #[command(flatten)]
    pub common: CommonOptions,
    /// What to train on.
    #[command(flatten)]
    pub dataset: DatasetFolder,
    /// The column of the images
    #[arg(long, value_name = "NAME", default_value = "image")]
    pub image_column: String,
    /// The column of the images that steer
    #[arg(long, value_name = "NAME", default_value = "conditioning_image")]
    pub conditioning_image_column: String,
    /// The column of the captions; of several captions, one is drawn each time
    #[arg(long, value_name = "NAME", default_value = "text")]
    pub caption_column: String,
    /// How many of the captions to leave out, from 0 to 1
    #[arg(long, value_name = "PROPORTION", default_value_t = 0.0)]
    pub proportion_empty_prompts: f64,
    /// Prompts to make images of, to show the progress
    #[arg(long, value_name = "PROMPT", num_args = 1.., requires = "validation_image")]
    pub validation_prompt: Vec<String>,
    /// The images that these follow: one for each prompt, or one for all
    #[arg(long, value_name = "FILE", num_args = 1.., requires = "validation_prompt")]
    pub validation_image: Vec<PathBuf>,
    /// How many images to make of each
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub num_validation_images: u32,
    /// After how many steps to make them
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..))]
    pub validation_steps: u64,
}

/// The side of the smallest image that an autoencoder takes.
const SMALLEST: u32 = 8;

impl ControlNetOptions {
    /// The defaults, for a model and a folder of images, what steers them, and captions.
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

    fn images(&self, seed: u64) -> Result<ControlledImages> {
        let proportion = self.proportion_empty_prompts;
        if !(0.0..=1.0).contains(&proportion) {
            let message = format!("is {proportion}, but must be from 0 to 1");
            return Err(Error::option("proportion-empty-prompts", message));
        }
        let dataset = self.dataset.open(None, seed)?;
        Ok(ControlledImages {
            image_column: dataset.choose(Role::Image, Some(&self.image_column))?,
            conditioning_column: dataset.choose(Role::Conditioning, Some(&self.conditioning_image_column))?,
            caption_column: dataset.choose(Role::Caption, Some(&self.caption_column))?,
            dataset: Arc::new(dataset),
            proportion_empty_prompts: proportion,
            transform: ImageTransform {
                resolution: self.common.resolution,
                center_crop: true,
                random_flip: false,
                filter: Resample::Bilinear,
            },
        })
    }

    /// The prompts of the validation, each with the image that it follows.
    fn validation(&self) -> Result<Vec<(String, DynamicImage)>> {
        let (prompts, images) = (&self.validation_prompt, &self.validation_image);
        let (most, is_even) = (prompts.len().max(images.len()), prompts.len() == images.len());
        if !is_even && prompts.len() != 1 && images.len() != 1 {
            let message = format!("are {}, but there are {} prompts", images.len(), prompts.len());
            return Err(Error::option("validation-image", message));
        }
        let open = |path: &PathBuf| {
            oxidiff::image::open(path)
                .map(|image| DynamicImage::ImageRgb8(image.into_rgb8()))
                .map_err(|error| Error::option("validation-image", format!("{}: {error}", path.display())))
                .and_then(|image| match image.width().min(image.height()) {
                    0..SMALLEST => {
                        let (path, width, height) = (path.display(), image.width(), image.height());
                        let message =
                            format!("{path}: is {width}x{height}, smaller than {SMALLEST}x{SMALLEST} pixels");
                        Err(Error::option("validation-image", message))
                    }
                    _ => Ok(image),
                })
        };
        let pairs = prompts.iter().cycle().zip(images.iter().cycle()).take(most);
        pairs.map(|(prompt, path)| Ok((prompt.clone(), open(path)?))).collect()
    }
}

/// Trains a ControlNet until the end, or until `stop` asks to stop. The result in `output_dir` is a [`ControlNetModel`].
///
/// # Errors
/// When an option makes no sense, a model, the data or a checkpoint cannot be read, or the folder cannot be written.
pub fn controlnet(options: &ControlNetOptions, stop: &Stop) -> Result<Outcome> {
    let differences = Differences { run_name: "train_controlnet", loss_tag: "loss", rate: RateCourse::Steps };
    let ControlNetOptions { model, common, .. } = options;
    common.check()?;
    let validation = options.validation()?;
    let mut random = common.random();
    let data = common.data(options.images(random.torch.initial_seed())?);
    let prepared = common.prepare(&data, &differences)?;

    let dtype = common.dtype()?;
    let (frozen, unet, text_encoder) = StableDiffusion::load(model, dtype, common.resolution)?;
    let controlnet = match &options.controlnet_model_name_or_path {
        Some(name) => ControlNetModel::from_pretrained(name)?,
        None => {
            let whole = model.in_f32("unet", unet.clone(), dtype)?;
            let controlnet = ControlNetModel::from_unet(&whole, &FromUNetOptions::default())?;
            initialized(controlnet, &mut random.torch)
        }
    };
    let mut task = ControlNetTask {
        options: options.clone(),
        validation,
        frozen,
        unet,
        text_encoder,
        learner: Learner::new(controlnet, prepared.adam_w, None),
    };
    train(&mut task, &data, &prepared.plan, random, prepared.report, stop)
}

/// A new ControlNet with the weights that PyTorch draws for those that it does not take from the UNet.
///
/// PyTorch draws weights for all linear layers and convolutions in the order of the class, uniformly up to 1 over the root of
/// the inputs of a result. Only those of the conditioning embedding are kept, but for its last layer, which is 0.
fn initialized(controlnet: ControlNetModel, generator: &mut Generator) -> ControlNetModel {
    const EMBEDDING: &str = "controlnet_cond_embedding.";
    let mut shapes = Vec::new();
    controlnet.read(&mut |name, shape, _| shapes.push((name.to_owned(), shape.to_vec())));
    // Norms draw nothing. A bias has the range of its weight.
    let inputs = |name: &str| {
        let weight = name.replace(".bias", ".weight");
        let (_, shape) = shapes.iter().find(|(name, _)| *name == weight)?;
        (shape.len() > 1).then(|| shape[1..].iter().product::<usize>())
    };
    let drawn = |is_counted: &dyn Fn(&str) -> bool| -> usize {
        let counted = shapes.iter().filter(|(name, _)| is_counted(name) && inputs(name).is_some());
        counted.map(|(_, shape)| shape.iter().product::<usize>()).sum()
    };
    let before = drawn(&|name| name.starts_with("conv_in.") || name.starts_with("time_embedding."));
    let all = drawn(&|_| true);

    generator.rand_vec::<f32>(before);
    let mut rest = all - before;
    let controlnet = controlnet.changed(&mut |name, values| {
        let Some(inputs) = inputs(name).filter(|_| name.starts_with(EMBEDDING)) else { return };
        let bound = (1.0 / (inputs as f64).sqrt()) as f32;
        let uniform = generator.rand_vec::<f32>(values.len()).into_iter();
        rest -= values.len();
        if !name.starts_with("controlnet_cond_embedding.conv_out.") {
            *values = uniform.map(|x| x * (bound - -bound) - bound).collect();
        }
    });
    generator.rand_vec::<f32>(rest);
    controlnet
}

struct ControlNetTask {
    options: ControlNetOptions,
    validation: Vec<(String, DynamicImage)>,
    frozen: StableDiffusion,
    unet: UNet2DConditionModel,
    text_encoder: CLIPTextModel,
    learner: Learner<ControlNetModel>,
}

impl Task for ControlNetTask {
    fn learn(
        &mut self,
        batch: Batch,
        parts: usize,
        random: &mut Random,
    ) -> Result<(f32, ParameterGradients)> {
        let Example { noisy, timesteps, target } =
            self.frozen.diffusion.example(batch.images, NoiseOptions::default(), &mut random.torch)?;
        let text = self.frozen.frozen_text(&batch.captions, &self.text_encoder)?;
        let steers = batch.conditioning.expect("the source has them").autodiff();

        let dtype = self.frozen.diffusion.dtype;
        let noisy = noisy.autodiff();
        let recording = Recording::of(self.learner.trained(), dtype);
        let inputs = ControlNetInputs::default();
        let unet = Recording::frozen(&self.unet, dtype);
        let prediction = self.options.common.predict(|| {
            let controls =
                recording.model().forward_with(noisy.clone(), &timesteps, text.clone(), steers, inputs)?;
            let inputs = UNet2DConditionInputs {
                down_block_additional_residuals: controls.down_block_res_samples,
                mid_block_additional_residual: Some(controls.mid_block_res_sample),
                ..Default::default()
            };
            unet.forward_with(noisy, &timesteps, text, inputs)
        })?;
        drop(unet);
        let loss = self.frozen.diffusion.loss(prediction, target.autodiff(), &timesteps, None)?;
        let value = loss.clone().into_scalar::<f32>();
        Ok((value, recording.backward(&(loss / parts as f64))))
    }

    fn update(&mut self, gradients: &ParameterGradients, learning_rate: f64) {
        self.learner.update(gradients, learning_rate);
    }

    fn save(&self, folder: &Path, state: &mut StateFile) -> Result<()> {
        self.learner.trained().save_pretrained(folder.join("controlnet"))?;
        self.learner.save(state);
        Ok(())
    }

    fn load(&mut self, folder: &Path, state: &StateFile) -> Result<()> {
        self.learner.load(load_saved(&folder.join("controlnet"))?, state)
    }

    fn due_after_epoch(&self, _epoch: u64, is_last: bool) -> Due {
        Due { samples: is_last && !self.validation.is_empty(), model: is_last, interim: false }
    }

    fn due_after_step(&self, step: u64) -> Due {
        let is_time = step.is_multiple_of(self.options.validation_steps);
        Due { samples: is_time && !self.validation.is_empty(), ..Due::default() }
    }

    fn samples(&self, stop: &Stop) -> Result<Option<SampleImages>> {
        let components = self.frozen.components(self.unet.clone(), self.text_encoder.clone());
        let controlnet = self.learner.trained().cast(self.frozen.diffusion.dtype);
        let mut pipeline = StableDiffusionControlNetPipeline::new(components, controlnet)?;
        pipeline.set_progress_bar(false);
        pipeline.scheduler = Box::new(UniPCMultistepScheduler::from_config(pipeline.scheduler.config())?);
        let mut calls = Calls::new(self.options.common.seed);
        let (mut images, mut prompts) = (Vec::new(), Vec::new());
        for (prompt, image) in &self.validation {
            for _ in 0..self.options.num_validation_images {
                let made = calls.one(stop, |generator, callback| {
                    pipeline.call(ControlNetTextToImage {
                        num_inference_steps: 20,
                        generator: Some(generator.into()),
                        callback_on_step_end: Some(callback),
                        ..ControlNetTextToImage::new(prompt.clone(), image.clone())
                    })
                })?;
                let Some(made) = made else { return Ok(None) };
                images.extend(made);
                prompts.push(prompt.clone());
            }
        }
        Ok(Some(SampleImages { images, prompts, tag: "validation" }))
    }

    fn write(&self, folder: &Path) -> Result<()> {
        Ok(self.learner.trained().save_pretrained(folder)?)
    }

    fn card(&self) -> ModelCard {
        let ControlNetOptions { model, common, dataset, .. } = &self.options;
        ModelCard {
            base_model: Some(model.pretrained_model_name_or_path.clone()),
            dataset: dataset.name(),
            hyperparameters: common.hyperparameters(),
            ..ModelCard::new(Method::ControlNet, Family::StableDiffusion, common.name())
        }
    }
}
