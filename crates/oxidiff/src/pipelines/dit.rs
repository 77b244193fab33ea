//! Class-conditional images by a diffusion transformer (Peebles & Xie 2022, <https://arxiv.org/abs/2212.09748>).

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use burn::tensor::Tensor;
use serde_json::Value;

use super::decoding;
use super::finite::{Watch, WatchedStep};
use super::generation_config::CallDefaults;
use super::model_index::ModelIndex;
use super::output::{ImagePipelineOutput, MOST_IMAGES};
use super::pipeline::{Component, Pipeline};
use super::progress::denoising_bar;
use super::stable_diffusion::{StepCallback, StepEnd};
use crate::error::{Error, Result};
use crate::image_processor::{Images, OutputType, postprocess};
use crate::loading::LoadOptions;
use crate::loading::folder::Folder;
use crate::models::autoencoders::AutoencoderKL;
use crate::models::model::{self, Model};
use crate::models::transformers::DiTTransformer2DModel;
use crate::pipelines::pipeline_fields::{display_index, field_methods, vae_methods};
use crate::random::{Generator, Generators};
use crate::schedulers::{self, Scheduler, StepOptions, zero_terminal_snr};

/// The class that stands for none: that behind the thousand of ImageNet, whatever number of classes a model knows.
const NO_CLASS: usize = 1000;

/// Makes an image of each class that it is given.
///
/// ```no_run
/// use oxidiff::{ClassConditional, DPMSolverMultistepScheduler, DiTPipeline, Pipeline, Scheduler};
///
/// let mut pipeline = DiTPipeline::from_pretrained("facebook/DiT-XL-2-256")?;
/// pipeline.set_scheduler(DPMSolverMultistepScheduler::from_config(pipeline.scheduler.config())?);
/// let class_labels = pipeline.get_label_ids(&["white shark", "umbrella"])?;
/// let arguments = ClassConditional { num_inference_steps: 25, ..ClassConditional::new(class_labels) };
/// let images = pipeline.call(arguments)?.images.into_images();
/// # Ok::<(), oxidiff::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct DiTPipeline {
    /// Predicts the noise in latents.
    pub transformer: DiTTransformer2DModel,
    /// Decodes latents.
    pub vae: AutoencoderKL,
    /// Takes predicted noise away, step by step.
    pub scheduler: Box<dyn Scheduler>,
    labels: BTreeMap<String, usize>,
    index: ModelIndex,
    progress_bar: bool,
}

/// The arguments of a call; names and defaults are those of Python's `DiTPipeline.__call__`.
pub struct ClassConditional {
    /// The class of each image.
    pub class_labels: Vec<usize>,
    /// How strongly the class pulls; 1 or less turns guidance off.
    pub guidance_scale: f64,
    /// Where the noise comes from: one generator, or one for each image. By default a freshly seeded one.
    pub generator: Option<Generators>,
    /// Number of denoising steps.
    pub num_inference_steps: usize,
    /// What to return the images as.
    pub output_type: OutputType,
    /// Called after each step.
    pub callback_on_step_end: Option<StepCallback>,
}

impl CallDefaults for ClassConditional {
    fn set_num_inference_steps(&mut self, steps: usize) {
        self.num_inference_steps = steps;
    }

    fn set_guidance_scale(&mut self, scale: f64) {
        self.guidance_scale = scale;
    }
}

impl ClassConditional {
    /// Arguments with these classes and the defaults.
    pub fn new(class_labels: impl Into<Vec<usize>>) -> Self {
        Self {
            class_labels: class_labels.into(),
            guidance_scale: 4.0,
            generator: None,
            num_inference_steps: 50,
            output_type: OutputType::default(),
            callback_on_step_end: None,
        }
    }

    fn check(&self) -> Result<()> {
        if self.class_labels.is_empty() || self.class_labels.len() > MOST_IMAGES {
            let message =
                format!("must be between 1 and {MOST_IMAGES} of them, not {}", self.class_labels.len());
            return Err(Error::argument("class_labels", message));
        }
        if !self.guidance_scale.is_finite() {
            return Err(Error::argument("guidance_scale", format!("cannot be {}", self.guidance_scale)));
        }
        if self.num_inference_steps == 0 {
            return Err(Error::argument("num_inference_steps", "must be at least 1"));
        }
        Ok(())
    }
}

impl From<Vec<usize>> for ClassConditional {
    fn from(class_labels: Vec<usize>) -> Self {
        Self::new(class_labels)
    }
}

