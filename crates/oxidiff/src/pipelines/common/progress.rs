//! The progress bar of a denoising loop, in the form of Python's `tqdm`.

use indicatif::{ProgressBar, ProgressStyle};

/// A bar for this number of `steps` on standard error; hidden if it is not `enabled` or there is no terminal.
pub(crate) fn denoising_bar(steps: usize, enabled: bool) -> ProgressBar {
    if !enabled {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template(
        "{percent:>3}%|{wide_bar}| {pos}/{len} [{elapsed_precise}<{eta_precise}, {per_sec}]",
    )
    .expect("the template is valid");
    ProgressBar::new(steps as u64).with_style(style)
}
