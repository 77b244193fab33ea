//! Prompts that are encoded with masks, or embeddings that come with theirs.

use burn::tensor::{DType, Device, Tensor};

use super::masked::MaskedTexts;
use super::prompts::{Prompts, broadcast};
use crate::error::{Error, Result};
use crate::pipelines::common::ignored::warn_of_ignored;

/// The most tokens of a prompt.
const MOST_TOKENS: usize = 512;

/// The texts of a call, and how they are read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MaskedPrompts<'a> {
    pub given: Prompts<'a>,
    pub prompt_attention_mask: Option<&'a Tensor<2>>,
    pub negative_prompt_attention_mask: Option<&'a Tensor<2>>,
    /// Whether a step predicts with negative prompts, too.
    pub is_guided: bool,
    pub max_sequence_length: usize,
}

/// The texts of a run, one for each image.
pub(crate) struct GuidedTexts {
    pub positive: MaskedTexts,
    /// With guidance.
    pub negative: Option<MaskedTexts>,
}

impl GuidedTexts {
    /// The texts of the model's batch: negative ones, then the positive ones, as often as they are read.
    pub fn joined(&self, readings: usize) -> MaskedTexts {
        let parts = || self.negative.iter().chain(std::iter::repeat_n(&self.positive, readings));
        MaskedTexts {
            tokens: Tensor::cat(parts().map(|part| part.tokens.clone()).collect(), 0),
            mask: Tensor::cat(parts().map(|part| part.mask.clone()).collect(), 0),
        }
    }
}

impl MaskedPrompts<'_> {
    /// The texts for each image, all with the same number of tokens, for a model that takes so many features, or any number: `encode`
    /// embeds texts, filled up to a number of tokens. Tokens are in `dtype`.
    ///
    /// # Errors
    /// As [`Self::embed_of_any_length`], and when embeddings have different numbers of tokens.
    pub fn embed(
        &self,
        features: Option<usize>,
        encode: impl Fn(&[String], usize) -> Result<MaskedTexts>,
        target: (DType, &Device),
    ) -> Result<GuidedTexts> {
        let encode = |_: &str, texts: &[String], length: usize| encode(texts, length);
        let texts = self.embed_of_any_length(features, target, encode)?;
        let length = texts.positive.tokens.dims()[1];
        if let Some(own) = texts.negative.as_ref().map(|texts| texts.tokens.dims()[1])
            && own != length
        {
            let message = format!("has {own} tokens, must have as many as the prompts: {length}");
            return Err(Error::argument("negative_prompt_embeds", message));
        }
        Ok(texts)
    }

    /// The texts for each image, for a model that takes positive and negative texts of different lengths, and so many features, or any
    /// number. `encode` embeds those of an argument, and is told how many tokens there may be: negative texts as many as the positive
    /// ones have.
    ///
    /// # Errors
    /// Those of `encode`, and when embeddings do not fit the model or the prompts.
    pub fn embed_of_any_length(
        &self,
        features: Option<usize>,
        (dtype, device): (DType, &Device),
        encode: impl Fn(&'static str, &[String], usize) -> Result<MaskedTexts>,
    ) -> Result<GuidedTexts> {
        let prompts = self.given.count()?;
        self.warn_of_ignored();
        let given = |names, tokens: &Tensor<3>, mask| {
            MaskedTexts::given(names, tokens, mask, features.unwrap_or(tokens.dims()[2]))
        };
        let positive = match self.given.prompt_embeds {
            Some(tokens) => {
                let names = ["prompt_embeds", "prompt_attention_mask"];
                given(names, tokens, self.prompt_attention_mask)?
            }
            None => encode("prompt", self.given.prompt, self.max_sequence_length)?,
        };
        let length = positive.tokens.dims()[1];
        let negative = match self.given.negative_prompt_embeds {
            _ if !self.is_guided => None,
            Some(tokens) => {
                let names = ["negative_prompt_embeds", "negative_prompt_attention_mask"];
                Some(given(names, tokens, self.negative_prompt_attention_mask)?)
            }
            None => Some(encode("negative_prompt", &broadcast(self.given.negative_prompt, prompts), length)?),
        };
        let for_each_image = |argument, texts: MaskedTexts| {
            texts.for_each_image(argument, [prompts, self.given.num_images_per_prompt], dtype, device)
        };
        Ok(GuidedTexts {
            positive: for_each_image("prompt_embeds", positive)?,
            negative: negative.map(|texts| for_each_image("negative_prompt_embeds", texts)).transpose()?,
        })
    }

    /// Checks everything that can be checked without the model, and returns the number of images.
    ///
    /// # Errors
    /// When there is no prompt, when both texts and embeddings are given, or when their numbers do not fit.
    pub fn images(&self) -> Result<usize> {
        if !(1..=MOST_TOKENS).contains(&self.max_sequence_length) {
            let message = format!("must be between 1 and {MOST_TOKENS}, but is {}", self.max_sequence_length);
            return Err(Error::argument("max_sequence_length", message));
        }
        self.given.images()
    }

    /// Warns of arguments that have no effect, as in Python.
    fn warn_of_ignored(&self) {
        let Prompts { prompt_embeds, negative_prompt, negative_prompt_embeds, .. } = self.given;
        let why = "the mask of texts follows from their lengths; give embedded prompts with it";
        let (mask, negative_mask) = (self.prompt_attention_mask, self.negative_prompt_attention_mask);
        warn_of_ignored("prompt_attention_mask", mask.is_some() && prompt_embeds.is_none(), why);
        let unused = negative_mask.is_some() && negative_prompt_embeds.is_none();
        warn_of_ignored("negative_prompt_attention_mask", unused, why);
        let why = "the call uses no guidance, which `guidance_scale` turns on above 1";
        warn_of_ignored("negative_prompt", !negative_prompt.is_empty() && !self.is_guided, why);
        warn_of_ignored("negative_prompt_embeds", negative_prompt_embeds.is_some() && !self.is_guided, why);
    }
}

/// The error of a prompt that cannot be encoded.
pub(crate) fn lacks_encoder() -> Error {
    let message = "the pipeline lacks a text encoder: give `prompt_embeds` and `prompt_attention_mask`, and with guidance negative ones";
    Error::argument("prompt", message)
}
