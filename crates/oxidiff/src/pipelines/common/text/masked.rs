//! Texts of several lengths that are filled up to the same number of tokens, and masks that say which tokens count.

use burn::tensor::{DType, Device, Tensor, TensorData};

use super::chat::{embed_each, warn_of_truncation};
use crate::error::{Error, Result};
use crate::models::finite::is_finite;
use crate::text_encoders::{T5EncoderModel, T5Tokenizer, TokenizedText};
use crate::wording::counted;

/// Encoded texts, one for each item of a batch.
#[derive(Clone, Debug)]
pub(crate) struct MaskedTexts {
    /// `[batch, tokens, features]`.
    pub tokens: Tensor<3>,
    /// How much each token counts, `[batch, tokens]` in `f32`.
    pub mask: Tensor<2>,
}

impl MaskedTexts {
    /// The texts as T5 encodes them, up to `max_length` tokens each; it does not look at what fills them up. `counts` makes the mask out of
    /// the tokenizer's.
    ///
    /// # Errors
    /// When a text cannot be tokenized, or the encoder refuses it.
    pub fn of_t5(
        (encoder, tokenizer): (&T5EncoderModel, &T5Tokenizer),
        texts: &[String],
        max_length: usize,
        counts: impl Fn(&[u32]) -> Vec<f32>,
    ) -> Result<Self> {
        Self::encoded(
            texts,
            max_length,
            |text| tokenizer.tokenize(&[text], max_length),
            |ids, mask| Ok(encoder.forward(ids, Some(mask))?.last_hidden_state),
            counts,
        )
    }

    /// As [`Self::of_t5`], with another encoder: `encode` embeds tokens, which have a mask.
    ///
    /// # Errors
    /// When a text cannot be tokenized, or the encoder refuses it.
    pub fn encoded(
        texts: &[String],
        max_length: usize,
        tokenize: impl Fn(&str) -> Result<TokenizedText>,
        encode: impl Fn(&[Vec<u32>], &[Vec<u32>]) -> Result<Tensor<3>>,
        counts: impl Fn(&[u32]) -> Vec<f32>,
    ) -> Result<Self> {
        let embedded = embed_each(texts, |text| {
            let tokens = tokenize(text)?;
            warn_of_truncation(tokens.truncated[0].as_deref(), max_length);
            let hidden_states = encode(&tokens.input_ids, &tokens.attention_mask)?;
            Ok((hidden_states, counts(&tokens.attention_mask[0])))
        })?;
        let (tokens, counts): (Vec<_>, Vec<_>) = embedded.into_iter().unzip();
        let tokens = Tensor::cat(tokens, 0);
        let mask = TensorData::new(counts.concat(), [texts.len(), max_length]);
        let mask = Tensor::from_data(mask, (&tokens.device(), DType::F32));
        Ok(Self { tokens, mask })
    }

    /// Texts that were given with their masks, as the arguments of these names, for a model that takes so many features.
    ///
    /// # Errors
    /// When there is no mask, or a shape does not fit.
    pub fn given(
        [tokens_name, mask_name]: [&'static str; 2],
        tokens: &Tensor<3>,
        mask: Option<&Tensor<2>>,
        features: usize,
    ) -> Result<Self> {
        let [texts, length, given] = tokens.dims();
        if length == 0 || given != features {
            let message = format!(
                "has the shape {:?}; the transformer takes at least one token of {features} features",
                tokens.dims()
            );
            return Err(Error::argument(tokens_name, message));
        }
        let mask = mask.ok_or_else(|| {
            Error::argument(mask_name, format!("must be given together with `{tokens_name}`"))
        })?;
        if mask.dims() != [texts, length] {
            let message = format!("has the shape {:?}, must have {:?}", mask.dims(), [texts, length]);
            return Err(Error::argument(mask_name, message));
        }
        if !is_finite(mask) {
            return Err(Error::argument(mask_name, "has values that are not finite"));
        }
        Ok(Self { tokens: tokens.clone(), mask: mask.clone().cast(DType::F32) })
    }

    /// The texts for `copies` images of each of so many prompts, next to each other in the batch; one text may be for all prompts.
    /// Tokens are in `dtype`.
    ///
    /// # Errors
    /// When there is neither one text nor one for each prompt.
    pub fn for_each_image(
        self,
        argument: &'static str,
        [prompts, copies]: [usize; 2],
        dtype: DType,
        device: &Device,
    ) -> Result<Self> {
        let [texts, length, features] = self.tokens.dims();
        let copies = match texts {
            _ if texts == prompts => copies,
            1 => prompts * copies,
            _ => {
                return Err(Error::argument(
                    argument,
                    format!("got {texts} for {}", counted(prompts, "prompt")),
                ));
            }
        };
        let tokens: Tensor<4> = self.tokens.to_device(device).cast(dtype).unsqueeze_dim(1);
        let mask: Tensor<3> = self.mask.to_device(device).unsqueeze_dim(1);
        Ok(Self {
            tokens: tokens.repeat_dim(1, copies).reshape([texts * copies, length, features]),
            mask: mask.repeat_dim(1, copies).reshape([texts * copies, length]),
        })
    }
}
