//! Rounding weights to small numbers: while a model is loaded, or once and for all into a GGUF file.

use std::str::FromStr;

use oxidiff_kernels::QuantisedFormat;

use crate::error::{Error, Result};

/// Matrices of fewer weights stay as they are: llama.cpp's limit.
const FEWEST_WEIGHTS: usize = 1024;
/// Matrices outside of a model's blocks are few and sensitive, so they stay as they are, unless they are as large as the table of a
/// language model's tokens.
const MOST_OUTSIDE: usize = 1 << 26;

/// Which weights to round, and how: `quantization_config` in Python.
///
/// Linear layers in the blocks of a model are rounded, and keep their small numbers in memory. Norms, biases, convolutions and the layers
/// before and after the blocks stay as they are.
///
/// ```
/// use oxidiff::{QuantisedFormat, QuantizationConfig};
///
/// let config: QuantizationConfig = "q4_k".parse()?;
/// assert_eq!(config, QuantizationConfig::new(QuantisedFormat::Q4K));
/// # Ok::<(), oxidiff::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct QuantizationConfig {
    /// How the numbers are stored: one of [`QuantizationConfig::FORMATS`].
    pub format: QuantisedFormat,
    /// The parts of a pipeline to quantise, by their names (`components_to_quantize`). By default the transformers, the UNets and
    /// the text encoders.
    pub components: Option<Vec<String>>,
    /// Layers that stay as they are (`modules_to_not_convert`): those whose name contains one of these.
    pub modules_to_not_convert: Vec<String>,
}

impl QuantizationConfig {
    /// The formats to which weights can be rounded.
    pub const FORMATS: [QuantisedFormat; 6] = [
        QuantisedFormat::Q8_0,
        QuantisedFormat::Q5_1,
        QuantisedFormat::Q5_0,
        QuantisedFormat::Q4_1,
        QuantisedFormat::Q4_0,
        QuantisedFormat::Q4K,
    ];

    /// All that is quantised by default, in this format.
    pub fn new(format: QuantisedFormat) -> Self {
        Self { format, components: None, modules_to_not_convert: Vec::new() }
    }

    /// Whether a part of a pipeline is quantised.
    pub(crate) fn includes(&self, component: &str) -> bool {
        match &self.components {
            Some(components) => components.iter().any(|other| other == component),
            None => ["transformer", "unet", "text_encoder"].iter().any(|start| component.starts_with(start)),
        }
    }

    /// The format of the matrix `name`; `None` if it stays as it is.
    ///
    /// Where blocks do not divide the rows, smaller blocks of about as many bits are chosen, as in llama.cpp.
    pub(crate) fn format_of(&self, name: &str, shape: &[usize]) -> Option<QuantisedFormat> {
        let &[rows, columns] = shape else { return None };
        let weights = rows.checked_mul(columns)?;
        let is_in_block =
            name.split('.').any(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()));
        let is_kept = self.modules_to_not_convert.iter().any(|module| name.contains(module.as_str()));
        if !name.ends_with("weight")
            || is_kept
            || weights < FEWEST_WEIGHTS
            || !is_in_block && weights < MOST_OUTSIDE
        {
            return None;
        }
        // Of the formats that are written, only `Q4_K` has larger blocks than `Q5_0`.
        [self.format, QuantisedFormat::Q5_0]
            .into_iter()
            .find(|format| columns.is_multiple_of(format.block_len()))
    }

    /// # Errors
    /// When weights cannot be rounded to the format.
    pub(crate) fn check(&self) -> Result<()> {
        if Self::FORMATS.contains(&self.format) {
            return Ok(());
        }
        let what = format!("rounding weights to {}", self.format.name());
        Err(Error::unsupported(what, format!("files of it are only read; choose one of {}", names())))
    }
}

/// The names of [`QuantizationConfig::FORMATS`].
fn names() -> String {
    QuantizationConfig::FORMATS.map(QuantisedFormat::name).join(", ")
}

impl FromStr for QuantizationConfig {
    type Err = Error;

    /// From the name of a format, in small or capital letters.
    fn from_str(name: &str) -> Result<Self> {
        let format = QuantisedFormat::ALL.into_iter().find(|format| format.name().eq_ignore_ascii_case(name));
        let Some(format) = format else {
            let message = format!("`{name}` is none of {}", names());
            return Err(Error::argument("quantization_config", message));
        };
        let config = Self::new(format);
        config.check()?;
        Ok(config)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn linear_layers_of_blocks_are_rounded() {
        let config = QuantizationConfig {
            modules_to_not_convert: vec!["to_out".into()],
            ..QuantizationConfig::new(QuantisedFormat::Q4K)
        };
        let of = |name, shape: &[usize]| config.format_of(name, shape);
        assert_eq!(of("layers.0.attention.to_q.weight", &[64, 512]), Some(QuantisedFormat::Q4K));
        assert_eq!(of("layers.0.attention.to_q.weight", &[64, 96]), Some(QuantisedFormat::Q5_0));
        assert_eq!(of("layers.0.attention.to_q.weight", &[64, 90]), None);
        assert_eq!(of("layers.0.attention.to_q.weight", &[1, 512]), None);
        assert_eq!(of("layers.0.attention.to_q.bias", &[64, 512]), None);
        assert_eq!(of("layers.0.attention.to_out.0.weight", &[64, 512]), None);
        assert_eq!(of("layers.0.conv.weight", &[64, 512, 3, 3]), None);
        assert_eq!(of("proj_out.weight", &[64, 512]), None);
        assert_eq!(of("token_embd.weight", &[1 << 17, 512]), Some(QuantisedFormat::Q4K));
    }

    #[test]
    fn formats_have_names() {
        for format in QuantizationConfig::FORMATS {
            let name = format.name().to_lowercase();
            assert_eq!(name.parse::<QuantizationConfig>().unwrap(), QuantizationConfig::new(format));
        }
        let message = |name: &str| name.parse::<QuantizationConfig>().unwrap_err().to_string();
        assert!(message("q9").contains("`q9` is none of Q8_0"), "{}", message("q9"));
        assert!(message("q2_k").contains("only read"), "{}", message("q2_k"));
    }
}
