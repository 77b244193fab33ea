//! Operations that only move pixels: images as tokens and back, joined channels, nearest-neighbour resizing.

use burn::backend::Flex;
use burn::tensor::ops::{InterpolateMode, InterpolateOptions};
use burn::tensor::{DType, Tensor, module};
use half::{bf16, f16};

use super::gradients;
use super::recording::{NEAREST, Recorded, integer, record};
use crate::cpu;

/// An image `[batch, channels, height, width]` as tokens `[batch, height * width, channels]`: a view if the channels of a pixel
/// are neighbours in memory, else a copy.
pub fn to_tokens(x: Tensor<4>) -> Tensor<3> {
    let [batch, channels, height, width] = x.dims();
    x.permute([0, 2, 3, 1]).reshape([batch, height * width, channels])
}

/// Tokens `[batch, height * width, channels]` as an image `[batch, channels, height, width]`, without a copy.
pub fn to_image(x: Tensor<3>, height: usize, width: usize) -> Tensor<4> {
    let [batch, _, channels] = x.dims();
    x.reshape([batch, height, width, channels]).permute([0, 3, 1, 2])
}

/// The channels of `x` `[batch, channels, height, width]`, followed by those of `y`.
///
/// # Panics
/// When the other dimensions differ.
pub fn join_channels(x: Tensor<4>, y: Tensor<4>) -> Tensor<4> {
    if let Some(differentiable) = gradients::images::join_channels(&x, &y) {
        return differentiable;
    }
    let primitives = (x.clone().try_into_primitive::<Flex>(), y.clone().try_into_primitive::<Flex>());
    let (Ok(x_flex), Ok(y_flex)) = primitives else { return Tensor::cat(vec![x, y], 1) };
    Tensor::from_primitive::<Flex>(match (x_flex.dtype(), y_flex.dtype()) {
        (DType::F32, DType::F32) => cpu::images::join_channels::<f32>(x_flex, y_flex),
        (DType::F16, DType::F16) => cpu::images::join_channels::<f16>(x_flex, y_flex),
        (DType::BF16, DType::BF16) => cpu::images::join_channels::<bf16>(x_flex, y_flex),
        _ => return Tensor::cat(vec![x, y], 1),
    })
}

/// Resizes `x` `[batch, channels, height, width]` to `size` (height, width): each pixel of the result is a copy of the nearest
/// one, as PyTorch's `interpolate` chooses it.
///
/// # Panics
/// When a side is empty.
pub fn nearest(x: Tensor<4>, size: [usize; 2]) -> Tensor<4> {
    if let Some(differentiable) = gradients::images::nearest(&x, size) {
        return differentiable;
    }
    let Ok(x_flex) = x.clone().try_into_primitive::<Flex>() else {
        let Some(recorded) = Recorded::of(&x) else { return nearest_plain(x, size) };
        let [batch, channels, _, _] = x.dims();
        let shape = [batch, channels, size[0], size[1]];
        return record(NEAREST, vec![recorded], size.map(integer).to_vec(), shape);
    };
    Tensor::from_primitive::<Flex>(match x_flex.dtype() {
        DType::F32 => cpu::images::nearest::<f32>(x_flex, size),
        DType::F16 => cpu::images::nearest::<f16>(x_flex, size),
        DType::BF16 => cpu::images::nearest::<bf16>(x_flex, size),
        _ => return nearest_plain(x, size),
    })
}

/// The plain expression: Burn's own operation.
pub(super) fn nearest_plain(x: Tensor<4>, size: [usize; 2]) -> Tensor<4> {
    module::interpolate(x, InterpolateOptions::new(InterpolateMode::Nearest).with_output_size(size))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::testing;

    fn random(shape: [usize; 4], dtype: DType) -> Tensor<4> {
        testing::random(shape, 1.0).cast(dtype)
    }

    fn assert_same(found: Tensor<4>, expected: Tensor<4>) {
        assert_eq!(found.dtype(), expected.dtype());
        assert_eq!(found.dims(), expected.dims());
        let [found, expected] = [found, expected].map(|x| x.cast(DType::F32).into_data());
        assert_eq!(found.as_slice::<f32>(), expected.as_slice::<f32>());
    }

    #[test]
    fn joins_channels_of_images_in_either_order() {
        for dtype in [DType::F32, DType::BF16] {
            let (x, y) = (random([2, 3, 4, 5], dtype), random([2, 4, 5, 7], dtype).permute([0, 3, 1, 2]));
            assert_same(join_channels(x.clone(), y.clone()), Tensor::cat(vec![x, y], 1));
        }
    }

    #[test]
    fn nearest_equals_the_plain_operation() {
        for size in [[6, 10], [12, 20], [7, 3], [6, 11]] {
            for dtype in [DType::F32, DType::F16] {
                let x = random([2, 3, 6, 10], dtype);
                assert_same(nearest(x.clone(), size), nearest_plain(x, size));
            }
        }
    }

    #[test]
    fn tokens_and_images_are_two_views() {
        let image = random([2, 3, 4, 5], DType::F32);
        let tokens = to_tokens(image.clone());
        assert_eq!(tokens.dims(), [2, 20, 3]);
        assert_same(to_image(tokens, 4, 5), image);
    }
}
