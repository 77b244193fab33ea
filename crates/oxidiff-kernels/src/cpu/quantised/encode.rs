//! From values to blocks, as GGML rounds.

use half::f16;
use rayon::prelude::*;

use super::encode_k::q4_k;
use super::format::QuantisedFormat;

/// Values in the small blocks.
const BLOCK: usize = 32;
/// Values per task: whole blocks of any format.
const TASK: usize = 1 << 14;

/// The blocks of `values`; `None` for a format that is only read.
///
/// # Panics
/// When blocks do not divide the values.
pub(crate) fn quantised(format: QuantisedFormat, values: &[f32]) -> Option<Vec<u8>> {
    let parts: Option<Vec<Vec<u8>>> =
        values.par_chunks(TASK).map(|values| in_order(format, values)).collect();
    Some(parts?.concat())
}

/// As [`quantised`], in this thread.
fn in_order(format: QuantisedFormat, values: &[f32]) -> Option<Vec<u8>> {
    let bytes = format.row_bytes(values.len()).expect("whole blocks");
    let mut out = Vec::with_capacity(bytes);
    let encode: fn(&[f32; BLOCK], &mut Vec<u8>) = match format {
        QuantisedFormat::Q8_0 => q8_0,
        QuantisedFormat::Q4_0 => |values, out| symmetric::<4>(values, out),
        QuantisedFormat::Q5_0 => |values, out| symmetric::<5>(values, out),
        QuantisedFormat::Q4_1 => |values, out| with_minimum::<4>(values, out),
        QuantisedFormat::Q5_1 => |values, out| with_minimum::<5>(values, out),
        QuantisedFormat::Q4K => {
            values.as_chunks().0.iter().for_each(|values| q4_k(values, &mut out));
            return Some(out);
        }
        QuantisedFormat::Q2K | QuantisedFormat::Q3K | QuantisedFormat::Q5K | QuantisedFormat::Q6K => {
            return None;
        }
    };
    for values in values.as_chunks::<BLOCK>().0 {
        encode(values, &mut out);
    }
    Some(out)
}

fn q8_0(values: &[f32; BLOCK], out: &mut Vec<u8>) {
    let scale = values.iter().fold(0.0f32, |largest, value| largest.max(value.abs())) / 127.0;
    let inverse = inverse(scale);
    out.extend(f16::from_f32(scale).to_le_bytes());
    out.extend(values.map(|value| (value * inverse).round() as i8 as u8));
}

/// Numbers of `BITS` bits around zero. The value with the largest magnitude gets the lowest number, of which there is one more below
/// zero than above.
fn symmetric<const BITS: u32>(values: &[f32; BLOCK], out: &mut Vec<u8>) {
    let zero = (1 << (BITS - 1)) as f32;
    let mut largest = values[0];
    for value in values {
        if value.abs() > largest.abs() {
            largest = *value;
        }
    }
    let scale = largest / -zero;
    let inverse = inverse(scale);
    out.extend(f16::from_f32(scale).to_le_bytes());
    pack::<BITS>(values.map(|value| number::<BITS>(value * inverse + (zero + 0.5))), out);
}

/// Numbers of `BITS` bits from the smallest value on.
fn with_minimum<const BITS: u32>(values: &[f32; BLOCK], out: &mut Vec<u8>) {
    let smallest = values.iter().copied().fold(f32::INFINITY, f32::min);
    let largest = values.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let scale = (largest - smallest) / ((1 << BITS) - 1) as f32;
    let inverse = inverse(scale);
    out.extend(f16::from_f32(scale).to_le_bytes());
    out.extend(f16::from_f32(smallest).to_le_bytes());
    pack::<BITS>(values.map(|value| number::<BITS>((value - smallest) * inverse + 0.5)), out);
}

fn inverse(scale: f32) -> f32 {
    if scale == 0.0 { 0.0 } else { 1.0 / scale }
}

fn number<const BITS: u32>(value: f32) -> u8 {
    (value as u8).min((1 << BITS) - 1)
}

fn pack<const BITS: u32>(numbers: [u8; BLOCK], out: &mut Vec<u8>) {
    if BITS == 5 {
        let fifth = numbers.iter().rev().fold(0u32, |bits, number| bits << 1 | u32::from(number >> 4));
        out.extend(fifth.to_le_bytes());
    }
    let (low, high) = numbers.split_at(BLOCK / 2);
    out.extend(low.iter().zip(high).map(|(low, high)| low & 15 | high << 4));
}
