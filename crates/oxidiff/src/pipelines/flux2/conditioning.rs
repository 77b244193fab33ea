//! From prompts to the hidden states that the transformer reads.

use burn::tensor::Tensor;

use super::components::{Flux2Components, is_distilled};
use super::prompt_encoder::PromptEncoder;
use crate::error::{Error, Result};
use crate::models::model::Model;
use crate::pipelines::common::arguments::check_images;
use crate::pipelines::common::ignored::warn_of_ignored;
use crate::pipelines::common::text::chat::{embed_each, warn_of_truncation};
use crate::pipelines::common::text::prompts::count_texts;
use crate::pipelines::model_index::ModelIndex;
use crate::wording::counted;

/// The texts of a call, or the embeddings that replace them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Prompts<'a> {
    pub prompt: &'a [String],
    pub prompt_embeds: Option<&'a Tensor<3>>,
    /// How far to go beyond the prediction with an empty prompt.
    pub guidance_scale: f64,
    pub negative_prompt_embeds: Option<&'a Tensor<3>>,
    pub num_images_per_prompt: usize,
    pub max_sequence_length: usize,
    pub out_layers: &'a [usize],
}

/// The embedded texts of each image, `[images, tokens, features]`.
#[derive(Clone, Debug)]
pub(super) struct Texts {
    pub positive: Tensor<3>,
    /// How far to go beyond the prediction with these texts, if there is guidance.
    pub negative: Option<(Tensor<3>, f64)>,
}

impl Prompts<'_> {
    /// Checks everything that can be checked without the model, and returns the number of prompts.
    fn count(&self) -> Result<usize> {
        let embeds = self.prompt_embeds.map(|embeds| embeds.dims()[0]);
        let prompts = count_texts([self.prompt, &[]], embeds, self.negative_prompt_embeds.is_some())?;
        if let Some(embeds) = self.negative_prompt_embeds.map(|embeds| embeds.dims()[0])
            && embeds != 1
            && embeds != prompts
        {
            let message = format!("got {embeds} for {}", counted(prompts, "prompt"));
            return Err(Error::argument("negative_prompt_embeds", message));
        }
        if self.max_sequence_length == 0 {
            return Err(Error::argument("max_sequence_length", "must be at least 1"));
        }
        check_images("num_images_per_prompt", prompts.saturating_mul(self.num_images_per_prompt))?;
        Ok(prompts)
    }

    /// The number of images that the prompts ask for.
    ///
    /// # Errors
    /// When there is no prompt, when both texts and embeddings are given, or when their numbers do not fit.
    pub fn images(&self) -> Result<usize> {
        Ok(self.count()? * self.num_images_per_prompt)
    }
}

impl<E: PromptEncoder> Flux2Components<E> {
    /// Embeds the texts for each image.
    ///
    /// # Errors
    /// When embeddings do not fit the transformer, or the tokenizer or the encoder refuses a prompt.
    pub(super) fn embed(&self, prompts: &Prompts<'_>, index: &ModelIndex) -> Result<Texts> {
        let count = prompts.count()?;
        let positive = match prompts.prompt_embeds {
            Some(embeds) => self.checked("prompt_embeds", embeds)?,
            None => self.embed_texts(prompts, prompts.prompt)?,
        };
        let scale = prompts.guidance_scale;
        if scale > 1.0 && is_distilled(index) {
            tracing::warn!("the guidance scale of {scale} is ignored: the model was distilled");
        }
        let is_guided = scale > 1.0 && !is_distilled(index);
        let negative = match prompts.negative_prompt_embeds {
            given if !is_guided => {
                let why = "the call uses no guidance";
                warn_of_ignored("negative_prompt_embeds", given.is_some(), why);
                None
            }
            Some(embeds) => Some(self.checked("negative_prompt_embeds", embeds)?),
            None => Some(self.embed_texts(prompts, &[String::new()])?),
        };
        self.text_encoder.release_memory();
        let copies = prompts.num_images_per_prompt;
        let for_each_image = |embeds: Tensor<3>| {
            let [given, tokens, features] = embeds.dims();
            // One text may be for all prompts.
            let embeds = if given < count { embeds.repeat_dim(0, count) } else { embeds };
            let embeds = embeds.repeat_dim(1, copies).reshape([count * copies, tokens, features]);
            embeds.to_device(&self.transformer.device()).cast(self.transformer.dtype())
        };
        Ok(Texts {
            positive: for_each_image(positive),
            negative: negative.map(|embeds| (for_each_image(embeds), scale)),
        })
    }

    fn checked(&self, argument: &'static str, embeds: &Tensor<3>) -> Result<Tensor<3>> {
        let features = self.transformer.config().joint_attention_dim;
        if embeds.dims()[1] == 0 || embeds.dims()[2] != features {
            let message = format!(
                "has the shape {:?}; the transformer takes at least one token of {features} features",
                embeds.dims()
            );
            return Err(Error::argument(argument, message));
        }
        Ok(embeds.clone())
    }

    /// The hidden states of several layers for each text, side by side: `[texts, tokens, features]`. Texts are filled up to the same
    /// length, and the transformer looks at what fills them.
    fn embed_texts(&self, prompts: &Prompts<'_>, texts: &[String]) -> Result<Tensor<3>> {
        let ([most, features], layers) = (self.text_encoder.layers_and_features(), prompts.out_layers);
        let needed = self.transformer.config().joint_attention_dim / features;
        if layers.len() != needed || layers.iter().any(|layer| *layer > most) {
            let message = format!(
                "are {layers:?}, but must be {needed} numbers up to {most}, the number of the text encoder's layers"
            );
            return Err(Error::argument("text_encoder_out_layers", message));
        }
        let mut ascending = layers.to_vec();
        ascending.sort_unstable();
        let max_length = prompts.max_sequence_length;
        let embedded = embed_each(texts, |text| {
            let tokens = E::tokens(&self.tokenizer, text, max_length)?;
            warn_of_truncation(tokens.truncated[0].as_deref(), max_length);
            let states = self.text_encoder.states(&tokens, &ascending)?;
            let place =
                |layer: &usize| ascending.iter().position(|other| other == layer).expect("the same layers");
            Ok(Tensor::cat(layers.iter().map(|layer| states[place(layer)].clone()).collect(), 2))
        })?;
        Ok(Tensor::cat(embedded, 0))
    }
}
