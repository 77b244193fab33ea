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
        unpack::<18>(blocks, chunk, |block, out| nibbles(part(block, 2), out));
    }
}

impl Blocks for Q4_1 {
    const LEN: usize = LEN;
    const BYTES: usize = 20;
    const OFFSET: u8 = 0;
    const HAS_MINIMA: bool = true;

    #[inline(always)]
    fn unpack(blocks: &[u8], chunk: &mut Chunk) {
        unpack::<20>(blocks, chunk, |block, out| nibbles(part(block, 4), out));
        chunk.minima = negative(halves::<20>(blocks, 2));
    }
}

impl Blocks for Q5_0 {
    const LEN: usize = LEN;
    const BYTES: usize = 22;
    const OFFSET: u8 = 16;
    const HAS_MINIMA: bool = false;

    #[inline(always)]
    fn unpack(blocks: &[u8], chunk: &mut Chunk) {
        unpack::<22>(blocks, chunk, |block, out| {
            nibbles(part(block, 6), out);
            add_fifth_bits(part(block, 2), out);
        });
    }
}

impl Blocks for Q5_1 {
    const LEN: usize = LEN;
    const BYTES: usize = 24;
    const OFFSET: u8 = 0;
    const HAS_MINIMA: bool = true;

    #[inline(always)]
    fn unpack(blocks: &[u8], chunk: &mut Chunk) {
        unpack::<24>(blocks, chunk, |block, out| {
            nibbles(part(block, 8), out);
            add_fifth_bits(part(block, 4), out);
        });
        chunk.minima = negative(halves::<24>(blocks, 2));
    }
}

impl Blocks for Q8_0 {
    const LEN: usize = LEN;
    const BYTES: usize = 34;
    const OFFSET: u8 = 128;
    const HAS_MINIMA: bool = false;

    #[inline(always)]
    fn unpack(blocks: &[u8], chunk: &mut Chunk) {
        unpack::<34>(blocks, chunk, |block, out| {
            let numbers: &[u8; LEN] = part(block, 2);
            // From a signed number to one that is 128 more.
            *out = std::array::from_fn(|index| numbers[index] ^ 0x80);
        });
    }
}

/// `COUNT` bytes of a block from `start` on.
#[inline(always)]
fn part<const COUNT: usize>(block: &[u8], start: usize) -> &[u8; COUNT] {
    block[start..start + COUNT].try_into().expect("as many bytes as the slice has")
}

/// Unpacks scales, which come first in a block, and numbers.
#[inline(always)]
fn unpack<const BYTES: usize>(
    blocks: &[u8],
    chunk: &mut Chunk,
    numbers: impl Fn(&[u8; BYTES], &mut [u8; LEN]),
) {
    chunk.scales = halves::<BYTES>(blocks, 0);
    let (blocks, out) = (blocks.as_chunks::<BYTES>().0, chunk.numbers.as_chunks_mut::<LEN>().0);
    if blocks.len() < BLOCKS {
        out.fill([0; LEN]);
    }
    for (block, out) in blocks.iter().zip(out) {
        numbers(block, out);
    }
}

/// The `f16` at this place of each block, for both groups of the block.
#[inline(always)]
fn halves<const BYTES: usize>(blocks: &[u8], place: usize) -> [f32; GROUPS] {
    let mut halves = [0; BLOCKS];
    for (block, half) in blocks.as_chunks::<BYTES>().0.iter().zip(&mut halves) {
        *half = u16::from_le_bytes([block[place], block[place + 1]]);
    }
    let wide = halves.map(|half| widen_f16(f16::from_bits(half)));
    std::array::from_fn(|group| wide[group * GROUP / LEN])
}

/// GGML adds these minima.
#[inline(always)]
fn negative(minima: [f32; GROUPS]) -> [f32; GROUPS] {
    minima.map(|minimum| -minimum)
}

#[inline(always)]
fn nibbles(bytes: &[u8; LEN / 2], out: &mut [u8; LEN]) {
    for (index, byte) in bytes.iter().enumerate() {
        out[index] = byte & 15;
        out[index + LEN / 2] = byte >> 4;
    }
}

/// The bits of each byte of `bits` become the fifth bits of eight numbers.
#[inline(always)]
fn add_fifth_bits(bits: &[u8; 4], out: &mut [u8; LEN]) {
    /// In each byte, another bit.
    const EACH: u64 = 0x8040_2010_0804_0201;
    const ONES: u64 = 0x0101_0101_0101_0101;
    for (bits, out) in bits.iter().zip(out.as_chunks_mut::<8>().0) {
        let spread = (u64::from(*bits) * ONES) & EACH;
        // What is not zero carries into the last bit of its byte.
        let fifth = ((spread + 0x7f * ONES) >> 3) & (0x10 * ONES);
        *out = (u64::from_le_bytes(*out) | fifth).to_le_bytes();
    }
}
