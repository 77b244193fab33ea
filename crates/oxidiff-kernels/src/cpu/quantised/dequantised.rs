//! Weights as the left factor of a product: the rows that a task multiplies are widened where it needs them, in a cache.

use std::marker::PhantomData;
use std::ops::Range;

use half::bf16;
use pulp::{Arch, Simd, WithSimd};

use super::chunk::{Blocks, CHUNK, Chunk};
use super::few_rows::Weights;
use super::format::with_blocks;
use super::values::widen;
use crate::cpu::prefetch::Ahead;
use crate::cpu::product::{Group, Integers, Left, Rows, Unit, integers};
use crate::cpu::storage::Storage;

/// Weights that are widened when they are multiplied.
pub(super) struct Dequantised<'a>(pub Weights<'a>);

/// Chunks of some rows.
pub(super) struct Chunks<'a> {
    weights: Weights<'a>,
    rows: Range<usize>,
    /// The values of each row.
    values: Range<usize>,
}

impl<'a> Chunks<'a> {
    /// The chunks of each row.
    #[inline(always)]
    fn rows<B: Blocks>(&self) -> impl Iterator<Item = impl Iterator<Item = &'a [u8]> + use<'a, B>> {
        let Self { weights, rows, values } = self;
        let row_bytes = weights.row_bytes();
        let range = values.start / B::LEN * B::BYTES..values.end / B::LEN * B::BYTES;
        let blocks = &weights.blocks[rows.start * row_bytes..rows.end * row_bytes];
        blocks.chunks_exact(row_bytes).map(move |row| row[range.clone()].chunks(B::CHUNK_BYTES))
    }
}

/// What weights are widened to.
pub(super) trait Widened: Unit {
    /// Writes the values of `chunks`, row by row.
    fn write<B: Blocks>(chunks: &Chunks<'_>, out: &mut [Self]);
}

impl Widened for f32 {
    fn write<B: Blocks>(chunks: &Chunks<'_>, out: &mut [f32]) {
        Arch::new().dispatch(Write::<B, f32> { chunks, out, format: PhantomData });
    }
}

impl Widened for Group {
    fn write<B: Blocks>(chunks: &Chunks<'_>, out: &mut [Group]) {
        #[cfg(target_arch = "x86_64")]
        if pairs::are_there() {
            // SAFETY: the processor has the instructions.
            unsafe { pairs::write::<B>(chunks, out.as_flattened_mut()) };
            return;
        }
        let out = out.as_flattened_mut();
        Arch::new().dispatch(Write::<B, bf16> { chunks, out, format: PhantomData });
    }
}

/// Nothing is widened: numbers stay numbers.
impl Widened for Integers {
    fn write<B: Blocks>(chunks: &Chunks<'_>, out: &mut [Integers]) {
        Arch::new().dispatch(Write::<B, Integers> { chunks, out, format: PhantomData });
    }
}

impl<U: Widened> Left<U> for Dequantised<'_> {
    fn copies(&self) -> bool {
        true
    }

    fn depth_step(&self) -> usize {
        // Matrix registers lose time between blocks.
        let chunks = if U::in_matrix_registers() { 2 } else { 1 };
        chunks * CHUNK / U::VALUES
    }

    fn block<'b>(&'b self, rows: Range<usize>, columns: Range<usize>, scratch: &'b mut [U]) -> Rows<'b, U> {
        let stride = columns.len();
        let out = &mut scratch[..rows.len() * stride];
        let values = columns.start * U::VALUES..columns.end * U::VALUES;
        let chunks = Chunks { weights: self.0, rows, values };
        with_blocks!(self.0.format, B => U::write::<B>(&chunks, out));
        Rows { values: scratch, stride }
    }

    fn ahead(&self, rows: Range<usize>, columns: Range<usize>) -> [Ahead; 2] {
        let Weights { format, blocks, rows: all, .. } = self.0;
        let rows = rows.start.min(all)..rows.end.min(all);
        let bytes = |units: usize| units * U::VALUES / format.block_len() * format.block_bytes();
        let (start, row_bytes) = (bytes(columns.start), self.0.row_bytes());
        let first = blocks.as_ptr().wrapping_add(rows.start * row_bytes + start);
        [Ahead::rows(first, rows.len(), row_bytes, bytes(columns.end) - start), Ahead::NONE]
    }
}

