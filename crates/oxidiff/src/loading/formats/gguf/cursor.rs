//! Reads the header from its beginning to its end.

use crate::error::{Error, Result};

/// A place in the header. Whoever reads says what, for the message that the file ends there.
pub(super) struct Cursor<'a> {
    contents: &'a [u8],
    place: usize,
    origin: &'a str,
}

impl<'a> Cursor<'a> {
    pub fn new(contents: &'a [u8], origin: &'a str) -> Self {
        Self { contents, place: 0, origin }
    }

    /// Bytes that have been read.
    pub fn place(&self) -> u64 {
        self.place as u64
    }

    /// An error about this file.
    pub fn error(&self, message: impl Into<String>) -> Error {
        Error::Weights { origin: self.origin.to_owned(), message: message.into() }
    }

    /// The next bytes.
    ///
    /// # Errors
    /// When the file ends before.
    pub fn bytes(&mut self, count: u64, what: impl Fn() -> String) -> Result<&'a [u8]> {
        let rest = &self.contents[self.place..];
        match usize::try_from(count).ok().and_then(|count| rest.get(..count)) {
            Some(bytes) => {
                self.place += bytes.len();
                Ok(bytes)
            }
            None => Err(self.error(format!(
                "not a whole GGUF file: {} should have {count} bytes at byte {}, but the file has {}; is it truncated?",
                what(),
                self.place,
                self.contents.len()
            ))),
        }
    }

    fn array<const COUNT: usize>(&mut self, what: impl Fn() -> String) -> Result<[u8; COUNT]> {
        Ok(self.bytes(COUNT as u64, what)?.try_into().expect("as many bytes as were asked for"))
    }

    pub fn u32(&mut self, what: impl Fn() -> String) -> Result<u32> {
        Ok(u32::from_le_bytes(self.array(what)?))
    }

    pub fn u64(&mut self, what: impl Fn() -> String) -> Result<u64> {
        Ok(u64::from_le_bytes(self.array(what)?))
    }

    /// A text after its length.
    ///
    /// # Errors
    /// When the file ends before, or the text is not UTF-8.
    pub fn text(&mut self, what: impl Fn() -> String) -> Result<String> {
        let bytes = self.raw_text(&what)?;
        String::from_utf8(bytes.to_vec()).map_err(|_| self.error(format!("{} is not UTF-8", what())))
    }

    /// The bytes of a text after its length.
    ///
    /// # Errors
    /// When the file ends before.
    pub fn raw_text(&mut self, what: impl Fn() -> String) -> Result<&'a [u8]> {
        let len = self.u64(&what)?;
        self.bytes(len, what)
    }

    /// Refuses a count of things of at least this many bytes each that the rest of the file cannot hold.
    ///
    /// # Errors
    /// When it cannot.
    pub fn check_count(&self, count: u64, bytes: u64, what: &str) -> Result<()> {
        let rest = (self.contents.len() - self.place) as u64;
        if count.checked_mul(bytes).is_none_or(|least| least > rest) {
            return Err(self.error(format!(
                "not a whole GGUF file: it should have {count} {what}, but only {rest} bytes are left"
            )));
        }
        Ok(())
    }
}
