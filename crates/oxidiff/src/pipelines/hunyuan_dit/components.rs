//! The parts that all pipelines of the family share.

use crate::error::{Error, Result};
use crate::models::autoencoders::Autoencoder;
use crate::models::model::Model;
use crate::models::transformers::HunyuanDiT2DModel;
use crate::pipelines::common::component_loader::ComponentLoader;
use crate::pipelines::common::safety::{REQUIRES, Safety};
use crate::pipelines::model_index::ModelIndex;
use crate::schedulers::{Scheduler, zero_terminal_snr};
use crate::text_encoders::{BertModel, BertTokenizer, T5EncoderModel, T5Tokenizer};
use crate::vision::{CLIPImageProcessor, StableDiffusionSafetyChecker};

/// The parts of a HunyuanDiT pipeline. They can be replaced: `pipeline.vae = ...`.
///
/// Without a text encoder, a call takes embedded prompts. A copy shares the weights: tensors are reference counted.
#[derive(Clone, Debug)]
pub struct HunyuanDiTComponents {
    /// Encodes images as latents and decodes them.
    pub vae: Box<dyn Autoencoder>,
    /// Embeds the tokens of a prompt in Chinese or English.
    pub text_encoder: Option<BertModel>,
    /// Splits a prompt into tokens for the first text encoder.
    pub tokenizer: Option<BertTokenizer>,
    /// Predicts the velocity of latents.
    pub transformer: HunyuanDiT2DModel,
    /// Removes predicted noise, step by step.
    pub scheduler: Box<dyn Scheduler>,
    /// Flags images that should not be shown, which are then returned black; `None` turns the check off.
    pub safety_checker: Option<StableDiffusionSafetyChecker>,
    /// Prepares images for the safety checker, which requires it.
    pub feature_extractor: Option<CLIPImageProcessor>,
    /// Embeds the tokens of a prompt in many languages; it may be longer.
    pub text_encoder_2: Option<T5EncoderModel>,
    /// Splits a prompt into tokens for the second text encoder.
    pub tokenizer_2: Option<T5Tokenizer>,
}

impl HunyuanDiTComponents {
    const OPTIONAL: [&str; 6] =
        ["safety_checker", "feature_extractor", "text_encoder_2", "tokenizer_2", "text_encoder", "tokenizer"];

    /// The names that the index of a pipeline can have.
    pub(super) const INDEX_NAMES: [&str; 10] = [
        "vae",
        "text_encoder",
        "tokenizer",
        "transformer",
        "scheduler",
        "safety_checker",
        "feature_extractor",
        REQUIRES,
        "text_encoder_2",
        "tokenizer_2",
    ];

    /// Loads the parts that the index of a checkpoint names.
    ///
    /// # Errors
    /// When a part is of another class, or a file is missing or damaged.
    pub(super) fn load(loader: &ComponentLoader<'_>) -> Result<Self> {
        let has = |name: &str| -> Result<bool> { Ok(loader.index().component_class(name)?.is_some()) };
        Ok(Self {
            tokenizer: has("tokenizer")?.then(|| loader.bert_tokenizer("tokenizer")).transpose()?,
            tokenizer_2: has("tokenizer_2")?.then(|| loader.t5_tokenizer("tokenizer_2")).transpose()?,
            scheduler: loader.scheduler("scheduler")?,
            feature_extractor: loader.clip_image_processor("feature_extractor")?,
            text_encoder: loader.optional_model("text_encoder")?,
            text_encoder_2: loader.optional_model("text_encoder_2")?,
            transformer: loader.model("transformer")?,
            vae: loader.autoencoder("vae")?,
            safety_checker: match loader.options().safety_checker {
                true => loader.optional_model("safety_checker")?,
                false => None,
            },
        })
    }

    crate::pipelines::pipeline_fields::parts! {
        required vae,
        optional text_encoder,
        optional tokenizer,
        required transformer,
        required scheduler,
        optional safety_checker,
        optional feature_extractor,
        optional text_encoder_2,
        optional tokenizer_2,
    }

