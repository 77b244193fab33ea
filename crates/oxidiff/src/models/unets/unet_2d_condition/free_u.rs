//! FreeU (Si et al. 2023, <https://arxiv.org/abs/2309.11497>): in the two up blocks at the lowest resolutions, features of the backbone
//! are amplified, and low frequencies of the skips damped.

use burn::tensor::{DType, Tensor, TensorData};

use super::UNet2DConditionModel;
use crate::error::{Error, Result};

/// The factors of FreeU. As in Python, a factor of 0 turns all of it off.
///
/// ```
/// use oxidiff::FreeU;
///
/// // For Stable Diffusion 1.5, as its authors recommend.
/// let factors = FreeU { s1: 0.9, s2: 0.2, b1: 1.5, b2: 1.6 };
/// # let _ = factors;
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FreeU {
    /// Factor of the low frequencies of the skips in the first up block.
    pub s1: f64,
    /// Factor of the low frequencies of the skips in the second up block.
    pub s2: f64,
    /// Factor of one half of the backbone's channels in the first up block.
    pub b1: f64,
    /// Factor of one half of the backbone's channels in the second up block.
    pub b2: f64,
}

/// The factors of one up block.
#[derive(Clone, Copy, Debug)]
pub(in crate::models) struct FreeUStage {
    skip: f64,
    backbone: f64,
}

impl FreeU {
    /// The factors of an up block; `None` for those that stay as they are. As in Python, a factor of 0 turns all of it off.
    pub(super) fn stage(&self, up_block: usize) -> Option<FreeUStage> {
        if [self.s1, self.s2, self.b1, self.b2].contains(&0.0) {
            return None;
        }
        match up_block {
            0 => Some(FreeUStage { skip: self.s1, backbone: self.b1 }),
            1 => Some(FreeUStage { skip: self.s2, backbone: self.b2 }),
            _ => None,
        }
    }
}

impl FreeUStage {
    /// The backbone's features `x`, and the skip that it is joined with, `[batch, channels, height, width]`.
    pub fn apply(self, x: Tensor<4>, skip: Tensor<4>) -> (Tensor<4>, Tensor<4>) {
        let channels = x.dims()[1];
        let half = channels / 2;
        let amplified = x.clone().narrow(1, 0, half) * self.backbone;
        let x = match half {
            0 => x,
            half => Tensor::cat(vec![amplified, x.narrow(1, half, channels - half)], 1),
        };
        let dtype = skip.dtype();
        let skip = skip.cast(DType::F32);
        let low = low_frequencies(skip.clone());
        (x, (skip + low * (self.skip - 1.0)).cast(dtype))
    }
}

/// The part of each channel whose frequencies are 0 and -1 along each side: the middle of its spectrum.
///
/// With the frequency -1, the real part of the sum over both frequencies in each direction is
/// `(J + C) x (J + C)' - S x S'`, divided by the number of positions, where `J` is 1 everywhere, and `C` and `S` are the cosine and
/// the sine of the distance of two positions in units of the whole side.
fn low_frequencies(x: Tensor<4>) -> Tensor<4> {
    let [batch, channels, height, width] = x.dims();
    let device = x.device();
    let matrices = |side: usize| {
        let angle = |index: usize| {
            let (to, from) = ((index / side) as f64, (index % side) as f64);
            std::f64::consts::TAU * (to - from) / side as f64
        };
        // A side of one position has only the frequency 0.
        let even = |index| if side == 1 { 1.0 } else { 1.0 + f64::cos(angle(index)) };
        let odd = |index| if side == 1 { 0.0 } else { f64::sin(angle(index)) };
        let matrix = |value: &dyn Fn(usize) -> f64| {
            let values: Vec<f32> = (0..side * side).map(|index| value(index) as f32).collect();
            Tensor::<2>::from_data(TensorData::new(values, [side, side]), (&device, DType::F32))
        };
        [matrix(&even), matrix(&odd)]
    };
    let [even_rows, odd_rows] = matrices(height);
    let [even_columns, odd_columns] = matrices(width);
    let along_columns =
        |matrix: Tensor<2>| x.clone().reshape([batch * channels * height, width]).matmul(matrix.transpose());
    let along_rows = |x: Tensor<2>, matrix: Tensor<2>| {
        let x = x
            .reshape([batch * channels, height, width])
            .swap_dims(1, 2)
            .reshape([batch * channels * width, height]);
        x.matmul(matrix.transpose()).reshape([batch * channels, width, height]).swap_dims(1, 2)
    };
    let even = along_rows(along_columns(even_columns), even_rows);
    let odd = along_rows(along_columns(odd_columns), odd_rows);
    ((even - odd) / (height * width) as f64).reshape([batch, channels, height, width])
}

impl UNet2DConditionModel {
    /// Turns FreeU on.
    ///
    /// # Errors
    /// When a factor is not finite.
    pub fn enable_freeu(&mut self, factors: FreeU) -> Result<()> {
        let FreeU { s1, s2, b1, b2 } = factors;
        for (name, factor) in [("s1", s1), ("s2", s2), ("b1", b1), ("b2", b2)] {
            if !factor.is_finite() {
                return Err(Error::argument(name, format!("cannot be {factor}")));
            }
        }
        self.freeu = Some(factors);
        Ok(())
    }

    /// Turns FreeU off.
    pub fn disable_freeu(&mut self) {
        self.freeu = None;
    }
}
