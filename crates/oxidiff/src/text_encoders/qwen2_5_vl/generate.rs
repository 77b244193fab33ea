//! Texts that the model writes, also about images.

use super::inputs::Qwen2_5_VLInputs;
use super::positions::{Position, angles, positions};
use super::{Qwen2_5_VLForConditionalGeneration, Qwen2_5_VLTextConfig};
use crate::error::Result;
use crate::models::call::call;
use crate::models::layers::rotary_embedding::text_frequencies;
use crate::models::model::Model;
use crate::text_encoders::language_model::{
    Beginning, Generation, GenerationFile, Writer, check_mask, head, text_positions,
};

impl Qwen2_5_VLForConditionalGeneration {
    /// Writes on after texts, which can have images: the new tokens of each, up to the one that ends the text. Texts are filled up before
    /// they begin. With images, `mm_token_type_ids` are needed, as Python's processor makes them.
    ///
    /// The checkpoint says in `generation_config.json` how tokens are chosen, and which ones end a text. A drawn token takes as many numbers
    /// of the generator as all tokens and texts are: they are those of `torch.multinomial`.
    ///
    /// # Errors
    /// As [`Self::forward`], when the checkpoint has nothing that gives scores to tokens, when `generation_config.json` has an impossible
    /// value or asks for something that is not supported, and when a score is not finite.
    pub fn generate(&self, inputs: &Qwen2_5_VLInputs, generation: Generation<'_>) -> Result<Vec<Vec<u32>>> {
        self.check(inputs)?;
        let mask = check_mask(inputs.input_ids, inputs.attention_mask)?;
        let parts = &self.model.language_model;
        let is_tied = self.config.tie_word_embeddings || self.text.is_tied();
        let head = head(self.lm_head.as_ref(), parts, is_tied, Self::CLASS_NAME)?;
        let configs = [&self.config.other, &self.text.other];
        let choice = GenerationFile::choice_of(self.generation.as_ref(), &configs, generation.temperature)?;
        let positions = self.positions(inputs, &mask)?;
        let device = self.device();
        let beginning = Beginning {
            embedded: call(Self::CLASS_NAME, &device, || self.embed_tokens(inputs, &device))?,
            input_ids: inputs.input_ids,
            angles: angles(&self.text, &positions)?,
            next: next_positions(&positions, &mask),
            mask,
        };
        let writer = Writer {
            class_name: Self::CLASS_NAME,
            parts,
            head: &head,
            frequencies: text_frequencies(self.text.rope_theta()?, self.text.head_dim()),
            window: usize::MAX,
        };
        writer.write(beginning, &choice, generation)
    }

    /// The positions of all tokens, of one text after the other.
    fn positions(&self, inputs: &Qwen2_5_VLInputs, mask: &[Vec<u32>]) -> Result<Vec<Position>> {
        match (inputs.images, inputs.mm_token_type_ids) {
            (Some(images), Some(types)) => {
                let vision = self.config.vision_config.as_ref().expect("checked");
                positions(types, Some(mask), &images.image_grid_thw, vision.spatial_merge_size)
            }
            _ => Ok(text_positions(mask).into_iter().map(|position| [position; 3]).collect()),
        }
    }
}

impl Qwen2_5_VLTextConfig {
    /// Whether older configurations say that scores are products with the table of tokens.
    fn is_tied(&self) -> bool {
        self.other.get("tie_word_embeddings").is_some_and(|tied| tied == true)
    }
}

/// The position of the next token of each text: after the longest side of the last image.
fn next_positions(positions: &[Position], mask: &[Vec<u32>]) -> Vec<usize> {
    let rows = positions.chunks_exact(mask[0].len()).zip(mask);
    let next = rows.map(|(row, mask)| {
        let shown = row.iter().zip(mask).filter(|(_, shown)| **shown != 0);
        shown.flat_map(|(position, _)| position).max().map_or(0, |last| last + 1)
    });
    next.collect()
}
