//! Embeds a prompt with a CLIP text encoder and its tokenizer.

use burn::tensor::Tensor;

use super::chunks::{Chunk, chunks, weigh};
use crate::error::{Error, Result};
use crate::models::model::Model;
use crate::text_encoders::{CLIPTextModel, CLIPTextOutput, CLIPTokenizer};

/// A text encoder and its tokenizer.
pub(crate) struct ClipPrompt<'a> {
    pub tokenizer: &'a CLIPTokenizer,
    pub text_encoder: &'a CLIPTextModel,
    /// Whether brackets change the weights of parts of a prompt, and long prompts are encoded in chunks.
    pub weighting: bool,
}

/// Prompts, embedded by one layer.
pub(crate) struct Embedded {
    /// `[prompts, tokens, hidden_size]`.
    pub hidden: Tensor<3>,
    /// The last layer's result at the end of each text, after the final norm: `[prompts, hidden_size]`.
    pub pooled: Tensor<2>,
}

impl ClipPrompt<'_> {
    /// The maximum number of tokens that the encoder takes.
    fn max_length(&self) -> usize {
        let positions = self.text_encoder.config().max_position_embeddings;
        self.tokenizer.model_max_length().map_or(positions, |length| length.min(positions))
    }

    /// The number of tokens of the prompts' embeddings: a multiple of the encoder's maximum if prompts are encoded in
    /// chunks.
    ///
    /// # Errors
    /// When a prompt cannot be tokenized.
    pub fn length(&self, prompts: &[String]) -> Result<usize> {
        let mut most = 1;
        for prompt in prompts.iter().filter(|_| self.weighting) {
            most = most.max(chunks(self.tokenizer, prompt, self.chunk_length())?.len());
        }
        Ok(most * self.max_length())
    }

    /// The maximum number of tokens of a chunk between start and end.
    fn chunk_length(&self) -> usize {
        self.max_length().saturating_sub(2).max(1)
    }

    /// Embeds prompts, cut or padded to `length` tokens: `[prompts, length, hidden_size]`. With `clip_skip`, the result
    /// comes from an earlier layer: this many before the last.
    ///
    /// # Errors
    /// When the encoder has fewer layers than should be skipped, or another vocabulary than the tokenizer.
    pub fn encode(&self, prompts: &[String], length: usize, clip_skip: Option<usize>) -> Result<Tensor<3>> {
        let embedded = self.embed(prompts, length, |output| {
            let Some(skipped) = clip_skip else { return Ok(output.last_hidden_state.clone()) };
            let layers = output.hidden_states.len() - 1;
            if skipped > layers {
                let message = format!("is {skipped}, but the text encoder has {layers} layers");
                return Err(Error::argument("clip_skip", message));
            }
            Ok(self.text_encoder.final_layer_norm(output.hidden_states[layers - skipped].clone()))
        })?;
        Ok(embedded.hidden)
    }

    /// Embeds prompts, cut or padded to `length` tokens, with the layer that is `skipped` layers before the last, without
    /// the final norm; and pools them after all layers.
    ///
    /// # Errors
    /// As [`Self::encode`].
    pub fn encode_earlier(&self, prompts: &[String], length: usize, skipped: usize) -> Result<Embedded> {
        self.embed(prompts, length, |output| {
            let layers = output.hidden_states.len() - 1;
            if skipped > layers {
                let message = format!("leaves out {skipped} layers, but a text encoder has {layers}");
                return Err(Error::argument("clip_skip", message));
            }
            Ok(output.hidden_states[layers - skipped].clone())
        })
    }

    fn embed(
        &self,
        prompts: &[String],
        length: usize,
        layer: impl Fn(&CLIPTextOutput) -> Result<Tensor<3>>,
    ) -> Result<Embedded> {
        if self.weighting {
            return self.embed_chunks(prompts, length, layer);
        }
        let prompts: Vec<String> =
            prompts.iter().map(|prompt| self.tokenizer.maybe_convert_prompt(prompt)).collect();
        let tokens = self.tokenizer.tokenize(&prompts, length)?;
        for lost in tokens.truncated.iter().flatten() {
            tracing::warn!(
                "the prompt is longer than the {length} tokens that the text encoder takes; this part was cut: {lost}"
            );
        }
        let output = self.forward(&tokens.input_ids, &tokens.attention_mask)?;
        Ok(Embedded { hidden: layer(&output)?, pooled: output.pooler_output })
    }

    /// Embeds the chunks one by one, and applies the weights of their tokens. The pooled embedding of a prompt is that
    /// of its first chunk.
    fn embed_chunks(
        &self,
        prompts: &[String],
        length: usize,
        layer: impl Fn(&CLIPTextOutput) -> Result<Tensor<3>>,
    ) -> Result<Embedded> {
        let max_length = self.max_length();
        let count = (length / max_length).max(1);
        let (mut all, mut ids, mut mask) = (Vec::new(), Vec::new(), Vec::new());
        for prompt in prompts {
            let mut chunks = chunks(self.tokenizer, prompt, self.chunk_length())?;
            for lost in chunks.get(count..).unwrap_or_default() {
                let text = self.tokenizer.decode(&lost.tokens);
                tracing::warn!("the prompt is longer than {length} tokens; this part was cut: {text}");
            }
            chunks.resize(count, Chunk::default());
            for chunk in &chunks {
                let (chunk_ids, chunk_mask) = self.tokenizer.enclose(&chunk.tokens, max_length);
                ids.push(chunk_ids);
                mask.push(chunk_mask);
            }
            all.extend(chunks);
        }
        let output = self.forward(&ids, &mask)?;
        let hidden = layer(&output)?;
        let weighed = all
            .iter()
            .enumerate()
            .map(|(row, chunk)| weigh(hidden.clone().narrow(0, row, 1), &chunk.weights));
        let [_, tokens, features] = hidden.dims();
        let hidden = Tensor::cat(weighed.collect(), 0).reshape([prompts.len(), count * tokens, features]);
        let firsts =
            (0..prompts.len()).map(|prompt| output.pooler_output.clone().narrow(0, prompt * count, 1));
        Ok(Embedded { hidden, pooled: Tensor::cat(firsts.collect(), 0) })
    }

    fn forward(&self, ids: &[Vec<u32>], mask: &[Vec<u32>]) -> Result<CLIPTextOutput> {
        let mask = self.text_encoder.config().use_attention_mask.then_some(mask);
        let output = self.text_encoder.forward(ids, mask)?;
        self.text_encoder.release_memory();
        Ok(output)
    }
}
