//! The loop of a training: epochs, batches, steps, checkpoints.

use std::path::{Path, PathBuf};

use oxidiff::training::{LearningRate, ParameterGradients, StateFile};

use crate::batches::{Batches, Source, TrainingData};
use crate::checkpoint::{Checkpoints, STATE};
use crate::error::{Error, Result};
use crate::order::Order;
use crate::random::Random;
use crate::report::{CardSample, Report, ReportOptions, Samples, Step, Summary};
use crate::stop::Stop;
use crate::task::{Due, SampleImages, Task};

/// How long and how to train.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The steps of the optimizer.
    pub steps: Steps,
    /// The learning rate of each step.
    pub learning_rate: LearningRate,
    /// The highest norm of a step's gradients, if there is one.
    pub max_grad_norm: Option<f64>,
    /// After how many steps to write a checkpoint.
    pub checkpointing_steps: u64,
    /// How many checkpoints to keep; all if there is none.
    pub checkpoints_total_limit: Option<usize>,
    /// The checkpoint to go on from: `latest`, a path, or a name in the training's folder.
    pub resume_from_checkpoint: Option<String>,
    /// Whether a new training may remove the checkpoints of an earlier one.
    pub overwrite_output_dir: bool,
}

/// How many steps a training has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Steps {
    /// How many batches make a step.
    pub accumulated: usize,
    /// How many epochs are begun.
    pub epochs: u64,
    /// How many steps of the optimizer there are.
    pub total: u64,
}

impl Steps {
    /// The steps of this number of epochs of `batches`, or `max_train_steps` instead. A step does not reach beyond the end of an epoch.
    ///
    /// # Errors
    /// When there are more than a number can count.
    pub fn new(
        batches: usize,
        accumulated: usize,
        epochs: u64,
        max_train_steps: Option<u64>,
    ) -> Result<Self> {
        let of_epoch = batches.div_ceil(accumulated) as u64;
        let total = max_train_steps.or_else(|| epochs.checked_mul(of_epoch)).ok_or_else(|| {
            Error::option("num-train-epochs", format!("{epochs} epochs have too many steps"))
        })?;
        Ok(Self { accumulated, epochs: total.div_ceil(of_epoch), total })
    }
}

/// How a training ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// It is complete.
    Complete(Summary),
    /// It was asked to stop.
    Stopped {
        /// The checkpoint from which it can go on.
        checkpoint: PathBuf,
    },
}

/// How far a training is.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Progress {
    step: u64,
    epoch: u64,
    /// The batches of the epoch that were learned.
    batch: usize,
    /// The order of the epoch.
    order: Order,
}

/// What a training goes on from.
struct Resumed {
    progress: Progress,
    random: Random,
    /// The generators before the next batch was fetched, which happens before the batch before it is learned.
    random_of_fetch: Random,
}

/// Trains until the end, or until `stop` asks to stop.
///
/// # Errors
/// When the data, a checkpoint, or a log cannot be read or written, or the model cannot be called.
pub fn train<S: Source>(
    task: &mut impl Task,
    data: &TrainingData<S>,
    plan: &Plan,
    random: Random,
    report: ReportOptions,
    stop: &Stop,
) -> Result<Outcome> {
    let folder = report.output_dir.clone();
    std::fs::create_dir_all(&folder).map_err(Error::io(&folder))?;
    let checkpoints = Checkpoints::new(&folder, plan.checkpoints_total_limit);
    let mut data = data.clone();
    let resumed = match &plan.resume_from_checkpoint {
        Some(name) => match checkpoints.find(name)? {
            Some(path) => Some(resume(task, &mut data, plan, &path)?),
            None => None,
        },
        None => None,
    };
    if resumed.is_none() && !checkpoints.all()?.is_empty() {
        if !plan.overwrite_output_dir {
            let message = format!(
                "{} has checkpoints of an earlier training; go on with --resume-from-checkpoint latest, or remove them \
                 with --overwrite-output-dir",
                folder.display()
            );
            return Err(Error::option("output-dir", message));
        }
        checkpoints.clear(None)?;
    }
    let start_step = resumed.as_ref().map_or(0, |resumed| resumed.progress.step);
    if let Some(later) = checkpoints.after(start_step)? {
        if !plan.overwrite_output_dir {
            let message = format!(
                "step {start_step} is before {}, which would be mistaken for a checkpoint of this training; remove the later ones with \
                 --overwrite-output-dir",
                later.display()
            );
            return Err(Error::option("resume-from-checkpoint", message));
        }
        checkpoints.clear(Some(start_step))?;
    }
    let report = Report::open(ReportOptions { start_step, total_steps: plan.steps.total, ..report })?;
    if plan.resume_from_checkpoint.is_some() {
        let name = if start_step > 0 { format!("step {start_step}") } else { "the beginning".to_owned() };
        report.message(&format!("Going on from {name}"));
    }
    Trainer { task, data: &data, plan, folder, checkpoints, report, stop, samples: None }.run(random, resumed)
}

