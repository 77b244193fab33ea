//! The formats with blocks of 32 values: a scale in `f16`, sometimes a minimum, then the numbers.
//!
//! Of 4 bits, the lower half of 16 bytes are the first 16 numbers, the upper half the others. The fifth bits of all numbers are in
//! four bytes of their own.

use super::chunk::{Blocks, CHUNK, Chunk, GROUP, GROUPS};
use crate::cpu::storage::widen_f16;
use half::f16;

/// Values in a block.
const LEN: usize = 32;
const BLOCKS: usize = CHUNK / LEN;

pub(crate) struct Q4_0;
pub(crate) struct Q4_1;
pub(crate) struct Q5_0;
pub(crate) struct Q5_1;
pub(crate) struct Q8_0;

impl Blocks for Q4_0 {
    const LEN: usize = LEN;
    const BYTES: usize = 18;
    const OFFSET: u8 = 8;
    const HAS_MINIMA: bool = false;

    #[inline(always)]
    fn unpack(blocks: &[u8], chunk: &mut Chunk) {
        unpack::<18>(blocks, chunk, None, |block| nibbles(part(block, 2)));
    }
}

impl Blocks for Q4_1 {
    const LEN: usize = LEN;
    const BYTES: usize = 20;
    const OFFSET: u8 = 0;
    const HAS_MINIMA: bool = true;

    #[inline(always)]
    fn unpack(blocks: &[u8], chunk: &mut Chunk) {
        unpack::<20>(blocks, chunk, Some(2), |block| nibbles(part(block, 4)));
    }
}

impl Blocks for Q5_0 {
    const LEN: usize = LEN;
    const BYTES: usize = 22;
    const OFFSET: u8 = 16;
    const HAS_MINIMA: bool = false;

    #[inline(always)]
    fn unpack(blocks: &[u8], chunk: &mut Chunk) {
        unpack::<22>(blocks, chunk, None, |block| with_fifth_bits(part(block, 2), part(block, 6)));
    }
}

impl Blocks for Q5_1 {
    const LEN: usize = LEN;
    const BYTES: usize = 24;
    const OFFSET: u8 = 0;
    const HAS_MINIMA: bool = true;

    #[inline(always)]
    fn unpack(blocks: &[u8], chunk: &mut Chunk) {
        unpack::<24>(blocks, chunk, Some(2), |block| with_fifth_bits(part(block, 4), part(block, 8)));
    }
}

impl Blocks for Q8_0 {
    const LEN: usize = LEN;
    const BYTES: usize = 34;
    const OFFSET: u8 = 128;
    const HAS_MINIMA: bool = false;

    #[inline(always)]
    fn unpack(blocks: &[u8], chunk: &mut Chunk) {
        unpack::<34>(blocks, chunk, None, |block| without_sign(part(block, 2)));
    }
}

/// `COUNT` bytes of a block from `start` on.
#[inline(always)]
fn part<const COUNT: usize>(block: &[u8], start: usize) -> &[u8; COUNT] {
    block[start..start + COUNT].try_into().expect("as many bytes as the slice has")
}

/// Unpacks scales, which come first in a block, minima, if they have a place, and numbers.
#[inline(always)]
fn unpack<const BYTES: usize>(
    blocks: &[u8],
    chunk: &mut Chunk,
    minimum: Option<usize>,
    eights: impl Fn(&[u8; BYTES]) -> Eights,
) {
    let blocks = blocks.as_chunks::<BYTES>().0;
    match blocks.try_into() {
        Ok(blocks) => unpack_whole(blocks, chunk, minimum, eights),
        Err(_) => unpack_part(blocks, chunk, minimum, eights),
    }
}

/// The last blocks of a row.
#[cold]
#[inline(never)]
fn unpack_part<const BYTES: usize>(
    blocks: &[[u8; BYTES]],
    chunk: &mut Chunk,
    minimum: Option<usize>,
    eights: impl Fn(&[u8; BYTES]) -> Eights,
) {
    let mut padded = [[0; BYTES]; BLOCKS];
    padded[..blocks.len()].copy_from_slice(blocks);
    unpack_whole(&padded, chunk, minimum, eights);
}

/// As many blocks as a chunk has: without branches, a chunk stays in registers.
#[inline(always)]
fn unpack_whole<const BYTES: usize>(
    blocks: &[[u8; BYTES]; BLOCKS],
    chunk: &mut Chunk,
    minimum: Option<usize>,
    eights: impl Fn(&[u8; BYTES]) -> Eights,
) {
    chunk.scales = halves(blocks, 0);
    if let Some(place) = minimum {
        // GGML adds them.
        chunk.minima = halves(blocks, place).map(|minimum| -minimum);
    }
    for (block, out) in blocks.iter().zip(chunk.numbers.as_chunks_mut::<LEN>().0) {
        *out = numbers(eights(block));
    }
}

/// The `f16` at this place of each block, for both groups of the block.
#[inline(always)]
fn halves<const BYTES: usize>(blocks: &[[u8; BYTES]; BLOCKS], place: usize) -> [f32; GROUPS] {
    let halves = blocks.each_ref().map(|block| u16::from_le_bytes([block[place], block[place + 1]]));
    let wide = halves.map(|half| widen_f16(f16::from_bits(half)));
    std::array::from_fn(|group| wide[group * GROUP / LEN])
}

/// Numbers are moved eight at a time: so the compiler keeps those of a block together in a register.
type Eights = [u64; LEN / 8];

#[inline(always)]
fn numbers(eights: Eights) -> [u8; LEN] {
    bytemuck::cast(eights.map(u64::to_le))
}

#[inline(always)]
fn eights<const COUNT: usize>(bytes: &[u8]) -> [u64; COUNT] {
    std::array::from_fn(|place| u64::from_le_bytes(*part(bytes, 8 * place)))
}

#[inline(always)]
fn nibbles(bytes: &[u8; LEN / 2]) -> Eights {
    const LOW: u64 = 0x0f0f_0f0f_0f0f_0f0f;
    let [first, second] = eights(bytes);
    [first & LOW, second & LOW, first >> 4 & LOW, second >> 4 & LOW]
}

/// The bits of each byte of `bits` are the fifth bits of eight numbers.
#[inline(always)]
fn with_fifth_bits(bits: &[u8; 4], bytes: &[u8; LEN / 2]) -> Eights {
    /// For each byte, its bits as the fifth bits of eight.
    const FIFTH: [u64; 256] = {
        let mut all = [0; 256];
        let mut byte = 0;
        while byte < all.len() {
            let mut bit = 0;
            while bit < 8 {
                all[byte] |= ((byte >> bit & 1) as u64) << (8 * bit + 4);
                bit += 1;
            }
            byte += 1;
        }
        all
    };
    let low = nibbles(bytes);
    std::array::from_fn(|place| low[place] | FIFTH[usize::from(bits[place])])
}

/// From signed numbers to those that are 128 more.
#[inline(always)]
fn without_sign(bytes: &[u8; LEN]) -> Eights {
    eights(bytes).map(|eight| eight ^ 0x8080_8080_8080_8080)
}
