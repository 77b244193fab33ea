//! How exactly NVIDIA cards multiply.

use std::sync::atomic::{AtomicBool, Ordering};

/// As [`set_allow_tf32`] was told.
static ALLOWS_TF32: AtomicBool = AtomicBool::new(false);

/// Sets whether an NVIDIA card may round the factors of `f32` products in convolutions and linear layers to TF32, which has 10 bits of
/// mantissa (`torch.backends.cuda.matmul.allow_tf32` in Python); at the start, it may not.
///
/// A product then takes one instruction of the tensor cores instead of three, and has a relative error of up to 1e-3 instead of 1e-7.
/// Attention, and models that compute in `f16` or `bf16`, stay as they are. For speed, `bf16` is the better choice.
///
/// ```
/// oxidiff::set_allow_tf32(true);
/// # oxidiff::set_allow_tf32(false);
/// ```
pub fn set_allow_tf32(allow: bool) {
    ALLOWS_TF32.store(allow, Ordering::Relaxed);
}

/// Whether factors may be rounded.
#[cfg(feature = "cuda")]
pub(crate) fn tf32_is_allowed() -> bool {
    ALLOWS_TF32.load(Ordering::Relaxed)
}
