//! Recognises files of an unexpected kind by their first bytes.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use crate::error::{Error, Result};

/// How many bytes of a file are inspected.
const FIRST_BYTES: usize = 512;

/// A kind of file that people mistake for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FileKind {
    GitLfsPointer,
    GitAnnexPointer,
    Html,
    Xml,
    Json,
    ZipArchive,
    Pickle,
    Safetensors,
    Gguf,
    Gzip,
    Hdf5,
    Image,
    Avif,
    Heif,
    Utf8WithMark,
    Utf16,
    Empty,
    Zeros,
}

impl FileKind {
    /// The kind of a file with these contents, or with these first bytes; `None` where nothing gives it away.
    fn of(contents: &[u8]) -> Option<Self> {
        let first = &contents[..contents.len().min(FIRST_BYTES)];
        let text = String::from_utf8_lossy(first).trim_start_matches('\u{feff}').trim_start().to_lowercase();
        let is_box = |brands: &[&[u8]]| {
            first.get(4..8) == Some(b"ftyp") && first.get(8..12).is_some_and(|brand| brands.contains(&brand))
        };
        Some(match first {
            [] => Self::Empty,
            first if first.iter().all(|byte| *byte == 0) => Self::Zeros,
            _ if text.starts_with("version https://git-lfs") => Self::GitLfsPointer,
            _ if text.starts_with("/annex/objects/") || text.contains(".git/annex/objects/") => {
                Self::GitAnnexPointer
            }
            _ if text.starts_with("<!doctype html") || text.starts_with("<html") => Self::Html,
            _ if text.starts_with("<?xml") => Self::Xml,
            [b'P', b'K', 3, 4, ..] => Self::ZipArchive,
            // Protocols 2 to 5; PyTorch writes the second.
            [0x80, 2..=5, ..] => Self::Pickle,
            [b'G', b'G', b'U', b'F', ..] => Self::Gguf,
            [0x1f, 0x8b, ..] => Self::Gzip,
            [0x89, b'H', b'D', b'F', ..] => Self::Hdf5,
            [0x89, b'P', b'N', b'G', ..] | [0xff, 0xd8, 0xff, ..] | [b'G', b'I', b'F', b'8', ..] => {
                Self::Image
            }
            _ if is_box(&[b"avif", b"avis"]) => Self::Avif,
            _ if is_box(&[b"heic", b"heix", b"mif1", b"msf1"]) => Self::Heif,
            // The length of a JSON header, less than 16 MiB, and the header.
            [_, _, _, 0, 0, 0, 0, 0, b'{', ..] => Self::Safetensors,
            [0xef, 0xbb, 0xbf, ..] => Self::Utf8WithMark,
            [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => Self::Utf16,
            _ if text.starts_with(['{', '[']) => Self::Json,
            _ => return None,
        })
    }

    /// The kind of the file at `path`; also `None` where it cannot be read.
    fn of_file(path: &Path) -> Option<Self> {
        let mut first = Vec::new();
        File::open(path).ok()?.take(FIRST_BYTES as u64).read_to_end(&mut first).ok()?;
        Self::of(&first)
    }

    fn is_weights(self) -> bool {
        matches!(self, Self::ZipArchive | Self::Pickle | Self::Safetensors | Self::Gguf | Self::Hdf5)
    }

    fn error(self, path: &Path) -> Error {
        Error::WrongKind { path: path.to_path_buf(), message: self.advice() }
    }

    /// What the file is and what to do about it.
    fn advice(self) -> &'static str {
        match self {
            Self::GitLfsPointer => {
                "this is a Git LFS pointer, not the file itself: run `git lfs pull` in its repository"
            }
            Self::GitAnnexPointer => {
                "this is a git-annex pointer, not the file itself: run `git annex get` in its repository"
            }
            Self::Html => {
                "this is an HTML page, such as a login or error page saved under the file's name: download \
                 the file itself"
            }
            Self::Xml => {
                "this is an XML document, such as a server's error message saved under the file's name: \
                 download the file again"
            }
            Self::Json => "this is a JSON file",
            Self::ZipArchive => {
                "this is a zip archive, as PyTorch saves weights: if it holds weights, its name must end in .bin, .pt or \
                 .ckpt"
            }
            Self::Pickle => {
                "this is a Python pickle, as PyTorch saves weights: if it holds weights, its name must end in .bin, .pt \
                 or .ckpt"
            }
            Self::Safetensors => "these are safetensors weights: the file's name must end in .safetensors",
            Self::Gguf => "these are GGUF weights: the file's name must end in .gguf",
            Self::Gzip => "this is a gzip archive: unpack it first",
            Self::Hdf5 => "this is an HDF5 file, as TensorFlow saves weights: use the safetensors weights",
            Self::Image => "this is an image",
            Self::Avif => "this is an AVIF image, an unsupported format: convert it to PNG",
            Self::Heif => "this is a HEIF image, an unsupported format: convert it to PNG",
            Self::Utf8WithMark => {
                "the text begins with a byte order mark (BOM): save it as UTF-8 without one"
            }
            Self::Utf16 => "the text is encoded in UTF-16: save it as UTF-8",
            Self::Empty => "the file is empty: download it again",
            Self::Zeros => {
                "the file begins with nothing but zeros, as after an interrupted download: download it again"
            }
        }
    }
}

