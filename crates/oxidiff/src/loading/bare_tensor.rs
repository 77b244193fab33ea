//! A tensor that was pickled alone: `torch.save(tensor, path)`.
//!
//! The reader of pickles gives out the tensors of a dictionary only, so the tensor is put into one: the program in the archive
//! is framed by the opcodes that make a dictionary with this one entry.

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

/// The tensor that the archive at `path` holds, with its elements; `None` if there is not exactly one tensor in it.
pub(crate) fn read(path: &Path) -> Option<(Tensor, Vec<u8>)> {
    let file = File::open(path).ok()?;
    let file_len = file.metadata().ok()?.len();
    let mut archive = ZipArchive::new(BufReader::new(file)).ok()?;
    // The reader takes a file, not memory.
    let mut framed = NamedTempFile::new().ok()?;
    framed.write_all(&repack(&mut archive).ok()??).ok()?;
    let tensor = PytorchReader::new(framed.path()).ok()?.into_tensors().remove(BARE_TENSOR)?;
    // Strides may repeat the elements of a small storage.
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
            let Some(framed) = framed(&contents) else { return Ok(None) };
            contents = framed;
        }
        writer.start_file(name, stored)?;
        writer.write_all(&contents)?;
    }
    Ok(Some(writer.finish()?.into_inner()))
}

/// A program that leaves a dictionary with what `program` leaves.
fn framed(program: &[u8]) -> Option<Vec<u8>> {
    let [PROTO, protocol, body @ .., STOP] = program else { return None };
    let mut framed = vec![PROTO, *protocol, EMPTY_DICT, SHORT_BINSTRING, BARE_TENSOR.len() as u8];
    framed.extend(BARE_TENSOR.as_bytes());
    framed.extend(body);
    framed.extend([SETITEM, STOP]);
    Some(framed)
}
