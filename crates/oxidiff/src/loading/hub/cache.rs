//! The files and folders of the cache, in the layout of `huggingface_hub`.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// Takes the same lock as huggingface_hub; dropping the file releases it.
pub(super) fn lock(path: &Path) -> Result<File> {
    let file = File::options().create(true).append(true).open(path).map_err(Error::io(path))?;
    match file.lock() {
        // Some network file systems have no locks. The checksum then reveals whether two processes interfered.
        Err(error) if error.kind() == io::ErrorKind::Unsupported => {}
        result => result.map_err(Error::io(path))?,
    }
    Ok(file)
}

/// Links `pointer` to `blob`, relatively so that the cache can be moved.
pub(super) fn link(blob: &Path, pointer: &Path) -> io::Result<()> {
    if pointer.symlink_metadata().is_ok() {
        if pointer.is_file() {
            return Ok(());
        }
        // A link to a deleted blob.
        fs::remove_file(pointer)?;
    }
    // Both are in the repository's folder: `blobs/<etag>` and `snapshots/<commit>/<file>`.
    let repository = blob.ancestors().nth(2).expect("a blob is in a folder of the repository");
    let depth =
        pointer.strip_prefix(repository).expect("a snapshot is in the repository").components().count();
    let mut target = PathBuf::from_iter(std::iter::repeat_n("..", depth - 1));
    target.push("blobs");
    target.push(blob.file_name().expect("a blob has a name"));

    #[cfg(unix)]
    let linked = std::os::unix::fs::symlink(&target, pointer);
    #[cfg(windows)]
    let linked = std::os::windows::fs::symlink_file(&target, pointer);
    #[cfg(not(any(unix, windows)))]
    let linked = Err(io::Error::from(io::ErrorKind::Unsupported));
    // Windows allows symbolic links only to some users.
    linked.or_else(|_| fs::hard_link(blob, pointer)).or_else(|_| fs::copy(blob, pointer).map(drop))
}

pub(super) fn list_folder(folder: &Path, prefix: &str, files: &mut Vec<String>) -> Result<()> {
    for entry in fs::read_dir(folder).map_err(Error::io(folder))? {
        let entry = entry.map_err(Error::io(folder))?;
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        let path = entry.path();
        if path.is_dir() {
            list_folder(&path, &format!("{name}/"), files)?;
        } else if path.is_file() {
            files.push(name);
        }
    }
    Ok(())
}
