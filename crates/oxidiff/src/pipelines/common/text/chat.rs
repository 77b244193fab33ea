//! Prompts for language models: a prompt is the message of a user, in the form of the tokenizer's chat template.

use std::collections::HashMap;

use crate::error::Result;
use crate::text_encoders::{ChatMessage, ChatOptions, Qwen2Tokenizer};

/// A prompt as a conversation that the assistant goes on with; `enable_thinking` says whether it thinks first.
///
/// # Errors
/// When the tokenizer has no chat template, or that cannot be used.
pub(crate) fn conversation(
    tokenizer: &Qwen2Tokenizer,
    prompt: &str,
    enable_thinking: bool,
) -> Result<String> {
    let options = ChatOptions { add_generation_prompt: true, enable_thinking: Some(enable_thinking) };
    tokenizer.apply_chat_template(&[ChatMessage::user(prompt)], options)
}

/// Warns of the part of a prompt that did not fit, if any.
pub(crate) fn warn_of_truncation(truncated: Option<&str>, max_length: usize) {
    if let Some(lost) = truncated {
        tracing::warn!("the prompt is too long: {max_length} tokens leave out `{lost}`");
    }
}

/// The result of `embed` for each text; equal texts are embedded once.
///
/// # Errors
/// Those of `embed`.
pub(crate) fn embed_each<T: Clone>(
    texts: &[String],
    mut embed: impl FnMut(&str) -> Result<T>,
) -> Result<Vec<T>> {
    let mut embedded: HashMap<&str, T> = HashMap::new();
    for text in texts {
        if !embedded.contains_key(text.as_str()) {
            embedded.insert(text, embed(text)?);
        }
    }
    Ok(texts.iter().map(|text| embedded[text.as_str()].clone()).collect())
}
