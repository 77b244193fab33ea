//! The formats with blocks of 256 values, whose scales are whole numbers that have a common scale: the "k-quants".

use half::f16;

use super::chunk::{Blocks, CHUNK, Chunk, GROUPS};
use crate::cpu::storage::widen_f16;

pub(crate) struct Q2K;
pub(crate) struct Q3K;
pub(crate) struct Q4K;
pub(crate) struct Q5K;
pub(crate) struct Q6K;

/// Values of which the bits are in the same bytes.
const RUN: usize = 32;

/// Scales and minima of 4 bits, numbers of 2, the common scale and minimum.
impl Blocks for Q2K {
    const LEN: usize = CHUNK;
    const BYTES: usize = 84;
    const GROUPS_DIFFER: bool = true;
    const OFFSET: u8 = 0;
    const HAS_MINIMA: bool = true;

    #[inline(always)]
    fn unpack(block: &[u8], chunk: &mut Chunk) {
        let Some(block) = block.as_array::<84>() else { return *chunk = Chunk::ZERO };
        let (scale, minimum) = (half(block, 80), half(block, 82));
        for (group, both) in part::<GROUPS>(block, 0).iter().enumerate() {
            chunk.scales[group] = scale * f32::from(both & 15);
            chunk.minima[group] = minimum * f32::from(both >> 4);
        }
        pairs(part(block, GROUPS), &mut chunk.numbers);
    }
}

/// The third bits of all numbers, the lower two, scales of 6 bits, the common scale.
impl Blocks for Q3K {
    const LEN: usize = CHUNK;
    const BYTES: usize = 110;
    const GROUPS_DIFFER: bool = true;
    const OFFSET: u8 = 4;
    const HAS_MINIMA: bool = false;

    #[inline(always)]
    fn unpack(block: &[u8], chunk: &mut Chunk) {
        let Some(block) = block.as_array::<110>() else { return *chunk = Chunk::ZERO };
        let third: &[u8; RUN] = part(block, 0);
        pairs(part(block, 32), &mut chunk.numbers);
        for (run, out) in chunk.numbers.as_chunks_mut::<RUN>().0.iter_mut().enumerate() {
            change(out, |word, numbers| numbers | bits(third, word, run, 1) << 2);
        }
        // Of each scale, 4 bits are in the first eight bytes, 2 in the others. Bytes are moved eight at a time.
        const PAIRS: u64 = 0x0303_0303;
        const NIBBLES: u64 = 0x0f0f_0f0f_0f0f_0f0f;
        let low = u64::from_le_bytes(*part(block, 96));
        let high = u64::from(u32::from_le_bytes(*part(block, 104)));
        let eight = |low: u64, high: u64| {
            let high = high & PAIRS | (high >> 2 & PAIRS) << 32;
            (low & NIBBLES | high << 4).to_le_bytes()
        };
        let scale = half(block, 108);
        let value = |number: u8| scale * f32::from(number as i8 - 32);
        let (first, last) = chunk.scales.split_at_mut(GROUPS / 2);
        first.copy_from_slice(&eight(low, high).map(value));
        last.copy_from_slice(&eight(low >> 4, high >> 4).map(value));
    }
}

/// The common scale and minimum, scales and minima of 6 bits, numbers of 4.
impl Blocks for Q4K {
    const LEN: usize = CHUNK;
    const BYTES: usize = 144;
    const OFFSET: u8 = 0;
    const HAS_MINIMA: bool = true;

    #[inline(always)]
    fn unpack(block: &[u8], chunk: &mut Chunk) {
        let Some(block) = block.as_array::<144>() else { return *chunk = Chunk::ZERO };
        scales_and_minima(block, chunk);
        nibbles(part(block, 16), &mut chunk.numbers);
    }
}

/// As for [`Q4K`], with the fifth bits of all numbers before the others.
impl Blocks for Q5K {
    const LEN: usize = CHUNK;
    const BYTES: usize = 176;
    const OFFSET: u8 = 0;
    const HAS_MINIMA: bool = true;

    #[inline(always)]
    fn unpack(block: &[u8], chunk: &mut Chunk) {
        let Some(block) = block.as_array::<176>() else { return *chunk = Chunk::ZERO };
        scales_and_minima(block, chunk);
        nibbles(part(block, 48), &mut chunk.numbers);
        let fifth: &[u8; RUN] = part(block, 16);
        for (run, out) in chunk.numbers.as_chunks_mut::<RUN>().0.iter_mut().enumerate() {
            change(out, |word, numbers| numbers | bits(fifth, word, run, 1) << 4);
        }
    }
}

/// The lower four bits of all numbers, the upper two, scales of 8 bits, the common scale.
impl Blocks for Q6K {
    const LEN: usize = CHUNK;
    const BYTES: usize = 210;
    const GROUPS_DIFFER: bool = true;
    const OFFSET: u8 = 32;
    const HAS_MINIMA: bool = false;

