//! The same random values in every run of a test.

use std::cell::RefCell;
use std::f64::consts::TAU;

#[cfg(feature = "cube")]
use burn::tensor::DType;
use burn::tensor::{Device, Tensor};
use rand_mt::Mt;

thread_local! {
    /// Each test has a thread of its own, so its values do not depend on what runs beside it.
    static TWISTER: RefCell<Mt> = RefCell::new(Mt::new(0));
}

/// A tensor moved to the GPU of a backend that is compiled in. A machine without one fails the test.
#[cfg(feature = "cube")]
pub(super) fn on_gpu<const D: usize>(tensor: Tensor<D>) -> Tensor<D> {
    tensor.to_device(&gpu())
}

/// The GPU of a backend that is compiled in.
#[cfg(feature = "cube")]
pub(super) fn gpu() -> Device {
    use burn::tensor::DeviceKind::DefaultDevice;

    cfg_select! {
        feature = "rocm" => Device::rocm(0),
        feature = "metal" => Device::metal(DefaultDevice),
        feature = "vulkan" => Device::vulkan(DefaultDevice),
        feature = "wgpu" => Device::wgpu(DefaultDevice),
    }
}

/// Of the element types that kernels compute in, those that the GPU has.
#[cfg(feature = "cube")]
pub(super) fn gpu_types() -> Vec<DType> {
    let types = [DType::F32, DType::F16, DType::BF16];
    types.into_iter().filter(|&dtype| gpu().supports_dtype(dtype)).collect()
}

/// Values of the normal distribution with a mean of zero.
pub(super) fn random<const D: usize>(shape: [usize; D], deviation: f64) -> Tensor<D> {
    let values: Vec<f32> = TWISTER.with_borrow_mut(|twister| {
        let mut uniform = || (f64::from(twister.next_u32()) + 0.5) / (1_u64 << 32) as f64;
        let mut normal = || (-2.0 * uniform().ln()).sqrt() * (TAU * uniform()).cos();
        (0..shape.iter().product()).map(|_| (normal() * deviation) as f32).collect()
    });
    Tensor::<1>::from_floats(&values[..], &Device::flex()).reshape(shape)
}
