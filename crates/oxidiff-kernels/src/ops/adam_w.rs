//! Updates of parameters: AdamW (Loshchilov & Hutter 2019, <https://arxiv.org/abs/1711.05101>) and their moving average.

use burn::backend::Flex;
use burn::tensor::{DType, Tensor};

use crate::cpu;
use crate::cpu::adam_w::Factors;

/// The settings of an update by [`adam_w`], with the names and meanings of `torch.optim.AdamW`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamWUpdate {
    /// The learning rate of this step.
    pub learning_rate: f64,
    /// How much of the first moment is kept.
    pub beta1: f64,
    /// How much of the second moment is kept.
    pub beta2: f64,
    /// Added to the root of the second moment.
    pub epsilon: f64,
    /// How much of a parameter is lost per step, times the learning rate.
    pub weight_decay: f64,
    /// The number of this step; the first one is 1.
    pub step: usize,
}

impl AdamWUpdate {
    /// The corrections of both moments, which start at zero.
    fn corrections(&self) -> [f64; 2] {
        assert!(self.step > 0, "the first step is 1");
        [self.beta1, self.beta2].map(|beta| 1.0 - beta.powf(self.step as f64))
    }
}

/// Updates a parameter from its `gradient` and the moments of the gradients before, which start as zeros. All have the same shape
/// and no autodiff. Returns the parameter, the first moment and the second moment.
///
/// The operations and their order are those of `torch.optim.AdamW`. For `f32` on the CPU, this is one pass over the memory, in place
/// for tensors that share their memory with no other one.
///
/// # Panics
/// When the shapes differ, or the step is 0.
pub fn adam_w<const D: usize>(
    parameter: Tensor<D>,
    gradient: Tensor<D>,
    first_moment: Tensor<D>,
    second_moment: Tensor<D>,
    update: &AdamWUpdate,
) -> (Tensor<D>, Tensor<D>, Tensor<D>) {
    for other in [gradient.dims(), first_moment.dims(), second_moment.dims()] {
        assert_eq!(other, parameter.dims(), "tensors of the same shape");
    }
    let are_flex = [&parameter, &gradient, &first_moment, &second_moment]
        .iter()
        .all(|tensor| tensor.dtype() == DType::F32 && is_flex(tensor));
    if !are_flex {
        return adam_w_plain(parameter, gradient, first_moment, second_moment, update);
    }
    let flex = |tensor: Tensor<D>| tensor.try_into_primitive::<Flex>().expect("just found on the CPU");
    let [first_correction, second_correction] = update.corrections();
    let factors = Factors {
        kept: (1.0 - update.learning_rate * update.weight_decay) as f32,
        of_gradient: (1.0 - update.beta1) as f32,
        beta2: update.beta2 as f32,
        of_square: (1.0 - update.beta2) as f32,
        correction: second_correction.sqrt() as f32,
        epsilon: update.epsilon as f32,
        minus_step_size: -(update.learning_rate / first_correction) as f32,
    };
    let state = [parameter, first_moment, second_moment].map(flex);
    let [parameter, first, second] =
        cpu::adam_w::adam_w(state, flex(gradient), factors).map(Tensor::from_primitive::<Flex>);
    (parameter, first, second)
}

/// Moves the moving average of a parameter by one step: `average - (1 - decay) * (average - parameter)`, as diffusers' `EMAModel`
/// does. For `f32` on the CPU in place, if the average shares its memory with no other tensor.
///
/// # Panics
/// When the shapes differ.
pub fn move_average<const D: usize>(average: Tensor<D>, parameter: Tensor<D>, decay: f64) -> Tensor<D> {
    assert_eq!(average.dims(), parameter.dims(), "tensors of the same shape");
    if [&average, &parameter].iter().any(|tensor| tensor.dtype() != DType::F32 || !is_flex(tensor)) {
        return move_average_plain(average, parameter, decay);
    }
    let flex = |tensor: Tensor<D>| tensor.try_into_primitive::<Flex>().expect("just found on the CPU");
    let moved = cpu::adam_w::move_average(flex(average), flex(parameter), (1.0 - decay) as f32);
    Tensor::from_primitive::<Flex>(moved)
}

fn is_flex<const D: usize>(tensor: &Tensor<D>) -> bool {
    tensor.clone().try_into_primitive::<Flex>().is_ok()
}

/// The plain expression, in Burn's own operations.
fn adam_w_plain<const D: usize>(
    parameter: Tensor<D>,
    gradient: Tensor<D>,
    first_moment: Tensor<D>,
    second_moment: Tensor<D>,
    update: &AdamWUpdate,
) -> (Tensor<D>, Tensor<D>, Tensor<D>) {
    let [first_correction, second_correction] = update.corrections();
    let parameter = parameter * (1.0 - update.learning_rate * update.weight_decay);
    let first = first_moment.clone() + (gradient.clone() - first_moment) * (1.0 - update.beta1);
    let second = second_moment * update.beta2 + gradient.clone() * (1.0 - update.beta2) * gradient;
    let denominator = second.clone().sqrt() / second_correction.sqrt() + update.epsilon;
    let step = first.clone() * (update.learning_rate / first_correction) / denominator;
    (parameter - step, first, second)
}

