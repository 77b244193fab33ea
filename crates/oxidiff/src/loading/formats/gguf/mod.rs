//! The GGUF format: counts, metadata, the names, shapes and places of tensors, then their elements.
//! (<https://github.com/ggml-org/ggml/blob/master/docs/gguf.md>)
//!
//! The crates for this format copy the tensors, or depend on a command line, a tensor library or a logger; here the file stays
//! mapped, and every length that it states is compared with its size first.

mod cursor;
mod metadata;
mod tensor_type;
pub(crate) mod write;

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use self::cursor::Cursor;
use self::metadata::{Metadata, Value};
use self::tensor_type::elements;
use super::contents::Contents;
use super::state_dict::{Source, StateDict, StoredTensor};
use crate::error::{Error, Result};

const MAGIC: &[u8; 4] = b"GGUF";
/// The first version counted in 32 bits.
const VERSIONS: [u32; 2] = [2, 3];
/// Where elements may begin, if the metadata do not say: at multiples of this.
const ALIGNMENT: u64 = 32;
const MOST_DIMENSIONS: u32 = 8;
/// The fewest bytes that describe a tensor: the length of its name, the number of its dimensions, type and place.
const FEWEST_TENSOR_BYTES: u64 = 24;
/// City96's converter stores some tensors in another shape, and names here the true one.
const ORIGINAL_SHAPE: &str = "comfy.gguf.orig_shape.";

/// A tensor as the header describes it.
struct Described {
    name: String,
    /// From the fastest to the slowest, the reverse of a shape.
    dimensions: Vec<u64>,
    kind: u32,
    /// From the first element of the file on.
    offset: u64,
}

/// The tensors of a GGUF file; `origin` is its name, for messages.
///
/// # Errors
/// When the header is damaged, the file is shorter than it says, or a tensor has a type that is not supported.
pub(crate) fn read(contents: Contents, origin: &str) -> Result<StateDict> {
    let mut cursor = Cursor::new(contents.bytes(), origin);
    if cursor.bytes(MAGIC.len() as u64, || "the magic number".into())? != MAGIC {
        return Err(cursor.error("not a GGUF file: it does not begin with `GGUF`"));
    }
    let version = cursor.u32(|| "the version".into())?;
    if VERSIONS.contains(&version.swap_bytes()) {
        return Err(cursor.error("a big-endian GGUF file; convert it to little-endian"));
    }
    if !VERSIONS.contains(&version) {
        return Err(cursor.error(format!("GGUF version {version}; versions 2 and 3 can be read")));
    }
    let tensor_count = cursor.u64(|| "the number of tensors".into())?;
    let metadata_count = cursor.u64(|| "the number of metadata".into())?;
    let metadata = Metadata::read(&mut cursor, metadata_count)?;
    let described = described(&mut cursor, tensor_count)?;
    let alignment = alignment(&metadata, &cursor)?;
    let start = cursor.place().next_multiple_of(alignment);

    let file =
        File { origin: origin.into(), metadata: &metadata, alignment, start, contents: contents.into() };
    let mut tensors = BTreeMap::new();
    for described in described {
        let error = |message: String| {
            let message = format!("tensor `{}`: {message}", described.name);
            Error::Weights { origin: origin.to_owned(), message }
        };
        let tensor = file.tensor(&described).map_err(error)?;
        if tensors.insert(described.name.clone(), tensor).is_some() {
            return Err(error("it is there twice".into()));
        }
    }
    check_apart(&tensors, origin)?;
    let origin = file.origin;
    Ok(StateDict { origin, tensors, texts: metadata.texts() })
}

/// # Errors
/// When two tensors share bytes: the header lies about the type, the shape or the place of one.
fn check_apart(tensors: &BTreeMap<String, StoredTensor>, origin: &str) -> Result<()> {
    let mut places: Vec<(&Range<usize>, &str)> =
        tensors.iter().map(|(name, tensor)| (&tensor.range, name.as_str())).collect();
    places.sort_unstable_by_key(|(range, _)| (range.start, range.end));
    match places.windows(2).find(|pair| pair[0].0.end > pair[1].0.start) {
        Some(pair) => {
            let message = format!("tensor `{}` reaches into tensor `{}`", pair[0].1, pair[1].1);
            Err(Error::Weights { origin: origin.to_owned(), message })
        }
        None => Ok(()),
    }
}

