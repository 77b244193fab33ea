//! The safetensors format: a JSON header, then the elements of all tensors.

use std::sync::Arc;

use safetensors::SafeTensors;

use super::contents::Contents;
use super::state_dict::{Elements, Source, StateDict, StoredTensor};
use crate::error::{Error, Result};

/// The tensors of a safetensors file; `origin` is its name, for messages.
///
/// # Errors
/// When the header is damaged, or the file is shorter than the header says.
pub(crate) fn read(contents: Contents, origin: &str) -> Result<StateDict> {
    let (header_len, metadata) = SafeTensors::read_metadata(contents.bytes()).map_err(|error| {
        let message = format!("not a whole safetensors file ({error}); is it truncated?");
        Error::Weights { origin: origin.to_owned(), message }
    })?;
    let data_start = header_len + size_of::<u64>();
    let contents = Arc::new(contents);
    let origin: Arc<str> = origin.into();
    let tensors = metadata.tensors().into_iter().map(|(key, info)| {
        let (start, end) = info.data_offsets;
        let tensor = StoredTensor {
            origin: origin.clone(),
            elements: Elements::Plain(info.dtype),
            shape: info.shape.clone(),
            scale: 1.0,
            source: Source::File(contents.clone()),
            range: data_start + start..data_start + end,
        };
        (key, tensor)
    });
    let tensors = tensors.collect();
    let texts = metadata.metadata().clone().unwrap_or_default();
    Ok(StateDict { origin, tensors, texts })
}