/// Writes values of this type.
struct Write<'a, B, T> {
    chunks: &'a Chunks<'a>,
    out: &'a mut [T],
    format: PhantomData<B>,
}

impl<B: Blocks, T: Storage> WithSimd for Write<'_, B, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { chunks, out, .. } = self;
        let (mut chunk, mut values) = (Chunk::ZERO, [0.0; CHUNK]);
        let width = chunks.values.len();
        for (row, out) in chunks.rows::<B>().zip(out.chunks_exact_mut(width.max(1))) {
            for (blocks, out) in row.zip(out.chunks_mut(CHUNK)) {
                B::unpack(blocks, &mut chunk);
                widen::<B>(&chunk, &mut values);
                T::narrow(&values[..out.len()], out);
            }
        }
    }
}

impl<B: Blocks> WithSimd for Write<'_, B, Integers> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { chunks, out, .. } = self;
        let mut chunk = Chunk::ZERO;
        let width = chunks.values.len() / integers::LEN;
        for (row, out) in chunks.rows::<B>().zip(out.chunks_exact_mut(width.max(1))) {
            for (blocks, out) in row.zip(out.chunks_mut(CHUNK / integers::LEN)) {
                B::unpack(blocks, &mut chunk);
                let numbers = chunk.numbers.as_chunks().0;
                let (scales, minima) = (chunk.scales.as_chunks().0, chunk.minima.as_chunks().0);
                for (unit, out) in out.iter_mut().enumerate() {
                    let minima = B::HAS_MINIMA.then_some(minima[unit]);
                    *out = Integers::new((&numbers[unit], B::OFFSET), scales[unit], minima, B::GROUPS_DIFFER);
                }
            }
        }
    }
}

/// Rounding to `bf16` by an instruction.
#[cfg(target_arch = "x86_64")]
mod pairs {
    use std::arch::x86_64::{
        __m512, __m512bh, __m512i, _mm_loadu_si128, _mm512_cvtepi32_ps, _mm512_cvtepu8_epi32,
        _mm512_cvtne2ps_pbh, _mm512_fmadd_ps, _mm512_set1_ps, _mm512_storeu_si512,
    };

    use half::bf16;

    use super::Chunks;
    use crate::cpu::quantised::chunk::{Blocks, CHUNK, Chunk, GROUP, GROUPS};

    pub fn are_there() -> bool {
        is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512vl")
            && is_x86_feature_detected!("avx512bf16")
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512bf16,f16c,fma")]
    pub fn write<B: Blocks>(chunks: &Chunks<'_>, out: &mut [bf16]) {
        let mut chunk = Chunk::ZERO;
        let width = chunks.values.len();
        for (row, out) in chunks.rows::<B>().zip(out.chunks_exact_mut(width.max(1))) {
            for (blocks, out) in row.zip(out.chunks_mut(CHUNK)) {
                B::unpack(blocks, &mut chunk);
                // What a number of zero stands for.
                let zeros: [f32; GROUPS] = std::array::from_fn(|group| {
                    -chunk.scales[group].mul_add(f32::from(B::OFFSET), chunk.minima[group])
                });
                let values = |group: usize| -> __m512 {
                    // SAFETY: a group has as many numbers as a vector.
                    let numbers = unsafe { _mm_loadu_si128(chunk.numbers[group * GROUP..].as_ptr().cast()) };
                    let numbers = _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(numbers));
                    let (scale, zero) = (chunk.scales[group], zeros[group]);
                    _mm512_fmadd_ps(numbers, _mm512_set1_ps(scale), _mm512_set1_ps(zero))
                };
                for (pair, out) in out.as_chunks_mut::<{ 2 * GROUP }>().0.iter_mut().enumerate() {
                    let rounded = _mm512_cvtne2ps_pbh(values(2 * pair + 1), values(2 * pair));
                    // SAFETY: a vector of bits is one of numbers, and there is room for it.
                    unsafe {
                        let rounded = std::mem::transmute::<__m512bh, __m512i>(rounded);
                        _mm512_storeu_si512(out.as_mut_ptr().cast(), rounded);
                    }
                }
            }
        }
    }
}
