//! Masks of texts that are filled up to the same number of tokens.

use burn::tensor::{DType, Tensor};

/// Which tokens of each text a mask `[texts, tokens]` lets count: those with a value other than 0.
pub fn counting_tokens(mask: &Tensor<2>) -> Vec<Vec<bool>> {
    let tokens = mask.dims()[1].max(1);
    let values: Vec<f32> = mask.clone().cast(DType::F32).into_data().iter().collect();
    values.chunks(tokens).map(|text| text.iter().map(|value| *value != 0.0).collect()).collect()
}
