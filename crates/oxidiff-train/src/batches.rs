//! The batches of an epoch, in the order and with the random numbers of torch's `DataLoader`.

use std::sync::Arc;

use oxidiff::Tensor;
use oxidiff::training::StateFile;

use crate::data::Loader;
use crate::error::{Error, Result};
use crate::order::Order;
use crate::random::Random;

/// Where the samples of a training come from.
pub trait Source: Clone + Send + Sync + 'static {
    /// A sample as threads read it ahead, before random numbers are drawn for it.
    type Sample: Send + 'static;

    /// The number of samples in an epoch.
    fn len(&self) -> usize;

    /// Whether there are no samples.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Reads a sample.
    ///
    /// # Errors
    /// When an image or a caption cannot be read.
    fn read(&self, index: usize) -> Result<Self::Sample>;

    /// Which samples make batches, if the source decides that. Otherwise all are shuffled in each epoch, and those that follow each
    /// other make batches, of which the last may be smaller.
    fn groups(&self) -> Option<&GroupedSamples> {
        None
    }

    /// Makes a batch of samples, and draws crops, flips and captions in the order of the scripts.
    fn batch(&self, samples: Vec<Self::Sample>, random: &mut Random) -> Batch;

    /// Adds what was drawn once for the whole training to the state of a checkpoint.
    fn save(&self, _state: &mut StateFile) {}

    /// The source of the training that goes on from what [`Self::save`] wrote.
    ///
    /// # Errors
    /// When the state is damaged, or belongs to other samples.
    fn resumed(self, _state: &StateFile) -> Result<Self> {
        Ok(self)
    }
}

/// Samples that make batches: their numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupedSamples {
    /// All of the same length.
    pub batches: Arc<[Vec<usize>]>,
    /// Whether each epoch shuffles the batches, as they were in the epoch before, with Python's generator.
    pub is_shuffled: bool,
}

/// What a model is trained on.
#[derive(Clone, Debug)]
pub struct TrainingData<S> {
    /// The samples.
    pub source: S,
    /// The most samples of a batch; the last one of an epoch may be smaller.
    pub batch_size: usize,
    /// The number of threads that read samples ahead.
    pub workers: usize,
}

/// Some images to learn from.
#[derive(Clone, Debug)]
pub struct Batch {
    /// `[images, 3, resolution, resolution]` in [-1, 1].
    pub images: Tensor<4>,
    /// One caption for each image, if the data have some.
    pub captions: Vec<String>,
    /// What steers the images, of the same shape, in [0, 1]; only for ControlNets.
    pub conditioning: Option<Tensor<4>>,
    /// Where each image comes from; only for Stable Diffusion XL.
    pub origins: Vec<Origin>,
}

/// From which part of which image one to learn from was taken: what Stable Diffusion XL is told of its images.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// Height and width of the image in the dataset.
    pub size: [u32; 2],
    /// Top and left of the part, in the resized image as it is mirrored.
    pub corner: [u32; 2],
}

impl<S: Source> TrainingData<S> {
    /// The number of batches in an epoch.
    pub fn batches(&self) -> usize {
        match self.source.groups() {
            Some(groups) => groups.batches.len(),
            None => self.source.len().div_ceil(self.batch_size),
        }
    }
}

/// The batches of an epoch that are left.
pub(crate) struct Batches<S: Source> {
    source: S,
    batch_size: usize,
    loader: Loader<S::Sample, Error>,
}

impl<S: Source> Batches<S> {
    /// The batches of an epoch with this order, after the first `skipped`.
    pub fn new(data: &TrainingData<S>, order: &Order, skipped: usize) -> Self {
        let left = order.samples(data).into_iter().skip(skipped * data.batch_size).collect();
        let source = data.source.clone();
        let ahead = 2 * data.batch_size;
        let loader = Loader::new(left, data.workers, ahead, move |index| source.read(index));
        Self { source: data.source.clone(), batch_size: data.batch_size, loader }
    }

    /// The next batch; `None` at the end of the epoch.
    ///
    /// # Errors
    /// When an image or a caption cannot be read.
    pub fn fetch(&mut self, random: &mut Random) -> Result<Option<Batch>> {
        let samples = self.loader.by_ref().take(self.batch_size).collect::<Result<Vec<_>>>()?;
        Ok((!samples.is_empty()).then(|| self.source.batch(samples, random)))
    }
}
