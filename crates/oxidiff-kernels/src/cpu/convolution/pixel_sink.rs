//! Where the sums of a convolution go.

use pulp::Simd;

use crate::cpu::output::Output;
use crate::cpu::prefetch::{LINE, prefetch};
use crate::cpu::storage::Storage;
use crate::cpu::vector::store_sums;

/// Takes the sums of a convolution for some neighbouring channels of a pixel, adds bias and residual, and stores the results.
pub(in crate::cpu) struct PixelSink<'a, T> {
    pub output: &'a Output<T>,
    /// `[out_channels]`, or with `pixels` `[batch, out_channels]`.
    pub bias: Option<Vec<f32>>,
    pub residual: Option<&'a [T]>,
    /// Pixels per item, if each item has its own bias.
    pub pixels: Option<usize>,
    pub channels: usize,
}

impl<T: Storage> PixelSink<'_, T> {
    /// Stores the sums of the channels from `channel` on; `pixel` counts through all items.
    ///
    /// # Safety
    /// No other thread may store the same channels of this pixel at the same time.
    #[inline(always)]
    pub unsafe fn store<S: Simd>(&self, simd: S, pixel: usize, channel: usize, sums: &[f32]) {
        let start = pixel * self.channels + channel;
        let bias = self.bias.as_ref().map(|bias| {
            let item = self.pixels.map_or(0, |pixels| pixel / pixels);
            &bias[item * self.channels + channel..][..sums.len()]
        });
        let residual = self.residual.map(|residual| &residual[start..start + sums.len()]);
        // SAFETY: the caller promises that nobody else has this part.
        store_sums(simd, sums, bias, residual, unsafe { self.output.part(start, sums.len()) });
    }

    /// Prefetches what [`Self::store`] of `count` channels will read and write.
    #[inline(always)]
    pub fn prefetch(&self, pixel: usize, channel: usize, count: usize) {
        let start = pixel * self.channels + channel;
        for index in (start..start + count).step_by(LINE * size_of::<f32>() / size_of::<T>()) {
            prefetch::<false, _>(self.output.address(index));
            if let Some(residual) = self.residual {
                prefetch::<false, _>(residual.as_ptr().wrapping_add(index));
            }
        }
    }
}
