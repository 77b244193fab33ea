//! Latents in patches of 2 by 2, each a token.

use burn::tensor::Tensor;

/// How many positions of the latents a patch has in each direction.
pub(crate) const PATCH_SIZE: usize = 2;

/// Latents `[images, channels, height, width]` as `[images, 4 * channels, height / 2, width / 2]`.
pub(crate) fn cut(latents: Tensor<4>) -> Tensor<4> {
    let [images, channels, height, width] = latents.dims();
    let (size, rows, columns) = (PATCH_SIZE, height / PATCH_SIZE, width / PATCH_SIZE);
    let cut: Tensor<6> = latents.reshape([images, channels, rows, size, columns, size]);
    cut.permute([0, 1, 3, 5, 2, 4]).reshape([images, channels * size * size, rows, columns])
}

/// The inverse of [`cut`].
pub(crate) fn join(patches: Tensor<4>) -> Tensor<4> {
    let [images, features, rows, columns] = patches.dims();
    let (size, channels) = (PATCH_SIZE, features / PATCH_SIZE.pow(2));
    let cut: Tensor<6> = patches.reshape([images, channels, size, size, rows, columns]);
    cut.permute([0, 1, 4, 2, 5, 3]).reshape([images, channels, rows * size, columns * size])
}

/// Patches `[images, features, rows, columns]` as tokens `[images, tokens, features]`.
pub(crate) fn to_tokens(patches: Tensor<4>) -> Tensor<3> {
    let [images, features, rows, columns] = patches.dims();
    patches.reshape([images, features, rows * columns]).swap_dims(1, 2)
}

/// The inverse of [`to_tokens`].
pub(crate) fn from_tokens(tokens: Tensor<3>, [rows, columns]: [usize; 2]) -> Tensor<4> {
    let [images, _, features] = tokens.dims();
    tokens.swap_dims(1, 2).reshape([images, features, rows, columns])
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Device, TensorData};

    #[test]
    fn patches_and_tokens_can_be_joined_again() {
        let values: Vec<f32> = (0..2 * 3 * 4 * 6).map(|value| value as f32).collect();
        let latents = Tensor::<4>::from_data(TensorData::new(values, [2, 3, 4, 6]), &Device::flex());
        let patches = cut(latents.clone());
        assert_eq!(patches.dims(), [2, 12, 2, 3]);
        // The first patch of the first channel.
        let first: Vec<f32> =
            patches.clone().slice([0..1, 0..4, 0..1, 0..1]).into_data().try_into_vec().unwrap();
        assert_eq!(first, [0.0, 1.0, 6.0, 7.0]);
        let tokens = to_tokens(patches.clone());
        assert_eq!(tokens.dims(), [2, 6, 12]);
        from_tokens(tokens, [2, 3]).into_data().assert_eq(&patches.clone().into_data(), true);
        join(patches).into_data().assert_eq(&latents.into_data(), true);
    }
}
