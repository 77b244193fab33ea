//! The same random values in every run of a test.

use std::cell::RefCell;
use std::f64::consts::TAU;

use burn::tensor::{Device, Tensor};
use rand_mt::Mt;

thread_local! {
    /// Each test has a thread of its own, so its values do not depend on what runs beside it.
    static TWISTER: RefCell<Mt> = RefCell::new(Mt::new(0));
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
