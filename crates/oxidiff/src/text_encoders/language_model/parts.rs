//! The parts of a language model.

use burn::module::Module;
use burn::tensor::{DType, Device, Tensor};

use super::embedding::Layers;
use super::layer::{DecoderLayer, DecoderShape};
use crate::models::layers::linear::Embedding;
use crate::models::layers::normalization::RmsNorm;

/// A language model in a model that does more, such as seeing images.
#[derive(Module, Debug)]
pub struct LanguageModel {
    pub embed_tokens: Embedding,
    pub layers: Vec<DecoderLayer>,
    pub norm: RmsNorm,
}

impl LanguageModel {
    /// A model with this many layers of the same shape.
    pub fn init(shape: &DecoderShape, vocab_size: usize, layers: usize, device: &Device) -> Self {
        Self {
            embed_tokens: Embedding::init(vocab_size, shape.hidden_size, device),
            layers: (0..layers).map(|_| DecoderLayer::init(shape, device)).collect(),
            norm: RmsNorm::init(shape.hidden_size, shape.epsilon, device),
        }
    }

    /// The embedding of tokens `[batch, tokens]`: `[batch, tokens, hidden_size]`.
    pub fn embed(&self, input_ids: &[Vec<u32>], device: &Device) -> Tensor<3> {
        self.embed_tokens.of_texts(input_ids, device)
    }

    /// The layers, and the norm after them.
    pub fn layers(&self) -> Layers<'_> {
        (&self.layers, &self.norm)
    }

    /// The device of the weights.
    pub fn device(&self) -> Device {
        self.norm.weight.val().device()
    }

    /// The element type of the weights.
    pub fn dtype(&self) -> DType {
        self.norm.weight.val().dtype()
    }
}