    #[inline(always)]
    fn unpack(block: &[u8], chunk: &mut Chunk) {
        let Some(block) = block.as_array::<210>() else { return *chunk = Chunk::ZERO };
        let low: &[[u8; RUN]; 4] = part::<128>(block, 0).as_chunks().0.as_array().expect("four runs");
        let high: &[[u8; RUN]; 2] = part::<64>(block, 128).as_chunks().0.as_array().expect("two runs");
        let runs = chunk.numbers.as_chunks_mut::<RUN>().0.iter_mut().enumerate();
        for (run, out) in runs {
            // Four runs share the bytes of two with lower bits, and those of one with upper bits.
            let (half, quarter) = (run / 4, run % 4);
            let (low, high) = (&low[2 * half + quarter % 2], &high[half]);
            change(out, |word, _| {
                bits(low, word, quarter / 2 * 4, 15) | bits(high, word, 2 * quarter, 3) << 4
            });
        }
        let scales: &[u8; GROUPS] = part(block, 192);
        let scale = half(block, 208);
        for (out, number) in chunk.scales.iter_mut().zip(scales) {
            *out = scale * f32::from(*number as i8);
        }
    }
}

/// `COUNT` bytes of a block from `start` on.
#[inline(always)]
fn part<const COUNT: usize>(block: &[u8], start: usize) -> &[u8; COUNT] {
    block[start..start + COUNT].try_into().expect("as many bytes as the slice has")
}

/// The `f16` at this place.
#[inline(always)]
fn half(block: &[u8], place: usize) -> f32 {
    widen_f16(f16::from_bits(u16::from_le_bytes([block[place], block[place + 1]])))
}

/// Eight bytes of a run.
const WORD: usize = 8;

/// Those bits of each byte of a word that `mask` has, `shift` places down. (Compilers make vectors of this, and not of bytes.)
#[inline(always)]
fn bits(run: &[u8; RUN], word: usize, shift: usize, mask: u8) -> u64 {
    u64::from_le_bytes(run.as_chunks().0[word]) >> shift & u64::from_le_bytes([mask; WORD])
}

/// Replaces each word of a run by what `new` makes out of its index and of what it was.
#[inline(always)]
fn change(run: &mut [u8; RUN], new: impl Fn(usize, u64) -> u64) {
    for (index, word) in run.as_chunks_mut::<WORD>().0.iter_mut().enumerate() {
        *word = new(index, u64::from_le_bytes(*word)).to_le_bytes();
    }
}

/// Numbers of 2 bits: four runs share the bytes of one.
#[inline(always)]
fn pairs(bytes: &[u8; CHUNK / 4], out: &mut [u8; CHUNK]) {
    let bytes = bytes.as_chunks::<RUN>().0;
    for (run, out) in out.as_chunks_mut::<RUN>().0.iter_mut().enumerate() {
        change(out, |word, _| bits(&bytes[run / 4], word, 2 * (run % 4), 3));
    }
}

/// Numbers of 4 bits: two runs share the bytes of one.
#[inline(always)]
fn nibbles(bytes: &[u8; CHUNK / 2], out: &mut [u8; CHUNK]) {
    let bytes = bytes.as_chunks::<RUN>().0;
    for (run, out) in out.as_chunks_mut::<RUN>().0.iter_mut().enumerate() {
        change(out, |word, _| bits(&bytes[run / 2], word, 4 * (run % 2), 15));
    }
}

/// The scales and minima of [`Q4K`] and [`Q5K`]: two groups share one.
#[inline(always)]
fn scales_and_minima(block: &[u8], chunk: &mut Chunk) {
    let (scale, minimum) = (half(block, 0), half(block, 2));
    // Of the first four, all 6 bits are together; of the others, 4 bits are in the last bytes, and 2 above those of the first. Bytes
    // are moved four at a time.
    const SIX: u32 = 0x3f3f_3f3f;
    const NIBBLES: u32 = 0x0f0f_0f0f;
    const PAIRS: u32 = 0x3030_3030;
    let [a, b, c] = [4, 8, 12].map(|place| u32::from_le_bytes(*part(block, place)));
    let eight = |low: u32, high: u32| (u64::from(low) | u64::from(high) << 32).to_le_bytes();
    let scales = eight(a & SIX, c & NIBBLES | a >> 2 & PAIRS).map(|number| scale * f32::from(number));
    let minima = eight(b & SIX, c >> 4 & NIBBLES | b >> 2 & PAIRS).map(|number| minimum * f32::from(number));
    chunk.scales = std::array::from_fn(|group| scales[group / 2]);
    chunk.minima = std::array::from_fn(|group| minima[group / 2]);
}
