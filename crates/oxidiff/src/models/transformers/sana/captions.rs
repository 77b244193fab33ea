//! The captions that the blocks attend to.

use burn::tensor::{DType, Device, Int, Tensor};

use super::sizes::Sizes;
use crate::error::{Error, Result};
use crate::models::layers::caption_projection::CaptionProjection;
use crate::models::layers::normalization::RmsNorm;

/// Added to the mean square in the norm of captions.
const EPSILON: f64 = 1e-5;

/// The norm after the projection.
pub(super) fn caption_norm(sizes: &Sizes, device: &Device) -> RmsNorm {
    RmsNorm::init(sizes.dim(), EPSILON, device)
}

/// The tokens of captions that count, for the items of a batch.
pub(super) struct Captions {
    /// For some items next to each other whose captions are equally long: their number, and `[items, tokens, dim]`.
    groups: Vec<(usize, Tensor<3>)>,
}

impl Captions {
    /// The captions of a batch, `[batch, tokens, features]`, without the tokens that `counting` leaves out.
    pub fn new(text: Tensor<3>, counting: Option<&[Vec<usize>]>) -> Self {
        let Some(items) = counting else { return Self { groups: vec![(text.dims()[0], text)] } };
        let mut start = 0;
        let groups = items.chunk_by(|one, next| one.len() == next.len()).map(|group| {
            let texts = group.iter().enumerate().map(|(index, tokens)| {
                let indices: Vec<i64> = tokens.iter().map(|token| *token as i64).collect();
                let indices = Tensor::<1, Int>::from_data(indices.as_slice(), &text.device());
                text.clone().narrow(0, start + index, 1).select(1, indices)
            });
            let texts = Tensor::cat(texts.collect(), 0);
            start += group.len();
            (group.len(), texts)
        });
        Self { groups: groups.collect() }
    }

    /// Takes them apart: the number of items of each group, and their tokens.
    pub fn into_parts(self) -> (Vec<usize>, Vec<Tensor<3>>) {
        self.groups.into_iter().unzip()
    }

    /// The parts as one, as tokens of the blocks.
    pub fn embedded(
        items: &[usize],
        texts: Vec<Tensor<3>>,
        projection: &CaptionProjection,
        norm: &RmsNorm,
    ) -> Self {
        let texts = texts.into_iter().map(|text| norm.forward(projection.forward(text)));
        Self { groups: items.iter().copied().zip(texts).collect() }
    }

    /// The results of `attend` for queries `[batch, tokens, features]` and the captions of the same items.
    pub fn for_each_group(
        &self,
        query: Tensor<3>,
        attend: impl Fn(Tensor<3>, Tensor<3>) -> Tensor<3>,
    ) -> Tensor<3> {
        if let [(_, text)] = self.groups.as_slice() {
            return attend(query, text.clone());
        }
        let mut start = 0;
        let parts = self.groups.iter().map(|(items, text)| {
            let query = query.clone().narrow(0, start, *items);
            start += items;
            attend(query, text.clone())
        });
        Tensor::cat(parts.collect(), 0)
    }
}

/// The numbers of the tokens of each text that count, by a mask `[batch, tokens]`. If none of a text do, Python lets all count.
///
/// # Errors
/// When the mask has values other than 0 and 1.
pub(super) fn counting(mask: &Tensor<2>) -> Result<Vec<Vec<usize>>> {
    let tokens = mask.dims()[1];
    let values: Vec<f32> = mask.clone().cast(DType::F32).into_data().iter().collect();
    if let Some(other) = values.iter().find(|value| ![0.0, 1.0].contains(*value)) {
        let message = format!("has the value {other}; 1 is for tokens that count, 0 for others");
        return Err(Error::argument("encoder_attention_mask", message));
    }
    let of_text = |values: &[f32]| {
        let own: Vec<usize> = (0..tokens).filter(|token| values[*token] == 1.0).collect();
        if own.is_empty() { (0..tokens).collect() } else { own }
    };
    Ok(values.chunks(tokens.max(1)).map(of_text).collect())
}
