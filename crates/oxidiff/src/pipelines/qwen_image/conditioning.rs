//! From prompts to the transformer's inputs: the hidden states of a language model that was asked to describe an image.

use burn::tensor::{DType, Tensor};

use super::components::QwenImageComponents;
use crate::error::{Error, Result};
use crate::models::layers::counting_tokens::counting_tokens;
use crate::models::model::Model;
use crate::pipelines::common::ignored::warn_of_ignored;
use crate::pipelines::common::text::chat::{embed_each, warn_of_truncation};
use crate::pipelines::common::text::prompts::{Prompts, broadcast};
use crate::text_encoders::{Qwen2_5_VLForConditionalGeneration, Qwen2_5_VLInputs, Qwen2Tokenizer};
use crate::wording::counted;

/// The most tokens of a prompt.
pub(super) const MOST_TOKENS: usize = 1024;

/// What the language model reads around a prompt, in whose place there are braces, and how many tokens of its answer to leave out:
/// those of what it is asked to do.
#[derive(Clone, Copy, Debug)]
pub(super) struct Template {
    pub text: &'static str,
    pub left_out: usize,
}

/// For an image that is made from a prompt alone.
pub(super) const DESCRIBING: Template = Template {
    text: "<|im_start|>system\nDescribe the image by detailing the color, shape, size, texture, quantity, text, spatial relationships of the objects and background:<|im_end|>\n<|im_start|>user\n{}<|im_end|>\n<|im_start|>assistant\n",
    left_out: 34,
};

impl Template {
    /// The template with a prompt.
    pub fn with(&self, prompt: &str) -> String {
        let (before, after) = self.text.split_once("{}").expect("a template has a place for the prompt");
        format!("{before}{prompt}{after}")
    }
}

/// The texts of a call, and how they are read.
#[derive(Clone, Copy, Debug)]
pub(super) struct QwenImagePrompts<'a> {
    pub given: Prompts<'a>,
    pub mask: Option<&'a Tensor<2>>,
    pub negative_mask: Option<&'a Tensor<2>>,
    /// How far to go beyond the prediction with the negative prompt.
    pub true_cfg_scale: f64,
    pub max_sequence_length: usize,
}

/// Embedded texts for each image.
#[derive(Clone, Debug)]
pub(super) struct Texts {
    pub positive: EmbeddedTexts,
    /// With guidance, the negative prompts.
    pub negative: Option<EmbeddedTexts>,
}

/// Embedded texts.
#[derive(Clone, Debug)]
pub(super) struct EmbeddedTexts {
    /// `[texts, tokens, features]`, filled up to the longest text.
    pub tokens: Tensor<3>,
    /// Which tokens of each text count, if not all do.
    pub mask: Option<Vec<Vec<bool>>>,
}

impl QwenImagePrompts<'_> {
    /// Checks everything that can be checked without the model, and returns the number of images.
    ///
    /// # Errors
    /// When there is no prompt, when both texts and embeddings are given, or when their numbers do not fit.
    pub fn images(&self) -> Result<usize> {
        if !(1..=MOST_TOKENS).contains(&self.max_sequence_length) {
            let message = format!("must be between 1 and {MOST_TOKENS}, but is {}", self.max_sequence_length);
            return Err(Error::argument("max_sequence_length", message));
        }
        let images = self.given.images()?;
        let prompts = self.given.count()?;
        if let Some(embeds) = self.given.negative_prompt_embeds.map(|embeds| embeds.dims()[0])
            && embeds != 1
            && embeds != prompts
        {
            let message = format!("got {embeds} for {}", counted(prompts, "prompt"));
            return Err(Error::argument("negative_prompt_embeds", message));
        }
        Ok(images)
    }

    /// Whether there is anything to go away from.
    fn has_negative(&self) -> bool {
        !self.given.negative_prompt.is_empty() || self.given.negative_prompt_embeds.is_some()
    }

    /// Whether a step calls the model twice.
    fn is_guided(&self) -> bool {
        self.true_cfg_scale > 1.0 && self.has_negative()
    }

    /// Warns of arguments that have no effect, as in Python.
    fn warn_of_ignored(&self) {
        let given = &self.given;
        let why = "there is no negative prompt, so that the call uses no guidance";
        warn_of_ignored("true_cfg_scale", self.true_cfg_scale > 1.0 && !self.has_negative(), why);
        let why = "the call uses no guidance: that needs a `true_cfg_scale` above 1";
        let is_guided = self.is_guided();
        warn_of_ignored("negative_prompt", !given.negative_prompt.is_empty() && !is_guided, why);
        let has_embeds = given.negative_prompt_embeds.is_some();
        warn_of_ignored("negative_prompt_embeds", has_embeds && !is_guided, why);
        let why = "it is about embedded prompts, and there are none";
        warn_of_ignored("prompt_embeds_mask", self.mask.is_some() && given.prompt_embeds.is_none(), why);
        let is_lone = self.negative_mask.is_some() && !has_embeds;
        warn_of_ignored("negative_prompt_embeds_mask", is_lone, why);
    }
}

