//! From prompts to the transformer's inputs.

use burn::tensor::{DType, Tensor, TensorData};

use super::components::SanaComponents;
use crate::error::{Error, Result};
use crate::models::model::Model;
use crate::pipelines::common::ignored::warn_of_ignored;
use crate::pipelines::common::text::caption::prepared_captions;
use crate::pipelines::common::text::chat::{embed_each, warn_of_truncation};
use crate::pipelines::common::text::masked::MaskedTexts;
use crate::pipelines::common::text::masked_prompts::GuidedTexts;
use crate::pipelines::common::text::prompts::{Prompts, broadcast};
use crate::text_encoders::{Gemma2Model, GemmaTokenizer};

/// The texts of a call, and how they are read.
#[derive(Clone, Copy, Debug)]
pub(super) struct SanaPrompts<'a> {
    pub given: Prompts<'a>,
    pub prompt_attention_mask: Option<&'a Tensor<2>>,
    pub negative_prompt_attention_mask: Option<&'a Tensor<2>>,
    /// Whether a step predicts with negative prompts, too.
    pub is_guided: bool,
    pub clean_caption: bool,
    pub max_sequence_length: usize,
    pub complex_human_instruction: &'a [String],
}

impl SanaPrompts<'_> {
    /// Checks everything that can be checked without the model, and returns the number of images.
    ///
    /// # Errors
    /// When there is no prompt, when both texts and embeddings are given, or when their numbers do not fit.
    pub fn images(&self) -> Result<usize> {
        if self.max_sequence_length == 0 {
            return Err(Error::argument("max_sequence_length", "must be at least 1"));
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

impl SanaComponents {
    /// Embeds the texts for each image.
    ///
    /// # Errors
    /// When embeddings do not fit the transformer, there is no text encoder, or it refuses a prompt.
    pub(super) fn embed(&self, call: &SanaPrompts<'_>) -> Result<GuidedTexts> {
        let given = &call.given;
        let prompts = given.count()?;
        call.warn_of_ignored();
        let features = self.transformer.config().caption_channels;
        let positive = match given.prompt_embeds {
            Some(tokens) => {
                let names = ["prompt_embeds", "prompt_attention_mask"];
                MaskedTexts::given(names, tokens, call.prompt_attention_mask, features)?
            }
            None => self.encode(given.prompt, call, call.complex_human_instruction)?,
        };
        let length = positive.tokens.dims()[1];
        let negative = match given.negative_prompt_embeds {
            _ if !call.is_guided => None,
            Some(tokens) => {
                let names = ["negative_prompt_embeds", "negative_prompt_attention_mask"];
                Some(MaskedTexts::given(names, tokens, call.negative_prompt_attention_mask, features)?)
            }
            None => Some(self.encode(&broadcast(given.negative_prompt, prompts), call, &[])?),
        };
        if let Some(found) =
            negative.as_ref().map(|texts| texts.tokens.dims()[1]).filter(|found| *found != length)
        {
            let message = format!("have {length} tokens, but those of the negative prompts {found}");
            return Err(Error::argument("prompt_embeds", message));
        }
        if let Some(encoder) = &self.text_encoder {
            encoder.release_memory();
        }
        let for_each_image =
            |argument, texts: MaskedTexts| self.for_each_image(argument, texts, call, prompts);
        Ok(GuidedTexts {
            positive: for_each_image("prompt_embeds", positive)?,
            negative: negative.map(|texts| for_each_image("negative_prompt_embeds", texts)).transpose()?,
        })
    }

    /// The texts for each image. As in Python, those of a prompt are next to each other, but masks take turns, so that several images of
    /// several prompts have masks of other prompts.
    fn for_each_image(
        &self,
        argument: &'static str,
        texts: MaskedTexts,
        call: &SanaPrompts<'_>,
        prompts: usize,
    ) -> Result<MaskedTexts> {
        let (dtype, device) = (self.transformer.dtype(), self.transformer.device());
        let (copies, own) = (call.given.num_images_per_prompt, texts.mask.clone().to_device(&device));
        let mut repeated = texts.for_each_image(argument, [prompts, copies], dtype, &device)?;
        let rows = repeated.mask.dims()[0];
        repeated.mask = own.clone().repeat_dim(0, rows / own.dims()[0]);
        Ok(repeated)
    }

    /// Embeds texts after an instruction, filled up to `max_sequence_length` tokens, which do not count.
    fn encode(
        &self,
        texts: &[String],
        call: &SanaPrompts<'_>,
        instruction: &[String],
    ) -> Result<MaskedTexts> {
        let (Some(encoder), Some(tokenizer)) = (&self.text_encoder, &self.tokenizer) else {
            let message = "the pipeline lacks a text encoder: give `prompt_embeds` and `prompt_attention_mask`, and with guidance negative ones";
            return Err(Error::argument("prompt", message));
        };
        let kept = call.max_sequence_length;
        let instruction = instruction.join("\n");
        let length = match instruction.is_empty() {
            true => kept,
            // The token that begins a text is in both counts, and Python takes one more off.
            false => (tokenizer.tokenize_unpadded(&instruction)?.len() + kept).saturating_sub(2),
        };
        // A mask of another prompt lets tokens count that only fill up a text.
        let whole = call.given.num_images_per_prompt > 1 && texts.len() > 1;
        let embedded = embed_each(&prepared_captions(texts, call.clean_caption), |text| {
            embed((encoder, tokenizer), &(instruction.clone() + text), [length, kept], whole)
        })?;
        let (tokens, masks): (Vec<_>, Vec<_>) = embedded.into_iter().unzip();
        let mask = TensorData::new(masks.concat(), [texts.len(), kept]);
        let mask = Tensor::from_data(mask, (&encoder.device(), DType::F32));
        Ok(MaskedTexts { tokens: Tensor::cat(tokens, 0), mask })
    }
}

/// Embeds a text of `length` tokens, and keeps the first and the last of them: `kept` in all, `[1, kept, features]`, with their mask. Those that
/// fill up the text are zeros, unless it is to be embedded `whole`.
fn embed(
    (encoder, tokenizer): (&Gemma2Model, &GemmaTokenizer),
    text: &str,
    [length, kept]: [usize; 2],
    whole: bool,
) -> Result<(Tensor<3>, Vec<f32>)> {
    let tokens = tokenizer.tokenize(&[text], length)?;
    warn_of_truncation(tokens.truncated[0].as_deref(), length);
    let (ids, counts) = (&tokens.input_ids[0], &tokens.attention_mask[0]);
    // No token sees those after it.
    let own = if whole { length } else { counts.iter().filter(|count| **count != 0).count() };
    let embedded =
        encoder.forward(&[ids[..own].to_vec()], Some(&[counts[..own].to_vec()]))?.last_hidden_state;
    let first = length + 1 - kept;
    let features = embedded.dims()[2];
    let found = own.saturating_sub(first);
    let mut parts = vec![embedded.clone().narrow(1, 0, 1)];
    if found > 0 {
        parts.push(embedded.clone().narrow(1, first, found));
    }
    if found + 1 < kept {
        parts.push(Tensor::zeros([1, kept - 1 - found, features], (&embedded.device(), embedded.dtype())));
    }
    let mask = counts[..1].iter().chain(&counts[first..]).map(|count| *count as f32).collect();
    Ok((Tensor::cat(parts, 1), mask))
}
