//! Memory-mapped files: a checkpoint is used directly from the page cache, without a copy.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, Weak};

use bytes::Bytes;
use memmap2::{Mmap, UncheckedAdvice};

/// All maps, to find the one that contains a tensor.
static MAPS: Mutex<Vec<Weak<Mmap>>> = Mutex::new(Vec::new());

fn maps() -> MutexGuard<'static, Vec<Weak<Mmap>>> {
    MAPS.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// A read-only file mapped into memory, shared by all slices taken from it.
#[derive(Clone, Debug)]
pub struct MappedFile {
    map: Arc<Mmap>,
}

impl MappedFile {
    /// Maps the whole file at `path`.
    ///
    /// The file must not be changed while it is mapped: readers would see the change, and truncating it ends the process
    /// with a bus error. Checkpoints are written once and then only read.
    ///
    /// # Errors
    /// When the file cannot be opened or mapped.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        // SAFETY: the map is read-only and private to this process. Nobody else may write to the file while it is mapped:
        // this is the condition documented above, on which every memory-mapping reader of model weights relies.
        let map = unsafe { Mmap::map(&file)? };
        let map = Arc::new(map);
        let mut maps = maps();
        maps.retain(|map| map.strong_count() > 0);
        maps.push(Arc::downgrade(&map));
        Ok(Self { map })
    }

    /// The mapped file that contains the `len` bytes at `address`, and their offset in it.
    pub(crate) fn containing(address: usize, len: usize) -> Option<(Self, usize)> {
        maps().iter().filter_map(Weak::upgrade).find_map(|map| {
            let offset = address.checked_sub(map.as_ptr().addr())?;
            (offset + len <= map.len()).then_some((Self { map }, offset))
        })
    }

    /// A slice of the file that keeps the mapping alive.
    ///
    /// # Panics
    /// When `range` reaches past the end of the file.
    pub fn slice(&self, range: Range<usize>) -> Bytes {
        Bytes::from_owner(self.clone()).slice(range)
    }

    /// Tells the system that this part has been read and its pages can be dropped; otherwise they would count as used memory.
    pub fn release(&self, range: Range<usize>) {
        // SAFETY: the mapping is backed by a file and never written to, so a dropped page is read from the file again when it
        // is touched, and slices stay valid. If the advice fails, this only costs memory.
        let _ =
            unsafe { self.map.unchecked_advise_range(UncheckedAdvice::DontNeed, range.start, range.len()) };
    }
}

impl AsRef<[u8]> for MappedFile {
    fn as_ref(&self) -> &[u8] {
        &self.map
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slice_outlives_its_file_handle_and_survives_release() {
        let path = std::env::temp_dir().join(format!("oxidiff-mapped-{}", std::process::id()));
        std::fs::write(&path, (0..=255u8).cycle().take(10_000).collect::<Vec<_>>()).unwrap();
        let file = MappedFile::open(&path).unwrap();
        let slice = file.slice(4096..4100);
        file.release(4096..8192);
        drop(file);
        std::fs::remove_file(&path).unwrap();
        assert_eq!(&slice[..], &[0, 1, 2, 3]);
    }
}
