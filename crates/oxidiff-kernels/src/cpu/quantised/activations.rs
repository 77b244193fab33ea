//! Activations in 8 bits, to be multiplied with the numbers of weights.

use bytemuck::{Pod, Zeroable};
use pulp::{Arch, Simd, WithSimd};

use super::chunk::{CHUNK, GROUP, GROUPS};
use crate::cpu::product::integers::{LEN, rounded};
use crate::cpu::storage::Storage;
use crate::cpu::tasks::chunks_in_parallel_mut;
use crate::host::scratch::Scratch;

/// Rows of activations. After the end of a row, zeros fill the last chunk.
pub(crate) struct Activations {
    chunks: Scratch<ActivationChunk>,
    /// Chunks of a row.
    per_row: usize,
    pub rows: usize,
}

/// A chunk of a row of activations: `scale * number`, where 32 neighbours have a common scale.
#[derive(Clone, Copy)]
#[repr(C)]
pub(crate) struct ActivationChunk {
    pub numbers: [i8; CHUNK],
    /// Those of the groups.
    pub scales: [f32; GROUPS],
    /// The sums of the values of each group.
    pub sums: [f32; GROUPS],
}

// SAFETY: all bits are numbers.
unsafe impl Zeroable for ActivationChunk {}
// SAFETY: all bits are numbers, and there are no gaps between them.
unsafe impl Pod for ActivationChunk {}

impl Activations {
    /// Rounds rows of `depth` values.
    pub fn new<T: Storage>(values: &[T], depth: usize) -> Self {
        let per_row = depth.div_ceil(CHUNK);
        let rows = values.len().checked_div(depth).unwrap_or(0);
        let mut chunks = Scratch::new(rows * per_row);
        chunks_in_parallel_mut(&mut chunks, per_row.max(1), |row, out| {
            let values = &values[row * depth..][..depth];
            Arch::new().dispatch(Round { values, out });
        });
        Self { chunks, per_row, rows }
    }

    /// All rows.
    pub fn all(&self) -> Rows<'_> {
        Rows { chunks: &self.chunks, per_row: self.per_row, count: self.rows }
    }
}

/// Rows of activations in memory.
#[derive(Clone, Copy)]
pub(crate) struct Rows<'a> {
    chunks: &'a [ActivationChunk],
    per_row: usize,
    pub count: usize,
}

impl<'a> Rows<'a> {
    #[inline(always)]
    pub fn chunk(&self, row: usize, chunk: usize) -> &'a ActivationChunk {
        &self.chunks[row * self.per_row + chunk]
    }
}

/// Rounds a row.
struct Round<'a, T> {
    values: &'a [T],
    out: &'a mut [ActivationChunk],
}

impl<T: Storage> WithSimd for Round<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        for (values, out) in self.values.chunks(CHUNK).zip(self.out) {
            let mut wide = [0.0; CHUNK];
            T::widen(values, &mut wide[..values.len()]);
            let blocks = wide.as_chunks::<LEN>().0.iter().zip(out.numbers.as_chunks_mut::<LEN>().0);
            for (block, (values, numbers)) in blocks.enumerate() {
                let scale = rounded(values, numbers);
                for (half, numbers) in numbers.as_chunks::<GROUP>().0.iter().enumerate() {
                    let group = block * (LEN / GROUP) + half;
                    let sum: i32 = numbers.iter().map(|number| i32::from(*number)).sum();
                    out.scales[group] = scale;
                    out.sums[group] = scale * sum as f32;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_to_the_nearest_of_255_numbers() {
        let depth = 300;
        let values: Vec<f32> = (0..2 * depth).map(|i| (i as f32 * 0.37).sin() * (1.0 + i as f32)).collect();
        let rounded = Activations::new(&values, depth);
        assert_eq!((rounded.rows, rounded.per_row), (2, 2));
        for row in 0..2 {
            for chunk in 0..2 {
                let ActivationChunk { numbers, scales, sums } = *rounded.all().chunk(row, chunk);
                for (group, numbers) in numbers.as_chunks::<GROUP>().0.iter().enumerate() {
                    let mut sum = 0.0;
                    for (index, number) in numbers.iter().enumerate() {
                        let found = scales[group] * f32::from(*number);
                        let column = chunk * CHUNK + group * GROUP + index;
                        let expected = if column < depth { values[row * depth + column] } else { 0.0 };
                        assert!((found - expected).abs() <= 0.501 * scales[group]);
                        sum += found;
                    }
                    assert!((sums[group] - sum).abs() <= 1e-3 * sum.abs().max(1.0));
                }
            }
        }
    }

    #[test]
    fn what_is_not_finite_stays_so() {
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let mut values = [1.0; 64];
            values[40] = bad;
            let rounded = Activations::new(&values, 64);
            let rows = rounded.all();
            let chunk = rows.chunk(0, 0);
            assert!(chunk.scales[0].is_finite() && chunk.scales[2].is_nan() && chunk.sums[3].is_nan());
        }
        let tiny = Activations::new(&[f32::from_bits(1); 32], 32);
        assert_eq!(tiny.all().chunk(0, 0).sums[0], 0.0);
    }
}