impl DiTPipeline {
    /// A pipeline of the given parts, and the names of its classes: each class may have several, with commas between them.
    ///
    /// # Errors
    /// When transformer and autoencoder do not fit each other.
    pub fn new(
        transformer: DiTTransformer2DModel,
        vae: AutoencoderKL,
        scheduler: impl Into<Box<dyn Scheduler>>,
        id2label: &BTreeMap<usize, String>,
    ) -> Result<Self> {
        let mut index = ModelIndex::of_class(Self::CLASS_NAME);
        let names = id2label.iter().map(|(id, names)| (id.to_string(), Value::from(names.as_str())));
        index.set_option("id2label", Value::Object(names.collect()));
        Self::assemble(transformer, vae, scheduler.into(), index)
    }

    fn assemble(
        transformer: DiTTransformer2DModel,
        vae: AutoencoderKL,
        scheduler: Box<dyn Scheduler>,
        index: ModelIndex,
    ) -> Result<Self> {
        let (latent, taken) = (vae.config().latent_channels, transformer.config().in_channels);
        if latent != taken {
            let message = format!("is {taken}, but the latents of the vae have {latent} channels");
            return Err(Error::config("transformer/config.json", "in_channels", message));
        }
        zero_terminal_snr::check_configuration(&*scheduler)?;
        let labels = labels(&index)?;
        Ok(Self { transformer, vae, scheduler, labels, index, progress_bar: true })
    }

    /// The classes by their names.
    pub fn labels(&self) -> &BTreeMap<String, usize> {
        &self.labels
    }

    /// The classes of these names.
    ///
    /// # Errors
    /// When the checkpoint has no class of a name.
    pub fn get_label_ids(&self, labels: &[impl AsRef<str>]) -> Result<Vec<usize>> {
        let id = |label: &str| {
            self.labels.get(label).copied().ok_or_else(|| {
                let known = match self.labels.len() {
                    0 => "the checkpoint names none".to_owned(),
                    count => format!("the checkpoint names {count}, see `labels`"),
                };
                Error::argument("label", format!("there is no class `{label}`: {known}"))
            })
        };
        labels.iter().map(|label| id(label.as_ref())).collect()
    }
}

/// The names of the classes, from the `id2label` of an index: `{"2": "great white shark, white shark"}`.
fn labels(index: &ModelIndex) -> Result<BTreeMap<String, usize>> {
    let invalid = |message: &str| Error::config(index.origin(), "id2label", message);
    let id2label = match index.option("id2label") {
        None | Some(Value::Null) => return Ok(BTreeMap::new()),
        Some(Value::Object(id2label)) => id2label,
        Some(_) => return Err(invalid("must be an object")),
    };
    let mut labels = BTreeMap::new();
    for (id, names) in id2label {
        let id: usize = id.parse().map_err(|_| invalid("must have numbers as keys"))?;
        let names = names.as_str().ok_or_else(|| invalid("must have texts as values"))?;
        labels.extend(names.split(',').map(|name| (name.trim().to_owned(), id)));
    }
    Ok(labels)
}

impl Pipeline for DiTPipeline {
    const CLASS_NAME: &'static str = "DiTPipeline";

    type Arguments = ClassConditional;

    fn load(folder: &Folder, index: ModelIndex, options: &LoadOptions) -> Result<Self> {
        index.expect_class("vae", AutoencoderKL::CLASS_NAME)?;
        // The published checkpoints name the class that the transformer was once part of.
        let transformer_class = index.required("transformer")?;
        if !DiTTransformer2DModel::FORMER_CLASS_NAMES.contains(&transformer_class) {
            index.expect_class("transformer", DiTTransformer2DModel::CLASS_NAME)?;
        }
        let scheduler_class = index.required("scheduler")?;
        let scheduler = schedulers::load(&folder.component("scheduler"), scheduler_class)?;
        let (variant, dtype, device) = (options.variant.as_deref(), options.dtype, &options.device);
        let transformer = model::load(&folder.component("transformer"), variant, dtype, device)?;
        let vae = model::load(&folder.component("vae"), variant, dtype, device)?;
        Self::assemble(transformer, vae, scheduler, index)
    }

