//! Writes lines to standard output.

use std::fmt::Display;
use std::io::{self, ErrorKind, Write};

/// Prints a line. A closed pipe is not an error.
pub(crate) fn print_line(line: impl Display) -> io::Result<()> {
    match writeln!(io::stdout(), "{line}") {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}
