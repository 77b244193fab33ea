//! What the terminal shows while downloading, and while waiting.

use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Smaller files arrive before anyone could read a progress bar.
const PROGRESS_FROM_BYTES: u64 = 1 << 20;
/// How long to wait before explaining why.
const PATIENCE: Duration = Duration::from_secs(3);

/// Shows slow operations, on standard error if that is a terminal.
#[derive(Clone, Debug)]
pub(super) struct Progress {
    bars: MultiProgress,
}

impl Progress {
    pub(super) fn new(shown: bool) -> Self {
        let bars = MultiProgress::new();
        if !shown {
            bars.set_draw_target(ProgressDrawTarget::hidden());
        }
        Self { bars }
    }

    /// A bar for the download of a file; hidden if the file is small.
    pub(super) fn of_download(&self, file: &str, size: Option<u64>) -> ProgressBar {
        if size.is_some_and(|size| size < PROGRESS_FROM_BYTES) {
            return ProgressBar::hidden();
        }
        let style = "{msg} [{wide_bar}] {bytes}/{total_bytes} {bytes_per_sec} {eta}";
        self.bars.add(
            ProgressBar::new(size.unwrap_or(0))
                .with_style(
                    ProgressStyle::with_template(style).expect("the template is valid").progress_chars("=> "),
                )
                .with_message(file.to_owned()),
        )
    }

    /// Runs `wait`, and reports that it is waiting for `what` if that takes long.
    pub(super) fn waiting<T>(&self, what: &str, wait: impl FnOnce() -> T) -> T {
        std::thread::scope(|scope| {
            let (over, is_over) = mpsc::channel::<()>();
            scope.spawn(move || {
                if is_over.recv_timeout(PATIENCE) != Err(RecvTimeoutError::Timeout) {
                    return;
                }
                let message = format!("waiting for {what}");
                if self.bars.is_hidden() {
                    // Without a terminal, the message goes to the log.
                    tracing::warn!("{message}");
                    return;
                }
                let style = ProgressStyle::with_template("{spinner} {msg} ({elapsed})")
                    .expect("the template is valid");
                let spinner =
                    ProgressBar::new_spinner().with_style(style).with_message(message).with_elapsed(PATIENCE);
                let spinner = self.bars.add(spinner);
                spinner.enable_steady_tick(Duration::from_millis(100));
                // The other end is never written to: it is dropped when the wait is over.
                let _ = is_over.recv();
                spinner.finish_and_clear();
            });
            let result = wait();
            drop(over);
            result
        })
    }
}
