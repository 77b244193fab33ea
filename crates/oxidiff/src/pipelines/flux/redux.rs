//! FLUX.1 Redux (Black Forest Labs 2024, <https://huggingface.co/black-forest-labs/FLUX.1-Redux-dev>): images as the end of a prompt. Its
//! result is the embedded prompt of a call of a FLUX.1 pipeline.

use std::path::Path;

use burn::tensor::Tensor;

use super::conditioning::{Encoders, encode_texts};
use crate::call_arguments;
use crate::error::{Error, Result};
use crate::image_processor::PipelineImageInput;
use crate::loading::hub::MODEL_INDEX;
use crate::loading::{LoadOptions, Needed, write_whole};
use crate::models::model::Model;
use crate::pipelines::common::arguments::check_images;
use crate::pipelines::common::component_loader::ComponentLoader;
use crate::pipelines::common::control::PerControlNet;
use crate::pipelines::common::ignored::warn_of_ignored;
use crate::pipelines::common::text::TextEncoding;
use crate::pipelines::component::{Component, Components};
use crate::pipelines::model_index::ModelIndex;
use crate::text_encoders::{CLIPTextModel, CLIPTokenizer, T5EncoderModel, T5Tokenizer};
use crate::vision::{ImageProcessor, ReduxImageEncoder, SiglipImageProcessor, SiglipVisionModel};
use crate::wording::counted;

/// The tokens of a prompt before those of the images.
const TOKENS: usize = 512;
/// The features of a pooled prompt where no text encoder makes one.
const POOLED: usize = 768;

/// Turns images into embedded prompts for pipelines of FLUX.1.
///
/// ```no_run
/// use oxidiff::{FluxPipeline, FluxPriorRedux, FluxPriorReduxPipeline, FluxTextToImage, Pipeline, load_image};
///
/// let mut prior = FluxPriorReduxPipeline::from_pretrained("black-forest-labs/FLUX.1-Redux-dev")?;
/// let prompt = prior.call(FluxPriorRedux::new(load_image("apple.png")?))?;
/// let mut pipeline = FluxPipeline::from_pretrained("black-forest-labs/FLUX.1-dev")?;
/// let images = pipeline.call(FluxTextToImage {
///     prompt_embeds: Some(prompt.prompt_embeds),
///     pooled_prompt_embeds: Some(prompt.pooled_prompt_embeds),
///     guidance_scale: 2.5,
///     ..Default::default()
/// })?;
/// # Ok::<(), oxidiff::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct FluxPriorReduxPipeline {
    /// Embeds images.
    pub image_encoder: SiglipVisionModel,
    /// Prepares images for it.
    pub feature_extractor: SiglipImageProcessor,
    /// Turns embedded images into tokens of a prompt.
    pub image_embedder: ReduxImageEncoder,
    /// Pools an embedding of the whole prompt.
    pub text_encoder: Option<CLIPTextModel>,
    /// Splits a prompt into tokens for the first text encoder.
    pub tokenizer: Option<CLIPTokenizer>,
    /// Embeds the tokens of a prompt.
    pub text_encoder_2: Option<T5EncoderModel>,
    /// Splits a prompt into tokens for the second text encoder.
    pub tokenizer_2: Option<T5Tokenizer>,
}

call_arguments! {
    /// The arguments of a call; names and defaults are those of Python's `FluxPriorReduxPipeline.__call__`.
    pub struct FluxPriorRedux: "images as a prompt of FLUX.1" {
        /// The images; several become one prompt, the sum of theirs.
        pub image: PipelineImageInput = PipelineImageInput::Images(Vec::new()),
        /// The prompts: one for all images, or one for each. They need text encoders, which the checkpoint does not have.
        pub prompt: Vec<String> = Vec::new(),
        /// The prompts for the second text encoder; by default those of the first.
        pub prompt_2: Vec<String> = Vec::new(),
        /// Embedded prompts, `[images, tokens, features]`, instead of `prompt`.
        pub prompt_embeds: Option<Tensor<3>> = None,
        /// Pooled prompts, `[images, features]`, to be given with `prompt_embeds`.
        pub pooled_prompt_embeds: Option<Tensor<2>> = None,
        /// A factor of the result: one number, or one for each image.
        pub prompt_embeds_scale: PerControlNet = PerControlNet::Same(1.0),
        /// A factor of the pooled result: one number, or one for each image.
        pub pooled_prompt_embeds_scale: PerControlNet = PerControlNet::Same(1.0),
    }
}

