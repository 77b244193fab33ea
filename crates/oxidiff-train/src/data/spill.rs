//! A temporary file for images out of large Parquet pages.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::sync::{Mutex, PoisonError};

use super::error::{DataError, Result};

/// Values that were decoded once, in an unnamed file of the folder for temporary files. The file goes away with the
/// process, however it ends.
#[derive(Debug, Default)]
pub(super) struct Spill {
    file: Mutex<Option<File>>,
}

/// Where a value is in the file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Extent {
    start: u64,
    bytes: usize,
}

impl Spill {
    pub fn append(&self, value: &[u8]) -> Result<Extent> {
        self.with_file(|file| {
            let start = file.seek(SeekFrom::End(0))?;
            file.write_all(value)?;
            Ok(Extent { start, bytes: value.len() })
        })
    }

    pub fn read(&self, extent: Extent) -> Result<Vec<u8>> {
        self.with_file(|file| {
            let mut value = vec![0; extent.bytes];
            file.seek(SeekFrom::Start(extent.start))?;
            file.read_exact(&mut value)?;
            Ok(value)
        })
    }

    fn with_file<T>(&self, work: impl FnOnce(&mut File) -> io::Result<T>) -> Result<T> {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let opened = match &mut *file {
            Some(file) => Ok(file),
            None => tempfile::tempfile().map(|new| file.insert(new)),
        };
        opened.and_then(work).map_err(DataError::io(&std::env::temp_dir()))
    }
}
