//! From prompts to the transformer's inputs.

use burn::tensor::Tensor;

use super::components::AuraFlowComponents;
use crate::error::{Error, Result};
use crate::models::model::Model;
use crate::pipelines::common::ignored::warn_of_ignored;
use crate::pipelines::common::text::masked::MaskedTexts;
use crate::pipelines::common::text::prompts::{Prompts, broadcast};

/// The texts of a call, and how they are read.
#[derive(Clone, Copy, Debug)]
pub(super) struct AuraFlowPrompts<'a> {
    pub given: Prompts<'a>,
    pub prompt_attention_mask: Option<&'a Tensor<2>>,
    pub negative_prompt_attention_mask: Option<&'a Tensor<2>>,
    /// Whether a step predicts with negative prompts, too.
    pub is_guided: bool,
    pub max_sequence_length: usize,
}

impl AuraFlowPrompts<'_> {
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

impl AuraFlowComponents {
    /// The text of each item of the model's batch, negative ones first where there is guidance: `[batch, tokens, features]`.
    ///
    /// # Errors
    /// When embeddings do not fit the transformer, there is no text encoder, or it refuses a prompt.
    pub(super) fn embed(&self, call: &AuraFlowPrompts<'_>) -> Result<Tensor<3>> {
        let given = &call.given;
        let prompts = given.count()?;
        call.warn_of_ignored();
        let features = self.transformer.config().joint_attention_dim;
        let positive = match given.prompt_embeds {
            Some(tokens) => {
                let names = ["prompt_embeds", "prompt_attention_mask"];
                MaskedTexts::given(names, tokens, call.prompt_attention_mask, features)?
            }
            None => self.encode(given.prompt, call.max_sequence_length)?,
        };
        let length = positive.tokens.dims()[1];
        let negative = match given.negative_prompt_embeds {
            _ if !call.is_guided => None,
            Some(tokens) => {
                let names = ["negative_prompt_embeds", "negative_prompt_attention_mask"];
                let texts = MaskedTexts::given(names, tokens, call.negative_prompt_attention_mask, features)?;
                let own = texts.tokens.dims()[1];
                if own != length {
                    let message = format!("has {own} tokens, must have as many as the prompts: {length}");
                    return Err(Error::argument("negative_prompt_embeds", message));
                }
                Some(texts)
            }
            None => Some(self.encode(&broadcast(given.negative_prompt, prompts), length)?),
        };
        if let Some(encoder) = &self.text_encoder {
            encoder.release_memory();
        }
        let for_each_image = |argument, texts: MaskedTexts| {
            let (dtype, device) = (self.transformer.dtype(), self.transformer.device());
            let texts =
                texts.for_each_image(argument, [prompts, given.num_images_per_prompt], dtype, &device)?;
            Ok::<_, Error>(texts.tokens)
        };
        let positive = for_each_image("prompt_embeds", positive)?;
        let negative = negative.map(|texts| for_each_image("negative_prompt_embeds", texts)).transpose()?;
        Ok(Tensor::cat(negative.into_iter().chain([positive]).collect(), 0))
    }

    /// Embeds texts. What fills them up to `max_length` tokens becomes zeros.
    fn encode(&self, texts: &[String], max_length: usize) -> Result<MaskedTexts> {
        let (Some(encoder), Some(tokenizer)) = (&self.text_encoder, &self.tokenizer) else {
            let message = "the pipeline lacks a text encoder: give `prompt_embeds` and `prompt_attention_mask`, and with guidance negative ones";
            return Err(Error::argument("prompt", message));
        };
        let texts = MaskedTexts::encoded(
            texts,
            max_length,
            |text| tokenizer.tokenize(&[text], max_length),
            |ids, mask| Ok(encoder.forward(ids, Some(mask))?.last_hidden_state),
            |mask| mask.iter().map(|own| *own as f32).collect(),
        )?;
        let counts: Tensor<3> = texts.mask.clone().cast(texts.tokens.dtype()).unsqueeze_dim(2);
        Ok(MaskedTexts { tokens: texts.tokens * counts, ..texts })
    }
}
