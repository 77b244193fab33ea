//! Group normalization (Wu & He 2018, <https://arxiv.org/abs/1803.08494>), fused with the activation that follows it in
//! every residual block.

use burn::backend::Flex;
use burn::tensor::{Bytes, DType, Tensor, activation};
use burn_flex::{FlexTensor, Layout};
use half::{bf16, f16};
use multiversion::multiversion;
use rayon::prelude::*;

use crate::exponential::silu;
use crate::half_precision::Storage;

/// What happens to the normalized value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupNormActivation {
    /// Nothing.
    None,
    /// `x * sigmoid(x)`.
    Silu,
}

/// Normalizes each of `groups` groups of channels to mean 0 and variance 1, then applies `weight` and `bias` per channel
/// and the activation.
///
/// Shapes: `x` `[batch, channels, height, width]`, `weight` and `bias` `[channels]`; the result has the shape and element
/// type of `x`. Statistics are computed in `f32` whatever the element type.
///
/// # Panics
/// When the channels do not divide into `groups`, or the parameters do not have one value a channel.
pub fn group_norm(
    x: Tensor<4>,
    groups: usize,
    weight: Tensor<1>,
    bias: Tensor<1>,
    epsilon: f64,
    activation: GroupNormActivation,
) -> Tensor<4> {
    let channels = x.dims()[1];
    assert_eq!(channels % groups, 0, "{channels} channels do not divide into {groups} groups");
    assert_eq!(weight.dims(), [channels], "one weight a channel");
    assert_eq!(bias.dims(), [channels], "one bias a channel");

    let primitives = (
        x.clone().try_into_primitive::<Flex>(),
        weight.clone().try_into_primitive::<Flex>(),
        bias.clone().try_into_primitive::<Flex>(),
    );
    let (Ok(x_flex), Ok(weight_flex), Ok(bias_flex)) = primitives else {
        return group_norm_plain(x, groups, weight, bias, epsilon, activation);
    };
    drop(x);
    let parameters = (weight_flex, bias_flex);
    Tensor::from_primitive::<Flex>(match x_flex.dtype() {
        DType::F32 => group_norm_cpu::<f32>(x_flex, groups, parameters, epsilon as f32, activation),
        DType::F16 => group_norm_cpu::<f16>(x_flex, groups, parameters, epsilon as f32, activation),
        DType::BF16 => group_norm_cpu::<bf16>(x_flex, groups, parameters, epsilon as f32, activation),
        _ => {
            let x = Tensor::from_primitive::<Flex>(x_flex);
            return group_norm_plain(x, groups, weight, bias, epsilon, activation);
        }
    })
}

/// The same in Burn's own operations.
fn group_norm_plain(
    x: Tensor<4>,
    groups: usize,
    weight: Tensor<1>,
    bias: Tensor<1>,
    epsilon: f64,
    activation: GroupNormActivation,
) -> Tensor<4> {
    let shape = x.dims();
    let [batch, channels, height, width] = shape;
    let dtype = x.dtype();
    let half = matches!(dtype, DType::F16 | DType::BF16);
    let x = if half { x.cast(DType::F32) } else { x };

    let grouped = x.reshape([batch, groups, channels / groups * height * width]);
    let mean = grouped.clone().mean_dim(2);
    let centred = grouped - mean;
    let variance = centred.clone().square().mean_dim(2);
    let normalized = (centred / (variance + epsilon).sqrt()).reshape(shape);

    let per_channel = |parameter: Tensor<1>| {
        let parameter = parameter.reshape([1, channels, 1, 1]);
        if half { parameter.cast(DType::F32) } else { parameter }
    };
    let y = normalized * per_channel(weight) + per_channel(bias);
    let y = match activation {
        GroupNormActivation::None => y,
        GroupNormActivation::Silu => activation::silu(y),
    };
    if half { y.cast(dtype) } else { y }
}

fn group_norm_cpu<T: Storage>(
    x: FlexTensor,
    groups: usize,
    (weight, bias): (FlexTensor, FlexTensor),
    epsilon: f32,
    activation: GroupNormActivation,
) -> FlexTensor {
    let x = x.to_contiguous();
    let weight = channel_parameter::<T>(weight);
    let bias = channel_parameter::<T>(bias);
    let shape = x.layout().shape().clone();
    let channels = shape[1];
    let plane = shape[2] * shape[3];
    let channels_per_group = channels / groups;
    let input = x.as_slice::<T>().expect("contiguous, of the type just matched");

    let mut output = vec![T::zeroed(); input.len()];
    let group_len = (channels_per_group * plane).max(1);
    output.par_chunks_mut(group_len).zip(input.par_chunks(group_len)).enumerate().for_each(
        |(index, (out_group, in_group))| {
            let (mean, variance) = mean_and_variance(in_group);
            let inverse_deviation = 1.0 / (variance + epsilon).sqrt();
            let first_channel = index % groups * channels_per_group;
            let planes = out_group.chunks_mut(plane.max(1)).zip(in_group.chunks(plane.max(1)));
            for (offset, (out_plane, in_plane)) in planes.enumerate() {
                let scale = inverse_deviation * weight[first_channel + offset];
                let shift = bias[first_channel + offset] - mean * scale;
                match activation {
                    GroupNormActivation::None => affine(out_plane, in_plane, scale, shift),
                    GroupNormActivation::Silu => affine_silu(out_plane, in_plane, scale, shift),
                }
            }
        },
    );
    FlexTensor::new(Bytes::from_elems(output), Layout::contiguous(shape), T::dtype())
}