/// The plain expression, in Burn's own operations.
fn move_average_plain<const D: usize>(average: Tensor<D>, parameter: Tensor<D>, decay: f64) -> Tensor<D> {
    let difference = average.clone() - parameter;
    average - difference * (1.0 - decay)
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Device, Distribution};

    const UPDATE: AdamWUpdate = AdamWUpdate {
        learning_rate: 1e-2,
        beta1: 0.9,
        beta2: 0.999,
        epsilon: 1e-8,
        weight_decay: 1e-2,
        step: 1,
    };

    fn random(shape: [usize; 2]) -> Tensor<2> {
        Tensor::random(shape, Distribution::Normal(0.0, 1.0), &Device::flex())
    }

    fn difference(found: Tensor<2>, expected: Tensor<2>) -> f32 {
        (found - expected).abs().max().into_scalar::<f32>()
    }

    #[test]
    fn equals_the_plain_expression() {
        for shape in [[1, 1], [3, 7], [130, 257], [0, 5]] {
            for beta1 in [0.9, 0.3] {
                let start = [random(shape), random(shape) * 0.0, random(shape) * 0.0];
                let (mut found, mut expected) = (start.clone(), start);
                for step in 1..=4 {
                    // Not in row-major order.
                    let gradient = random([shape[1], shape[0]]).transpose();
                    let update = AdamWUpdate { step, beta1, ..UPDATE };
                    let [parameter, first, second] = found;
                    let (parameter, first, second) =
                        adam_w(parameter, gradient.clone(), first, second, &update);
                    found = [parameter, first, second];
                    let [parameter, first, second] = expected;
                    let (parameter, first, second) =
                        adam_w_plain(parameter, gradient, first, second, &update);
                    expected = [parameter, first, second];
                    for (found, expected) in found.iter().zip(&expected) {
                        if found.shape().num_elements() > 0 {
                            let off = difference(found.clone(), expected.clone());
                            assert!(off < 1e-6, "{shape:?}, step {step}: off by {off:e}");
                        }
                    }
                }
            }
        }
    }

    /// Worked out by hand: with moments of zero, the first step is `learning_rate` in the direction of the gradient, after decay.
    #[test]
    fn the_first_step_has_the_length_of_the_learning_rate() {
        let device = Device::flex();
        let parameter = Tensor::<1>::from_floats([1.0, -2.0, 3.0], &device);
        let gradient = Tensor::from_floats([0.5, -4.0, 0.0], &device);
        let zeros = parameter.zeros_like();
        let (parameter, first, second) = adam_w(parameter, gradient, zeros.clone(), zeros.clone(), &UPDATE);
        let close = |found: Tensor<1>, expected: [f32; 3]| {
            for (found, expected) in found.into_data().iter::<f32>().zip(expected) {
                assert!((found - expected).abs() < 1e-6, "{found} instead of {expected}");
            }
        };
        close(parameter, [1.0 - 1e-4 - 1e-2, -2.0 + 2e-4 + 1e-2, 3.0 - 3e-4]);
        close(first, [0.05, -0.4, 0.0]);
        close(second, [2.5e-4, 0.016, 0.0]);
        assert_eq!(
            zeros.into_data().iter::<f32>().collect::<Vec<_>>(),
            [0.0; 3],
            "shared memory stays as it is"
        );
    }

    #[test]
    fn updates_in_place_what_nobody_shares() {
        let address = |tensor: &Tensor<2>| {
            let primitive = tensor.clone().try_into_primitive::<Flex>().expect("on the CPU");
            primitive.bytes().as_ptr().addr()
        };
        let (parameter, first, second) = (random([9, 70]), random([9, 70]), random([9, 70]).square());
        let before = [&parameter, &first, &second].map(address);
        let (parameter, first, second) = adam_w(parameter, random([9, 70]), first, second, &UPDATE);
        assert_eq!([&parameter, &first, &second].map(address), before);
        let average = random([9, 70]);
        let before = address(&average);
        assert_eq!(address(&move_average(average, parameter, 0.9)), before);
    }

    #[test]
    fn other_types_have_no_kernel() {
        let [parameter, gradient, first, second] = [1, 2, 3, 4].map(|_| random([3, 5]).square());
        let wide = |x: &Tensor<2>| x.clone().cast(DType::F64);
        let (found, ..) = adam_w(wide(&parameter), wide(&gradient), wide(&first), wide(&second), &UPDATE);
        assert_eq!(found.dtype(), DType::F64);
        let (expected, ..) = adam_w(parameter.clone(), gradient, first, second, &UPDATE);
        assert!(difference(found.cast(DType::F32), expected) < 1e-6);
        assert_eq!(move_average(wide(&parameter), wide(&parameter), 0.5).dtype(), DType::F64);
    }

    #[test]
    fn moves_an_average() {
        let (average, parameter) = (random([130, 257]), random([130, 257]));
        let found = move_average(average.clone(), parameter.clone(), 0.99);
        let expected = move_average_plain(average.clone(), parameter, 0.99);
        assert!(difference(found.clone(), expected) < 1e-6);
        assert!(difference(found, average) > 1e-3);
    }
}
