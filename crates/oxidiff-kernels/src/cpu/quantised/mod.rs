//! Products with weights that are stored as small whole numbers in blocks: the formats of GGML, the tensor library of llama.cpp.
//!
//! A block holds 32 or 256 values. Groups of 16 or 32 of them share a scale, some formats also a minimum:
//! `value = scale * (number - offset) - minimum`, where the offset belongs to the format.

pub(crate) mod activations;
mod chunk;
mod dequantised;
pub(crate) mod encode;
mod encode_k;
pub(crate) mod few_rows;
pub(crate) mod format;
mod integer_dot;
mod k_blocks;
pub(crate) mod linear;
mod small_blocks;
pub(crate) mod values;