#[multiversion(targets("x86_64+avx512f", "x86_64+avx2+fma", "aarch64+neon"))]
fn affine<T: Storage>(out: &mut [T], input: &[T], scale: f32, shift: f32) {
    for (out, x) in out.iter_mut().zip(input) {
        *out = T::narrow(x.widen() * scale + shift);
    }
}

#[multiversion(targets("x86_64+avx512f", "x86_64+avx2+fma", "aarch64+neon"))]
fn affine_silu<T: Storage>(out: &mut [T], input: &[T], scale: f32, shift: f32) {
    for (out, x) in out.iter_mut().zip(input) {
        *out = T::narrow(silu(x.widen() * scale + shift));
    }
}

/// A weight or bias in `f32`; its storage type may differ from that of the activations.
fn channel_parameter<T: Storage>(parameter: FlexTensor) -> Vec<f32> {
    fn widen<S: Storage>(parameter: &FlexTensor) -> Vec<f32> {
        parameter.as_slice::<S>().expect("contiguous").iter().map(|value| value.widen()).collect()
    }
    let parameter = parameter.to_contiguous();
    match parameter.dtype() {
        DType::F32 => widen::<f32>(&parameter),
        DType::F16 => widen::<f16>(&parameter),
        DType::BF16 => widen::<bf16>(&parameter),
        other => panic!("a {:?} group norm has no kernel for {other:?} parameters", T::dtype()),
    }
}

/// Mean and (biased) variance.
fn mean_and_variance<T: Storage>(values: &[T]) -> (f32, f32) {
    let count = values.len() as f64;
    let mean = (sum_of(values, |x| x) / count) as f32;
    let variance = sum_of(values, |x| (x - mean) * (x - mean)) / count;
    (mean, variance as f32)
}

/// Sums short blocks in `f32` and the blocks in `f64`, so that the sum stays exact to `f32` rounding for any length.
fn sum_of<T: Storage>(values: &[T], term: impl Fn(f32) -> f32) -> f64 {
    const LANES: usize = 16;
    const BLOCK: usize = 1024;
    let block_sum = |block: &[T]| -> f64 {
        let mut lanes = [0.0f32; LANES];
        for chunk in block.chunks(LANES) {
            for (lane, value) in lanes.iter_mut().zip(chunk) {
                *lane += term(value.widen());
            }
        }
        lanes.iter().map(|&lane| f64::from(lane)).sum()
    };
    values.chunks(BLOCK).map(block_sum).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Device, Distribution};

    fn check(
        shape: [usize; 4],
        groups: usize,
        activation: GroupNormActivation,
        dtype: DType,
        tolerance: f32,
    ) {
        let device = Device::flex();
        let channels = shape[1];
        let x = Tensor::<4>::random(shape, Distribution::Normal(3.0, 2.0), &device).cast(dtype);
        let weight = Tensor::<1>::random([channels], Distribution::Default, &device).cast(dtype);
        let bias = Tensor::<1>::random([channels], Distribution::Default, &device).cast(dtype);
        let fast = group_norm(x.clone(), groups, weight.clone(), bias.clone(), 1e-5, activation);
        let plain = group_norm_plain(x, groups, weight, bias, 1e-5, activation);
        assert_eq!(fast.dtype(), dtype);
        let difference = (fast.cast(DType::F32) - plain.cast(DType::F32)).abs().max().into_scalar::<f32>();
        assert!(difference <= tolerance, "{shape:?} in {groups} groups, {dtype:?}: off by {difference}");
    }

    #[test]
    fn equals_the_plain_expression() {
        for activation in [GroupNormActivation::None, GroupNormActivation::Silu] {
            for (shape, groups) in
                [([1, 4, 1, 1], 2), ([2, 6, 3, 5], 3), ([1, 32, 17, 9], 32), ([3, 8, 16, 16], 1)]
            {
                check(shape, groups, activation, DType::F32, 1e-5);
                check(shape, groups, activation, DType::BF16, 4e-2);
                check(shape, groups, activation, DType::F16, 5e-3);
            }
        }
    }

    #[test]
    fn takes_a_permuted_input() {
        let device = Device::flex();
        let x = Tensor::<4>::random([2, 5, 7, 8], Distribution::Default, &device);
        let ones = Tensor::<1>::ones([8], &device);
        let zeros = Tensor::<1>::zeros([8], &device);
        let activation = GroupNormActivation::None;
        let view = x.permute([0, 3, 1, 2]);
        let plain = group_norm_plain(view.clone(), 4, ones.clone(), zeros.clone(), 1e-6, activation);
        let fast = group_norm(view, 4, ones, zeros, 1e-6, activation);
        assert!((fast - plain).abs().max().into_scalar::<f32>() < 1e-5);
    }
}
