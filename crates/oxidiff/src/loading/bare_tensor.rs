//! A tensor that was pickled alone: `torch.save(tensor, path)`.
//!
//! The reader of pickles gives out the tensors of a dictionary only, so the tensor is put into one: the program in the archive
//! is framed by the opcodes that make a dictionary with this one entry.

use std::fs::File;
use std::io::{BufReader, Cursor, Read, Write};
use std::path::Path;

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

/// The archive at `path` with its tensor in a dictionary; `None` if it is not an archive that holds a pickle.
pub(crate) fn in_dictionary(path: &Path) -> Option<Vec<u8>> {
    let file = File::open(path).ok()?;
    let mut archive = ZipArchive::new(BufReader::new(file)).ok()?;
    repack(&mut archive).ok()?
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
