//! From prompts to what the transformer reads: the hidden states of two CLIP text encoders side by side, followed by those of T5, and
//! the pooled prompts of the first two.

use burn::tensor::Tensor;

use super::components::StableDiffusion3Components;
use crate::error::{Error, Result};
use crate::models::model::Model;
use crate::pipelines::common::ignored::warn_of_ignored;
use crate::pipelines::common::text::chat::warn_of_truncation;
use crate::pipelines::common::text::clip_prompt::ClipPrompt;
use crate::pipelines::common::text::prompts::{Prompts, broadcast};
use crate::pipelines::common::text::{PromptEncoding, TextEncoding};
use crate::text_encoders::{CLIPTextModelWithProjection, CLIPTokenizer};
use crate::wording::counted;

/// The most tokens of a prompt for the third text encoder.
const MOST_TOKENS: usize = 512;

/// The texts of a call for the three text encoders, or the embeddings that replace them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Texts<'a> {
    pub prompts: Prompts<'a>,
    /// For the second and the third text encoder.
    pub further: [&'a [String]; 2],
    pub further_negative: [&'a [String]; 2],
    pub pooled: Option<&'a Tensor<2>>,
    pub negative_pooled: Option<&'a Tensor<2>>,
    pub clip_skip: Option<usize>,
    pub max_sequence_length: usize,
}

impl Texts<'_> {
    /// Checks everything that can be checked without the model, and returns the number of images.
    ///
    /// # Errors
    /// When there is no prompt, when both texts and embeddings are given, or when their numbers do not fit.
    pub fn images(&self) -> Result<usize> {
        let images = self.prompts.images()?;
        let prompts = self.prompts.count()?;
        let Prompts { prompt_embeds, negative_prompt_embeds, .. } = self.prompts;
        let further = [
            ("prompt_2", "prompt_embeds", self.further[0], prompt_embeds),
            ("prompt_3", "prompt_embeds", self.further[1], prompt_embeds),
            ("negative_prompt_2", "negative_prompt_embeds", self.further_negative[0], negative_prompt_embeds),
            ("negative_prompt_3", "negative_prompt_embeds", self.further_negative[1], negative_prompt_embeds),
        ];
        for (argument, replacement, texts, embeds) in further {
            if !texts.is_empty() && embeds.is_some() {
                let message = format!("cannot be given together with `{replacement}`");
                return Err(Error::argument(argument, message));
            }
            let is_one_for_all = texts.len() == 1 && argument.starts_with("negative");
            if !texts.is_empty() && texts.len() != prompts && !is_one_for_all {
                let message = format!("got {} for {}", texts.len(), counted(prompts, "prompt"));
                return Err(Error::argument(argument, message));
            }
        }
        for (argument, replacement, embeds, pooled) in [
            ("pooled_prompt_embeds", "prompt_embeds", prompt_embeds, self.pooled),
            (
                "negative_pooled_prompt_embeds",
                "negative_prompt_embeds",
                negative_prompt_embeds,
                self.negative_pooled,
            ),
        ] {
            match (embeds, pooled) {
                (Some(_), None) => {
                    let message = format!("must be given together with `{replacement}`");
                    return Err(Error::argument(argument, message));
                }
                (Some(embeds), Some(pooled)) if embeds.dims()[0] != pooled.dims()[0] => {
                    let texts = counted(embeds.dims()[0], "prompt");
                    return Err(Error::argument(argument, format!("got {} for {texts}", pooled.dims()[0])));
                }
                _ => {}
            }
        }
        if !(1..=MOST_TOKENS).contains(&self.max_sequence_length) {
            let message = format!("must be from 1 to {MOST_TOKENS}, but is {}", self.max_sequence_length);
            return Err(Error::argument("max_sequence_length", message));
        }
        Ok(images)
    }

    /// Warns of texts and embeddings that do not reach the transformer.
    fn warn_of_ignored(&self, is_guided: bool, has_third_encoder: bool) {
        let Prompts { prompt_embeds, negative_prompt, negative_prompt_embeds, .. } = self.prompts;
        let why = "it is only used together with `prompt_embeds`";
        warn_of_ignored("pooled_prompt_embeds", self.pooled.is_some() && prompt_embeds.is_none(), why);
        let why = "it is only used together with `negative_prompt_embeds`";
        let is_alone = self.negative_pooled.is_some() && negative_prompt_embeds.is_none();
        warn_of_ignored("negative_pooled_prompt_embeds", is_alone, why);
        if !is_guided {
            let why = "the call uses no guidance, which a `guidance_scale` above 1 turns on";
            warn_of_ignored("negative_prompt", !negative_prompt.is_empty(), why);
            warn_of_ignored("negative_prompt_2", !self.further_negative[0].is_empty(), why);
            warn_of_ignored("negative_prompt_3", !self.further_negative[1].is_empty(), why);
            warn_of_ignored("negative_prompt_embeds", negative_prompt_embeds.is_some(), why);
        }
        if !has_third_encoder {
            let why = "the pipeline has no `text_encoder_3`";
            warn_of_ignored("prompt_3", !self.further[1].is_empty(), why);
            warn_of_ignored("negative_prompt_3", is_guided && !self.further_negative[1].is_empty(), why);
        }
    }
}

