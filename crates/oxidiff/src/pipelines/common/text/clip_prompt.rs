//! Embeds a prompt with a CLIP text encoder and its tokenizer.

use burn::tensor::Tensor;

use super::chunks::{Chunk, chunks, weigh};
use crate::error::{Error, Result};
use crate::models::model::Model;
use crate::text_encoders::{CLIPTextModel, CLIPTextOutput, CLIPTokenizer};
use crate::wording::counted;

/// A text encoder and its tokenizer.
pub(crate) struct ClipPrompt<'a> {
    pub tokenizer: &'a CLIPTokenizer,
    pub text_encoder: &'a CLIPTextModel,
    /// The name of the text encoder in the pipeline, for messages.
    pub name: &'static str,
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
    pub fn max_length(&self) -> usize {
        let positions = self.text_encoder.config().max_position_embeddings;
        self.tokenizer.model_max_length().map_or(positions, |length| length.min(positions))
    }

    /// The number of tokens of the prompts' embeddings: a multiple of the encoder's maximum if prompts are encoded in
    /// chunks.
    ///
    /// # Errors
    /// When a prompt cannot be tokenized, or no text fits into the encoder's maximum.
    pub fn length(&self, prompts: &[String]) -> Result<usize> {
        self.check_room()?;
        let mut most = 1;
        for prompt in prompts.iter().filter(|_| self.weighting) {
            most = most.max(chunks(self.tokenizer, prompt, self.chunk_length())?.len());
        }
        Ok(most * self.max_length())
    }

    /// Checks that the start and the end of a text fit, and a token between them if texts are encoded in chunks.
    fn check_room(&self) -> Result<()> {
        let least = if self.weighting { 3 } else { 2 };
        let most = self.max_length();
        if most >= least {
            return Ok(());
        }
        let message = format!(
            "`{}` takes {}, but needs room for at least {least}: see `model_max_length` of its tokenizer \
             and its own `max_position_embeddings`",
            self.name,
            counted(most, "token")
        );
        Err(Error::argument("prompt", message))
    }

    /// The maximum number of tokens of a chunk between start and end.
    fn chunk_length(&self) -> usize {
        self.max_length() - 2
    }

    /// Embeds prompts, cut or padded to `length` tokens: `[prompts, length, hidden_size]`. With `clip_skip`, the result
    /// comes from an earlier layer: this many before the last.
    ///
    /// # Errors
    /// When the encoder has fewer layers than should be skipped, or another vocabulary than the tokenizer.
    pub fn encode(&self, prompts: &[String], length: usize, clip_skip: Option<usize>) -> Result<Tensor<3>> {
        let embedded = self.embed(prompts, length, |output| {
            if clip_skip.is_none() {
                return Ok(output.last_hidden_state.clone());
            }
            Ok(self.text_encoder.final_layer_norm(self.layer(output, 0, clip_skip)?))
        })?;
        Ok(embedded.hidden)
    }

    /// Embeds prompts, cut or padded to `length` tokens, with the layer that is `before_last` layers before the last, and
    /// with `clip_skip` this many more, without the final norm; and pools them after all layers.
    ///
    /// # Errors
    /// As [`Self::encode`].
    pub fn encode_earlier(
        &self,
        prompts: &[String],
        length: usize,
        before_last: usize,
        clip_skip: Option<usize>,
    ) -> Result<Embedded> {
        self.embed(prompts, length, |output| self.layer(output, before_last, clip_skip))
    }

    /// The result of the layer that is `before_last` and `clip_skip` layers before the last.
    fn layer(
        &self,
        output: &CLIPTextOutput,
        before_last: usize,
        clip_skip: Option<usize>,
    ) -> Result<Tensor<3>> {
        let layers = output.hidden_states.len() - 1;
        if layers < before_last {
            let message = format!("is {layers}, but the pipeline uses the layer before the last");
            let file = format!("{}/config.json", self.name);
            return Err(Error::config(file, "num_hidden_layers", message));
        }
        let (skipped, most) = (clip_skip.unwrap_or(0), layers - before_last);
        if skipped > most {
            let message = format!(
                "can be at most {most} with the {} of `{}`, not {skipped}",
                counted(layers, "layer"),
                self.name
            );
            return Err(Error::argument("clip_skip", message));
        }
        Ok(output.hidden_states[most - skipped].clone())
    }

    fn embed(
        &self,
        prompts: &[String],
        length: usize,
        layer: impl Fn(&CLIPTextOutput) -> Result<Tensor<3>>,
    ) -> Result<Embedded> {
        self.check_room()?;
        if self.weighting {
            return self.embed_chunks(prompts, length, layer);
        }
        let prompts: Vec<String> =
            prompts.iter().map(|prompt| self.tokenizer.maybe_convert_prompt(prompt)).collect();
        let tokens = self.tokenizer.tokenize(&prompts, length)?;
        for lost in tokens.truncated.iter().flatten() {
            self.warn_of_cut(length, lost);
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
                self.warn_of_cut(length, &self.tokenizer.decode(&lost.tokens));
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
            .map(|(row, chunk)| weigh(hidden.clone().narrow(0, row, 1), &chunk.weights))
            .collect::<Result<Vec<_>>>()?;
        let [_, tokens, features] = hidden.dims();
        let hidden = Tensor::cat(weighed, 0).reshape([prompts.len(), count * tokens, features]);
        let firsts =
            (0..prompts.len()).map(|prompt| output.pooler_output.clone().narrow(0, prompt * count, 1));
        Ok(Embedded { hidden, pooled: Tensor::cat(firsts.collect(), 0) })
    }

    /// Says which part of a prompt the encoder does not see.
    fn warn_of_cut(&self, length: usize, lost: &str) {
        const SHOWN: usize = 80;
        let more = if lost.chars().nth(SHOWN).is_some() { "..." } else { "" };
        let start: String = lost.chars().take(SHOWN).collect();
        tracing::warn!(
            "the prompt is longer than the {length} tokens that `{}` takes; this part was cut: {start}{more}",
            self.name
        );
    }

    fn forward(&self, ids: &[Vec<u32>], mask: &[Vec<u32>]) -> Result<CLIPTextOutput> {
        let mask = self.text_encoder.config().use_attention_mask.then_some(mask);
        let output = self.text_encoder.forward(ids, mask)?;
        self.text_encoder.release_memory();
        Ok(output)
    }
}
