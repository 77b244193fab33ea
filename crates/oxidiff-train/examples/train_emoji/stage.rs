//! A part of the training, with its own steps and its own report.

use std::error::Error;
use std::path::Path;
use std::time::{Duration, Instant};

use oxidiff::image::RgbImage;
use oxidiff::training::{LearningRate, SchedulerType, get_scheduler};
use oxidiff_train::report::{Report, ReportOptions, Samples, Step};

/// How long a stage takes.
#[derive(Clone, Copy, Debug)]
pub enum Budget {
    Time(Duration),
    Steps(u64),
}

/// The learning rate follows what is spent of the budget, in parts of this many.
const PARTS: u64 = 1_000_000;

/// The share of the budget in which the learning rate rises.
const WARM_UP: f64 = 0.03;

/// How often to print a line.
const LINE_EVERY: Duration = Duration::from_secs(15);

pub struct Stage {
    name: &'static str,
    budget: Budget,
    begin: Instant,
    learning_rate: LearningRate,
    losses: Vec<f32>,
    report: Report,
    last_line: Option<Instant>,
}

impl Stage {
    /// Begins a stage. Its report is in `training/NAME` of the output folder.
    pub fn begin(
        name: &'static str,
        budget: Budget,
        learning_rate: f64,
        output: &Path,
        batch: u64,
    ) -> Result<Self, Box<dyn Error>> {
        // The number of steps is not known before their time is up.
        let total_steps = 0;
        let options = ReportOptions {
            quiet: true,
            ..ReportOptions::new(output.join("training").join(name), name, total_steps, batch)
        };
        let warm_up = (PARTS as f64 * WARM_UP) as u64;
        Ok(Self {
            name,
            budget,
            begin: Instant::now(),
            learning_rate: get_scheduler(SchedulerType::Cosine, learning_rate, warm_up, PARTS, None, 1.0)?,
            losses: Vec::new(),
            report: Report::open(options)?,
            last_line: None,
        })
    }

    /// How much of the budget is spent, from 0 to 1.
    pub fn progress(&self) -> f64 {
        let spent = match self.budget {
            Budget::Steps(steps) => self.losses.len() as f64 / steps as f64,
            Budget::Time(time) => self.begin.elapsed().as_secs_f64() / time.as_secs_f64(),
        };
        spent.min(1.0)
    }

    /// Whether the budget is spent. There is one step at least.
    pub fn is_over(&self) -> bool {
        !self.losses.is_empty() && self.progress() >= 1.0
    }

    /// The learning rate of the next step: it rises, then falls along half a cosine.
    pub fn learning_rate(&self) -> f64 {
        // Never 0, so that the first of a few steps counts as well.
        self.learning_rate.at((self.progress() * PARTS as f64) as u64 + 1)
    }

    /// Ends a step.
    pub fn step(&mut self, loss: f32, extra: &[(&str, f32)]) -> Result<(), Box<dyn Error>> {
        if !loss.is_finite() {
            let (name, step) = (self.name, self.losses.len() + 1);
            return Err(
                format!("{name}: the loss of step {step} is {loss}; use a lower learning rate").into()
            );
        }
        let learning_rate = self.learning_rate();
        self.losses.push(loss);
        let step = self.losses.len() as u64;
        self.report.step(&Step { step, epoch: 0, loss, learning_rate, extra })?;
        if self.last_line.is_none_or(|last| last.elapsed() >= LINE_EVERY) || self.is_over() {
            self.last_line = Some(Instant::now());
            let (name, percent) = (self.name, 100.0 * self.progress());
            let extra: String = extra.iter().map(|(name, value)| format!(", {name} {value:.4}")).collect();
            eprintln!("{name}: {percent:.0} %, step {step}, loss {loss:.4}{extra}");
        }
        Ok(())
    }

    /// Writes pictures that show how far the training is.
    pub fn show(
        &mut self,
        images: &[RgbImage],
        prompts: &[String],
        columns: Option<usize>,
    ) -> Result<(), Box<dyn Error>> {
        let prompts: Vec<&str> = prompts.iter().map(String::as_str).collect();
        let step = self.losses.len() as u64;
        let path =
            self.report.images(&Samples { step, tag: self.name, prompts: &prompts, images, columns })?;
        eprintln!("{}: wrote {}", self.name, path.display());
        Ok(())
    }

    /// Ends the stage. The loss of each step.
    pub fn end(self) -> Result<Vec<f32>, Box<dyn Error>> {
        self.report.finish()?;
        Ok(self.losses)
    }
}
