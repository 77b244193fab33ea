//! The state of a training on disk: named arrays in a safetensors file.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use safetensors::tensor::{Dtype, SafeTensors, View};

use crate::error::{Error, Result};
use crate::loading::write_whole;

/// Named arrays for a file, or read from one.
#[derive(Clone, Debug, Default)]
pub struct StateFile {
    /// Where the file was read.
    path: PathBuf,
    arrays: BTreeMap<String, Array>,
    metadata: BTreeMap<String, String>,
}

#[derive(Clone, Debug)]
struct Array {
    dtype: Dtype,
    shape: Vec<usize>,
    bytes: Vec<u8>,
    /// Set once somebody asked for the values.
    read: OnceLock<()>,
}

impl Array {
    fn new(dtype: Dtype, shape: Vec<usize>, bytes: Vec<u8>) -> Self {
        Self { dtype, shape, bytes, read: OnceLock::new() }
    }
}

impl View for &Array {
    fn dtype(&self) -> Dtype {
        self.dtype
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        Cow::Borrowed(&self.bytes)
    }

    fn data_len(&self) -> usize {
        self.bytes.len()
    }
}

impl StateFile {
    /// No arrays.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads all arrays of the file at `path`.
    ///
    /// # Errors
    /// When the file is missing or damaged.
    pub fn open(path: &Path) -> Result<Self> {
        let contents = std::fs::read(path).map_err(Error::io(path))?;
        let damaged =
            |error| Error::Weights { origin: path.display().to_string(), message: format!("{error}") };
        let tensors = SafeTensors::deserialize(&contents).map_err(damaged)?;
        let array = |(name, view): (String, safetensors::tensor::TensorView<'_>)| {
            (name, Array::new(view.dtype(), view.shape().to_vec(), view.data().to_vec()))
        };
        let arrays = tensors.tensors().into_iter().map(array).collect();
        let (_, header) = SafeTensors::read_metadata(&contents).map_err(damaged)?;
        let metadata = header.metadata().clone().unwrap_or_default().into_iter().collect();
        Ok(Self { path: path.to_owned(), arrays, metadata })
    }

