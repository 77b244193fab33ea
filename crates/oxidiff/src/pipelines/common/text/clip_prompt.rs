//! A prompt through a CLIP text encoder and its tokenizer.

use burn::tensor::Tensor;

use crate::error::{Error, Result};
use crate::models::model::Model;
use crate::text_encoders::{CLIPTextModel, CLIPTextOutput, CLIPTokenizer};

/// A text encoder and its tokenizer.
pub(crate) struct ClipPrompt<'a> {
    pub tokenizer: &'a CLIPTokenizer,
    pub text_encoder: &'a CLIPTextModel,
}

impl ClipPrompt<'_> {
    /// The most tokens that a prompt can have.
    pub fn max_length(&self) -> usize {
        let positions = self.text_encoder.config().max_position_embeddings;
        self.tokenizer.model_max_length().map_or(positions, |length| length.min(positions))
    }

    /// Embeds prompts, cut or padded to `max_length` tokens: `[prompts, max_length, hidden_size]`. With `clip_skip`, the
    /// result is that of an earlier layer: this many before the last.
    ///
    /// # Errors
    /// When the encoder has fewer layers than are to be skipped, or another vocabulary than the tokenizer.
    pub fn encode(
        &self,
        prompts: &[String],
        max_length: usize,
        clip_skip: Option<usize>,
    ) -> Result<Tensor<3>> {
        let output = self.forward(prompts, max_length)?;
        let Some(skipped) = clip_skip else { return Ok(output.last_hidden_state) };
        let layers = output.hidden_states.len() - 1;
        if skipped > layers {
            let message = format!("is {skipped}, but the text encoder has {layers} layers");
            return Err(Error::argument("clip_skip", message));
        }
        Ok(self.text_encoder.final_layer_norm(output.hidden_states[layers - skipped].clone()))
    }

    /// Embeds prompts, cut or padded to `max_length` tokens, by the layer that is `skipped` before the last, without the final
    /// norm; and pools them after all layers.
    ///
    /// # Errors
    /// As [`Self::encode`].
    pub fn encode_earlier(
        &self,
        prompts: &[String],
        max_length: usize,
        skipped: usize,
    ) -> Result<EarlierLayer> {
        let output = self.forward(prompts, max_length)?;
        let layers = output.hidden_states.len() - 1;
        if skipped > layers {
            let message = format!("leaves out {skipped} layers, but a text encoder has {layers}");
            return Err(Error::argument("clip_skip", message));
        }
        Ok(EarlierLayer {
            hidden: output.hidden_states[layers - skipped].clone(),
            pooled: output.pooler_output,
        })
    }

    fn forward(&self, prompts: &[String], max_length: usize) -> Result<CLIPTextOutput> {
        let prompts: Vec<String> =
            prompts.iter().map(|prompt| self.tokenizer.maybe_convert_prompt(prompt)).collect();
        let tokens = self.tokenizer.tokenize(&prompts, max_length)?;
        for lost in tokens.truncated.iter().flatten() {
            tracing::warn!(
                "the prompt is longer than the {max_length} tokens that the text encoder takes; this part was cut: {lost}"
            );
        }
        let mask = self.text_encoder.config().use_attention_mask.then_some(&*tokens.attention_mask);
        let output = self.text_encoder.forward(&tokens.input_ids, mask)?;
        self.text_encoder.release_memory();
        Ok(output)
    }
}

/// What [`ClipPrompt::encode_earlier`] computes.
pub(crate) struct EarlierLayer {
    /// `[prompts, tokens, hidden_size]`.
    pub hidden: Tensor<3>,
    /// The last layer's result at the end of each text, after the final norm: `[prompts, hidden_size]`.
    pub pooled: Tensor<2>,
}
