//! What differs between the trainings.

use std::path::Path;

use oxidiff::image::RgbImage;
use oxidiff::training::{ParameterGradients, StateFile};

use crate::batches::Batch;
use crate::error::Result;
use crate::random::Random;
use crate::report::ModelCard;
use crate::stop::Stop;

/// A training: a model, what it learns from a batch, and what it leaves behind.
pub trait Task {
    /// Draws noise and timesteps for a batch, and returns the loss with the gradients of `loss / parts`.
    ///
    /// # Errors
    /// When the model cannot be called with the batch.
    fn learn(&mut self, batch: Batch, parts: usize, random: &mut Random)
    -> Result<(f32, ParameterGradients)>;

    /// Changes the model along the gradients.
    fn update(&mut self, gradients: &ParameterGradients, learning_rate: f64);

    /// What to log besides the loss.
    fn metrics(&self) -> Vec<(&'static str, f32)> {
        Vec::new()
    }

    /// Writes the model into the folder of a checkpoint, and the rest of the state into `state`.
    ///
    /// # Errors
    /// When the folder cannot be written.
    fn save(&self, folder: &Path, state: &mut StateFile) -> Result<()>;

    /// Goes on from what [`Self::save`] wrote.
    ///
    /// # Errors
    /// When a file is missing or damaged, or belongs to another model.
    fn load(&mut self, folder: &Path, state: &StateFile) -> Result<()>;

    /// What to make at the end of an epoch, counted from 0.
    fn due_after_epoch(&self, epoch: u64, is_last: bool) -> Due;

    /// What to make after a step, counted from 1.
    fn due_after_step(&self, _step: u64) -> Due {
        Due::default()
    }

    /// Images of the model, to look at; `None` when `stop` came first.
    ///
    /// # Errors
    /// When the model cannot be called.
    fn samples(&self, stop: &Stop) -> Result<Option<SampleImages>>;

    /// Writes the result of the training.
    ///
    /// # Errors
    /// When it cannot be written.
    fn write(&self, folder: &Path) -> Result<()>;

    /// Writes what was learned up to a step beside the result, where it stays.
    ///
    /// # Errors
    /// When it cannot be written.
    fn write_interim(&self, _folder: &Path, _step: u64) -> Result<()> {
        Ok(())
    }

    /// The model's card, but for its samples.
    fn card(&self) -> ModelCard;
}

/// What to make after a step or an epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Due {
    /// Images to look at.
    pub samples: bool,
    /// The model, as if the training were over.
    pub model: bool,
    /// What was learned so far, to be kept.
    pub interim: bool,
}

/// Images of the model.
#[derive(Clone, Debug, Default)]
pub struct SampleImages {
    /// The images.
    pub images: Vec<RgbImage>,
    /// The prompt of all of them, or one for each; none for models without prompts.
    pub prompts: Vec<String>,
    /// What TensorBoard calls them.
    pub tag: &'static str,
}
