//! What a training shows while it runs, and what it leaves behind: a progress bar, logs for TensorBoard and as CSV, samples,
//! a plot of the loss and a model card.

mod bar;
mod csv_log;
mod error;
mod grid;
mod model_card;
mod options;
mod plot;
pub(crate) mod png_file;
mod samples;
mod step;
mod tensorboard;
mod whole_file;

use std::path::PathBuf;
use std::time::Instant;

pub use self::error::{ReportError, Result};
pub use self::grid::image_grid;
pub use self::model_card::{CardSample, Family, Method, ModelCard};
pub use self::options::{Logger, ReportOptions};
pub use self::samples::Samples;
pub use self::step::Step;

use self::bar::Bar;
use self::csv_log::CsvLog;
use self::step::Row;
use self::tensorboard::EventFile;
use self::whole_file::write_whole;

/// How much the latest step counts for the rate that is shown.
const RATE_OF_STEP: f64 = 0.1;

/// The report of a training, which grows step by step. What was reported is in the files at once, so a training that is
/// killed loses none of it.
///
/// ```
/// use oxidiff_train::report::{Report, ReportOptions, Step};
///
/// let folder = tempfile::tempdir()?;
/// let mut report = Report::open(ReportOptions {
///     quiet: true,
///     ..ReportOptions::new(folder.path(), "text2image-fine-tune", 2, 4)
/// })?;
/// for step in 1..=2 {
///     report.step(&Step { step, epoch: 0, loss: 0.5, learning_rate: 1e-4, extra: &[] })?;
/// }
/// let summary = report.finish()?;
/// assert!(summary.plot.is_some_and(|plot| plot.exists()));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Report {
    options: ReportOptions,
    bar: Bar,
    csv: Option<CsvLog>,
    events: Option<EventFile>,
    /// The loss of each step, also of earlier sessions if their log is there.
    losses: Vec<(u64, f32)>,
    last_step: u64,
    clock: Clock,
    loss_was_finite: bool,
}

impl Report {
    /// Begins the report of a training, or goes on with one after [`ReportOptions::start_step`]: what the logs say of later
    /// steps is then replaced.
    ///
    /// # Errors
    /// When an option makes no sense, when a file cannot be written, or when the CSV log of the earlier session was changed
    /// and cannot be understood.
    pub fn open(options: ReportOptions) -> Result<Self> {
        options.check()?;
        let start = options.start_step;
        let folder = options.logs();
        let (csv, rows) = if options.logger.is_csv() {
            let (csv, rows) = CsvLog::open(&folder.join("metrics.csv"), start)?;
            (Some(csv), rows)
        } else {
            (None, Vec::new())
        };
        let events = if options.logger.is_tensorboard() {
            Some(EventFile::create(&folder, if start == 0 { 0 } else { start + 1 })?)
        } else {
            None
        };
        Ok(Self {
            bar: Bar::new(start, options.total_steps, options.quiet),
            csv,
            events,
            losses: rows.iter().map(|row| (row.step, row.loss)).collect(),
            last_step: start,
            clock: Clock::new(rows.last().map_or(0.0, |row| row.seconds)),
            loss_was_finite: true,
            options,
        })
    }

    /// Reports a step.
    ///
    /// # Errors
    /// When its number is not greater than the last one's, when the name of a further metric is taken or has line breaks, or
    /// when a log cannot be written.
    pub fn step(&mut self, step: &Step) -> Result<()> {
        self.check(step)?;
        let images = (step.step - self.last_step) * self.options.batch_size;
        let images_per_second = self.clock.lap(images as f64, Instant::now());
        let row = Row {
            step: step.step,
            epoch: step.epoch,
            loss: step.loss,
            learning_rate: step.learning_rate,
            images_per_second,
            seconds: self.clock.seconds,
        };
        self.last_step = step.step;
        self.losses.push((step.step, step.loss));
        self.warn_of_loss(step);
        if let Some(csv) = &mut self.csv {
            csv.write(&row, step.extra)?;
        }
        if let Some(events) = &mut self.events {
            let usual = [
                (self.options.loss_tag.as_str(), step.loss),
                ("lr", step.learning_rate as f32),
                ("images_per_second", images_per_second as f32),
            ];
            events.scalars(step.step, usual.into_iter().chain(step.extra.iter().copied()))?;
        }
        let shown = Row { images_per_second: self.clock.smooth_rate, ..row };
        self.bar.step(step, &shown);
        Ok(())
    }

    fn check(&self, step: &Step) -> Result<()> {
        if step.step <= self.last_step {
            let reason = format!("{} was reported after {}", step.step, self.last_step);
            return Err(ReportError::argument("step", reason));
        }
        for (index, (name, _)) in step.extra.iter().enumerate() {
            let twice = step.extra[..index].iter().any(|(other, _)| other == name);
            let is_usual = csv_log::COLUMNS.contains(name) || *name == self.options.loss_tag;
            if name.is_empty() || name.contains(char::is_control) || twice || is_usual {
                return Err(ReportError::argument("extra", format!("{name:?} cannot name a further metric")));
            }
        }
        Ok(())
    }

