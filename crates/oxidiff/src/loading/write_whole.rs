//! Writing files completely or not at all.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// The most links followed in a row; Linux has the same limit.
const MOST_LINKS: usize = 40;

/// Writes a file completely or not at all. A symbolic link is kept, and the file that it points to is written; an existing
/// file keeps its permissions.
///
/// ```
/// let folder = tempfile::tempdir()?;
/// oxidiff::write_whole(&folder.path().join("notes.txt"), b"all of it")?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// When the folder does not exist or cannot be written; an existing file is then unchanged.
pub fn write_whole(file: &Path, contents: &[u8]) -> Result<()> {
    write_whole_with(file, |out| out.write_all(contents).map_err(Error::io(file)))
}

/// Like [`write_whole`], for contents that are made while they are written.
///
/// # Errors
/// As [`write_whole`], and those of `contents`.
pub(crate) fn write_whole_with(
    file: &Path,
    contents: impl FnOnce(&mut dyn Write) -> Result<()>,
) -> Result<()> {
    let target = link_target(file).map_err(Error::io(file))?;
    let mut failed = Ok(());
    let written = write(&target, |out| {
        let mut out = BufWriter::new(out);
        failed = contents(&mut out);
        if failed.is_err() { Err(io::ErrorKind::Other.into()) } else { out.flush() }
    });
    failed?;
    written.map_err(|error| Error::io(file)(bare(error)))
}

fn write(target: &Path, contents: impl FnOnce(&mut File) -> io::Result<()>) -> io::Result<()> {
    let existing = fs::metadata(target).ok();
    // A pipe or a device has no contents to protect, and must not be replaced.
    if existing.as_ref().is_some_and(|existing| !existing.is_file() && !existing.is_dir()) {
        return contents(&mut File::options().write(true).open(target)?);
    }
    let mut builder = tempfile::Builder::new();
    // Temporary files are private by default; this one becomes an ordinary file.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let mut temporary = builder.tempfile_in(folder_of(target))?;
    contents(temporary.as_file_mut())?;
    if let Some(existing) = existing {
        temporary.as_file().set_permissions(existing.permissions())?;
    }
    temporary.persist(target).map_err(|error| error.error)?;
    Ok(())
}

/// The file that `path` refers to: itself, or the end of its links, which need not exist.
///
/// # Errors
/// When the links form a circle.
pub(crate) fn link_target(path: &Path) -> io::Result<PathBuf> {
    let mut target = path.to_path_buf();
    for _ in 0..MOST_LINKS {
        match fs::read_link(&target) {
            Ok(next) => target = folder_of(&target).join(next),
            Err(_) => return Ok(target),
        }
    }
    Err(io::Error::other("too many symbolic links"))
}

/// The folder of a file.
pub(crate) fn folder_of(file: &Path) -> &Path {
    file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// The error of the system, without the name of a temporary file.
fn bare(error: io::Error) -> io::Error {
    let inner = error.get_ref().and_then(|inner| inner.source());
    match inner.and_then(|inner| inner.downcast_ref::<io::Error>()) {
        Some(inner) => inner.raw_os_error().map_or(inner.kind().into(), io::Error::from_raw_os_error),
        None => error,
    }
}

/// Checks that [`write_whole`] can write `file`, without writing it.
///
/// # Errors
/// When its folder does not exist or cannot be written, or it is a folder itself.
pub fn check_writable(file: &Path) -> Result<()> {
    let target = link_target(file).map_err(Error::io(file))?;
    if target.is_dir() {
        return Err(Error::io(file)(io::ErrorKind::IsADirectory.into()));
    }
    if fs::metadata(&target).is_ok_and(|existing| !existing.is_file()) {
        return Ok(());
    }
    let folder = folder_of(&target);
    if !folder.is_dir() {
        let message = "the folder does not exist".to_owned();
        return Err(Error::MissingFile { path: folder.to_path_buf(), message });
    }
    tempfile::tempfile_in(folder).map_err(|error| Error::io(folder)(bare(error)))?;
    Ok(())
}