impl StableDiffusion3Components {
    /// Embeds the texts for each image.
    ///
    /// # Errors
    /// When embeddings do not fit the transformer or each other, an encoder is missing, or refuses a prompt.
    pub(super) fn embed(&self, texts: &Texts<'_>, is_guided: bool) -> Result<PromptEncoding> {
        let Prompts { prompt, negative_prompt, .. } = texts.prompts;
        let count = texts.prompts.count()?;
        texts.warn_of_ignored(is_guided, self.text_encoder_3.is_some());
        let or = |texts: &[String], others: &[String]| {
            let chosen = if texts.is_empty() { others } else { texts };
            broadcast(chosen, count)
        };
        let length = texts.max_sequence_length;
        let positive = match (texts.prompts.prompt_embeds, texts.pooled) {
            (Some(tokens), Some(pooled)) => {
                self.given(["prompt_embeds", "pooled_prompt_embeds"], tokens, pooled)?
            }
            _ => {
                let second = or(texts.further[0], prompt);
                let third = or(texts.further[1], prompt);
                self.encode([prompt, &second, &third], texts.clip_skip, length)?
            }
        };
        let negative = match (texts.prompts.negative_prompt_embeds, texts.negative_pooled) {
            _ if !is_guided => None,
            (Some(tokens), Some(pooled)) => {
                let names = ["negative_prompt_embeds", "negative_pooled_prompt_embeds"];
                Some(self.given(names, tokens, pooled)?)
            }
            _ => {
                let first = broadcast(negative_prompt, count);
                let second = or(texts.further_negative[0], negative_prompt);
                let third = or(texts.further_negative[1], negative_prompt);
                Some(self.encode([&first, &second, &third], None, length)?)
            }
        };
        self.text_encoder.iter().chain(&self.text_encoder_2).for_each(Model::release_memory);
        self.text_encoder_3.iter().for_each(Model::release_memory);
        if let Some(negative) =
            negative.as_ref().filter(|other| other.tokens.dims() != positive.tokens.dims())
        {
            let message = format!(
                "has shape {:?}, but the embeddings of the prompt have {:?}",
                negative.tokens.dims(),
                positive.tokens.dims()
            );
            return Err(Error::argument("negative_prompt_embeds", message));
        }
        let copies = texts.prompts.num_images_per_prompt;
        let (dtype, device) = (self.transformer.dtype(), self.transformer.device());
        let for_each_image =
            |encoding: TextEncoding| encoding.moved_to(&device).cast(dtype).for_each_image(copies);
        Ok(PromptEncoding { positive: for_each_image(positive), negative: negative.map(for_each_image) })
    }

