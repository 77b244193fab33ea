//! Archives of PyTorch that the `zip` crate misreads.
//!
//! Before the last record of its archives, PyTorch puts two records of ZIP64 that it does not need, 76 bytes together. The crate
//! (9.8) takes the directory to end where the last record begins, so to start 76 bytes late, and believes it if the second entry
//! is there: if the name of the archive has 21 characters, such as `ip-adapter_sd15_light`.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;

use tempfile::NamedTempFile;

use crate::error::{Error, Result};

/// The size of the last record of an archive without a comment.
const END: u64 = 22;
/// The size of the records of ZIP64 before it.
const ZIP64: u64 = 76;
/// What each record begins with.
const END_MARK: [u8; 4] = *b"PK\x05\x06";
const ZIP64_MARK: [u8; 4] = *b"PK\x06\x06";
const ENTRY_MARK: [u8; 4] = *b"PK\x01\x02";

/// The archive at `path` without the records that mislead the crate, if they do.
///
/// # Errors
/// When the file cannot be read, or the copy not written.
pub(super) fn copy_if_misread(path: &Path) -> Result<Option<NamedTempFile>> {
    let mut file = File::open(path).map_err(Error::io(path))?;
    let length = file.metadata().map_err(Error::io(path))?.len();
    let Some(zip64) = length.checked_sub(END + ZIP64) else { return Ok(None) };
    let mut tail = [0; (END + ZIP64) as usize];
    file.seek(SeekFrom::Start(zip64)).and_then(|_| file.read_exact(&mut tail)).map_err(Error::io(path))?;
    let end = &tail[ZIP64 as usize..];
    let number =
        |start: usize| u64::from(u32::from_le_bytes(end[start..start + 4].try_into().expect("4 bytes")));
    let (size, start) = (number(12), number(16));
    let is_plain = tail.starts_with(&ZIP64_MARK) && end.starts_with(&END_MARK) && start + size == zip64;
    if !is_plain {
        return Ok(None);
    }
    let mut mark = [0; 4];
    file.seek(SeekFrom::Start(start + ZIP64))
        .and_then(|_| file.read_exact(&mut mark))
        .map_err(Error::io(path))?;
    if mark != ENTRY_MARK {
        return Ok(None);
    }
    let mut copy = || {
        let mut copy = NamedTempFile::new()?;
        file.rewind()?;
        std::io::copy(&mut (&file).take(zip64), &mut copy)?;
        copy.write_all(end)?;
        copy.flush()?;
        Ok(copy)
    };
    copy().map(Some).map_err(Error::io(path))
}
