//! The types of tensors.

use oxidiff_kernels::QuantisedFormat;
use safetensors::tensor::Dtype;

use crate::loading::formats::state_dict::Elements;

/// How the elements of a type are stored; `None` for types that are not supported.
fn supported(kind: u32) -> Option<Elements> {
    use QuantisedFormat::{Q2K, Q3K, Q4_0, Q4_1, Q4K, Q5_0, Q5_1, Q5K, Q6K, Q8_0};
    Some(match kind {
        0 => Elements::Plain(Dtype::F32),
        1 => Elements::Plain(Dtype::F16),
        2 => Elements::Quantised(Q4_0),
        3 => Elements::Quantised(Q4_1),
        6 => Elements::Quantised(Q5_0),
        7 => Elements::Quantised(Q5_1),
        8 => Elements::Quantised(Q8_0),
        10 => Elements::Quantised(Q2K),
        11 => Elements::Quantised(Q3K),
        12 => Elements::Quantised(Q4K),
        13 => Elements::Quantised(Q5K),
        14 => Elements::Quantised(Q6K),
        24 => Elements::Plain(Dtype::I8),
        25 => Elements::Plain(Dtype::I16),
        26 => Elements::Plain(Dtype::I32),
        27 => Elements::Plain(Dtype::I64),
        28 => Elements::Plain(Dtype::F64),
        30 => Elements::Plain(Dtype::BF16),
        _ => return None,
    })
}

/// The number of a type.
pub(super) fn number(elements: Elements) -> Option<u32> {
    const MOST: u32 = 30;
    (0..=MOST).find(|kind| supported(*kind) == Some(elements))
}

/// The name of a type that is not supported.
fn name(kind: u32) -> Option<&'static str> {
    Some(match kind {
        9 => "Q8_1",
        15 => "Q8_K",
        16 => "IQ2_XXS",
        17 => "IQ2_XS",
        18 => "IQ3_XXS",
        19 => "IQ1_S",
        20 => "IQ4_NL",
        21 => "IQ3_S",
        22 => "IQ2_S",
        23 => "IQ4_XS",
        29 => "IQ1_M",
        34 => "TQ1_0",
        35 => "TQ2_0",
        39 => "MXFP4",
        40 => "NVFP4",
        _ => return None,
    })
}

/// How the elements of a tensor are stored, and in how many bytes.
///
/// # Errors
/// When the type is not supported, blocks do not divide the rows, or the size overflows.
pub(super) fn elements(kind: u32, dimensions: &[u64]) -> Result<(Elements, u64), String> {
    let elements = supported(kind).ok_or_else(|| {
        let name = name(kind).map_or_else(|| format!("{kind}, which is unknown"), str::to_owned);
        let known = QuantisedFormat::ALL.map(QuantisedFormat::name).join(", ");
        format!("its type is {name}; supported are F32, F16, BF16, {known}")
    })?;
    let (block, bytes) = match elements {
        Elements::Plain(dtype) => (1, dtype.bitsize() as u64 / 8),
        Elements::Quantised(format) => (format.block_len() as u64, format.block_bytes() as u64),
    };
    let row = dimensions.first().copied().unwrap_or(1);
    if !row.is_multiple_of(block) {
        return Err(format!("rows of {row} elements are not whole blocks of {block}"));
    }
    let count = dimensions.iter().try_fold(1u64, |count, dimension| count.checked_mul(*dimension));
    let size = count.and_then(|count| (count / block).checked_mul(bytes));
    size.map(|size| (elements, size)).ok_or_else(|| format!("its dimensions {dimensions:?} overflow"))
}