/// What is known of the file when the header has been read.
struct File<'a> {
    origin: Arc<str>,
    metadata: &'a Metadata,
    alignment: u64,
    /// Where the elements begin.
    start: u64,
    contents: Arc<Contents>,
}

impl File<'_> {
    /// # Errors
    /// When the type is not supported, or the elements are not in the file.
    fn tensor(&self, described: &Described) -> Result<StoredTensor, String> {
        let Described { name, dimensions, kind, offset } = described;
        let (elements, bytes) = elements(*kind, dimensions)?;
        if !offset.is_multiple_of(self.alignment) {
            return Err(format!("its offset {offset} is not a multiple of the alignment {}", self.alignment));
        }
        let len = self.contents.bytes().len() as u64;
        let end = self.start.checked_add(*offset).and_then(|first| first.checked_add(bytes));
        let Some(end) = end.filter(|end| *end <= len) else {
            return Err(format!(
                "its {bytes} bytes at offset {offset} reach past the end of the file of {len} bytes; is it truncated?"
            ));
        };
        let shape: Vec<usize> = dimensions.iter().rev().map(|dimension| *dimension as usize).collect();
        Ok(StoredTensor {
            origin: self.origin.clone(),
            elements,
            shape: true_shape(self.metadata, name, shape)?,
            scale: 1.0,
            source: Source::File(self.contents.clone()),
            range: (end - bytes) as usize..end as usize,
        })
    }
}

fn described(cursor: &mut Cursor<'_>, count: u64) -> Result<Vec<Described>> {
    cursor.check_count(count, FEWEST_TENSOR_BYTES, "tensors")?;
    let mut all = Vec::new();
    for index in 0..count {
        let name = cursor.text(|| format!("the name of tensor {index}"))?;
        if name.is_empty() {
            return Err(cursor.error(format!("tensor {index} has no name")));
        }
        let dimension_count = cursor.u32(|| format!("the number of dimensions of `{name}`"))?;
        if dimension_count > MOST_DIMENSIONS {
            return Err(cursor.error(format!("tensor `{name}`: {dimension_count} dimensions are too many")));
        }
        let dimensions: Result<_> =
            (0..dimension_count).map(|_| cursor.u64(|| format!("the dimensions of `{name}`"))).collect();
        let (dimensions, kind) = (dimensions?, cursor.u32(|| format!("the type of `{name}`"))?);
        let offset = cursor.u64(|| format!("the offset of `{name}`"))?;
        all.push(Described { name, dimensions, kind, offset });
    }
    Ok(all)
}

fn alignment(metadata: &Metadata, cursor: &Cursor<'_>) -> Result<u64> {
    const KEY: &str = "general.alignment";
    match metadata.get(KEY) {
        None => Ok(ALIGNMENT),
        Some(Value::Integer(alignment)) if (1..1 << 30).contains(alignment) => match *alignment as u64 {
            alignment if alignment.is_power_of_two() => Ok(alignment),
            other => Err(cursor.error(format!("metadata `{KEY}` is {other}, not a power of two"))),
        },
        Some(other) => Err(cursor.error(format!("metadata `{KEY}` is {other:?}, not a power of two"))),
    }
}

/// The shape of a tensor before it was converted.
///
/// # Errors
/// When the metadata name a shape of another size.
fn true_shape(metadata: &Metadata, name: &str, stored: Vec<usize>) -> Result<Vec<usize>, String> {
    let key = format!("{ORIGINAL_SHAPE}{name}");
    let Some(value) = metadata.get(&key) else { return Ok(stored) };
    let Value::Integers(shape) = value else {
        return Err(format!("metadata `{key}` is not a list of whole numbers"));
    };
    let shape: Option<Vec<usize>> = shape.iter().map(|length| usize::try_from(*length).ok()).collect();
    let size = |shape: &[usize]| shape.iter().try_fold(1usize, |size, length| size.checked_mul(*length));
    match shape {
        Some(shape) if size(&shape) == size(&stored) => Ok(shape),
        _ => Err(format!("metadata `{key}` is not a shape of as many elements as {stored:?}")),
    }
}
