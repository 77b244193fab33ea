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

/// Rows of memory to fetch into the second-level cache, a few lines at a time, while other memory is multiplied.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ahead {
    next: *const u8,
    /// Bytes from the end of a row to the start of the following one.
    gap: usize,
    lines_per_row: usize,
    lines_in_row: usize,
    /// Lines that are not fetched yet.
    lines: usize,
}

/// Bytes in a cache line.
const LINE_BYTES: usize = 4 * LINE;

impl Ahead {
    pub const NONE: Self =
        Self { next: std::ptr::null(), gap: 0, lines_per_row: 1, lines_in_row: 1, lines: 0 };

    /// `rows` rows of `length` values, which start `stride` values apart.
    #[inline(always)]
    pub fn rows<T>(first: *const T, rows: usize, stride: usize, length: usize) -> Self {
        let lines_per_row = (length * size_of::<T>()).div_ceil(LINE_BYTES).max(1);
        Self {
            next: first.cast(),
            gap: (stride * size_of::<T>()).wrapping_sub(lines_per_row * LINE_BYTES),
            lines_per_row,
            lines_in_row: lines_per_row,
            lines: rows * lines_per_row,
        }
    }

    /// The number of lines to fetch at a time, so that all are fetched after this many times.
    #[inline(always)]
    pub fn lines_at_once(&self, times: usize) -> usize {
        self.lines.div_ceil(times.max(1))
    }

    /// Fetches this many lines.
    #[inline(always)]
    pub fn fetch(&mut self, lines: usize) {
        for _ in 0..lines {
            prefetch::<false, _>(self.next);
            self.next = self.next.wrapping_add(LINE_BYTES);
            self.lines_in_row -= 1;
            if self.lines_in_row == 0 {
                self.next = self.next.wrapping_add(self.gap);
                self.lines_in_row = self.lines_per_row;
            }
        }
    }
}

/// For loops in assembly, which fetch rows themselves.
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
impl Ahead {
    /// Takes at most this many whole rows, to be fetched by the caller.
    pub fn take_rows(&mut self, rows: usize) -> Strided {
        let stride = self.lines_per_row * LINE_BYTES;
        let stride = stride.wrapping_add(self.gap);
        let rows = rows.min(self.lines / self.lines_per_row);
        let taken = Strided { first: self.next, stride, rows };
        self.next = self.next.wrapping_add(rows * stride);
        self.lines -= rows * self.lines_per_row;
        taken
    }

    /// The number of rows.
    pub fn row_count(&self) -> usize {
        self.lines / self.lines_per_row
    }
}

/// Rows of memory, `stride` bytes apart.
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
#[derive(Clone, Copy, Debug)]
pub(crate) struct Strided {
    pub first: *const u8,
    pub stride: usize,
    pub rows: usize,
}
