//! The bytes of a file, wherever they are: mapped, part of the binary, or in memory.

use std::ops::Range;

use bytes::Bytes;
use oxidiff_kernels::MappedFile;

/// The contents of a file, used without copying where possible.
#[derive(Debug)]
pub(crate) enum Contents {
    Mapped(MappedFile),
    Static(&'static [u8]),
    /// Read from a file that cannot be mapped.
    Memory(Bytes),
}

impl Contents {
    pub(crate) fn bytes(&self) -> &[u8] {
        match self {
            Self::Mapped(file) => file.as_ref(),
            Self::Static(contents) => contents,
            Self::Memory(contents) => contents,
        }
    }

    /// A part of the contents, kept alive as long as it is needed.
    pub(crate) fn slice(&self, range: Range<usize>) -> Bytes {
        match self {
            Self::Mapped(file) => file.slice(range),
            Self::Static(contents) => Bytes::from_static(&contents[range]),
            Self::Memory(contents) => contents.slice(range),
        }
    }

    /// Lets a part go that was copied elsewhere: it need not stay in memory.
    pub(crate) fn release(&self, range: Range<usize>) {
        if let Self::Mapped(file) = self {
            file.release(range);
        }
    }
}