    fn call(&mut self, arguments: impl Into<ClassConditional>) -> Result<ImagePipelineOutput> {
        let arguments = arguments.into();
        arguments.check()?;
        let mut callback = arguments.callback_on_step_end;
        let config = self.transformer.config().clone();
        let (batch, channels, size) = (arguments.class_labels.len(), config.in_channels, config.sample_size);
        let guided = arguments.guidance_scale > 1.0;

        let mut generator = arguments.generator.unwrap_or_else(|| Generators::One(Generator::from_entropy()));
        let (dtype, device) = (self.transformer.dtype(), self.transformer.device());
        let mut latents = generator.randn([batch, channels, size, size], dtype, &device)?;
        // A generator for each image is one for each of the latents that are drawn, which guidance doubles below: the noise
        // of the steps then comes from a generator of its own.
        let mut step_generator = match generator {
            Generators::PerItem(_) => Generators::One(Generator::from_entropy()),
            one => one,
        };

        // With guidance the batch holds each image twice, with its class and without one.
        let mut class_labels = arguments.class_labels;
        if guided {
            class_labels.extend(vec![NO_CLASS; batch]);
            latents = Tensor::cat(vec![latents; 2], 0);
        }

        self.scheduler.set_timesteps(arguments.num_inference_steps)?;
        zero_terminal_snr::check_timesteps(&*self.scheduler, self.scheduler.timesteps())?;
        let timesteps = self.scheduler.timesteps().to_vec();
        let watch =
            Watch { index: &self.index, denoiser: ("transformer", &self.transformer), condition: None };
        let bar = denoising_bar(timesteps.len(), self.progress_bar);
        for (index, &timestep) in timesteps.iter().enumerate() {
            tracing::debug!(index, timestep, "denoising");
            if guided {
                latents = Tensor::cat(vec![latents.narrow(0, 0, batch); 2], 0);
            }
            latents = self.scheduler.scale_model_input(latents, timestep)?;
            let mut prediction = self.transformer.forward(latents.clone(), &[timestep], &class_labels)?;
            if guided {
                prediction = guide(prediction, arguments.guidance_scale, channels);
            }
            // These models predict their uncertainty too, which is not used.
            if config.predicted_channels() / 2 == channels {
                prediction = prediction.narrow(1, 0, channels);
            }
            let options = StepOptions { generator: Some(&mut step_generator), ..Default::default() };
            latents = self.scheduler.step(prediction.clone(), timestep, latents, options)?.prev_sample;
            watch.check_step(&WatchedStep {
                index,
                timestep,
                scheduler: &*self.scheduler,
                prediction: &prediction,
                sample: &latents,
            })?;

            if let Some(callback) = &mut callback {
                let shown = latents.clone().narrow(0, 0, batch);
                let copies = if guided { 2 } else { 1 };
                match callback(StepEnd { index, timestep, latents: shown }) {
                    ControlFlow::Continue(next) => latents = Tensor::cat(vec![next; copies], 0),
                    ControlFlow::Break(last) => {
                        latents = Tensor::cat(vec![last; copies], 0);
                        break;
                    }
                }
            }
            bar.inc(1);
        }
        bar.finish();

        let latents = latents.narrow(0, 0, batch);
        let images = match arguments.output_type {
            OutputType::Latent => Images::Latent(latents),
            output_type => {
                let latents = latents * (1.0 / self.vae.config().scaling_factor);
                let decoded = decoding::decode(&self.vae, latents, &self.index)?;
                postprocess(decoded, output_type)?
            }
        };
        Ok(ImagePipelineOutput { images, nsfw_content_detected: None })
    }

    fn components(&self) -> Vec<(&'static str, Component<'_>)> {
        vec![
            ("transformer", Component::DiTTransformer2DModel(&self.transformer)),
            ("vae", Component::AutoencoderKL(&self.vae)),
            ("scheduler", Component::Scheduler(&*self.scheduler)),
        ]
    }

    field_methods!();
    vae_methods!();
}

/// Guides the noise in the first `channels` of the predictions, of which one half is with a class and one half without (Ho
/// & Salimans 2022, <https://arxiv.org/abs/2207.12598>). Both halves of the result are the same there.
fn guide(predictions: Tensor<4>, scale: f64, channels: usize) -> Tensor<4> {
    let [_, all_channels, _, _] = predictions.dims();
    let noise = predictions.clone().narrow(1, 0, channels);
    let [conditional, unconditional] = noise.chunk(2, 0).try_into().expect("two halves");
    let guided = unconditional.clone() + (conditional - unconditional) * scale;
    let guided = Tensor::cat(vec![guided; 2], 0);
    if all_channels == channels {
        return guided;
    }
    Tensor::cat(vec![guided, predictions.narrow(1, channels, all_channels - channels)], 1)
}

display_index!(DiTPipeline);
