//! The values of blocks.

use burn::tensor::Bytes;
use pulp::{Arch, Simd, WithSimd};

use super::chunk::{Blocks, CHUNK, Chunk, GROUP};
use super::format::{QuantisedFormat, with_blocks};
use crate::cpu::output::Output;
use crate::cpu::storage::Storage;
use crate::cpu::tasks::chunks_in_parallel;

/// Chunks per task.
const CHUNKS: usize = 256;

/// The values of all blocks, which hold `len` of them.
///
/// # Panics
/// When there are more or fewer blocks.
pub(crate) fn dequantised<T: Storage>(format: QuantisedFormat, blocks: &[u8], len: usize) -> Bytes {
    assert_eq!(format.row_bytes(len), Some(blocks.len()), "blocks of {len} values");
    let output = Output::<T>::new(len);
    with_blocks!(format, B => {
        chunks_in_parallel(blocks, CHUNKS * B::CHUNK_BYTES, |task, blocks| {
            let start = task * CHUNKS * CHUNK;
            let len = blocks.len() / B::BYTES * B::LEN;
            // SAFETY: each value is written by one task.
            let out = unsafe { output.part(start, len) };
            Arch::new().dispatch(Widen::<B, T> { blocks, out, format: std::marker::PhantomData });
        });
    });
    output.finish()
}

struct Widen<'a, B, T> {
    blocks: &'a [u8],
    out: &'a mut [T],
    format: std::marker::PhantomData<B>,
}

impl<B: Blocks, T: Storage> WithSimd for Widen<'_, B, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let (mut chunk, mut values) = (Chunk::ZERO, [0.0; CHUNK]);
        for (blocks, out) in self.blocks.chunks(B::CHUNK_BYTES).zip(self.out.chunks_mut(CHUNK)) {
            B::unpack(blocks, &mut chunk);
            widen::<B>(&chunk, &mut values);
            T::narrow(&values[..out.len()], out);
        }
    }
}

/// The values of a chunk, rounded as GGML does: after the product, and after the subtraction.
#[inline(always)]
pub(super) fn widen<B: Blocks>(chunk: &Chunk, out: &mut [f32; CHUNK]) {
    let groups = chunk.numbers.as_chunks::<GROUP>().0.iter().zip(out.as_chunks_mut::<GROUP>().0);
    for (group, (numbers, out)) in groups.enumerate() {
        let (scale, minimum) = (chunk.scales[group], chunk.minima[group]);
        for (out, number) in out.iter_mut().zip(numbers) {
            let value = scale * (i32::from(*number) - i32::from(B::OFFSET)) as f32;
            *out = if B::HAS_MINIMA { value - minimum } else { value };
        }
    }
}
