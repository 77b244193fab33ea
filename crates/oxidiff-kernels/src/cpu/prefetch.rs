//! Fetching into the cache ahead of use.

/// Units of four bytes in a line of the cache.
pub(crate) const LINE: usize = 16;

/// Asks for a line of the cache: what is needed `SOON` for the first level, what is needed later for the second only.
#[inline(always)]
pub(crate) fn prefetch<const SOON: bool, U>(address: *const U) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _MM_HINT_T1, _mm_prefetch};
        // SAFETY: a prefetch has no effect but on speed, whatever the address is.
        unsafe {
            if SOON {
                _mm_prefetch::<_MM_HINT_T0>(address.cast());
            } else {
                _mm_prefetch::<_MM_HINT_T1>(address.cast());
            }
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = address;
}
