//! Class-conditional images with a diffusion transformer (Peebles & Xie 2022, <https://arxiv.org/abs/2212.09748>).

use std::collections::BTreeMap;

use burn::tensor::Tensor;
use serde_json::Value;

use super::arguments::ClassConditional;
use crate::error::{Error, Result};
use crate::image_processor::{Images, OutputType, postprocess};
use crate::models::autoencoders::AutoencoderKL;
use crate::models::model::Model;
use crate::models::transformers::DiTTransformer2DModel;
use crate::pipelines::common::component_loader::ComponentLoader;
use crate::pipelines::common::decoding;
use crate::pipelines::common::denoising::{Denoising, Stepped};
use crate::pipelines::common::finite::Watch;
use crate::pipelines::component::Components;
use crate::pipelines::model_index::ModelIndex;
use crate::pipelines::output::ImagePipelineOutput;
use crate::pipelines::pipeline::Pipeline;
use crate::pipelines::pipeline_fields::{display_index, field_methods, vae_methods};
use crate::pipelines::request::{Argument, FromArgument, Request};
use crate::random::{Generator, Generators};
use crate::schedulers::{Scheduler, StepOptions, zero_terminal_snr};

/// The class that means "no class": the one after the 1000 classes of ImageNet, even if a model has another number of
/// classes.
const NO_CLASS: usize = 1000;

/// The names in the index of such a pipeline.
const INDEX_NAMES: [&str; 4] = ["transformer", "vae", "scheduler", "id2label"];

/// Makes one image of each given class.
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
    /// Removes predicted noise, step by step.
    pub scheduler: Box<dyn Scheduler>,
    labels: BTreeMap<String, usize>,
    index: ModelIndex,
    progress_bar: bool,
}

impl DiTPipeline {
    /// A pipeline with the given parts, and the names of its classes: a class may have several names, separated by
    /// commas.
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

    /// The classes, by name.
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
        let names = names.as_str().ok_or_else(|| invalid("must have strings as values"))?;
        labels.extend(names.split(',').map(|name| (name.trim().to_owned(), id)));
    }
    Ok(labels)
}

impl Pipeline for DiTPipeline {
    const CLASS_NAME: &'static str = "DiTPipeline";

    type Arguments = ClassConditional;

    fn load(loader: &ComponentLoader<'_>) -> Result<Self> {
        let scheduler = loader.scheduler("scheduler")?;
        let transformer = loader.model("transformer")?;
        Self::assemble(transformer, loader.model("vae")?, scheduler, loader.index().clone())
    }

    fn from_components(components: &Components<'_>, index: ModelIndex) -> Result<Self> {
        let index = index.for_class(Self::CLASS_NAME, &INDEX_NAMES);
        let scheduler: Box<dyn Scheduler> = components.take("scheduler")?;
        Self::assemble(components.take("transformer")?, components.take("vae")?, scheduler, index)
    }

    /// Classes can be named.
    fn prepare(&self, request: &mut Request) -> Result<()> {
        const CLASS_LABELS: &str = "class_labels";
        let named = match request.remove(CLASS_LABELS) {
            Some(Argument::Written(labels)) => {
                labels.split(',').map(|label| label.trim().to_owned()).collect()
            }
            Some(Argument::List(labels)) if labels.iter().any(|label| matches!(label, Argument::Text(_))) => {
                Vec::<String>::from_argument(Argument::List(labels))
                    .map_err(|message| Error::argument(CLASS_LABELS, message))?
            }
            Some(numbers) => {
                request.set(CLASS_LABELS, numbers);
                return Ok(());
            }
            None => return Ok(()),
        };
        let number = |label: &String| match label.parse::<usize>() {
            Ok(number) => Ok(number),
            Err(_) => match self.get_label_ids(&[label]) {
                Ok(numbers) => Ok(numbers[0]),
                Err(Error::InvalidArgument { message, .. }) => Err(Error::argument(CLASS_LABELS, message)),
                Err(other) => Err(other),
            },
        };
        request.set(CLASS_LABELS, named.iter().map(number).collect::<Result<Vec<_>>>()?);
        Ok(())
    }

    fn call(&mut self, arguments: impl Into<ClassConditional>) -> Result<ImagePipelineOutput> {
        let arguments = arguments.into();
        arguments.check()?;
        let config = self.transformer.config().clone();
        let (batch, channels, size) = (arguments.class_labels.len(), config.in_channels, config.sample_size);
        let guided = arguments.guidance_scale > 1.0;

        let mut generator = arguments.generator.unwrap_or_else(Generators::from_entropy);
        let (dtype, device) = (self.transformer.dtype(), self.transformer.device());
        let latents = generator.randn([batch, channels, size, size], dtype, &device)?;
        // With a generator for each image, each draws the latents of one image. Guidance doubles them below, so the noise
        // of the steps comes from another generator.
        let mut step_generator = match generator {
            Generators::One(_) => generator,
            _ => Generators::One(Generator::from_entropy()),
        };

        // With guidance, the batch holds each image twice, with and without its class.
        let mut class_labels = arguments.class_labels;
        if guided {
            class_labels.extend(vec![NO_CLASS; batch]);
        }

        self.scheduler.set_timesteps(arguments.num_inference_steps)?;
        zero_terminal_snr::check_timesteps(&*self.scheduler, self.scheduler.timesteps())?;
        let timesteps = self.scheduler.timesteps().to_vec();
        let Self { transformer, scheduler, .. } = self;
        let denoising = Denoising {
            timesteps: &timesteps,
            steps: timesteps.len(),
            order: 1,
            watch: Watch::of(&self.index, ("transformer", transformer), &**scheduler),
            callback: arguments.callback_on_step_end,
            progress_bar: self.progress_bar,
        };
        let latents = denoising.run(latents, |step, latents| {
            let latents = if guided { Tensor::cat(vec![latents; 2], 0) } else { latents };
            let latents = scheduler.scale_model_input(latents, step.timestep)?;
            let mut prediction = transformer.forward(latents.clone(), &[step.timestep], &class_labels)?;
            if guided {
                prediction = guide(prediction, arguments.guidance_scale, channels);
            }
            // These models also predict their variance, which is not used.
            if config.predicted_channels() / 2 == channels {
                prediction = prediction.narrow(1, 0, channels);
            }
            let options = StepOptions { generator: Some(&mut step_generator), ..Default::default() };
            let stepped = scheduler.step(prediction.clone(), step.timestep, latents, options)?.prev_sample;
            Ok(Stepped { prediction: Some(prediction), sample: stepped.narrow(0, 0, batch) })
        })?;

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

    fn components(&self) -> Components<'_> {
        let mut components = Components::default();
        components.push("transformer", &self.transformer);
        components.push("vae", &self.vae);
        components.push("scheduler", &self.scheduler);
        components
    }

    field_methods!();
    vae_methods!();
}

/// Applies guidance to the noise in the first `channels` of the predictions; one half of them is with a class and one half
/// without (Ho & Salimans 2022, <https://arxiv.org/abs/2207.12598>). In these channels, both halves of the result are the
/// same.
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