/// Refuses a text file (JSON or a list of lines) that holds something else.
///
/// # Errors
/// When the first bytes show that it is something else.
pub(crate) fn check_text(path: &Path, contents: &[u8]) -> Result<()> {
    let is_json = path.extension().is_some_and(|extension| extension == "json");
    match FileKind::of(contents) {
        None | Some(FileKind::Json) => Ok(()),
        // A list of lines may begin with a mark; for Python, JSON may not.
        Some(FileKind::Utf8WithMark) if !is_json => Ok(()),
        Some(kind) => Err(kind.error(path)),
    }
}

/// The error for a file that is none of the `expected` kinds: what it is instead, if that is known, else `error`.
pub(crate) fn explain(path: &Path, expected: &[FileKind], error: Error) -> Error {
    match FileKind::of_file(path).filter(|kind| !expected.contains(kind)) {
        Some(kind) if kind.is_weights() && expected.contains(&FileKind::Image) => {
            let message = "this is a file of weights, not an image";
            Error::WrongKind { path: path.to_path_buf(), message }
        }
        Some(kind) => kind.error(path),
        None => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_known_by_their_first_bytes() {
        let pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12\n";
        assert_eq!(FileKind::of(pointer), Some(FileKind::GitLfsPointer));
        assert_eq!(FileKind::of(b"\xef\xbb\xbf\n <!DOCTYPE html><html>"), Some(FileKind::Html));
        assert_eq!(FileKind::of(b"PK\x03\x04\0\0"), Some(FileKind::ZipArchive));
        assert_eq!(FileKind::of(b"\x80\x02}q\x00"), Some(FileKind::Pickle));
        assert_eq!(FileKind::of(b"\x40\0\0\0\0\0\0\0{\"a\":"), Some(FileKind::Safetensors));
        assert_eq!(FileKind::of(b"\0\0\0\x1cftypavif"), Some(FileKind::Avif));
        assert_eq!(FileKind::of(b"\xef\xbb\xbf{}"), Some(FileKind::Utf8WithMark));
        assert_eq!(FileKind::of(b"\xff\xfe{\0}\0"), Some(FileKind::Utf16));
        assert_eq!(FileKind::of(b"\xff\xfe\0\0\0\0\0\0{"), Some(FileKind::Safetensors));
        assert_eq!(FileKind::of(b""), Some(FileKind::Empty));
        assert_eq!(FileKind::of(&[0; 4096]), Some(FileKind::Zeros));
        assert_eq!(FileKind::of(b"ordinary text"), None);
    }
}
