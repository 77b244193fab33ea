//! What a training shows in a terminal, or in a log without one.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressFinish, ProgressStyle};

use super::step::{Row, Step};

/// How often a line is printed if there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(30);

/// A progress bar on standard error; without a terminal, a line now and then.
#[derive(Debug)]
pub(super) struct Bar {
    bar: ProgressBar,
    total_steps: u64,
    quiet: bool,
    last_line: Option<Instant>,
}

impl Bar {
    pub fn new(start_step: u64, total_steps: u64, quiet: bool) -> Self {
        let target = if quiet { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
        let style = "Steps: {percent:>3}%|{wide_bar}| {pos}/{len} [{elapsed_precise}<{eta_precise}, {msg}]";
        let bar = ProgressBar::with_draw_target(Some(total_steps), target)
            .with_style(ProgressStyle::with_template(style).expect("the template is valid"))
            // After an error, the bar shows how far the training came.
            .with_finish(ProgressFinish::Abandon)
            .with_position(start_step);
        // The steps of earlier sessions would count for the remaining time.
        bar.reset_eta();
        Self { bar, total_steps, quiet, last_line: None }
    }

    /// Shows a step.
    pub fn step(&mut self, step: &Step, row: &Row) {
        let description = describe(step, row);
        if !self.bar.is_hidden() {
            self.bar.set_message(description);
            self.bar.set_position(step.step);
        } else if !self.quiet && self.line_is_due(step.step, Instant::now()) {
            eprintln!("step {}/{}: {description}", step.step, self.total_steps);
        }
    }

    /// Whether to print a line for a step: the first, the last, and one after each interval.
    fn line_is_due(&mut self, step: u64, now: Instant) -> bool {
        let due = step >= self.total_steps || self.last_line.is_none_or(|last| now - last >= LINE_EVERY);
        if due {
            self.last_line = Some(now);
        }
        due
    }

    /// Prints a line above the bar.
    pub fn message(&self, message: &str) {
        if !self.quiet {
            self.bar.suspend(|| eprintln!("{message}"));
        }
    }

    /// Logs a warning, which may go to the terminal.
    pub fn warn(&self, warning: &str) {
        self.bar.suspend(|| tracing::warn!("{warning}"));
    }

    /// Leaves the bar as it is.
    pub fn finish(&self) {
        self.bar.abandon();
    }
}

/// The numbers of a step, the rate in images a second if they are several.
fn describe(step: &Step, row: &Row) -> String {
    let rate = match row.images_per_second {
        rate if rate >= 1.0 || rate == 0.0 => format!("{rate:.1} images/s"),
        rate => format!("{:.1} s/image", 1.0 / rate),
    };
    let extra: String = step.extra.iter().map(|(name, value)| format!(", {name}={value:.4}")).collect();
    format!("{rate}, loss={:.4}, lr={:.2e}{extra}", step.loss, step.learning_rate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_now_and_then() {
        let mut bar = Bar::new(0, 100, false);
        let start = Instant::now();
        let due: Vec<_> =
            (1..=100).filter(|&step| bar.line_is_due(step, start + Duration::from_secs(step))).collect();
        assert_eq!(due, [1, 31, 61, 91, 100]);
    }

    #[test]
    fn a_step_is_described() {
        let step =
            Step { step: 7, epoch: 0, loss: f32::NAN, learning_rate: 1e-4, extra: &[("prior_loss", 0.25)] };
        let row = Row {
            step: 7,
            epoch: 0,
            loss: f32::NAN,
            learning_rate: 1e-4,
            images_per_second: 0.25,
            seconds: 9.0,
        };
        assert_eq!(describe(&step, &row), "4.0 s/image, loss=NaN, lr=1.00e-4, prior_loss=0.2500");
        let row = Row { images_per_second: 12.34, ..row };
        assert!(describe(&step, &row).starts_with("12.3 images/s, "));
    }
}
