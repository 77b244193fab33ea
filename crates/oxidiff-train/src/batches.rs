//! The batches of an epoch, in the order and with the random numbers of torch's `DataLoader`.

use std::sync::Arc;

use oxidiff::image::RgbImage;
use oxidiff::{DType, Device, Generator, Tensor, TensorData};

use crate::data::{Caption, Dataset, Loader};
use crate::error::{Error, Result};
use crate::image_transform::ImageTransform;
use crate::random::Random;

/// What a model is trained on.
#[derive(Clone, Debug)]
pub struct TrainingData {
    /// The samples.
    pub dataset: Arc<Dataset>,
    /// The column of the images.
    pub image_column: usize,
    /// The column of the captions; `None` for models without prompts.
    pub caption_column: Option<usize>,
    /// What happens to the images.
    pub transform: ImageTransform,
    /// The most images of a batch; the last one of an epoch may be smaller.
    pub batch_size: usize,
    /// The number of threads that read images ahead.
    pub workers: usize,
}

/// Some images to learn from.
#[derive(Clone, Debug)]
pub struct Batch {
    /// `[images, 3, resolution, resolution]` in [-1, 1].
    pub images: Tensor<4>,
    /// One caption for each image, if the data have some.
    pub captions: Vec<String>,
}

struct Sample {
    image: RgbImage,
    caption: Option<Caption>,
}

impl TrainingData {
    /// The number of batches in an epoch.
    pub fn batches(&self) -> usize {
        self.dataset.len().div_ceil(self.batch_size)
    }

    fn sample(&self, row: usize) -> Result<Sample> {
        let image = self.transform.resized(&self.dataset.image(row, self.image_column)?)?;
        let caption = self.caption_column.map(|column| self.dataset.text(row, column)).transpose()?;
        Ok(Sample { image, caption })
    }
}

/// The batches of an epoch that are left.
pub(crate) struct Batches {
    transform: ImageTransform,
    batch_size: usize,
    loader: Loader<Sample, Error>,
}

impl Batches {
    /// The batches of the epoch that `seed` shuffles, after the first `skipped`.
    pub fn new(data: &TrainingData, seed: u64, skipped: usize) -> Self {
        let order = Generator::manual_seed(seed).randperm_vec(data.dataset.len());
        let left = order.into_iter().skip(skipped * data.batch_size).map(|row| row as usize).collect();
        let source = data.clone();
        let ahead = 2 * data.batch_size;
        let loader = Loader::new(left, data.workers, ahead, move |row| source.sample(row));
        Self { transform: data.transform, batch_size: data.batch_size, loader }
    }

    /// The next batch, with crops, flips and captions drawn; `None` at the end of the epoch.
    ///
    /// # Errors
    /// When an image or a caption cannot be read.
    pub fn fetch(&mut self, random: &mut Random) -> Result<Option<Batch>> {
        let samples = self.loader.by_ref().take(self.batch_size).collect::<Result<Vec<_>>>()?;
        if samples.is_empty() {
            return Ok(None);
        }
        let side = self.transform.resolution as usize;
        let shape = [samples.len(), 3, side, side];
        let mut values = Vec::with_capacity(shape.iter().product());
        for sample in &samples {
            let part = self.transform.draw(sample.image.dimensions(), &mut random.torch);
            self.transform.append(&sample.image, part, &mut values);
        }
        let images = Tensor::from_data(TensorData::new(values, shape), (&Device::flex(), DType::F32));
        let captions = samples.into_iter().filter_map(|sample| match sample.caption? {
            Caption::One(caption) => Some(caption),
            Caption::Several(captions) => Some(random.python.choice(&captions).clone()),
        });
        Ok(Some(Batch { images, captions: captions.collect() }))
    }
}
