//! What the images of a call are to show, before it is encoded.

use burn::tensor::Tensor;

use crate::error::{Error, Result};
use crate::pipelines::common::arguments::check_images;

/// The texts of a call, and the embeddings that stand in for them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Prompts<'a> {
    pub prompt: &'a [String],
    pub negative_prompt: &'a [String],
    pub prompt_embeds: Option<&'a Tensor<3>>,
    pub negative_prompt_embeds: Option<&'a Tensor<3>>,
    pub num_images_per_prompt: usize,
    /// Whether brackets weigh parts of a prompt, and long prompts are encoded in chunks.
    pub weighting: bool,
}

impl Prompts<'_> {
    /// Checks what needs no model to be checked, and returns the number of prompts.
    ///
    /// # Errors
    /// When there is none, more than one way of giving them is used, or their numbers do not fit.
    pub fn count(&self) -> Result<usize> {
        let prompts = match (self.prompt, self.prompt_embeds) {
            ([], None) => return Err(Error::argument("prompt", "give one, or `prompt_embeds`")),
            ([], Some(embeds)) => embeds.dims()[0],
            (prompts, None) => prompts.len(),
            (_, Some(_)) => {
                return Err(Error::argument("prompt", "cannot be given together with `prompt_embeds`"));
            }
        };
        if !self.negative_prompt.is_empty() && self.negative_prompt_embeds.is_some() {
            let message = "cannot be given together with `negative_prompt_embeds`";
            return Err(Error::argument("negative_prompt", message));
        }
        let negative = self.negative_prompt.len();
        if negative > 1 && negative != prompts {
            let message = format!("{negative} of them for {prompts} prompts");
            return Err(Error::argument("negative_prompt", message));
        }
        check_images("num_images_per_prompt", prompts.saturating_mul(self.num_images_per_prompt))?;
        Ok(prompts)
    }

    /// The number of images that the prompts ask for.
    ///
    /// # Errors
    /// As [`Self::count`].
    pub fn images(&self) -> Result<usize> {
        Ok(self.count()? * self.num_images_per_prompt)
    }
}

/// A text for each of `prompts`: those given, one for all, or empty ones.
pub(crate) fn broadcast(texts: &[String], prompts: usize) -> Vec<String> {
    match texts {
        [] => vec![String::new(); prompts],
        [one] => vec![one.clone(); prompts],
        each => each.to_vec(),
    }
}
