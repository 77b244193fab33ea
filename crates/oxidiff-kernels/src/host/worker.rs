//! The thread on which operations start.

use burn::tensor::Device;

use super::out_of_memory::{OutOfMemory, catch_out_of_memory};

/// Runs `work`; if `device` is the CPU, on one of the threads among which kernels divide their work. An operation that starts on
/// any other thread must first wake one of these and then wait for it, which takes longer than many operations.
///
/// ```
/// # use burn::tensor::{Device, Tensor};
/// let device = Device::flex();
/// let x = Tensor::<1>::ones([3], &device);
/// let sum = oxidiff_kernels::on_worker(&device, || (x.clone() + x).sum());
/// assert_eq!(sum.unwrap().into_scalar::<f32>(), 6.0);
/// ```
///
/// # Errors
/// When a kernel runs out of memory.
pub fn on_worker<R: Send>(device: &Device, work: impl FnOnce() -> R + Send) -> Result<R, OutOfMemory> {
    catch_out_of_memory(|| if *device == Device::flex() { rayon::scope(|_| work()) } else { work() })
}
