//! Low-rank additions to linear layers (Hu et al. 2021, <https://arxiv.org/abs/2106.09685>) that are computed beside the weight,
//! so that they can be trained while the weight stays as it is.

use burn::tensor::Tensor;
use oxidiff_kernels::linear;

use super::linear::Linear;
use crate::error::Result;

/// `scale · up · down`, added to the weight of a linear layer.
#[derive(Clone, Debug)]
pub struct LowRank {
    /// `[rank, in_features]`: `A` in the paper.
    pub down: Tensor<2>,
    /// `[out_features, rank]`: `B` in the paper.
    pub up: Tensor<2>,
    /// `α / rank`.
    pub scale: f64,
}

impl LowRank {
    /// The result `y` `[..., out_features]` of the layer for `x` `[..., in_features]`, with the addition.
    pub(crate) fn add_to<const D: usize>(&self, y: Tensor<D>, x: Tensor<D>) -> Tensor<D> {
        let reduced = linear(x, self.down.clone(), None, None);
        let reduced = if self.scale == 1.0 { reduced } else { reduced * self.scale };
        linear(reduced, self.up.clone(), None, Some(y))
    }
}

/// A model whose attention projections, and maybe other layers, can have low-rank additions.
pub trait LowRankTarget {
    /// The projections of every attention, each with its path in the checkpoint, such as
    /// `mid_block.attentions.0.transformer_blocks.0.attn1.to_q`.
    ///
    /// # Errors
    /// When the model has attentions without such projections.
    fn attention_projections_mut(&mut self) -> Result<Vec<(String, &mut Linear)>>;

    /// All layers that can have low-rank additions, with their paths, in the order of the modules in Python: the projections and,
    /// in models that know others, those as well.
    ///
    /// # Errors
    /// As [`Self::attention_projections_mut`].
    fn linear_layers_mut(&mut self) -> Result<Vec<(String, &mut Linear)>> {
        self.attention_projections_mut()
    }
}

/// The layers of a part of a model, with their paths in the model.
pub(crate) fn inside<'a>(
    part: impl Into<String>,
    layers: impl IntoIterator<Item = (String, &'a mut Linear)>,
) -> impl Iterator<Item = (String, &'a mut Linear)> {
    let part = part.into();
    layers.into_iter().map(move |(path, layer)| (format!("{part}.{path}"), layer))
}
