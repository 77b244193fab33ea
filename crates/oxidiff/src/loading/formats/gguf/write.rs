//! Writes the format.

use std::path::Path;

use super::tensor_type::{elements, number};
use super::{ALIGNMENT, MAGIC, ORIGINAL_SHAPE, VERSIONS};
use crate::error::{Error, Result};
use crate::loading::formats::state_dict::Elements;
use crate::loading::write_whole_with;

/// The types of metadata that are written.
const NUMBER: u32 = 4;
const INTEGER: u32 = 5;
const TEXT: u32 = 8;
const LIST: u32 = 9;
/// GGML knows as many dimensions.
const MOST_DIMENSIONS: usize = 4;

/// A tensor to be written.
pub(crate) struct Written {
    pub name: String,
    pub shape: Vec<usize>,
    pub elements: Elements,
}

/// What is said of the file as a whole.
pub(crate) enum Value {
    Text(String),
    Number(u32),
}

/// Writes a file completely or not at all. The elements of each tensor are made by `bytes` when it is their turn.
///
/// # Errors
/// When the folder cannot be written, a tensor has a type or a shape that the format lacks, or its elements cannot be made.
pub(crate) fn write(
    file: &Path,
    metadata: &[(&str, Value)],
    tensors: &[Written],
    mut bytes: impl FnMut(&Written) -> Result<Vec<u8>>,
) -> Result<()> {
    let header = Header::of(metadata, tensors)
        .map_err(|message| Error::Weights { origin: file.display().to_string(), message })?;
    write_whole_with(file, |out| {
        out.write_all(&header.bytes).map_err(Error::io(file))?;
        for (tensor, len) in tensors.iter().zip(&header.lengths) {
            let bytes = bytes(tensor)?;
            assert_eq!(bytes.len() as u64, *len, "elements of `{}`", tensor.name);
            out.write_all(&bytes).map_err(Error::io(file))?;
            out.write_all(&vec![0; (len.next_multiple_of(ALIGNMENT) - len) as usize])
                .map_err(Error::io(file))?;
        }
        Ok(())
    })
}

struct Header {
    bytes: Vec<u8>,
    /// Bytes of each tensor.
    lengths: Vec<u64>,
}

impl Header {
    fn of(metadata: &[(&str, Value)], tensors: &[Written]) -> Result<Self, String> {
        let reshaped = || tensors.iter().filter(|tensor| tensor.shape.len() > MOST_DIMENSIONS);
        let mut bytes = MAGIC.to_vec();
        bytes.extend(VERSIONS[1].to_le_bytes());
        bytes.extend((tensors.len() as u64).to_le_bytes());
        bytes.extend(((metadata.len() + reshaped().count()) as u64).to_le_bytes());
        for (key, value) in metadata {
            text(&mut bytes, key);
            match value {
                Value::Text(value) => {
                    bytes.extend(TEXT.to_le_bytes());
                    text(&mut bytes, value);
                }
                Value::Number(value) => {
                    bytes.extend(NUMBER.to_le_bytes());
                    bytes.extend(value.to_le_bytes());
                }
            }
        }
        for Written { name, shape, .. } in reshaped() {
            text(&mut bytes, &format!("{ORIGINAL_SHAPE}{name}"));
            bytes.extend(LIST.to_le_bytes());
            bytes.extend(INTEGER.to_le_bytes());
            bytes.extend((shape.len() as u64).to_le_bytes());
            for length in shape {
                let length = i32::try_from(*length).map_err(|_| format!("tensor `{name}` is too long"))?;
                bytes.extend(length.to_le_bytes());
            }
        }
        let (mut offset, mut lengths) = (0, Vec::new());
        for Written { name, shape, elements: stored } in tensors {
            let error = |message: String| format!("tensor `{name}`: {message}");
            let kind =
                number(*stored).ok_or_else(|| error(format!("the format has no type for {stored:?}")))?;
            let mut dimensions: Vec<u64> = shape.iter().rev().map(|length| *length as u64).collect();
            if dimensions.len() > MOST_DIMENSIONS {
                let rest = dimensions.split_off(MOST_DIMENSIONS - 1);
                dimensions.push(rest.iter().product());
            }
            let (_, len) = elements(kind, &dimensions).map_err(error)?;
            text(&mut bytes, name);
            bytes.extend((dimensions.len() as u32).to_le_bytes());
            dimensions.iter().for_each(|dimension| bytes.extend(dimension.to_le_bytes()));
            bytes.extend(kind.to_le_bytes());
            bytes.extend(u64::to_le_bytes(offset));
            lengths.push(len);
            offset += len.next_multiple_of(ALIGNMENT);
        }
        bytes.resize(bytes.len().next_multiple_of(ALIGNMENT as usize), 0);
        Ok(Self { bytes, lengths })
    }
}

/// A text after its length.
fn text(bytes: &mut Vec<u8>, text: &str) {
    bytes.extend((text.len() as u64).to_le_bytes());
    bytes.extend(text.as_bytes());
}
