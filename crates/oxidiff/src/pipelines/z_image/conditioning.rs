//! From prompts to the hidden states that the transformer reads.

use burn::tensor::Tensor;

use super::components::ZImageComponents;
use crate::error::{Error, Result};
use crate::models::model::Model;
use crate::pipelines::common::arguments::check_images;
use crate::pipelines::common::ignored::warn_of_ignored;
use crate::pipelines::common::text::chat::{conversation, embed_each, warn_of_truncation};
use crate::pipelines::common::text::prompts::{broadcast, count_texts};
use crate::wording::counted;

/// The texts of a call, or the embeddings that replace them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Prompts<'a> {
    pub prompt: &'a [String],
    pub negative_prompt: &'a [String],
    pub prompt_embeds: Option<&'a [Tensor<2>]>,
    pub negative_prompt_embeds: Option<&'a [Tensor<2>]>,
    pub num_images_per_prompt: usize,
    pub max_sequence_length: usize,
}

/// The hidden states of the texts for each image, `[tokens, features]`.
#[derive(Clone, Debug)]
pub(super) struct Captions {
    pub positive: Vec<Tensor<2>>,
    /// With guidance, those of the negative prompts; otherwise empty.
    pub negative: Vec<Tensor<2>>,
}

impl Prompts<'_> {
    /// Checks everything that can be checked without the model, and returns the number of prompts.
    fn count(&self) -> Result<usize> {
        let prompts = count_texts(
            [self.prompt, self.negative_prompt],
            self.prompt_embeds.map(|embeds| embeds.len()),
            self.negative_prompt_embeds.is_some(),
        )?;
        if let Some(embeds) = self.negative_prompt_embeds.filter(|embeds| embeds.len() != prompts) {
            let message = format!("got {} for {}", embeds.len(), counted(prompts, "prompt"));
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

impl ZImageComponents {
    /// Embeds the texts for each image.
    ///
    /// # Errors
    /// When embeddings do not fit the transformer, or the tokenizer or the encoder refuses a prompt.
    pub(super) fn embed(&self, prompts: &Prompts<'_>, is_guided: bool) -> Result<Captions> {
        let count = prompts.count()?;
        let positive = match prompts.prompt_embeds {
            Some(embeds) => self.checked("prompt_embeds", embeds)?,
            None => self.embed_texts(prompts.prompt, prompts.max_sequence_length)?,
        };
        let negative = match prompts.negative_prompt_embeds {
            _ if !is_guided => {
                let why = "the call uses no guidance, which a `guidance_scale` above 0 turns on";
                warn_of_ignored("negative_prompt", !prompts.negative_prompt.is_empty(), why);
                warn_of_ignored("negative_prompt_embeds", prompts.negative_prompt_embeds.is_some(), why);
                Vec::new()
            }
            Some(embeds) => self.checked("negative_prompt_embeds", embeds)?,
            None if prompts.prompt_embeds.is_some() && prompts.negative_prompt.is_empty() => {
                let message = "must be given with `prompt_embeds`, since the call uses guidance";
                return Err(Error::argument("negative_prompt_embeds", message));
            }
            None => {
                let texts = broadcast(prompts.negative_prompt, count);
                self.embed_texts(&texts, prompts.max_sequence_length)?
            }
        };
        self.text_encoder.release_memory();
        let copies = prompts.num_images_per_prompt;
        let for_each_image = |embeds: Vec<Tensor<2>>| {
            embeds.into_iter().flat_map(|embeds| std::iter::repeat_n(embeds, copies)).collect()
        };
        Ok(Captions { positive: for_each_image(positive), negative: for_each_image(negative) })
    }

    fn checked(&self, argument: &'static str, embeds: &[Tensor<2>]) -> Result<Vec<Tensor<2>>> {
        let features = self.transformer.config().cap_feat_dim;
        if let Some(wrong) =
            embeds.iter().find(|embeds| embeds.dims()[0] == 0 || embeds.dims()[1] != features)
        {
            let message = format!(
                "has the shape {:?}; the transformer takes at least one token of {features} features",
                wrong.dims()
            );
            return Err(Error::argument(argument, message));
        }
        Ok(embeds.to_vec())
    }

    /// The hidden states of each text before the language model's last layer, `[tokens, features]`, of at most `max_length` tokens
    /// with the words around it that the model expects: `encode_prompt` in Python. Texts are encoded one by one: so none needs
    /// padding.
    ///
    /// # Errors
    /// When the tokenizer or the encoder refuses a text.
    pub fn embed_texts(&self, texts: &[String], max_length: usize) -> Result<Vec<Tensor<2>>> {
        let layer = self.text_encoder.config().num_hidden_layers - 1;
        embed_each(texts, |text| {
            let message = conversation(&self.tokenizer, text, true)?;
            let tokens = self.tokenizer.tokenize_unpadded(&message, max_length)?;
            warn_of_truncation(tokens.truncated.as_deref(), max_length);
            if tokens.input_ids.is_empty() {
                return Err(Error::argument("prompt", "has no tokens"));
            }
            let states = self.text_encoder.hidden_states(&[tokens.input_ids], None, &[layer])?;
            let state = states.into_iter().next().expect("one layer was asked for");
            Ok(state.squeeze_dim(0))
        })
    }
}