struct Trainer<'a, T, S> {
    task: &'a mut T,
    data: &'a TrainingData<S>,
    plan: &'a Plan,
    folder: PathBuf,
    checkpoints: Checkpoints,
    report: Report,
    stop: &'a Stop,
    /// The latest images.
    samples: Option<SampleImages>,
}

impl<T: Task, S: Source> Trainer<'_, T, S> {
    fn run(mut self, random: Random, resumed: Option<Resumed>) -> Result<Outcome> {
        let (mut progress, mut random, mut random_of_fetch) = match resumed {
            Some(Resumed { progress, random, random_of_fetch }) => (progress, random, Some(random_of_fetch)),
            None => {
                let progress = Progress { step: 0, epoch: 0, batch: 0, order: Order::first(self.data) };
                (progress, random, None)
            }
        };
        while progress.epoch < self.plan.steps.epochs {
            if let Some(checkpoint) = self.epoch(&mut progress, &mut random, random_of_fetch.take())? {
                return Ok(Outcome::Stopped { checkpoint });
            }
            self.end_epoch(&progress)?;
            progress.epoch += 1;
            progress.batch = 0;
        }
        let Self { task, report, samples, folder, .. } = self;
        let summary = report.finish()?;
        let mut card = task.card();
        let SampleImages { images, prompts, .. } = samples.unwrap_or_default();
        // One prompt for all, or one for each.
        let mut prompts = prompts.into_iter().map(Some).cycle();
        let sample = |image| CardSample { image, prompt: prompts.next().flatten(), control_image: None };
        card.samples = images.into_iter().take(MOST_CARD_SAMPLES).map(sample).collect();
        card.write(&folder)?;
        Ok(Outcome::Complete(summary))
    }

    /// Learns what is left of an epoch. The checkpoint, if the training should stop.
    fn epoch(
        &mut self,
        progress: &mut Progress,
        random: &mut Random,
        random_of_fetch: Option<Random>,
    ) -> Result<Option<PathBuf>> {
        let Steps { accumulated, total, .. } = self.plan.steps;
        if progress.batch == 0 {
            progress.order.draw(self.data, random);
        }
        let mut batches = Batches::new(self.data, &progress.order, progress.batch);
        let mut fetched = match random_of_fetch {
            Some(mut before) => batches.fetch(&mut before)?,
            None => batches.fetch(random)?,
        };
        let mut parts = Parts::default();
        while let Some(batch) = fetched.take().filter(|_| progress.step < total) {
            // accelerate fetches a batch ahead.
            let before = random.clone();
            fetched = batches.fetch(random)?;
            let (loss, gradients) = self.task.learn(batch, accumulated, random)?;
            parts.add(loss, gradients);
            progress.batch += 1;
            if parts.count < accumulated && fetched.is_some() {
                continue;
            }
            self.step(std::mem::take(&mut parts), progress)?;
            self.show(self.task.due_after_step(progress.step), progress)?;
            let should_stop = self.stop.is_requested();
            if should_stop || progress.step.is_multiple_of(self.plan.checkpointing_steps) {
                let path = self.checkpoint(progress, random, &before)?;
                if should_stop {
                    return Ok(Some(path));
                }
            }
        }
        Ok(None)
    }

    /// One step of the optimizer.
    fn step(&mut self, mut parts: Parts, progress: &mut Progress) -> Result<()> {
        let learning_rate = self.plan.learning_rate.at(progress.step);
        if let Some(norm) = self.plan.max_grad_norm {
            parts.gradients.clip_norm(norm);
        }
        self.task.update(&parts.gradients, learning_rate);
        progress.step += 1;
        let loss = parts.loss / parts.count as f32;
        let metrics = self.task.metrics();
        let (step, epoch) = (progress.step, progress.epoch);
        self.report.step(&Step { step, epoch, loss, learning_rate, extra: &metrics })?;
        Ok(())
    }

    fn checkpoint(&mut self, progress: &Progress, random: &Random, before: &Random) -> Result<PathBuf> {
        let mut state = StateFile::new();
        let Progress { step, epoch, batch, ref order } = *progress;
        order.save(&mut state);
        let identity = identity(self.data, self.plan);
        let numbers = [("step", step), ("epoch", epoch), ("batch", batch as u64)];
        for (name, value) in numbers.into_iter().chain(identity.map(|(name, _, value)| (name, value))) {
            state.put_u64(name, value);
        }
        random.save(&mut state, "random");
        before.save(&mut state, "random_of_fetch");
        self.data.source.save(&mut state);
        let task = &*self.task;
        let path = self.checkpoints.write(step, state, |folder, state| task.save(folder, state))?;
        self.report.message(&format!("Saved {}", path.display()));
        self.report.restart_clock();
        Ok(path)
    }

    fn end_epoch(&mut self, progress: &Progress) -> Result<()> {
        let Steps { epochs, total, .. } = self.plan.steps;
        let is_last = progress.epoch + 1 == epochs || progress.step >= total;
        self.show(self.task.due_after_epoch(progress.epoch, is_last), progress)
    }

    /// Writes what is due.
    fn show(&mut self, due: Due, progress: &Progress) -> Result<()> {
        // The model first: images can take long.
        if due.model {
            self.task.write(&self.folder)?;
        }
        if due.interim {
            self.task.write_interim(&self.folder, progress.step)?;
        }
        if due.samples
            && let Some(samples) = self.task.samples(self.stop)?
        {
            let prompts: Vec<&str> = samples.prompts.iter().map(String::as_str).collect();
            let (step, tag) = (progress.step, samples.tag);
            self.report.images(&Samples {
                step,
                tag,
                prompts: &prompts,
                images: &samples.images,
                columns: None,
            })?;
            self.samples = Some(samples);
        }
        if due != Due::default() {
            self.report.restart_clock();
        }
        Ok(())
    }
}

