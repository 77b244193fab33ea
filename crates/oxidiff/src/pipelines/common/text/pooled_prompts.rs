//! The prompts of a call for two text encoders, of which one pools each prompt.

use burn::tensor::Tensor;

use super::prompts::Prompts;
use crate::error::{Error, Result};
use crate::wording::counted;

/// The texts of a call for both text encoders, or the embeddings that replace them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PooledPrompts<'a> {
    pub prompts: Prompts<'a>,
    pub prompt_2: &'a [String],
    pub negative_prompt_2: &'a [String],
    pub pooled: Option<&'a Tensor<2>>,
    pub negative_pooled: Option<&'a Tensor<2>>,
}

impl PooledPrompts<'_> {
    /// Checks everything that can be checked without the model, and returns the number of images.
    ///
    /// # Errors
    /// When there is no prompt, when both texts and embeddings are given, or when their numbers do not fit.
    pub fn images(&self) -> Result<usize> {
        let images = self.prompts.images()?;
        let prompts = self.prompts.count()?;
        let Prompts { prompt_embeds, negative_prompt_embeds, negative_prompt, .. } = self.prompts;
        if !self.prompt_2.is_empty() && prompt_embeds.is_some() {
            return Err(Error::argument("prompt_2", "cannot be given together with `prompt_embeds`"));
        }
        if !self.negative_prompt_2.is_empty() && negative_prompt_embeds.is_some() {
            let message = "cannot be given together with `negative_prompt_embeds`";
            return Err(Error::argument("negative_prompt_2", message));
        }
        let count = |argument, texts: &[String], one_for_all: bool| {
            let is_one = one_for_all && texts.len() == 1;
            if texts.is_empty() || texts.len() == prompts || is_one {
                return Ok(());
            }
            Err(Error::argument(argument, format!("got {} for {}", texts.len(), counted(prompts, "prompt"))))
        };
        count("prompt_2", self.prompt_2, false)?;
        count("negative_prompt", negative_prompt, true)?;
        count("negative_prompt_2", self.negative_prompt_2, true)?;
        let pooled = |argument, embeds: Option<&Tensor<3>>, pooled: Option<&Tensor<2>>, name: &str| match (
            embeds, pooled,
        ) {
            (Some(_), None) => {
                Err(Error::argument(argument, format!("must be given together with `{name}`")))
            }
            (Some(embeds), Some(pooled)) if embeds.dims()[0] != pooled.dims()[0] => {
                let message = format!("got {} for {}", pooled.dims()[0], counted(embeds.dims()[0], "prompt"));
                Err(Error::argument(argument, message))
            }
            _ => Ok(()),
        };
        pooled("pooled_prompt_embeds", prompt_embeds, self.pooled, "prompt_embeds")?;
        pooled(
            "negative_pooled_prompt_embeds",
            negative_prompt_embeds,
            self.negative_pooled,
            "negative_prompt_embeds",
        )?;
        Ok(images)
    }
}