impl EmbeddedTexts {
    /// Texts that each have their own length, `[1, tokens, features]`.
    fn join(texts: Vec<Tensor<3>>) -> Self {
        let longest = texts.iter().map(|text| text.dims()[1]).max().unwrap_or_default();
        let mask = texts.iter().map(|text| (0..longest).map(|token| token < text.dims()[1]).collect());
        let mask: Vec<Vec<bool>> = mask.collect();
        let filled = texts.into_iter().map(|text| {
            let [_, tokens, features] = text.dims();
            match longest - tokens {
                0 => text,
                missing => {
                    let zeros = Tensor::zeros([1, missing, features], (&text.device(), text.dtype()));
                    Tensor::cat(vec![text, zeros], 1)
                }
            }
        });
        Self { tokens: Tensor::cat(filled.collect(), 0), mask: Some(mask) }.without_idle_mask()
    }

    /// The same without a mask by which all tokens count.
    fn without_idle_mask(mut self) -> Self {
        self.mask = self.mask.filter(|mask| mask.iter().flatten().any(|counts| !counts));
        self
    }

    /// At most so many tokens of each.
    fn cut(self, most: usize) -> Self {
        let tokens = self.tokens.dims()[1];
        if tokens <= most {
            return self;
        }
        let mask = self.mask.map(|mask| mask.into_iter().map(|text| text[..most].to_vec()).collect());
        Self { tokens: self.tokens.narrow(1, 0, most), mask }.without_idle_mask()
    }

    /// Repeats each text for `copies` images, which are next to each other in the batch.
    fn for_each_image(self, copies: usize) -> Self {
        let [texts, tokens, features] = self.tokens.dims();
        let each = self.tokens.reshape([texts, 1, tokens, features]).repeat_dim(1, copies);
        let mask = self
            .mask
            .map(|mask| mask.into_iter().flat_map(|text| std::iter::repeat_n(text, copies)).collect());
        Self { tokens: each.reshape([texts * copies, tokens, features]), mask }
    }
}

impl QwenImageComponents {
    /// Embeds the texts for each image.
    ///
    /// # Errors
    /// When embeddings do not fit the transformer, there is no text encoder, or it refuses a prompt.
    pub(super) fn embed(&self, call: &QwenImagePrompts<'_>) -> Result<Texts> {
        self.embed_with(call, |texts| {
            let (encoder, tokenizer) = self.reader()?;
            embed_each(texts, |text| embed(encoder, tokenizer, text))
        })
    }

    /// What reads prompts.
    ///
    /// # Errors
    /// When the pipeline has none.
    pub(super) fn reader(&self) -> Result<(&Qwen2_5_VLForConditionalGeneration, &Qwen2Tokenizer)> {
        match (&self.text_encoder, &self.tokenizer) {
            (Some(encoder), Some(tokenizer)) => Ok((encoder, tokenizer)),
            _ => Err(Error::argument("prompt", "the pipeline lacks a text encoder: give `prompt_embeds`")),
        }
    }