    /// The safety checker with what it needs.
    pub(super) fn safety(&self) -> Safety<'_> {
        Safety { checker: self.safety_checker.as_ref(), feature_extractor: self.feature_extractor.as_ref() }
    }

    /// Checks that the parts fit each other, and marks absent ones in the index of a pipeline; the present ones are added from
    /// [`Self::list`]. Warns if the pipeline requires a safety checker and has none.
    ///
    /// # Errors
    /// When they do not fit.
    pub(super) fn prepare(&self, index: &mut ModelIndex) -> Result<()> {
        const TRANSFORMER: &str = "transformer/config.json";
        let (config, latent) = (self.transformer.config(), self.vae.latent_channels());
        if config.in_channels != latent {
            let message =
                format!("is {}, but the latents of the vae have {latent} channels", config.in_channels);
            return Err(Error::config(TRANSFORMER, "in_channels", message));
        }
        let made = [
            (
                "cross_attention_dim",
                "text_encoder",
                config.cross_attention_dim,
                self.text_encoder.as_ref().map(|model| model.config().hidden_size),
            ),
            (
                "cross_attention_dim_t5",
                "text_encoder_2",
                config.cross_attention_dim_t5,
                self.text_encoder_2.as_ref().map(|model| model.config().d_model),
            ),
        ];
        for (field, encoder, wanted, made) in made {
            if let Some(made) = made.filter(|made| *made != wanted) {
                let message =
                    format!("is {wanted}, but the hidden states of `{encoder}` have {made} features");
                return Err(Error::config(TRANSFORMER, field, message));
            }
        }
        if let Some(encoder) = &self.text_encoder {
            let places = encoder.config().max_position_embeddings;
            if places < config.text_len {
                let message = format!("is {}, but `text_encoder` takes {places} tokens", config.text_len);
                return Err(Error::config(TRANSFORMER, "text_len", message));
            }
        }
        for (tokenizer, is_missing) in [
            ("tokenizer", self.text_encoder.is_some() && self.tokenizer.is_none()),
            ("tokenizer_2", self.text_encoder_2.is_some() && self.tokenizer_2.is_none()),
        ] {
            if is_missing {
                let message = "is missing: a text encoder needs its tokenizer";
                return Err(Error::config(index.origin(), tokenizer, message));
            }
        }
        zero_terminal_snr::check_configuration(&*self.scheduler)?;
        Self::OPTIONAL.into_iter().for_each(|component| index.set_component(component, None));
        self.safety().check_parts(index)
    }
}

/// Gives a pipeline its fields. Its others are `$own`, which begin as their type's default.
macro_rules! expose_fields {
    ($pipeline:ident $(, $own:ident)?) => {
        impl $pipeline {
            /// A pipeline with the given parts.
            ///
            /// # Errors
            /// When the parts do not fit each other.
            pub fn new(components: $crate::pipelines::hunyuan_dit::HunyuanDiTComponents) -> $crate::error::Result<Self> {
                let class_name = <Self as $crate::pipelines::pipeline::Pipeline>::CLASS_NAME;
                let mut index = $crate::pipelines::model_index::ModelIndex::of_class(class_name);
                index.set_option($crate::pipelines::common::safety::REQUIRES, false);
                Self::assemble(components, index)
            }

            fn assemble(
                components: $crate::pipelines::hunyuan_dit::HunyuanDiTComponents,
                mut index: $crate::pipelines::model_index::ModelIndex,
            ) -> $crate::error::Result<Self> {
                components.prepare(&mut index)?;
                Ok(Self { $($own: Self::$own(),)? components, index, progress_bar: true })
            }
        }

        $crate::pipelines::pipeline_fields::expose_components!(
            $pipeline,
            $crate::pipelines::hunyuan_dit::HunyuanDiTComponents
        );
    };
}

/// Inside `impl Pipeline`: the methods of the family's pipelines.
macro_rules! pipeline_methods {
    () => {
        $crate::pipelines::pipeline_fields::part_methods!(
            $crate::pipelines::hunyuan_dit::HunyuanDiTComponents
        );
        $crate::pipelines::pipeline_fields::field_methods!();
        $crate::pipelines::pipeline_fields::vae_methods!();
    };
}

pub(super) use {expose_fields, pipeline_methods};