impl FluxPriorRedux {
    /// Arguments with images and the defaults.
    pub fn new(image: impl Into<PipelineImageInput>) -> Self {
        Self { image: image.into(), ..Self::default() }
    }
}

/// What a [`FluxPriorReduxPipeline`] returns: a prompt, embedded.
#[derive(Clone, Debug)]
pub struct FluxPriorReduxPipelineOutput {
    /// `[1, tokens, features]`.
    pub prompt_embeds: Tensor<3>,
    /// `[1, features]`.
    pub pooled_prompt_embeds: Tensor<2>,
}

impl FluxPriorReduxPipeline {
    /// The name that `model_index.json` uses.
    pub const CLASS_NAME: &'static str = "FluxPriorReduxPipeline";

    const OPTIONAL: [&str; 4] = ["text_encoder", "tokenizer", "text_encoder_2", "tokenizer_2"];

    /// Loads the pipeline from a folder, or from the hub, in `f32` on the CPU.
    ///
    /// # Errors
    /// When a component is of a class that this pipeline does not take; when a file is missing or damaged; when parts do not fit.
    pub fn from_pretrained(name_or_path: &str) -> Result<Self> {
        Self::from_pretrained_with(name_or_path, &LoadOptions::default())
    }

    /// Loads the pipeline with another element type, device, variant or revision.
    ///
    /// # Errors
    /// As [`Self::from_pretrained`].
    pub fn from_pretrained_with(name_or_path: &str, options: &LoadOptions) -> Result<Self> {
        const FEATURE_EXTRACTOR: &str = "feature_extractor";
        let folder = options.open(name_or_path, Needed::Pipeline)?;
        let loader = ComponentLoader::new(&folder, ModelIndex::read(&folder)?, options)?;
        let has = |name: &str| -> Result<bool> { Ok(loader.index().component_class(name)?.is_some()) };
        let pipeline = Self {
            feature_extractor: loader.image_processor(FEATURE_EXTRACTOR, &SiglipImageProcessor::CLASSES)?,
            image_encoder: loader.model("image_encoder")?,
            image_embedder: loader.model("image_embedder")?,
            tokenizer: has("tokenizer")?.then(|| loader.clip_tokenizer("tokenizer")).transpose()?,
            tokenizer_2: has("tokenizer_2")?.then(|| loader.t5_tokenizer("tokenizer_2")).transpose()?,
            text_encoder: loader.optional_model("text_encoder")?,
            text_encoder_2: loader.optional_model("text_encoder_2")?,
        };
        pipeline.check_parts().map_err(|error| error.in_checkpoint(Some(&folder)))?;
        Ok(pipeline)
    }

