//! Stopping a training from outside.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::error::{Error, Result};

/// Whether a training should stop. It then finishes its step and writes a checkpoint. Clones share the wish.
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Asks the training to stop.
    pub fn request(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    /// Whether someone asked.
    pub fn is_requested(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }

    /// A wish that Ctrl-C makes. A second Ctrl-C ends the process at once with the code 130.
    ///
    /// # Errors
    /// When the process has another handler for it already.
    pub fn on_interrupt() -> Result<Self> {
        let stop = Self::default();
        let wish = stop.clone();
        ctrlc::set_handler(move || {
            if wish.0.swap(true, Ordering::SeqCst) {
                std::process::exit(i32::from(INTERRUPTED));
            }
        })
        .map_err(|error| Error::io("Ctrl-C")(std::io::Error::other(error)))?;
        Ok(stop)
    }
}

/// The exit code of programs that Ctrl-C ended.
pub const INTERRUPTED: u8 = 130;
