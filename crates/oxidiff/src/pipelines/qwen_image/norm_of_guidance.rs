//! Guidance that leaves each token as long as it was: only its direction changes.

use burn::tensor::Tensor;

/// From the prediction with the negative prompt beyond that with the prompt, each `[images, tokens, features]`, by a factor.
pub(super) fn guided(positive: Tensor<3>, negative: Tensor<3>, scale: f64) -> Tensor<3> {
    let length = |x: &Tensor<3>| x.clone().square().sum_dim(2).sqrt();
    let beyond = negative.clone() + (positive.clone() - negative) * scale;
    let factor = length(&positive) / length(&beyond);
    beyond * factor
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;

    #[test]
    fn the_length_of_a_token_stays() {
        let device = Device::flex();
        let positive = Tensor::<3>::from_data([[[3.0, 4.0], [0.0, 2.0]]], &device);
        let negative = Tensor::<3>::from_data([[[1.0, 4.0], [0.0, 1.0]]], &device);
        let made: Vec<f32> = guided(positive, negative, 2.0).into_data().iter().collect();
        let expected = [5.0 * 5.0 / 41f32.sqrt(), 5.0 * 4.0 / 41f32.sqrt(), 0.0, 2.0];
        assert!(made.iter().zip(expected).all(|(one, other)| (one - other).abs() < 1e-5), "{made:?}");
    }
}
