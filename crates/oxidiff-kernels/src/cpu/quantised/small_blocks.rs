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
        // From a signed number to one that is 128 more.
        unpack::<34>(blocks, chunk, None, |block| part::<LEN>(block, 2).map(|number| number ^ 0x80));
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
    numbers: impl Fn(&[u8; BYTES]) -> [u8; LEN],
) {
    let blocks = blocks.as_chunks::<BYTES>().0;
    let mut padded;
    // So many, always: without branches, a chunk stays in registers.
    let blocks: &[[u8; BYTES]; BLOCKS] = match blocks.try_into() {
        Ok(blocks) => blocks,
        Err(_) => {
            padded = [[0; BYTES]; BLOCKS];
            padded[..blocks.len()].copy_from_slice(blocks);
            &padded
        }
    };
    chunk.scales = halves(blocks, 0);
    if let Some(place) = minimum {
        // GGML adds them.
        chunk.minima = halves(blocks, place).map(|minimum| -minimum);
    }
    for (block, out) in blocks.iter().zip(chunk.numbers.as_chunks_mut::<LEN>().0) {
        *out = numbers(block);
    }
}

/// The `f16` at this place of each block, for both groups of the block.
#[inline(always)]
fn halves<const BYTES: usize>(blocks: &[[u8; BYTES]; BLOCKS], place: usize) -> [f32; GROUPS] {
    let halves = blocks.each_ref().map(|block| u16::from_le_bytes([block[place], block[place + 1]]));
    let wide = halves.map(|half| widen_f16(f16::from_bits(half)));
    std::array::from_fn(|group| wide[group * GROUP / LEN])
}

#[inline(always)]
fn nibbles(bytes: &[u8; LEN / 2]) -> [u8; LEN] {
    std::array::from_fn(|index| if index < LEN / 2 { bytes[index] & 15 } else { bytes[index - LEN / 2] >> 4 })
}

/// The bits of each byte of `bits` are the fifth bits of eight numbers.
#[inline(always)]
fn with_fifth_bits(bits: &[u8; 4], bytes: &[u8; LEN / 2]) -> [u8; LEN] {
    /// In each byte, another bit.
    const EACH: u64 = 0x8040_2010_0804_0201;
    const ONES: u64 = 0x0101_0101_0101_0101;
    let fifth = bits.map(|bits| {
        let spread = (u64::from(bits) * ONES) & EACH;
        // What is not zero carries into the last bit of its byte.
        (((spread + 0x7f * ONES) >> 3) & (0x10 * ONES)).to_le_bytes()
    });
    let (low, fifth) = (nibbles(bytes), fifth.as_flattened());
    std::array::from_fn(|index| low[index] | fifth[index])
}
