//! Files that are written completely or not at all.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use tempfile::{Builder, NamedTempFile};

use super::error::{ReportError, Result};

/// Writes `contents` to `path`, whose folder is created. After an error, an existing file is unchanged.
pub(super) fn write_whole(path: &Path, contents: &[u8]) -> Result<()> {
    write(path, contents).map_err(ReportError::io(path))
}

fn write(path: &Path, contents: &[u8]) -> io::Result<()> {
    let mut file = begin(path)?;
    file.write_all(contents)?;
    file.persist(path)?;
    Ok(())
}

/// A temporary file in the folder of `path`, which is created, to be renamed to `path`.
fn begin(path: &Path) -> io::Result<NamedTempFile> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let mut builder = Builder::new();
    // Temporary files are private by default; this one becomes an ordinary file.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    builder.tempfile_in(folder)
}
