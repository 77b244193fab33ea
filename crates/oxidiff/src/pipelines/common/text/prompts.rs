//! The prompts of a call, before they are encoded.

use burn::tensor::Tensor;

use crate::error::{Error, Result};
use crate::pipelines::common::arguments::check_images;
use crate::wording::counted;

/// The texts of a call, or the embeddings that replace them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Prompts<'a> {
    pub prompt: &'a [String],
    pub negative_prompt: &'a [String],
    pub prompt_embeds: Option<&'a Tensor<3>>,
    pub negative_prompt_embeds: Option<&'a Tensor<3>>,
    pub num_images_per_prompt: usize,
    /// Whether brackets change the weights of parts of a prompt, and long prompts are encoded in chunks.
    pub weighting: bool,
}

impl Prompts<'_> {
    /// Checks everything that can be checked without the model, and returns the number of prompts.
    ///
    /// # Errors
    /// When there is no prompt, when both texts and embeddings are given, or when their numbers do not fit.
    pub fn count(&self) -> Result<usize> {
        let prompts = count_texts(
            [self.prompt, self.negative_prompt],
            self.prompt_embeds.map(|embeds| embeds.dims()[0]),
            self.negative_prompt_embeds.is_some(),
        )?;
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

/// Checks the prompts and negative prompts of a call, and returns the number of prompts: that of the texts, or of the embeddings that
/// replace them.
///
/// # Errors
/// As [`Prompts::count`].
pub(crate) fn count_texts(
    [prompt, negative_prompt]: [&[String]; 2],
    prompt_embeds: Option<usize>,
    has_negative_embeds: bool,
) -> Result<usize> {
    let prompts = match (prompt, prompt_embeds) {
        ([], None) => return Err(Error::argument("prompt", "must be given, unless `prompt_embeds` is")),
        ([], Some(embeds)) => embeds,
        (prompts, None) => prompts.len(),
        (_, Some(_)) => {
            return Err(Error::argument("prompt", "cannot be given together with `prompt_embeds`"));
        }
    };
    if !negative_prompt.is_empty() && has_negative_embeds {
        let message = "cannot be given together with `negative_prompt_embeds`";
        return Err(Error::argument("negative_prompt", message));
    }
    let negative = negative_prompt.len();
    if negative > 1 && negative != prompts {
        let message = format!("got {negative} for {}", counted(prompts, "prompt"));
        return Err(Error::argument("negative_prompt", message));
    }
    Ok(prompts)
}

/// One text for each of the `prompts`: the given texts, one text for all, or empty texts.
pub(crate) fn broadcast(texts: &[String], prompts: usize) -> Vec<String> {
    match texts {
        [] => vec![String::new(); prompts],
        [one] => vec![one.clone(); prompts],
        each => each.to_vec(),
    }
}