    /// Writes all arrays to `path`, completely or not at all.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        // Python's loaders accept a file only with `format: pt`.
        let mut metadata: HashMap<String, String> = self.metadata.clone().into_iter().collect();
        metadata.insert("format".to_owned(), "pt".to_owned());
        let contents = safetensors::serialize(&self.arrays, Some(metadata)).map_err(|error| {
            Error::Weights { origin: path.display().to_string(), message: error.to_string() }
        })?;
        write_whole(path, &contents)
    }

    /// Adds a text to the metadata.
    pub fn put_metadata(&mut self, name: impl Into<String>, text: String) {
        self.metadata.insert(name.into(), text);
    }

    /// A text of the metadata, if it is there.
    pub fn metadata(&self, name: &str) -> Option<&str> {
        self.metadata.get(name).map(String::as_str)
    }

    /// Adds numbers with this shape.
    ///
    /// # Panics
    /// When the shape does not fit the number of values.
    pub fn put_f32(&mut self, name: impl Into<String>, shape: Vec<usize>, values: Vec<f32>) {
        assert_eq!(shape.iter().product::<usize>(), values.len(), "a shape that fits the values");
        let bytes = bytemuck::cast_slice(&values).to_vec();
        self.arrays.insert(name.into(), Array::new(Dtype::F32, shape, bytes));
    }

    /// Adds a number.
    pub fn put_u64(&mut self, name: impl Into<String>, value: u64) {
        let bytes = value.to_le_bytes().to_vec();
        self.arrays.insert(name.into(), Array::new(Dtype::U64, vec![], bytes));
    }

    /// Adds bytes.
    pub fn put_bytes(&mut self, name: impl Into<String>, bytes: Vec<u8>) {
        self.arrays.insert(name.into(), Array::new(Dtype::U8, vec![bytes.len()], bytes));
    }

    /// The names of the arrays.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.arrays.keys().map(String::as_str)
    }

    /// The names of the arrays whose values nobody has asked for.
    pub fn unread(&self) -> impl Iterator<Item = &str> {
        self.arrays.iter().filter(|(_, array)| array.read.get().is_none()).map(|(name, _)| name.as_str())
    }

    /// The shape of an array, if it is there.
    pub fn shape(&self, name: &str) -> Option<&[usize]> {
        self.arrays.get(name).map(|array| array.shape.as_slice())
    }

    /// Numbers that [`Self::put_f32`] wrote.
    ///
    /// # Errors
    /// When they are missing, or of another type.
    pub fn f32(&self, name: &str) -> Result<Vec<f32>> {
        let bytes = self.array(name, Dtype::F32)?.bytes.chunks_exact(4);
        Ok(bytes.map(|bytes| f32::from_le_bytes(bytes.try_into().expect("four bytes"))).collect())
    }

    /// The number that [`Self::put_u64`] wrote.
    ///
    /// # Errors
    /// When it is missing, or of another type.
    pub fn u64(&self, name: &str) -> Result<u64> {
        let bytes = self.array(name, Dtype::U64)?.bytes.as_slice();
        let bytes = bytes.try_into().map_err(|_| self.error(format!("`{name}` must be one number")))?;
        Ok(u64::from_le_bytes(bytes))
    }

    /// The bytes that [`Self::put_bytes`] wrote.
    ///
    /// # Errors
    /// When they are missing, or of another type.
    pub fn bytes(&self, name: &str) -> Result<&[u8]> {
        Ok(&self.array(name, Dtype::U8)?.bytes)
    }

    fn array(&self, name: &str, dtype: Dtype) -> Result<&Array> {
        let array = self.arrays.get(name).ok_or_else(|| self.error(format!("`{name}` is missing")))?;
        if array.dtype != dtype {
            return Err(self.error(format!("`{name}` is of type {:?}, not {dtype:?}", array.dtype)));
        }
        array.read.get_or_init(|| ());
        Ok(array)
    }

    /// An error about this file.
    pub fn error(&self, message: impl Into<String>) -> Error {
        Error::Weights { origin: self.path.display().to_string(), message: message.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrays_return_from_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.safetensors");
        let mut file = StateFile::new();
        file.put_f32("weights", vec![2, 1], vec![1.5, f32::NAN]);
        file.put_u64("step", u64::MAX);
        file.put_bytes("random", vec![1, 2, 3]);
        file.put_metadata("about", "a test".to_owned());
        file.write(&path).unwrap();
        let read = StateFile::open(&path).unwrap();
        assert_eq!(read.unread().collect::<Vec<_>>(), ["random", "step", "weights"]);
        assert_eq!(read.f32("weights").unwrap()[0], 1.5);
        assert_eq!(read.unread().collect::<Vec<_>>(), ["random", "step"]);
        assert!(read.f32("weights").unwrap()[1].is_nan());
        assert_eq!(read.shape("weights"), Some([2, 1].as_slice()));
        assert_eq!(read.u64("step").unwrap(), u64::MAX);
        assert_eq!(read.bytes("random").unwrap(), [1, 2, 3]);
        assert_eq!([read.metadata("about"), read.metadata("format")], [Some("a test"), Some("pt")]);
        for (error, expected) in [
            (read.u64("other").unwrap_err(), "`other` is missing"),
            (read.u64("weights").unwrap_err(), "is of type F32"),
        ] {
            assert!(error.to_string().contains(expected) && error.to_string().contains("state"), "{error}");
        }
        std::fs::write(&path, &std::fs::read(&path).unwrap()[..40]).unwrap();
        assert!(StateFile::open(&path).unwrap_err().to_string().contains("state.safetensors"));
    }
}