    /// Embeddings that a call gives.
    fn given(
        &self,
        names: [&'static str; 2],
        tokens: &Tensor<3>,
        pooled: &Tensor<2>,
    ) -> Result<TextEncoding> {
        let config = self.transformer.config();
        let needed = [config.joint_attention_dim, config.pooled_projection_dim];
        let found = [tokens.dims()[2], pooled.dims()[1]];
        for ((argument, needed), found) in names.into_iter().zip(needed).zip(found) {
            if needed != found {
                let message = format!("has {found} features, the transformer takes {needed}");
                return Err(Error::argument(argument, message));
            }
        }
        if tokens.dims()[1] == 0 {
            return Err(Error::argument(names[0], "has no tokens"));
        }
        Ok(TextEncoding { tokens: tokens.clone(), pooled: Some(pooled.clone()) })
    }

    /// Embeds texts, one list for each encoder. With `clip_skip`, the first two leave out so many more of their last layers.
    fn encode(
        &self,
        [first, second, third]: [&[String]; 3],
        clip_skip: Option<usize>,
        max_sequence_length: usize,
    ) -> Result<TextEncoding> {
        let clips = [
            (self.clip("text_encoder", &self.text_encoder, &self.tokenizer)?, first),
            (self.clip("text_encoder_2", &self.text_encoder_2, &self.tokenizer_2)?, second),
        ];
        // As Python, which asks the first tokenizer.
        let length = clips[0].0.0.max_length();
        let (mut hidden, mut pooled) = (Vec::new(), Vec::new());
        for ((prompt, encoder), texts) in clips {
            if prompt.max_length() < length {
                let message = format!(
                    "`{}` takes {} tokens, but must take the {length} of the first text encoder",
                    prompt.name,
                    prompt.max_length()
                );
                return Err(Error::argument("prompt", message));
            }
            let embedded = prompt.encode_earlier(texts, length, 1, clip_skip)?;
            hidden.push(embedded.hidden);
            pooled.push(encoder.text_projection.forward(embedded.pooled));
        }
        let hidden = Tensor::cat(hidden, 2);
        let [batch, tokens, features] = hidden.dims();
        let width = self.transformer.config().joint_attention_dim;
        let (dtype, device) = (hidden.dtype(), hidden.device());
        let filling = Tensor::zeros([batch, tokens, width - features], (&device, dtype));
        let hidden = Tensor::cat(vec![hidden, filling], 2);
        let of_third = match (&self.text_encoder_3, &self.tokenizer_3) {
            (Some(encoder), Some(tokenizer)) => {
                let tokens = tokenizer.tokenize(third, max_sequence_length)?;
                for lost in &tokens.truncated {
                    warn_of_truncation(lost.as_deref(), max_sequence_length);
                }
                let output = encoder.forward(&tokens.input_ids, None)?;
                output.last_hidden_state.to_device(&device).cast(dtype)
            }
            _ => Tensor::zeros([batch, max_sequence_length, width], (&device, dtype)),
        };
        let tokens = Tensor::cat(vec![hidden, of_third], 1);
        Ok(TextEncoding { tokens, pooled: Some(Tensor::cat(pooled, 1)) })
    }

    fn clip<'a>(
        &self,
        name: &'static str,
        encoder: &'a Option<CLIPTextModelWithProjection>,
        tokenizer: &'a Option<CLIPTokenizer>,
    ) -> Result<(ClipPrompt<'a>, &'a CLIPTextModelWithProjection)> {
        let (Some(encoder), Some(tokenizer)) = (encoder, tokenizer) else {
            let message = format!("cannot be embedded: the pipeline has no `{name}`; give `prompt_embeds`");
            return Err(Error::argument("prompt", message));
        };
        let text_encoder = &encoder.text_model;
        Ok((ClipPrompt { tokenizer, text_encoder, name, weighting: false }, encoder))
    }
}