    /// Writes the pipeline into `folder`, which is created if it does not exist; Python diffusers can load it from there.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn save_pretrained(&self, folder: impl AsRef<Path>) -> Result<()> {
        let folder = folder.as_ref();
        let mut index = ModelIndex::of_class(Self::CLASS_NAME);
        Self::OPTIONAL.into_iter().for_each(|component| index.set_component(component, None));
        for (name, component) in self.components().iter() {
            component.save(&folder.join(name))?;
            let (library, class_name) = component.class();
            index.set_component(name, Some((library, &class_name)));
        }
        write_whole(&folder.join(MODEL_INDEX), index.to_saved_json().as_bytes())
    }

    /// The parts, by their names in Python.
    pub fn components(&self) -> Components<'_> {
        let mut list = Components::default();
        list.push("image_encoder", &self.image_encoder);
        list.push("feature_extractor", &self.feature_extractor);
        list.push("image_embedder", &self.image_embedder);
        list.push_optional("text_encoder", &self.text_encoder);
        list.push_optional("tokenizer", &self.tokenizer);
        list.push_optional("text_encoder_2", &self.text_encoder_2);
        list.push_optional("tokenizer_2", &self.tokenizer_2);
        list
    }

    /// The same pipeline with another part of this name, or without an optional one. Text encoders and tokenizers of another pipeline
    /// make it take prompts.
    ///
    /// # Errors
    /// When it has no part of this name, the part is of another class, or it must be there.
    pub fn with_component(&self, name: &str, part: Option<&dyn Component>) -> Result<Self> {
        let mut changed = self.clone();
        let list: Components<'_> = part.map(|part| (name, part)).into_iter().collect();
        match name {
            "image_encoder" => changed.image_encoder = list.take(name)?,
            "feature_extractor" => changed.feature_extractor = list.take(name)?,
            "image_embedder" => changed.image_embedder = list.take(name)?,
            "text_encoder" => changed.text_encoder = list.take_optional(name)?,
            "tokenizer" => changed.tokenizer = list.take_optional(name)?,
            "text_encoder_2" => changed.text_encoder_2 = list.take_optional(name)?,
            "tokenizer_2" => changed.tokenizer_2 = list.take_optional(name)?,
            _ => return Err(Error::unsupported(format!("`{name}`"), "the pipeline has no such part")),
        }
        changed.check_parts()?;
        Ok(changed)
    }

    /// # Errors
    /// When the parts do not fit each other.
    fn check_parts(&self) -> Result<()> {
        let (made, taken) = (self.image_encoder.config().hidden_size, self.image_embedder.config().redux_dim);
        if made != taken {
            let message = format!("is {taken}, but the image encoder makes {made} features");
            return Err(Error::config("image_embedder/config.json", "redux_dim", message));
        }
        let features = self.image_embedder.config().txt_in_features;
        let made = self.text_encoder_2.as_ref().map(|encoder| encoder.config().d_model);
        match made.filter(|made| *made != features) {
            Some(made) => {
                let message = format!("is {features}, but `text_encoder_2` makes {made} features");
                Err(Error::config("image_embedder/config.json", "txt_in_features", message))
            }
            None => Ok(()),
        }
    }

    /// Embeds images, after a prompt if there is one, as a prompt.
    ///
    /// # Errors
    /// When there are no images, an argument does not fit their number, or a text encoder is missing or refuses a prompt.
    pub fn call(&mut self, arguments: impl Into<FluxPriorRedux>) -> Result<FluxPriorReduxPipelineOutput> {
        const IMAGE: &str = "image";
        let arguments = arguments.into();
        self.check_parts()?;
        let pixels = self.pixels(&arguments.image)?;
        let images = pixels.dims()[0];
        check_images(IMAGE, images)?;
        let scale = factors(&arguments.prompt_embeds_scale, "prompt_embeds_scale", images)?;
        let pooled_scale =
            factors(&arguments.pooled_prompt_embeds_scale, "pooled_prompt_embeds_scale", images)?;
        let embedded = self.image_encoder.forward(pixels)?.last_hidden_state;
        let embedded = self.image_embedder.forward(embedded)?;
        let (dtype, device) = (embedded.dtype(), embedded.device());
        let TextEncoding { tokens, pooled } =
            self.prompts(&arguments, &embedded)?.moved_to(&device).cast(dtype);
        let pooled = pooled.expect("prompts are pooled");
        let factors = |values: Vec<f64>| {
            let values: Vec<f32> = values.into_iter().map(|value| value as f32).collect();
            Tensor::<1>::from_data(values.as_slice(), (&device, dtype)).reshape([images, 1])
        };
        let all = Tensor::cat(vec![tokens, embedded], 1) * factors(scale).unsqueeze_dim::<3>(2);
        Ok(FluxPriorReduxPipelineOutput {
            prompt_embeds: all.sum_dim(0),
            pooled_prompt_embeds: (pooled * factors(pooled_scale)).sum_dim(0),
        })
    }

    /// The images as the image encoder takes them: resized and in colour, whatever the configuration says.
    fn pixels(&self, image: &PipelineImageInput) -> Result<Tensor<4>> {
        let mut config = self.feature_extractor.config().clone();
        (config.do_resize, config.do_convert_rgb) = (Some(true), Some(true));
        let processor = SiglipImageProcessor::new(config)?;
        match image {
            PipelineImageInput::Images(images) | PipelineImageInput::Unfiltered(images) => {
                processor.preprocess(images)
            }
            PipelineImageInput::Tensor(values) => processor.preprocess_tensor(values.clone()),
            PipelineImageInput::Array(values) => {
                processor.preprocess_tensor(values.clone().permute([0, 3, 1, 2]))
            }
        }
        .map_err(|error| match error {
            Error::InvalidArgument { message, .. } => Error::argument("image", message),
            other => other,
        })
    }

    /// What comes before the images: the prompts of each, or nothing, which is zeros.
    fn prompts(&self, arguments: &FluxPriorRedux, embedded: &Tensor<3>) -> Result<TextEncoding> {
        let [images, _, features] = embedded.dims();
        let FluxPriorRedux { prompt, prompt_2, prompt_embeds, pooled_prompt_embeds, .. } = arguments;
        for (argument, texts) in [("prompt", prompt), ("prompt_2", prompt_2)] {
            if !texts.is_empty() && prompt_embeds.is_some() {
                return Err(Error::argument(argument, "cannot be given together with `prompt_embeds`"));
            }
            if texts.len() > 1 && texts.len() != images {
                let message = format!("got {} for {}", texts.len(), counted(images, "image"));
                return Err(Error::argument(argument, message));
            }
        }
        if prompt_embeds.is_some() && pooled_prompt_embeds.is_none() {
            let message = "must be given together with `prompt_embeds`";
            return Err(Error::argument("pooled_prompt_embeds", message));
        }
        let why = "the pipeline has no text encoders";
        if self.text_encoder.is_none() {
            warn_of_ignored("prompt", !prompt.is_empty(), why);
            warn_of_ignored("prompt_2", !prompt_2.is_empty(), why);
            warn_of_ignored("prompt_embeds", prompt_embeds.is_some(), why);
            let like = (&embedded.device(), embedded.dtype());
            let pooled = Some(Tensor::zeros([images, POOLED], like));
            return Ok(TextEncoding { tokens: Tensor::zeros([images, TOKENS, features], like), pooled });
        }
        if let (Some(tokens), Some(pooled)) = (prompt_embeds, pooled_prompt_embeds) {
            let [given, _, own] = tokens.dims();
            if given != images || own != features || pooled.dims()[0] != images {
                let message = format!(
                    "has the shape {:?}, must have {features} features for each of {}",
                    tokens.dims(),
                    counted(images, "image")
                );
                return Err(Error::argument("prompt_embeds", message));
            }
            return Ok(TextEncoding { tokens: tokens.clone(), pooled: Some(pooled.clone()) });
        }
        let for_each = |texts: &[String]| match texts {
            [one] => vec![one.clone(); images],
            each => each.to_vec(),
        };
        let first = for_each(prompt);
        if first.is_empty() {
            let message = "must be given, unless `prompt_embeds` is: the pipeline has text encoders";
            return Err(Error::argument("prompt", message));
        }
        let second = if prompt_2.is_empty() { first.clone() } else { for_each(prompt_2) };
        let encoders = Encoders {
            text_encoder: self.text_encoder.as_ref(),
            tokenizer: self.tokenizer.as_ref(),
            text_encoder_2: self.text_encoder_2.as_ref(),
            tokenizer_2: self.tokenizer_2.as_ref(),
        };
        encode_texts(encoders, [&first, &second], TOKENS)
    }
}

/// The factor of each image.
fn factors(given: &PerControlNet, argument: &'static str, images: usize) -> Result<Vec<f64>> {
    given.expand(argument, images, "image")
}
