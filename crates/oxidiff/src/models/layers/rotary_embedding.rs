//! Rotary position embeddings (Su et al. 2021, <https://arxiv.org/abs/2104.09864>): queries and keys are rotated by angles that
//! grow with the position, so that their products depend on distances.

use burn::tensor::{DType, Device, Tensor, TensorData};
use oxidiff_kernels::{Pairs, rotate};

/// The rotations of the tokens of a sequence.
#[derive(Clone, Debug)]
pub struct RotaryEmbedding {
    /// `[tokens, pairs]`, or `[batch * tokens, pairs]` if each item of a batch has its own, in `f32`, as `sin` is.
    cos: Tensor<2>,
    sin: Tensor<2>,
    pairs: Pairs,
}

impl RotaryEmbedding {
    /// Rotations by `angles`, those of one token after those of another; `pairs` says which features of a head belong together.
    /// The tokens are those of one item, for all items of a batch, or those of all items, one after another.
    pub fn new(angles: &[impl Into<f64> + Copy], tokens: usize, pairs: Pairs, device: &Device) -> Self {
        let table = |value: fn(f64) -> f64| {
            let values: Vec<f32> = angles.iter().map(|angle| value((*angle).into()) as f32).collect();
            let data = TensorData::new(values, [tokens, angles.len() / tokens.max(1)]);
            Tensor::from_data(data, (device, DType::F32))
        };
        Self { cos: table(f64::cos), sin: table(f64::sin), pairs }
    }

    /// Rotations whose cosines and sines are known for each feature of a head, `[tokens, dim]`, of which two neighbours belong together.
    pub fn of_features(tables: [Tensor<2>; 2]) -> Self {
        let [cos, sin] = tables.map(|table| {
            let [tokens, dim] = table.dims();
            let pairs: Tensor<3> = table.cast(DType::F32).reshape([tokens, dim / 2, 2]);
            pairs.narrow(2, 0, 1).reshape([tokens, dim / 2])
        });
        Self { cos, sin, pairs: Pairs::Neighbours }
    }

    /// The cosines and sines, which [`Self::of_tables`] takes.
    pub fn tables(&self) -> [Tensor<2>; 2] {
        [self.cos.clone(), self.sin.clone()]
    }

    /// Rotations with the [`Self::tables`] of others.
    pub fn of_tables([cos, sin]: [Tensor<2>; 2], pairs: Pairs) -> Self {
        Self { cos, sin, pairs }
    }

    /// Rotates each head of `x` `[batch, tokens, heads * dim]`.
    pub fn rotate(&self, x: Tensor<3>) -> Tensor<3> {
        let dims @ [batch, tokens, width] = x.dims();
        let rotate = |x: Tensor<3>| rotate(x, self.cos.clone(), self.sin.clone(), self.pairs);
        match self.cos.dims()[0] == tokens {
            true => rotate(x),
            false => rotate(x.reshape([1, batch * tokens, width])).reshape(dims),
        }
    }
}

/// The angles of tokens that each have a position on several axes. A head has `axes_dims[a]` features for axis `a`, half as many
/// pairs; pair `i` of an axis turns `theta^(-2 i / axes_dims[a])` per step.
pub fn axial_angles<const A: usize>(theta: f64, axes_dims: [usize; A], positions: &[[f64; A]]) -> Vec<f64> {
    let frequencies = axes_dims.map(|dim| {
        let frequency = |pair: usize| 1.0 / theta.powf((2 * pair) as f64 / dim as f64);
        (0..dim / 2).map(frequency).collect::<Vec<f64>>()
    });
    let angles = positions.iter().flat_map(|position| {
        let axes = position.iter().zip(&frequencies);
        axes.flat_map(|(position, axis)| axis.iter().map(move |frequency| position * frequency))
    });
    angles.collect()
}

/// How far the pairs of a head of length `dim` turn per step, rounded to `f32` where language models do.
pub fn text_frequencies(theta: f64, dim: usize) -> Vec<f32> {
    let frequency = |pair: usize| {
        let exponent = (2 * pair) as f32 / dim as f32;
        1.0 / (theta.powf(f64::from(exponent)) as f32)
    };
    (0..dim / 2).map(frequency).collect()
}

/// The angles of the first `tokens` positions of a text for heads of length `dim`, rounded to `f32` where language models do.
pub fn text_angles(theta: f64, dim: usize, tokens: usize) -> Vec<f32> {
    angles_at(0..tokens, &text_frequencies(theta, dim))
}

/// The angles at these positions of pairs that turn so far per step.
pub fn angles_at(positions: impl IntoIterator<Item = usize>, frequencies: &[f32]) -> Vec<f32> {
    let angles = positions
        .into_iter()
        .flat_map(|position| frequencies.iter().map(move |frequency| position as f32 * frequency));
    angles.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn angles_are_grouped_by_axis() {
        let angles = axial_angles(100.0, [4, 2], &[[0.0, 0.0], [3.0, 5.0]]);
        assert_eq!(
            angles.iter().map(|angle| *angle as f32).collect::<Vec<_>>(),
            [0.0, 0.0, 0.0, 3.0, 0.3, 5.0]
        );
        assert_eq!(text_angles(100.0, 4, 3), [0.0, 0.0, 1.0, 0.1, 2.0, 0.2]);
    }
}
