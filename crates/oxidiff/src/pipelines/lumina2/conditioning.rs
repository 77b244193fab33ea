//! From prompts to the hidden states that the transformer reads.

use burn::tensor::Tensor;

use super::components::Lumina2Components;
use crate::error::{Error, Result};
use crate::models::model::Model;
use crate::pipelines::common::ignored::warn_of_ignored;
use crate::pipelines::common::text::chat::{embed_each, warn_of_truncation};
use crate::pipelines::common::text::masked::MaskedTexts;
use crate::pipelines::common::text::prompts::{Prompts, broadcast};

/// The most tokens of a prompt.
const MOST_TOKENS: usize = 512;
/// What the model was trained to read before a prompt.
const SYSTEM_PROMPT: &str = "You are an assistant designed to generate superior images with the superior degree of image-text \
                             alignment based on textual prompts or user prompts.";
/// What stands between that and the prompt.
const PROMPT_START: &str = " <Prompt Start> ";

/// The texts of a call, or the embeddings that replace them.
#[derive(Clone, Copy)]
pub(super) struct Lumina2Prompts<'a> {
    pub given: Prompts<'a>,
    pub prompt_attention_mask: Option<&'a Tensor<2>>,
    pub negative_prompt_attention_mask: Option<&'a Tensor<2>>,
    pub system_prompt: Option<&'a str>,
    /// Whether a step calls the model twice.
    pub is_guided: bool,
    pub max_sequence_length: usize,
}

/// The texts of a run, one for each image.
pub(super) struct Texts {
    pub positive: MaskedTexts,
    /// With guidance.
    pub negative: Option<MaskedTexts>,
}

impl Lumina2Prompts<'_> {
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
        let why = "embedded prompts are used as they are";
        warn_of_ignored("system_prompt", self.system_prompt.is_some() && prompt_embeds.is_some(), why);
        let why = "the call uses no guidance, which `guidance_scale` turns on above 1";
        warn_of_ignored("negative_prompt", !negative_prompt.is_empty() && !self.is_guided, why);
        warn_of_ignored("negative_prompt_embeds", negative_prompt_embeds.is_some() && !self.is_guided, why);
    }
}

impl Lumina2Components {
    /// Embeds the texts for each image.
    ///
    /// # Errors
    /// When embeddings do not fit the transformer, or the tokenizer or the encoder refuses a prompt.
    pub(super) fn embed(&self, call: &Lumina2Prompts<'_>) -> Result<Texts> {
        let given = &call.given;
        let prompts = given.count()?;
        call.warn_of_ignored();
        let features = self.transformer.config().cap_feat_dim;
        let positive = match given.prompt_embeds {
            Some(tokens) => {
                let names = ["prompt_embeds", "prompt_attention_mask"];
                MaskedTexts::given(names, tokens, call.prompt_attention_mask, features)?
            }
            None => {
                let system_prompt = call.system_prompt.unwrap_or(SYSTEM_PROMPT);
                let texts = given.prompt.iter().map(|text| format!("{system_prompt}{PROMPT_START}{text}"));
                self.encode("prompt", &texts.collect::<Vec<_>>(), call.max_sequence_length)?
            }
        };
        let negative = match given.negative_prompt_embeds {
            _ if !call.is_guided => None,
            Some(tokens) => {
                let names = ["negative_prompt_embeds", "negative_prompt_attention_mask"];
                Some(MaskedTexts::given(names, tokens, call.negative_prompt_attention_mask, features)?)
            }
            None => {
                let texts = broadcast(given.negative_prompt, prompts);
                Some(self.encode("negative_prompt", &texts, call.max_sequence_length)?)
            }
        };
        self.text_encoder.release_memory();
        let for_each_image = |argument, texts: MaskedTexts| {
            let (dtype, device) = (self.transformer.dtype(), self.transformer.device());
            texts.for_each_image(argument, [prompts, given.num_images_per_prompt], dtype, &device)
        };
        Ok(Texts {
            positive: for_each_image("prompt_embeds", positive)?,
            negative: negative.map(|texts| for_each_image("negative_prompt_embeds", texts)).transpose()?,
        })
    }

    /// The hidden states of texts before the language model's last layer, of at most `max_length` tokens. What would fill up a text is
    /// not embedded: the transformer leaves it out.
    fn encode(&self, argument: &'static str, texts: &[String], max_length: usize) -> Result<MaskedTexts> {
        let layer = self.text_encoder.config().num_hidden_layers - 1;
        let embedded = embed_each(texts, |text| {
            let mut tokens = self.tokenizer.tokenize(&[text], max_length)?;
            warn_of_truncation(tokens.truncated[0].as_deref(), max_length);
            let own = tokens.input_ids[0].iter().zip(&tokens.attention_mask[0]);
            let own: Vec<u32> = own.filter(|(_, counts)| **counts != 0).map(|(id, _)| *id).collect();
            if own.is_empty() {
                return Err(Error::argument(argument, "has no tokens"));
            }
            tokens.input_ids[0] = own;
            let states = self.text_encoder.hidden_states(&tokens.input_ids, None, &[layer])?;
            Ok(states.into_iter().next().expect("one layer was asked for"))
        })?;
        Ok(MaskedTexts::filled_up(embedded))
    }
}
