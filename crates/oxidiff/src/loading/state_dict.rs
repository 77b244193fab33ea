//! The tensors of a weights file by name: safetensors, or what PyTorch pickled. None is read before it is asked for.
//!
//! Pickled files are programs for a small machine. The `pytorch-reader` crate interprets the part of them that builds
//! tensors, dictionaries and plain values; it runs nothing, and keeps of any other object no more than its class's name.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{BufReader, Read};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use oxidiff_kernels::MappedFile;
use pytorch_reader::{PickleValue, PytorchReader};
use safetensors::SafeTensors;
use safetensors::tensor::Dtype;

use crate::error::{Error, Result};
use crate::loading::bare_tensor::{self, BARE_TENSOR};
use crate::loading::file_kind::{FileKind, explain};
use crate::loading::folder::Contents;

/// Under which key training scripts nest the weights among what else they save.
const NESTED: &str = "state_dict";

/// How long the program in an archive may be, in bytes. Running it takes up to a hundred times as much memory; that of a
/// checkpoint of 6000 tensors has 0.8 MB.
const LONGEST_PICKLE: u64 = 16 << 20;

/// Tensors by name, from one file or from several.
#[derive(Clone, Debug)]
pub struct StateDict {
    /// The file, or the first of them, for messages.
    origin: Arc<str>,
    tensors: BTreeMap<String, StoredTensor>,
    /// Texts that stand beside the tensors: the metadata of a safetensors file, the strings of a pickled dictionary.
    texts: HashMap<String, String>,
}

/// A tensor in a file, not yet read.
#[derive(Clone, Debug)]
pub(crate) struct StoredTensor {
    origin: Arc<str>,
    dtype: Dtype,
    shape: Vec<usize>,
    source: Source,
    /// Which bytes of the source are this tensor's.
    range: Range<usize>,
}

#[derive(Clone, Debug)]
enum Source {
    /// A file in memory.
    File(Arc<Contents>),
    /// One tensor of a pickled file.
    Pickled(Box<pytorch_reader::Tensor>),
}

impl StateDict {
    /// Opens a weights file: `.safetensors`, or else pickled.
    ///
    /// # Errors
    /// When the file is missing, damaged, or holds something else than tensors where the weights should be.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        if !path.is_file() {
            return Err(Error::MissingFile { path: path.into(), message: "no such file".into() });
        }
        if path.extension().is_some_and(|extension| extension == "safetensors") {
            let contents = Contents::Mapped(MappedFile::open(path).map_err(Error::io(path))?);
            Self::from_safetensors(contents, &path.display().to_string())
                .map_err(|error| explain(path, &[FileKind::Safetensors], error))
        } else {
            Self::from_pickle(path)
                .map_err(|error| explain(path, &[FileKind::ZipArchive, FileKind::Pickle], error))
        }
    }

    pub(crate) fn from_safetensors(contents: Contents, origin: &str) -> Result<Self> {
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
                dtype: info.dtype,
                shape: info.shape.clone(),
                source: Source::File(contents.clone()),
                range: data_start + start..data_start + end,
            };
            (key, tensor)
        });
        let tensors = tensors.collect();
        let texts = metadata.metadata().clone().unwrap_or_default();
        Ok(Self { origin, tensors, texts })
    }

    fn from_pickle(path: &Path) -> Result<Self> {
        let origin: Arc<str> = path.display().to_string().into();
        let wrong = |error: pytorch_reader::PytorchError| Error::Weights {
            origin: origin.to_string(),
            message: format!("not weights that PyTorch saved: {error}"),
        };
        let file_len = path.metadata().map_err(Error::io(path))?.len();
        check_archive(path, file_len)?;
        let mut value = PytorchReader::read_pickle_data(path, None).map_err(wrong)?;
        if matches!(value, PickleValue::Unsupported(_))
            && let Some((tensor, elements)) = bare_tensor::read(path)
        {
            let stored = StoredTensor {
                origin: origin.clone(),
                dtype: element_type(tensor.dtype()),
                shape: tensor.shape().to_vec(),
                range: 0..elements.len(),
                source: Source::File(Arc::new(Contents::Memory(elements.into()))),
            };
            let tensors = BTreeMap::from([(BARE_TENSOR.to_owned(), stored)]);
            return Ok(Self { tensors, texts: HashMap::new(), origin });
        }
        let mut found = PytorchReader::new(path).map_err(wrong)?.into_tensors();
        // A tensor may repeat the elements of a smaller storage, so what it claims is not bound by what the file holds.
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
                dtype: element_type(tensor.dtype()),
                shape: tensor.shape().to_vec(),
                range: 0..tensor.byte_len(),
                source: Source::Pickled(Box::new(tensor)),
            };
            (key, stored)
        });
        Ok(Self { tensors: tensors.collect(), texts, origin: origin.clone() })
    }

    /// Adds what another file holds.
    pub(crate) fn extend(&mut self, other: Self) {
        self.tensors.extend(other.tensors);
        self.texts.extend(other.texts);
    }

    /// The same tensors under other names; those without one are left out.
    pub(crate) fn rename(&self, new_name: impl Fn(&str) -> Option<String>) -> Self {
        let tensors = self.tensors.iter().filter_map(|(key, tensor)| Some((new_name(key)?, tensor.clone())));
        Self { origin: self.origin.clone(), tensors: tensors.collect(), texts: self.texts.clone() }
    }

    pub(crate) fn insert(&mut self, key: String, tensor: StoredTensor) {
        self.tensors.insert(key, tensor);
    }

    pub(crate) fn get(&self, key: &str) -> Option<&StoredTensor> {
        self.tensors.get(key)
    }

    pub(crate) fn contains(&self, key: &str) -> bool {
        self.tensors.contains_key(key)
    }

    /// The names, sorted.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &StoredTensor)> {
        self.tensors.iter().map(|(key, tensor)| (key.as_str(), tensor))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.tensors.is_empty()
    }

    /// A text beside the tensors.
    pub(crate) fn text(&self, key: &str) -> Option<&str> {
        self.texts.get(key).map(String::as_str)
    }

    pub(crate) fn origin(&self) -> &str {
        &self.origin
    }

    /// An error about this file.
    pub(crate) fn error(&self, message: impl Into<String>) -> Error {
        Error::Weights { origin: self.origin.to_string(), message: message.into() }
    }
}

