//! How to report on a training.

use std::path::{Component, Path, PathBuf};
use std::str::FromStr;

use super::error::{ReportError, Result};

/// How to report on a training.
#[derive(Clone, Debug)]
pub struct ReportOptions {
    /// The folder for everything that the training leaves behind.
    pub output_dir: PathBuf,
    /// The folder for logs: relative to `output_dir`, or an absolute one.
    pub logging_dir: PathBuf,
    /// The folder of this training's logs inside `logging_dir`: the scripts' `tracker_project_name`.
    pub run_name: String,
    /// The step that the training will end with.
    pub total_steps: u64,
    /// The steps of the checkpoint at which the training resumes; 0 for a new one.
    pub start_step: u64,
    /// How many images a step uses, the accumulated ones included.
    pub batch_size: u64,
    /// Whether to show nothing.
    pub quiet: bool,
    /// Which logs to write.
    pub logger: Logger,
    /// What TensorBoard calls the loss: `train_loss` in the scripts for text-to-image, `loss` in the others.
    pub loss_tag: String,
}

impl ReportOptions {
    /// Options with the defaults of the scripts: the folder `logs`, and the loss as `loss`; both logs are written.
    pub fn new(
        output_dir: impl Into<PathBuf>,
        run_name: impl Into<String>,
        total_steps: u64,
        batch_size: u64,
    ) -> Self {
        Self {
            output_dir: output_dir.into(),
            logging_dir: "logs".into(),
            run_name: run_name.into(),
            total_steps,
            start_step: 0,
            batch_size,
            quiet: false,
            logger: Logger::default(),
            loss_tag: "loss".to_owned(),
        }
    }

    /// The folder of the logs.
    pub(super) fn logs(&self) -> PathBuf {
        self.output_dir.join(&self.logging_dir).join(&self.run_name)
    }

    pub(super) fn check(&self) -> Result<()> {
        let wrong = |name, reason: &str| Err(ReportError::argument(name, reason));
        let mut parts = Path::new(&self.run_name).components();
        if !(matches!(parts.next(), Some(Component::Normal(_))) && parts.next().is_none()) {
            return wrong("run_name", &format!("{:?} cannot name a folder", self.run_name));
        }
        if self.batch_size == 0 {
            return wrong("batch_size", "must be at least 1");
        }
        if self.start_step > self.total_steps {
            let reason = format!("{} is after the last step, {}", self.start_step, self.total_steps);
            return wrong("start_step", &reason);
        }
        if self.loss_tag.is_empty() {
            return wrong("loss_tag", "is empty");
        }
        Ok(())
    }
}

/// Which logs a training writes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Logger {
    /// `events.out.tfevents...` for TensorBoard.
    TensorBoard,
    /// `metrics.csv`.
    Csv,
    /// Both.
    #[default]
    Both,
    /// None.
    None,
}

impl Logger {
    pub(super) fn is_csv(self) -> bool {
        matches!(self, Self::Csv | Self::Both)
    }

    pub(super) fn is_tensorboard(self) -> bool {
        matches!(self, Self::TensorBoard | Self::Both)
    }
}

/// Parses the value of `--report-to`. `tensorboard`, the scripts' default, and `all` write the CSV log too.
impl FromStr for Logger {
    type Err = ReportError;

    fn from_str(name: &str) -> Result<Self> {
        match name {
            "tensorboard" | "all" => Ok(Self::Both),
            "csv" => Ok(Self::Csv),
            "none" => Ok(Self::None),
            "wandb" | "comet_ml" | "swanlab" => {
                Err(ReportError::argument("report_to", format!("{name} is not supported; tensorboard is")))
            }
            _ => Err(ReportError::argument(
                "report_to",
                format!("{name:?} is none of tensorboard, csv, all and none"),
            )),
        }
    }
}
