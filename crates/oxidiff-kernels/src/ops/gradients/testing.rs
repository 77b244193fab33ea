//! Comparing the gradients of kernels with those of plain expressions.

use burn::tensor::{DType, Device, Tensor};

use crate::ops::testing;

/// A function of flattened inputs, with a flattened result.
pub(in crate::ops) type Function<'a> = &'a (dyn Fn(&[Tensor<1>]) -> Tensor<1> + Sync);

/// Random values, exact in every element type that has a kernel.
pub(in crate::ops) fn random(len: usize, deviation: f64) -> Tensor<1> {
    // Eight digits of the significand; far from where `f16` loses digits.
    testing::random([len], deviation).cast(DType::BF16).cast(DType::F32)
}

/// The gradients of a random linear function of `function`'s result, for the inputs that are `tracked`. The function gets inputs
/// of type `dtype`, of which those that are not tracked have no autodiff.
pub(in crate::ops) fn gradients(
    function: Function<'_>,
    inputs: &[Tensor<1>],
    tracked: &[bool],
    dtype: DType,
) -> Vec<Option<Tensor<1>>> {
    let leaves: Vec<_> = inputs
        .iter()
        .zip(tracked)
        .map(
            |(input, tracked)| if *tracked { input.clone().autodiff().require_grad() } else { input.clone() },
        )
        .collect();
    let cast: Vec<_> = leaves.iter().map(|leaf| leaf.clone().cast(dtype)).collect();
    let result = function(&cast);
    assert_eq!(result.dtype(), dtype);
    let factors: Vec<f32> = (0..result.dims()[0]).map(|i| ((i * 37 % 101) as f32 - 50.0) / 64.0).collect();
    let factors = Tensor::<1>::from_floats(&factors[..], &Device::flex());
    let gradients = (result.cast(DType::F32) * factors).sum().backward();
    leaves.iter().zip(tracked).map(|(leaf, tracked)| leaf.grad(&gradients).filter(|_| *tracked)).collect()
}

/// The relative distance in the 2-norm.
pub(in crate::ops) fn distance(found: Tensor<1>, expected: Tensor<1>) -> f32 {
    let norm = |x: Tensor<1>| x.square().sum().into_scalar::<f32>().sqrt();
    norm(found - expected.clone()) / norm(expected).max(1e-3)
}

/// Checks the gradients of `kernel` against those of `plain` in `f32`, for every element type, with gradients of all inputs and of
/// each one alone; and that they do not depend on the number of threads.
pub(in crate::ops) fn check(name: &str, inputs: &[Tensor<1>], kernel: Function<'_>, plain: Function<'_>) {
    let all = vec![true; inputs.len()];
    let expected = gradients(plain, inputs, &all, DType::F32);
    for (dtype, most) in [(DType::F32, 1e-5), (DType::F16, 3e-3), (DType::BF16, 2e-2)] {
        let alone = (0..inputs.len()).map(|index| (0..inputs.len()).map(|other| other == index).collect());
        for tracked in std::iter::once(all.clone()).chain(alone) {
            let found = gradients(kernel, inputs, &tracked, dtype);
            for index in (0..inputs.len()).filter(|index| tracked[*index]) {
                let [found, expected] = [&found, &expected]
                    .map(|gradients| gradients[index].clone().expect("a gradient of each tracked input"));
                assert_eq!(found.dims(), expected.dims());
                let off = distance(found, expected);
                assert!(off < most, "{name}, {dtype:?}, input {index}: off by {off:e}");
            }
        }
        let by_threads = [1, 2, 3, 5].map(|threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| gradients(kernel, inputs, &all, dtype))
                .into_iter()
                .map(|gradient| gradient.map(Tensor::into_data))
                .collect::<Vec<_>>()
        });
        for found in &by_threads[1..] {
            assert!(*found == by_threads[0], "{name}, {dtype:?}: differs between numbers of threads");
        }
    }
}
