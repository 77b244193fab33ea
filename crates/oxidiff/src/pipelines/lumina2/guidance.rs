//! How the text guides a run.

use burn::tensor::Tensor;

use crate::error::Result;
use crate::pipelines::common::arguments::check_finite;

#[derive(Clone, Copy, Debug)]
pub(super) struct Guidance {
    /// How far to go from the prediction with the negative prompt towards that with the prompt, and beyond.
    pub scale: f64,
    /// Whether each row of latents keeps the length that it has with the prompt alone.
    pub keeps_lengths: bool,
    /// The part of the steps after which there is no guidance.
    pub truncation: f64,
}

impl Guidance {
    /// # Errors
    /// When a number is not finite.
    pub fn check(self) -> Result<()> {
        check_finite("guidance_scale", self.scale)?;
        check_finite("cfg_trunc_ratio", self.truncation)
    }

    /// Whether there is any.
    pub fn is_on(self) -> bool {
        self.scale > 1.0
    }

    /// Whether there is any in a step.
    pub fn is_on_at(self, step: usize, steps: usize) -> bool {
        self.is_on() && (step + 1) as f64 / steps as f64 <= self.truncation
    }

    /// The guided prediction, from those with the prompt and with the negative prompt.
    pub fn apply(self, positive: Tensor<4>, negative: Tensor<4>) -> Tensor<4> {
        let guided = negative.clone() + (positive.clone() - negative) * self.scale;
        if !self.keeps_lengths {
            return guided;
        }
        let length = |x: &Tensor<4>| x.clone().square().sum_dim(3).sqrt();
        let factor = length(&positive) / length(&guided);
        guided * factor
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;

    #[test]
    fn rows_keep_their_lengths_and_the_last_steps_are_not_guided() {
        let guidance = Guidance { scale: 2.0, keeps_lengths: true, truncation: 0.5 };
        let device = Device::flex();
        let positive = Tensor::<4>::from_data([[[[3.0, 4.0], [0.0, 2.0]]]], &device);
        let negative = Tensor::<4>::from_data([[[[1.0, 4.0], [0.0, 1.0]]]], &device);
        let made: Vec<f32> = guidance.apply(positive, negative).into_data().iter().collect();
        let expected = [5.0 * 5.0 / 41f32.sqrt(), 5.0 * 4.0 / 41f32.sqrt(), 0.0, 2.0];
        assert!(made.iter().zip(expected).all(|(one, other)| (one - other).abs() < 1e-5), "{made:?}");
        let guided: Vec<bool> = (0..4).map(|step| guidance.is_on_at(step, 4)).collect();
        assert_eq!(guided, [true, true, false, false]);
        assert!(!Guidance { scale: 1.0, ..guidance }.is_on());
    }
}
