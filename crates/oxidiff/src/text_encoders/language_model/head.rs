//! What gives scores to the next token.

use std::borrow::Cow;

use super::parts::LanguageModel;
use crate::error::{Error, Result};
use crate::models::layers::linear::Linear;

/// The beginning of the names of its weights.
pub const LM_HEAD: &str = "lm_head.";

/// The head of a language model: its own, or else its table of tokens if `is_tied` says so.
///
/// # Errors
/// When there is none.
pub fn head<'a>(
    own: Option<&'a Linear>,
    parts: &LanguageModel,
    is_tied: bool,
    class_name: &str,
) -> Result<Cow<'a, Linear>> {
    match own {
        Some(own) => Ok(Cow::Borrowed(own)),
        None if is_tied => {
            let weight = parts.embed_tokens.weight.clone();
            Ok(Cow::Owned(Linear { weight, bias: None, low_rank: None }))
        }
        None => {
            let what = format!("writing texts with this {class_name}");
            let why = "its checkpoint has no `lm_head.weight`, which gives scores to the next token, and its configuration does not \
                       set `tie_word_embeddings`";
            Err(Error::unsupported(what, why))
        }
    }
}
