//! Prefetching into the cache.

/// Units of four bytes in a cache line.
pub(crate) const LINE: usize = 16;

/// Prefetches a cache line: into the first level if it is needed `SOON`, else only into the second.
#[inline(always)]
pub(crate) fn prefetch<const SOON: bool, U>(address: *const U) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _MM_HINT_T1, _mm_prefetch};
        // SAFETY: a prefetch affects only speed, whatever the address.
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
