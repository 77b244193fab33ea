//! What PyTorch saves: pickled files, in a zip archive or in one of the older forms.
//!
//! Pickled files are programs for a small machine. The `pytorch-reader` crate interprets the part of them that builds
//! tensors, dictionaries and plain values; it runs nothing, and keeps only the class name of any other object.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;
use std::sync::Arc;

use pytorch_reader::{PickleValue, PytorchReader};
use safetensors::tensor::Dtype;

use super::bare_tensor::{self, BARE_TENSOR};
use super::contents::Contents;
use super::plain_archive;
use super::state_dict::{Elements, Source, StateDict, StoredTensor};
use crate::error::{Error, Result};

/// The key under which training scripts nest the weights among other things.
const NESTED: &str = "state_dict";

/// The longest program in an archive that is accepted, in bytes. Running it takes up to a hundred times as much memory; that
/// of a checkpoint of 6000 tensors has 0.8 MB.
const LONGEST_PICKLE: u64 = 16 << 20;

/// The tensors of a pickled file.
///
/// # Errors
/// When it is not a file that PyTorch saved, or holds something other than tensors where the weights should be.
pub(super) fn read(path: &Path) -> Result<StateDict> {
    let origin: Arc<str> = path.display().to_string().into();
    let wrong = |error: pytorch_reader::PytorchError| Error::Weights {
        origin: origin.to_string(),
        message: format!("not weights that PyTorch saved: {error}"),
    };
    let plain = plain_archive::copy_if_misread(path)?;
    let path = plain.as_ref().map_or(path, |copy| copy.path());
    let file_len = path.metadata().map_err(Error::io(path))?.len();
    check_archive(path, &origin, file_len)?;
    let mut value = PytorchReader::read_pickle_data(path, None).map_err(wrong)?;
    if matches!(value, PickleValue::Unsupported(_))
        && let Some((tensor, elements)) = bare_tensor::read(path)
    {
        let stored = StoredTensor {
            origin: origin.clone(),
            elements: Elements::Plain(element_type(tensor.dtype())),
            shape: tensor.shape().to_vec(),
            scale: 1.0,
            range: 0..elements.len(),
            source: Source::File(Arc::new(Contents::Memory(elements.into()))),
        };
        let tensors = BTreeMap::from([(BARE_TENSOR.to_owned(), stored)]);
        return Ok(StateDict { tensors, texts: HashMap::new(), origin });
    }
    let mut found = PytorchReader::new(path).map_err(wrong)?.into_tensors();
    // A tensor may repeat the elements of a smaller storage, so the size of the file does not limit what it claims.
    if let Some((key, tensor)) = found.iter().find(|(_, tensor)| tensor.byte_len() as u64 > file_len) {
        let (claimed, origin) = (tensor.byte_len(), origin.to_string());
        let message = format!("tensor `{key}` claims {claimed} bytes, more than the file has");
        return Err(Error::Weights { origin, message });
    }
    while let Some(nested) = take_nested(&mut value) {
        value = nested;
        found = found
            .into_iter()
            .filter_map(|(key, tensor)| {
                let key = key.strip_prefix(NESTED)?.strip_prefix('.')?.to_owned();
                Some((key, tensor))
            })
            .collect();
    }

    let mut texts = HashMap::new();
    if let PickleValue::Dict(entries) = value {
        for (key, entry) in entries {
            match entry {
                PickleValue::Unsupported(class) if !found.contains_key(&key) => {
                    let message = format!(
                        "`{key}` is not a tensor but a Python object of class `{class}`, and none is made: it could \
                         run any code"
                    );
                    return Err(Error::Weights { origin: origin.to_string(), message });
                }
                PickleValue::String(text) => {
                    texts.insert(key, text);
                }
                _ => {}
            }
        }
    }
    let tensors = found.into_iter().map(|(key, tensor)| {
        let stored = StoredTensor {
            origin: origin.clone(),
            elements: Elements::Plain(element_type(tensor.dtype())),
            shape: tensor.shape().to_vec(),
            scale: 1.0,
            range: 0..tensor.byte_len(),
            source: Source::Pickled(Box::new(tensor)),
        };
        (key, stored)
    });
    Ok(StateDict { tensors: tensors.collect(), texts, origin: origin.clone() })
}

/// Refuses a zip archive that unpacks into more than the file holds. PyTorch compresses nothing.
fn check_archive(path: &Path, origin: &str, file_len: u64) -> Result<()> {
    let wrong = |message: String| Error::Weights { origin: origin.to_owned(), message };
    let mut start = [0; 2];
    let mut file = File::open(path).map_err(Error::io(path))?;
    if file.read_exact(&mut start).is_err() || start != *b"PK" {
        return Ok(());
    }
    let damaged = |error: zip::result::ZipError| wrong(format!("not a whole zip archive: {error}"));
    let mut archive = zip::ZipArchive::new(BufReader::new(file)).map_err(damaged)?;
    let mut unpacked = 0u64;
    for index in 0..archive.len() {
        let entry = archive.by_index_raw(index).map_err(damaged)?;
        unpacked = unpacked.saturating_add(entry.size());
        if entry.name_raw().ends_with(b"data.pkl") && entry.size() > LONGEST_PICKLE {
            return Err(wrong(format!(
                "the pickle in it has {} bytes, more than the limit of {LONGEST_PICKLE}",
                entry.size()
            )));
        }
    }
    if unpacked > file_len {
        return Err(wrong(format!(
            "a compressed archive of {unpacked} bytes, more than the file has: PyTorch does not compress, unpack it and \
             save it with PyTorch"
        )));
    }
    Ok(())
}

/// Takes the weights out of what a training script saved with them.
fn take_nested(value: &mut PickleValue) -> Option<PickleValue> {
    match value {
        PickleValue::Dict(entries) if matches!(entries.get(NESTED), Some(PickleValue::Dict(_))) => {
            entries.remove(NESTED)
        }
        _ => None,
    }
}

fn element_type(dtype: pytorch_reader::DType) -> Dtype {
    use pytorch_reader::DType;
    match dtype {
        DType::F64 => Dtype::F64,
        DType::F32 => Dtype::F32,
        DType::F16 => Dtype::F16,
        DType::BF16 => Dtype::BF16,
        DType::I64 => Dtype::I64,
        DType::I32 => Dtype::I32,
        DType::I16 => Dtype::I16,
        DType::I8 => Dtype::I8,
        DType::U64 => Dtype::U64,
        DType::U32 => Dtype::U32,
        DType::U16 => Dtype::U16,
        DType::U8 => Dtype::U8,
        DType::Bool => Dtype::BOOL,
    }
}