    /// As [`Self::embed`]; `read` embeds texts, one for each prompt, each `[1, tokens, features]`.
    ///
    /// # Errors
    /// As [`Self::embed`], and those of `read`.
    pub(super) fn embed_with(
        &self,
        call: &QwenImagePrompts<'_>,
        read: impl Fn(&[String]) -> Result<Vec<Tensor<3>>>,
    ) -> Result<Texts> {
        let given = &call.given;
        let count = given.count()?;
        call.warn_of_ignored();
        let positive = match given.prompt_embeds {
            Some(tokens) => self.checked(["prompt_embeds", "prompt_embeds_mask"], tokens, call.mask)?,
            None => EmbeddedTexts::join(read(given.prompt)?),
        };
        let negative = match given.negative_prompt_embeds {
            _ if !call.is_guided() => None,
            Some(tokens) => {
                let names = ["negative_prompt_embeds", "negative_prompt_embeds_mask"];
                Some(self.checked(names, tokens, call.negative_mask)?)
            }
            None => Some(EmbeddedTexts::join(read(&broadcast(given.negative_prompt, count))?)),
        };
        if let Some(encoder) = &self.text_encoder {
            encoder.release_memory();
        }
        let for_each_image = |texts: EmbeddedTexts| {
            let found = texts.tokens.dims()[0];
            let copies = given.num_images_per_prompt;
            // One text may be for all prompts.
            let copies = if found < count { count * copies } else { copies };
            let texts = texts.cut(call.max_sequence_length).for_each_image(copies);
            let (device, dtype) = (self.transformer.device(), self.transformer.dtype());
            EmbeddedTexts { tokens: texts.tokens.to_device(&device).cast(dtype), mask: texts.mask }
        };
        Ok(Texts { positive: for_each_image(positive), negative: negative.map(for_each_image) })
    }

    /// Embeddings that were given.
    fn checked(
        &self,
        [tokens_name, mask_name]: [&'static str; 2],
        tokens: &Tensor<3>,
        mask: Option<&Tensor<2>>,
    ) -> Result<EmbeddedTexts> {
        let features = self.transformer.config().joint_attention_dim;
        let [texts, count, found] = tokens.dims();
        if count == 0 || found != features {
            let message = format!(
                "has the shape {:?}; the transformer takes at least one token of {features} features",
                tokens.dims()
            );
            return Err(Error::argument(tokens_name, message));
        }
        if let Some(mask) = mask.filter(|mask| mask.dims() != [texts, count]) {
            let message = format!("has the shape {:?}, must have {:?}", mask.dims(), [texts, count]);
            return Err(Error::argument(mask_name, message));
        }
        let mask = mask.map(counting_tokens);
        Ok(EmbeddedTexts { tokens: tokens.clone().cast(DType::F32), mask }.without_idle_mask())
    }
}

/// A prompt as the transformer reads it, `[1, tokens, features]`. Texts are embedded one by one: so none needs to be filled up.
fn embed(
    encoder: &Qwen2_5_VLForConditionalGeneration,
    tokenizer: &Qwen2Tokenizer,
    prompt: &str,
) -> Result<Tensor<3>> {
    let most = MOST_TOKENS + DESCRIBING.left_out;
    let tokens = tokenizer.tokenize_unpadded(&DESCRIBING.with(prompt), most)?;
    warn_of_truncation(tokens.truncated.as_deref(), MOST_TOKENS);
    let ids = [tokens.input_ids];
    let inputs = Qwen2_5_VLInputs { input_ids: &ids, ..Default::default() };
    without_task(encoder.last_hidden_state(&inputs)?, DESCRIBING)
}

/// Hidden states without those of what the model was asked to do.
///
/// # Errors
/// When there are no others.
pub(super) fn without_task(states: Tensor<3>, template: Template) -> Result<Tensor<3>> {
    let tokens = states.dims()[1];
    if tokens <= template.left_out {
        let message = format!(
            "makes {tokens} tokens, of which the first {} are not about the prompt: the tokenizer is not that of the model",
            template.left_out
        );
        return Err(Error::argument("prompt", message));
    }
    Ok(states.narrow(1, template.left_out, tokens - template.left_out))
}
