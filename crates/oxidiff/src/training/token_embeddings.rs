//! Textual inversion (Gal et al. 2022, <https://arxiv.org/abs/2208.01618>): a new word is trained instead of a model.

use burn::tensor::{DType, Tensor};

use super::gradients::{Leaves, numbers};
use super::state_file::StateFile;
use super::trained::{ReadParameter, Trained, change_values};
use crate::error::{Error, Result};
use crate::text_encoders::{CLIPTextModel, CLIPTokenizer};

/// The embeddings of a new word, one for each of its tokens.
#[derive(Clone, Debug)]
pub struct TokenEmbeddings {
    tokens: Vec<String>,
    ids: Vec<u32>,
    vocab_size: usize,
    /// `[tokens, features]`.
    vectors: Tensor<2>,
}

/// The path of the vectors.
const VECTORS: &str = "vectors";

impl TokenEmbeddings {
    /// Adds `word` to the tokenizer, with `count` tokens, all with the embedding of the token `initializer`.
    ///
    /// # Errors
    /// When the tokenizer knows the word already, `initializer` is not one token, or `count` is 0.
    pub fn new(
        word: &str,
        initializer: &str,
        count: usize,
        tokenizer: &mut CLIPTokenizer,
        text_encoder: &CLIPTextModel,
    ) -> Result<Self> {
        if count == 0 {
            return Err(Error::argument("num_vectors", "must not be 0"));
        }
        if word.trim().is_empty() {
            return Err(Error::argument("placeholder_token", "is empty"));
        }
        let further = (1..count).map(|number| format!("{word}_{number}"));
        let tokens: Vec<String> = std::iter::once(word.to_owned()).chain(further).collect();
        if let Some(taken) = tokens.iter().find(|token| tokenizer.knows(token)) {
            let message = format!("`{taken}` is in the tokenizer's vocabulary already: choose another word");
            return Err(Error::argument("placeholder_token", message));
        }
        let initial = match tokenizer.tokens(initializer)?[..] {
            [token] => token,
            ref several => {
                let message = format!("`{initializer}` must be one token, but is {}", several.len());
                return Err(Error::argument("initializer_token", message));
            }
        };
        let vector = text_encoder.token_embeddings(&[initial as usize])?;
        let ids = tokenizer.add_tokens(&tokens)?;
        let vectors = vector.cast(DType::F32).repeat_dim(0, count);
        Ok(Self { tokens, ids, vocab_size: tokenizer.vocab_size(), vectors })
    }

    /// The tokens as a caption has them, where they stand for the word.
    pub fn prompt(&self) -> String {
        self.tokens.join(" ")
    }

    /// Puts the vectors into `text_encoder`, which computes with them in `dtype` and records what it does with them.
    ///
    /// # Errors
    /// When the text encoder has fewer tokens than the tokenizer.
    pub fn record(&self, text_encoder: &mut CLIPTextModel, dtype: DType) -> Result<Leaves> {
        let mut leaves = Leaves::default();
        let vectors = leaves.track(VECTORS.to_owned(), self.vectors.clone(), dtype);
        text_encoder.add_embeddings(&self.ids, self.vocab_size, vectors)?;
        Ok(leaves)
    }

    /// Puts the vectors into `text_encoder`, which computes in `dtype`, for calls that are not recorded.
    ///
    /// # Errors
    /// As [`Self::record`].
    pub fn apply(&self, text_encoder: &mut CLIPTextModel, dtype: DType) -> Result<()> {
        text_encoder.add_embeddings(&self.ids, self.vocab_size, self.vectors.clone().cast(dtype))
    }

    /// Adds the vectors to a file that [`load_textual_inversion`](crate::TextualInversionLoader::load_textual_inversion) reads.
    pub fn export(&self, file: &mut StateFile) {
        let shape = self.vectors.dims().to_vec();
        file.put_f32(self.tokens[0].clone(), shape, numbers(self.vectors.clone()));
    }
}

impl Trained for TokenEmbeddings {
    fn changed(mut self, change: &mut dyn FnMut(&str, &mut Vec<f32>)) -> Self {
        self.vectors = change_values(self.vectors, |values| change(VECTORS, values));
        self
    }

    fn read(&self, read: &mut ReadParameter<'_>) {
        read(VECTORS, &self.vectors.dims(), numbers(self.vectors.clone()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::training::trained::from_values;

    #[test]
    fn a_vector_is_changed_by_itself() {
        let vectors = from_values(vec![1.0, 2.0], [1, 2], &burn::tensor::Device::flex(), DType::F32);
        let words = TokenEmbeddings { tokens: vec!["<a>".into()], ids: vec![3], vocab_size: 4, vectors };
        let copy = words.clone().changed(&mut |_, values| values[1] = 5.0);
        let values = |words: &TokenEmbeddings| numbers(words.vectors.clone());
        assert_eq!((values(&copy), values(&words)), (vec![1.0, 5.0], vec![1.0, 2.0]));
    }
}
