//! A tensor that was pickled alone: `torch.save(tensor, path)`.
//!
//! The reader of pickles returns only the tensors of a dictionary, so the tensor is wrapped in one: opcodes that make a
//! dictionary with a single entry are put around the program in the archive.

use std::fs::File;
use std::io::{BufReader, Cursor, Read, Write};
use std::path::Path;

use pytorch_reader::{PytorchReader, Tensor};
use tempfile::NamedTempFile;
use zip::result::ZipResult;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

/// The key of the tensor in the dictionary.
pub(crate) const BARE_TENSOR: &str = "<tensor>";

// Opcodes of pickle.
const PROTO: u8 = 0x80;
const STOP: u8 = b'.';
const EMPTY_DICT: u8 = b'}';
const SHORT_BINSTRING: u8 = b'U';
const SETITEM: u8 = b's';

/// The tensor in the archive at `path`, with its elements; `None` unless there is exactly one.
pub(crate) fn read(path: &Path) -> Option<(Tensor, Vec<u8>)> {
    let file = File::open(path).ok()?;
    let file_len = file.metadata().ok()?.len();
    let mut archive = ZipArchive::new(BufReader::new(file)).ok()?;
    // The reader needs a file.
    let mut wrapped = NamedTempFile::new().ok()?;
    wrapped.write_all(&repack(&mut archive).ok()??).ok()?;
    let tensor = PytorchReader::new(wrapped.path()).ok()?.into_tensors().remove(BARE_TENSOR)?;
    // Strides can repeat the elements of a small storage.
    if tensor.byte_len() as u64 > file_len {
        return None;
    }
    let elements = tensor.read().ok()?;
    Some((tensor, elements))
}

fn repack(archive: &mut ZipArchive<BufReader<File>>) -> ZipResult<Option<Vec<u8>>> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    let stored = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    for index in 0..archive.len() {
        let mut entry = archive.by_index(index)?;
        let name = entry.name()?.into_owned();
        let mut contents = Vec::new();
        entry.read_to_end(&mut contents)?;
        if name.ends_with("data.pkl") {
            let Some(wrapped) = wrapped(&contents) else { return Ok(None) };
            contents = wrapped;
        }
        writer.start_file(name, stored)?;
        writer.write_all(&contents)?;
    }
    Ok(Some(writer.finish()?.into_inner()))
}

/// A program that wraps the result of `program` in a dictionary.
fn wrapped(program: &[u8]) -> Option<Vec<u8>> {
    let [PROTO, protocol, body @ .., STOP] = program else { return None };
    let mut wrapped = vec![PROTO, *protocol, EMPTY_DICT, SHORT_BINSTRING, BARE_TENSOR.len() as u8];
    wrapped.extend(BARE_TENSOR.as_bytes());
    wrapped.extend(body);
    wrapped.extend([SETITEM, STOP]);
    Some(wrapped)
}
