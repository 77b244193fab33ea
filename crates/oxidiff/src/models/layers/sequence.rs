//! The tokens of several items as one sequence without padding: `[1, tokens, dim]`, those of one item after those of another. Only
//! attention and modulation need to know where an item ends.

use burn::module::Module;
use burn::tensor::{DType, Tensor};

use super::normalization::RmsNorm;
use super::rotary_embedding::RotaryEmbedding;

/// Where the items of a sequence are, and what rotates their tokens. It has no parameters.
#[derive(Module, Debug)]
pub struct Sequence {
    #[module(skip)]
    lengths: Vec<usize>,
    #[module(skip)]
    rotary: RotaryEmbedding,
    /// How many tokens after each other each row of a modulation is for, where it is not for whole items.
    #[module(skip)]
    runs: Option<Vec<(usize, usize)>>,
}

impl Sequence {
    /// The sequence of items with so many tokens each; `rotary` rotates those of all items.
    pub fn new(lengths: Vec<usize>, rotary: RotaryEmbedding) -> Self {
        Self { lengths, rotary, runs: None }
    }

    /// The same sequence, whose tokens are modulated by other rows than one for each item: so many tokens by the row of this number,
    /// then so many by another, and so on for all tokens.
    pub fn with_runs(self, runs: impl IntoIterator<Item = (usize, usize)>) -> Self {
        let mut merged: Vec<(usize, usize)> = Vec::new();
        for (tokens, row) in runs {
            match merged.last_mut() {
                Some((before, same)) if *same == row => *before += tokens,
                _ => merged.push((tokens, row)),
            }
        }
        Self { runs: Some(merged), ..self }
    }

    /// The same sequence with other rotations.
    pub fn with_rotary(self, rotary: RotaryEmbedding) -> Self {
        Self { rotary, ..self }
    }

    pub fn rotary(&self) -> &RotaryEmbedding {
        &self.rotary
    }

    /// The tokens of each item, `[1, tokens, features]`.
    pub fn split(&self, x: &Tensor<3>) -> Vec<Tensor<3>> {
        if self.lengths.len() == 1 {
            return vec![x.clone()];
        }
        let mut start = 0;
        let items = self.lengths.iter().map(|length| {
            let item = x.clone().narrow(1, start, *length);
            start += length;
            item
        });
        items.collect()
    }

    /// Computes the result of each item from the tokens of that item alone, `[items, tokens, features]`: all at once if they have
    /// the same length.
    pub fn by_item<const N: usize>(
        &self,
        tensors: [Tensor<3>; N],
        compute: impl Fn([Tensor<3>; N]) -> Tensor<3>,
    ) -> Tensor<3> {
        let (items, length) = (self.lengths.len(), self.lengths[0]);
        if self.lengths.iter().all(|other| *other == length) {
            let batch = tensors.map(|tensor| {
                let features = tensor.dims()[2];
                tensor.reshape([items, length, features])
            });
            let result = compute(batch);
            let features = result.dims()[2];
            return result.reshape([1, items * length, features]);
        }
        let tensors = tensors.map(|tensor| self.split(&tensor));
        let results = (0..items).map(|item| compute(tensors.each_ref().map(|tensor| tensor[item].clone())));
        Tensor::cat(results.collect(), 1)
    }

    /// Normalizes `x` and multiplies it by `factors` `[rows, features]`, if there are some: a row for all items or one for each, or as
    /// the runs of the sequence say.
    pub fn scaled_norm(&self, norm: &RmsNorm, x: Tensor<3>, factors: Option<&Tensor<2>>) -> Tensor<3> {
        let Some(factors) = factors else { return norm.forward(x) };
        let row = |item: usize| factors.clone().narrow(0, item, 1).squeeze_dim::<1>(0);
        self.by_row(x, factors.dims()[0], |x, item| norm.forward_scaled(x, row(item)))
    }

    /// Computes the result of all tokens with the only row, or of each item with its own one of `rows`, or of each run with its row.
    pub fn by_row(
        &self,
        x: Tensor<3>,
        rows: usize,
        compute: impl Fn(Tensor<3>, usize) -> Tensor<3>,
    ) -> Tensor<3> {
        if rows == 1 {
            return compute(x, 0);
        }
        if let Some(runs) = &self.runs {
            let mut start = 0;
            let results = runs.iter().map(|(tokens, row)| {
                let run = x.clone().narrow(1, start, *tokens);
                start += tokens;
                compute(run, *row)
            });
            return Tensor::cat(results.collect(), 1);
        }
        let items = self.split(&x).into_iter().enumerate().map(|(item, x)| compute(x, item));
        Tensor::cat(items.collect(), 1)
    }
}

/// Multiplies tokens `[1, tokens, features]` by `factors` `[features]` in the element type of the tokens.
pub(super) fn multiplied(x: Tensor<3>, factors: Tensor<1>) -> Tensor<3> {
    let dtype = x.dtype();
    (x.cast(DType::F32) * factors.cast(DType::F32).unsqueeze()).cast(dtype)
}
