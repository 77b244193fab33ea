//! On which thread operations begin.

use burn::tensor::Device;

use super::out_of_memory::{OutOfMemory, catch_out_of_memory};

/// Runs `work` on one of the threads that kernels divide their work among, where `device` is the CPU. Operations that begin on
/// another thread first wake one of these and then wait for it, which takes longer than many of them.
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
/// When a kernel gets no memory for what it computes.
pub fn on_worker<R: Send>(device: &Device, work: impl FnOnce() -> R + Send) -> Result<R, OutOfMemory> {
    catch_out_of_memory(|| if *device == Device::flex() { rayon::scope(|_| work()) } else { work() })
}