impl StoredTensor {
    pub(crate) fn dtype(&self) -> Dtype {
        self.dtype
    }

    pub(crate) fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Number of elements.
    pub(crate) fn len(&self) -> usize {
        self.shape.iter().product()
    }

    pub(crate) fn origin(&self) -> &str {
        &self.origin
    }

    /// An error about the file that the tensor is from.
    pub(crate) fn error(&self, message: impl Into<String>) -> Error {
        Error::Weights { origin: self.origin.to_string(), message: message.into() }
    }

    /// Whether the elements are those of a mapped file, which reading does not copy.
    pub(crate) fn is_mapped(&self) -> bool {
        matches!(self.source, Source::File(_))
    }

    /// Elements in row-major order, little-endian.
    ///
    /// # Errors
    /// When the file does not hold what it says.
    pub(crate) fn read(&self) -> Result<Bytes> {
        match &self.source {
            Source::File(contents) => Ok(contents.slice(self.range.clone())),
            Source::Pickled(tensor) => {
                let bytes = tensor.read().map_err(|error| self.error(error.to_string()))?;
                Ok(Bytes::from(bytes).slice(self.range.clone()))
            }
        }
    }

    /// Says that the elements were copied elsewhere and need not stay in memory.
    pub(crate) fn release(&self) {
        if let Source::File(contents) = &self.source {
            contents.release(self.range.clone());
        }
    }

    /// The elements in another shape of the same size; `None` where the size differs.
    pub(crate) fn reshaped(&self, shape: &[usize]) -> Option<Self> {
        let same = shape.iter().product::<usize>() == self.len();
        same.then(|| Self { shape: shape.to_vec(), ..self.clone() })
    }

    /// The elements of the first dimension from `range`; `None` where it has not as many.
    pub(crate) fn rows(&self, range: Range<usize>) -> Option<Self> {
        let (rows, rest) = self.shape.split_first()?;
        if range.start > range.end || range.end > *rows || *rows == 0 {
            return None;
        }
        let row = self.range.len() / rows;
        let start = self.range.start;
        let mut shape = vec![range.len()];
        shape.extend(rest);
        Some(Self { shape, range: start + range.start * row..start + range.end * row, ..self.clone() })
    }
}

/// Refuses a zip archive that unfolds into more than the file holds. PyTorch compresses nothing.
fn check_archive(path: &Path, file_len: u64) -> Result<()> {
    let wrong = |message: String| Error::Weights { origin: path.display().to_string(), message };
    let mut start = [0; 2];
    let mut file = File::open(path).map_err(Error::io(path))?;
    if file.read_exact(&mut start).is_err() || start != *b"PK" {
        return Ok(());
    }
    let damaged = |error: zip::result::ZipError| wrong(format!("not a whole zip archive: {error}"));
    let mut archive = zip::ZipArchive::new(BufReader::new(file)).map_err(damaged)?;
    let mut unfolded = 0u64;
    for index in 0..archive.len() {
        let entry = archive.by_index_raw(index).map_err(damaged)?;
        unfolded = unfolded.saturating_add(entry.size());
        if entry.name_raw().ends_with(b"data.pkl") && entry.size() > LONGEST_PICKLE {
            return Err(wrong(format!(
                "the pickle in it has {} bytes, more than the {LONGEST_PICKLE} that are read",
                entry.size()
            )));
        }
    }
    if unfolded > file_len {
        return Err(wrong(format!(
            "a compressed archive of {unfolded} bytes, more than the file has: PyTorch does not compress, unpack it and \
             save it with PyTorch"
        )));
    }
    Ok(())
}

/// Takes the weights out of what a training script saved around them.
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
