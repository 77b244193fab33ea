//! The tensors of a weights file by name, whatever the format of the file. Each is read only on demand.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use oxidiff_kernels::QuantisedFormat;
use safetensors::tensor::Dtype;

use super::contents::Contents;
use crate::error::{Error, Result};

/// Tensors by name, from one file or from several.
#[derive(Clone, Debug)]
pub struct StateDict {
    /// The file, or the first of them, for messages.
    pub(super) origin: Arc<str>,
    pub(super) tensors: BTreeMap<String, StoredTensor>,
    /// Texts that come with the tensors: the metadata of a safetensors file, the strings of a pickled dictionary.
    pub(super) texts: HashMap<String, String>,
}

/// A tensor in a file, not yet read.
#[derive(Clone, Debug)]
pub(crate) struct StoredTensor {
    pub(super) origin: Arc<str>,
    pub(super) elements: Elements,
    pub(super) shape: Vec<usize>,
    /// What the elements are multiplied with, if they have 8 bits.
    pub(super) scale: f32,
    pub(super) source: Source,
    /// Which bytes of the source are this tensor's.
    pub(super) range: Range<usize>,
}

/// How the elements of a tensor are stored.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Elements {
    /// One by one.
    Plain(Dtype),
    /// As small whole numbers in blocks.
    Quantised(QuantisedFormat),
}

#[derive(Clone, Debug)]
pub(super) enum Source {
    /// The contents of a file, or elements in memory.
    File(Arc<Contents>),
    /// One tensor of a pickled file.
    Pickled(Box<pytorch_reader::Tensor>),
}

impl StateDict {
    /// Adds the tensors and texts of another file.
    pub(crate) fn extend(&mut self, other: Self) {
        self.tensors.extend(other.tensors);
        self.texts.extend(other.texts);
    }

    /// The same tensors under new names; those without a new name are left out.
    pub(crate) fn rename(&self, new_name: impl Fn(&str) -> Option<String>) -> Self {
        let tensors = self.tensors.iter().filter_map(|(key, tensor)| Some((new_name(key)?, tensor.clone())));
        Self { origin: self.origin.clone(), tensors: tensors.collect(), texts: self.texts.clone() }
    }

    pub(crate) fn insert(&mut self, key: String, tensor: StoredTensor) {
        self.tensors.insert(key, tensor);
    }

    /// Multiplies the elements of the tensor `key`.
    pub(crate) fn set_scale(&mut self, key: &str, scale: f32) {
        if let Some(tensor) = self.tensors.get_mut(key) {
            tensor.scale = scale;
        }
    }

    pub(crate) fn remove(&mut self, key: &str) {
        self.tensors.remove(key);
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

    /// A text that comes with the tensors.
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
    pub(crate) fn elements(&self) -> Elements {
        self.elements
    }

    pub(crate) fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// What the elements are multiplied with, if they have 8 bits.
    pub(crate) fn scale(&self) -> f32 {
        self.scale
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

    /// Whether the elements lie in a mapped file, so that reading does not copy them.
    pub(crate) fn is_mapped(&self) -> bool {
        matches!(self.source, Source::File(_))
    }

    /// The elements in row-major order, little-endian, or their blocks.
    ///
    /// # Errors
    /// When the file does not hold what its header says.
    pub(crate) fn read(&self) -> Result<Bytes> {
        match &self.source {
            Source::File(contents) => Ok(contents.slice(self.range.clone())),
            Source::Pickled(tensor) => {
                let bytes = tensor.read().map_err(|error| self.error(error.to_string()))?;
                Ok(Bytes::from(bytes).slice(self.range.clone()))
            }
        }
    }

    /// Lets go of elements that were copied elsewhere: they need not stay in memory.
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

    /// A matrix with rows and columns swapped, in memory; `None` for a tensor of another rank.
    ///
    /// # Errors
    /// When the file does not hold what its header says, or holds blocks.
    pub(crate) fn transposed(&self) -> Result<Option<Self>> {
        let [rows, columns] = *self.shape else { return Ok(None) };
        if let Elements::Quantised(format) = self.elements {
            let message = format!("blocks of {} cannot be swapped; use a file without", format.name());
            return Err(self.error(message));
        }
        let elements = self.read()?;
        let size = elements.len() / (rows * columns).max(1);
        let mut swapped = Vec::with_capacity(elements.len());
        for column in 0..columns {
            for row in 0..rows {
                let start = (row * columns + column) * size;
                swapped.extend_from_slice(&elements[start..start + size]);
            }
        }
        let range = 0..swapped.len();
        let source = Source::File(Arc::new(Contents::Memory(swapped.into())));
        Ok(Some(Self { shape: vec![columns, rows], source, range, ..self.clone() }))
    }

    /// The second half of the first dimension before the first, in memory; `None` where it cannot be halved.
    ///
    /// # Errors
    /// When the file does not hold what its header says.
    pub(crate) fn with_halves_swapped(&self) -> Result<Option<Self>> {
        if self.shape.first().is_none_or(|rows| rows % 2 == 1) {
            return Ok(None);
        }
        let elements = self.read()?;
        let (first, second) = elements.split_at(elements.len() / 2);
        let swapped = [second, first].concat();
        let range = 0..swapped.len();
        let source = Source::File(Arc::new(Contents::Memory(swapped.into())));
        Ok(Some(Self { source, range, ..self.clone() }))
    }

    /// The elements less `number`, in memory.
    ///
    /// # Errors
    /// When the file does not hold what its header says, or the elements are not in `f32`.
    pub(crate) fn less(&self, number: f32) -> Result<Self> {
        if self.elements != Elements::Plain(Dtype::F32) {
            return Err(self.error("a norm is not in `f32`"));
        }
        let elements = self.read()?;
        let values = elements.as_chunks::<4>().0.iter().map(|value| f32::from_le_bytes(*value) - number);
        let bytes: Vec<u8> = values.flat_map(f32::to_le_bytes).collect();
        let range = 0..bytes.len();
        let source = Source::File(Arc::new(Contents::Memory(bytes.into())));
        Ok(Self { source, range, ..self.clone() })
    }

    /// The entries of the first dimension in `range`; `None` where it has fewer.
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
