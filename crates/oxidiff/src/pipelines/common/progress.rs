//! The progress bar of a denoising loop, in the form that Python's `tqdm` has.

use indicatif::{ProgressBar, ProgressStyle};

/// A bar over `steps` steps on the terminal's error output; nothing if it is not `enabled` or there is no terminal.
pub(crate) fn denoising_bar(steps: usize, enabled: bool) -> ProgressBar {
    if !enabled {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template(
        "{percent:>3}%|{wide_bar}| {pos}/{len} [{elapsed_precise}<{eta_precise}, {per_sec}]",
    )
    .expect("a template known to be right");
    ProgressBar::new(steps as u64).with_style(style)
}
