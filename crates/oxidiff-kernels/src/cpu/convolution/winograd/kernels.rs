//! The kernels of a convolution, as they are stored or turned.

use std::ops::Range;

use crate::cpu::prefetch::{LINE, prefetch};
use crate::cpu::product::Operand;
use crate::cpu::storage::Storage;
use crate::cpu::transpose::into_columns;
use crate::host::scratch::Scratch;

/// Taps of a 3x3 kernel.
pub(super) const TAPS: usize = 9;

/// 3x3 kernels.
pub(in crate::cpu) trait Kernels: Sync {
    /// Input and output channels.
    fn channels(&self) -> [usize; 2];

    /// The taps of some kernels, `[input channel][tap][output channel]`. Rows of output channels are `width` long; what is past the
    /// last output channel does not change.
    fn taps(&self, inputs: Range<usize>, outputs: Range<usize>, width: usize, out: &mut [f32]);
}

/// `[out_channels, in_channels, 3, 3]`.
pub(in crate::cpu) struct Stored<'a, T> {
    weight: &'a [T],
    channels: [usize; 2],
}

impl<'a, T> Stored<'a, T> {
    /// # Panics
    /// When the length does not match.
    pub fn new(weight: &'a [T], [in_channels, out_channels]: [usize; 2]) -> Self {
        assert_eq!(weight.len(), out_channels * in_channels * TAPS, "the weight");
        Self { weight, channels: [in_channels, out_channels] }
    }
}

impl<T: Storage> Kernels for Stored<'_, T> {
    fn channels(&self) -> [usize; 2] {
        self.channels
    }

    #[inline(always)]
    fn taps(&self, inputs: Range<usize>, outputs: Range<usize>, width: usize, out: &mut [f32]) {
        let [in_channels, _] = self.channels;
        let weight = &self.weight[(outputs.start * in_channels + inputs.start) * TAPS..];
        T::columns(weight, in_channels * TAPS, outputs.len(), inputs.len() * TAPS, out, width);
    }
}

/// The kernels of the gradient of a convolution's input: those of the convolution turned by 180 degrees, with input and output
/// channels exchanged.
pub(in crate::cpu) struct Turned<'a, T>(pub Stored<'a, T>);

/// Kernels are read in parts that are far from each other. Rows of channels that are fetched ahead of time.
const AHEAD: usize = 4;

impl<T: Storage> Kernels for Turned<'_, T> {
    fn channels(&self) -> [usize; 2] {
        let [in_channels, out_channels] = self.0.channels;
        [out_channels, in_channels]
    }

    #[inline(always)]
    fn taps(&self, inputs: Range<usize>, outputs: Range<usize>, width: usize, out: &mut [f32]) {
        let Stored { weight, channels: [stride, _] } = self.0;
        let count = outputs.len() * TAPS;
        let mut widened = Scratch::new(if T::as_units(weight).is_some() { 0 } else { count });
        for (channel, out) in inputs.zip(out.chunks_exact_mut(TAPS * width)) {
            let start = (channel * stride + outputs.start) * TAPS;
            let next = weight.as_ptr().wrapping_add(start + AHEAD * stride * TAPS);
            for line in (0..count).step_by(LINE * size_of::<f32>() / size_of::<T>()) {
                prefetch::<true, _>(next.wrapping_add(line));
            }
            let kernels = &weight[start..start + count];
            let kernels = match T::as_units(kernels) {
                Some(kernels) => kernels,
                None => {
                    T::widen(kernels, &mut widened);
                    &widened
                }
            };
            into_columns(kernels, TAPS, outputs.len(), TAPS, out, width);
            let (first, last) = out.split_at_mut(TAPS / 2 * width);
            for (first, last) in first.chunks_exact_mut(width).zip(last[width..].rchunks_exact_mut(width)) {
                first.swap_with_slice(last);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turned_kernels_have_their_taps_and_channels_exchanged() {
        let (in_channels, out_channels, width) = (37, 5, 32);
        let weight: Vec<f32> = (0..in_channels * out_channels * TAPS).map(|value| value as f32).collect();
        let half: Vec<half::f16> = weight.iter().map(|value| half::f16::from_f32(*value)).collect();
        let turned = Turned(Stored::new(&weight, [in_channels, out_channels]));
        let turned_half = Turned(Stored::new(&half, [in_channels, out_channels]));
        for outputs in [0..32, 32..37] {
            let mut taps = [vec![0.0; 3 * TAPS * width], vec![0.0; 3 * TAPS * width]];
            turned.taps(1..4, outputs.clone(), width, &mut taps[0]);
            turned_half.taps(1..4, outputs.clone(), width, &mut taps[1]);
            for (index, input) in (1..4).enumerate() {
                for tap in 0..TAPS {
                    for (place, output) in outputs.clone().enumerate() {
                        let expected = weight[(input * in_channels + output) * TAPS + TAPS - 1 - tap];
                        assert_eq!(taps[0][(index * TAPS + tap) * width + place], expected);
                        assert_eq!(taps[1][(index * TAPS + tap) * width + place], expected);
                    }
                }
            }
        }
    }
}