/// More do not help a reader.
const MOST_CARD_SAMPLES: usize = 4;

/// The batches of a step.
#[derive(Default)]
struct Parts {
    count: usize,
    loss: f32,
    gradients: ParameterGradients,
}

impl Parts {
    fn add(&mut self, loss: f32, gradients: ParameterGradients) {
        self.count += 1;
        self.loss += loss;
        if self.count == 1 {
            self.gradients = gradients;
        } else {
            self.gradients.accumulate(gradients);
        }
    }
}

/// What a checkpoint and the training that goes on from it must have in common: the name, what it is, and the value.
fn identity<S: Source>(data: &TrainingData<S>, plan: &Plan) -> [(&'static str, &'static str, u64); 3] {
    [
        ("samples", "samples", data.source.len() as u64),
        ("batch_size", "images in a batch (--train-batch-size)", data.batch_size as u64),
        ("accumulated", "batches in a step (--gradient-accumulation-steps)", plan.steps.accumulated as u64),
    ]
}

fn resume<S: Source>(
    task: &mut impl Task,
    data: &mut TrainingData<S>,
    plan: &Plan,
    path: &Path,
) -> Result<Resumed> {
    let file = path.join(STATE);
    if !file.is_file() {
        return Err(Error::checkpoint(&file, "does not exist, so the folder is no checkpoint of Oxidiff"));
    }
    let state = StateFile::open(&file)?;
    for (name, meaning, now) in identity(data, plan) {
        let then = state.u64(name)?;
        if then != now {
            let message = format!("was written with {then} {meaning}; now there are {now}");
            return Err(Error::checkpoint(path, message));
        }
    }
    data.source = data.source.clone().resumed(&state)?;
    let progress = Progress {
        step: state.u64("step")?,
        epoch: state.u64("epoch")?,
        batch: state.u64("batch")? as usize,
        order: Order::load(data, &state)?,
    };
    if progress.step == 0 || progress.batch == 0 || progress.batch > data.batches() {
        let message = format!("cannot be at batch {} of step {}", progress.batch, progress.step);
        return Err(Error::checkpoint(&file, message));
    }
    if progress.step > plan.steps.total {
        let message = format!("is at step {}, after the last one, {}", progress.step, plan.steps.total);
        return Err(Error::checkpoint(path, message));
    }
    let random = Random::load(&state, "random")?;
    let random_of_fetch = Random::load(&state, "random_of_fetch")?;
    task.load(path, &state)?;
    if let Some(name) = state.unread().next() {
        let message = format!(
            "has `{name}`, for which this training has no use: go on with the options of the training that wrote it"
        );
        return Err(Error::checkpoint(&file, message));
    }
    Ok(Resumed { progress, random, random_of_fetch })
}