    /// Warns when the loss becomes NaN or infinite, not in every step that it stays so.
    fn warn_of_loss(&mut self, step: &Step) {
        if self.loss_was_finite && !step.loss.is_finite() {
            self.bar.warn(&format!("the loss of step {} is {}", step.step, step.loss));
        }
        self.loss_was_finite = step.loss.is_finite();
    }

    /// Writes samples as one picture to `samples/step-000500.png`, logs them, and returns the path. The time since the last
    /// step, in which they were made, does not count for the rate.
    ///
    /// # Errors
    /// When there are no images or they are too large for one picture, or when a file cannot be written.
    pub fn images(&mut self, samples: &Samples) -> Result<PathBuf> {
        let path = self.options.output_dir.join("samples").join(format!("step-{:06}.png", samples.step));
        let grid = image_grid(samples.images, samples.columns)?;
        let png = png_file::encode(&grid, &samples.prompts.join("\n"), &path)?;
        write_whole(&path, &png)?;
        if let Some(events) = &mut self.events {
            events.image(samples.step, samples.tag, grid.dimensions(), png)?;
            if !samples.prompts.is_empty() {
                let prompts: Vec<_> = samples
                    .prompts
                    .iter()
                    .map(|prompt| format!("1. {}\n", model_card::escaped(prompt)))
                    .collect();
                events.text(samples.step, &format!("{}/prompts", samples.tag), &prompts.concat())?;
            }
        }
        self.restart_clock();
        Ok(path)
    }

    /// Leaves the time since the last step out of the rate and of the time that the training took. For work between steps,
    /// such as writing a checkpoint.
    pub fn restart_clock(&mut self) {
        self.clock.last = Instant::now();
    }

    /// Prints a line on standard error, above the bar; nothing if the report is quiet.
    pub fn message(&self, message: &str) {
        self.bar.message(message);
    }

    /// Ends the report with a plot of the loss, `loss.png`, if there was a step.
    ///
    /// # Errors
    /// When the plot cannot be written.
    pub fn finish(self) -> Result<Summary> {
        self.bar.finish();
        let plot = if self.losses.is_empty() {
            None
        } else {
            let path = self.options.output_dir.join("loss.png");
            let image = plot::loss_plot(&self.losses, &self.options.run_name, &path)?;
            write_whole(&path, &png_file::encode(&image, "", &path)?)?;
            Some(path)
        };
        let (images, seconds) = (self.clock.images, self.clock.seconds_of_session);
        Ok(Summary {
            last_step: self.last_step,
            first_loss: self.losses.first().map(|&(_, loss)| loss),
            last_loss: self.losses.last().map(|&(_, loss)| loss),
            smoothed_loss: plot::smoothed_loss(&self.losses),
            seconds: self.clock.seconds,
            images_per_second: if seconds > 0.0 { images / seconds } else { 0.0 },
            plot,
            metrics: self.csv.map(|csv| csv.path().to_owned()),
            events: self.events.map(|events| events.path().to_owned()),
        })
    }
}

/// What is left of a training that ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Summary {
    /// The last step.
    pub last_step: u64,
    /// The loss of the first step that is known; from an earlier session, if its CSV log is there.
    pub first_loss: Option<f32>,
    /// The loss of the last step.
    pub last_loss: Option<f32>,
    /// The moving average of the finite losses at the end.
    pub smoothed_loss: Option<f32>,
    /// The time that the steps took, over all sessions whose CSV log is there.
    pub seconds: f64,
    /// How many images this session trained on in a second.
    pub images_per_second: f64,
    /// The plot of the loss.
    pub plot: Option<PathBuf>,
    /// The log as CSV.
    pub metrics: Option<PathBuf>,
    /// The log for TensorBoard.
    pub events: Option<PathBuf>,
}

/// The time that the steps take.
#[derive(Debug)]
struct Clock {
    last: Instant,
    /// Over all sessions.
    seconds: f64,
    seconds_of_session: f64,
    images: f64,
    /// Images a second, as a moving average.
    smooth_rate: f64,
}

impl Clock {
    fn new(seconds: f64) -> Self {
        Self { last: Instant::now(), seconds, seconds_of_session: 0.0, images: 0.0, smooth_rate: 0.0 }
    }

    /// Ends a step with this number of images, and returns its images a second.
    fn lap(&mut self, images: f64, now: Instant) -> f64 {
        // Clocks with coarse ticks may say that no time has passed.
        let seconds = now.saturating_duration_since(self.last).as_secs_f64().max(1e-6);
        self.last = now;
        self.seconds += seconds;
        self.seconds_of_session += seconds;
        let is_first = self.images == 0.0;
        self.images += images;
        let rate = images / seconds;
        self.smooth_rate =
            if is_first { rate } else { self.smooth_rate + RATE_OF_STEP * (rate - self.smooth_rate) };
        rate
    }
}

#[cfg(test)]
mod tests;
