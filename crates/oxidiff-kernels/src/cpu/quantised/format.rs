//! The formats and the sizes of their blocks.

/// How whole numbers, scales and minima are laid out in a block: a type of GGML.
/// (<https://github.com/ggml-org/ggml/blob/master/src/ggml-common.h>)
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum QuantisedFormat {
    /// 4 bits, a scale for each 32.
    Q4_0,
    /// 4 bits, a scale and a minimum for each 32.
    Q4_1,
    /// 5 bits, a scale for each 32.
    Q5_0,
    /// 5 bits, a scale and a minimum for each 32.
    Q5_1,
    /// 8 bits, a scale for each 32.
    Q8_0,
    /// 2 bits, a scale and a minimum for each 16.
    Q2K,
    /// 3 bits, a scale for each 16.
    Q3K,
    /// 4 bits, a scale and a minimum for each 32.
    Q4K,
    /// 5 bits, a scale and a minimum for each 32.
    Q5K,
    /// 6 bits, a scale for each 16.
    Q6K,
}

impl QuantisedFormat {
    /// All formats.
    pub const ALL: [Self; 10] = [
        Self::Q4_0,
        Self::Q4_1,
        Self::Q5_0,
        Self::Q5_1,
        Self::Q8_0,
        Self::Q2K,
        Self::Q3K,
        Self::Q4K,
        Self::Q5K,
        Self::Q6K,
    ];

    /// The name in GGML, such as `Q4_K`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Q4_0 => "Q4_0",
            Self::Q4_1 => "Q4_1",
            Self::Q5_0 => "Q5_0",
            Self::Q5_1 => "Q5_1",
            Self::Q8_0 => "Q8_0",
            Self::Q2K => "Q2_K",
            Self::Q3K => "Q3_K",
            Self::Q4K => "Q4_K",
            Self::Q5K => "Q5_K",
            Self::Q6K => "Q6_K",
        }
    }

    /// Values in a block.
    pub const fn block_len(self) -> usize {
        match self {
            Self::Q4_0 | Self::Q4_1 | Self::Q5_0 | Self::Q5_1 | Self::Q8_0 => 32,
            Self::Q2K | Self::Q3K | Self::Q4K | Self::Q5K | Self::Q6K => 256,
        }
    }

    /// Bytes of a block.
    pub const fn block_bytes(self) -> usize {
        match self {
            Self::Q4_0 => 18,
            Self::Q4_1 => 20,
            Self::Q5_0 => 22,
            Self::Q5_1 => 24,
            Self::Q8_0 => 34,
            Self::Q2K => 84,
            Self::Q3K => 110,
            Self::Q4K => 144,
            Self::Q5K => 176,
            Self::Q6K => 210,
        }
    }

    /// Bytes of a row of this many values; `None` where blocks do not divide the row.
    pub const fn row_bytes(self, values: usize) -> Option<usize> {
        if !values.is_multiple_of(self.block_len()) {
            return None;
        }
        (values / self.block_len()).checked_mul(self.block_bytes())
    }
}

/// Evaluates an expression in which `$blocks` is the type that unpacks blocks of `$format`.
macro_rules! with_blocks {
    ($format:expr, $blocks:ident => $body:expr) => {{
        use $crate::cpu::quantised::format::QuantisedFormat as Format;
        use $crate::cpu::quantised::{k_blocks, small_blocks};
        match $format {
            Format::Q4_0 => {
                type $blocks = small_blocks::Q4_0;
                $body
            }
            Format::Q4_1 => {
                type $blocks = small_blocks::Q4_1;
                $body
            }
            Format::Q5_0 => {
                type $blocks = small_blocks::Q5_0;
                $body
            }
            Format::Q5_1 => {
                type $blocks = small_blocks::Q5_1;
                $body
            }
            Format::Q8_0 => {
                type $blocks = small_blocks::Q8_0;
                $body
            }
            Format::Q2K => {
                type $blocks = k_blocks::Q2K;
                $body
            }
            Format::Q3K => {
                type $blocks = k_blocks::Q3K;
                $body
            }
            Format::Q4K => {
                type $blocks = k_blocks::Q4K;
                $body
            }
            Format::Q5K => {
                type $blocks = k_blocks::Q5K;
                $body
            }
            Format::Q6K => {
                type $blocks = k_blocks::Q6K;
                $body
            }
        }
    }};
}
pub(crate) use with_blocks;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu::quantised::chunk::Blocks;

    #[test]
    fn sizes_are_those_of_the_layouts() {
        for format in QuantisedFormat::ALL {
            let sizes = with_blocks!(format, B => (B::LEN, B::BYTES));
            assert_eq!((format.block_len(), format.block_bytes()), sizes, "{}", format.name());
        }
        assert_eq!(QuantisedFormat::Q4K.row_bytes(512), Some(288));
        assert_eq!(QuantisedFormat::Q4K.row_bytes(128), None);
    }
}
