//! The images of a dataset, with their captions: unconditional training and text to image.

use std::sync::Arc;

use oxidiff::image::{DynamicImage, RgbImage};

use crate::batches::{Batch, Source};
use crate::data::{Caption, Dataset};
use crate::error::Result;
use crate::image_transform::{ImageTransform, PixelRange, stack};
use crate::random::Random;

/// The images of a dataset.
#[derive(Clone, Debug)]
pub struct CaptionedImages {
    /// The rows.
    pub dataset: Arc<Dataset>,
    /// The column of the images.
    pub image_column: usize,
    /// The column of the captions; `None` for models without prompts.
    pub caption_column: Option<usize>,
    /// What happens to the images.
    pub transform: ImageTransform,
}

impl Source for CaptionedImages {
    type Sample = (RgbImage, Option<Caption>);

    fn len(&self) -> usize {
        self.dataset.len()
    }

    fn read(&self, row: usize) -> Result<Self::Sample> {
        Ok((self.transform.resized(&self.image(row)?)?, self.caption(row)?))
    }

    fn batch(&self, samples: Vec<Self::Sample>, random: &mut Random) -> Batch {
        let (images, captions): (Vec<RgbImage>, Vec<Option<Caption>>) = samples.into_iter().unzip();
        let parts =
            images.iter().map(|image| self.transform.draw(image, &mut random.torch)).collect::<Vec<_>>();
        let captions = captions.into_iter().flatten().map(|caption| random.choose_caption(caption)).collect();
        Batch { images: stack(&parts, PixelRange::Signed), captions, conditioning: None, origins: Vec::new() }
    }
}

impl CaptionedImages {
    /// The image of a row, as it is in the dataset.
    pub(super) fn image(&self, row: usize) -> Result<DynamicImage> {
        Ok(self.dataset.image(row, self.image_column)?)
    }

    /// The caption of a row, if there are captions.
    pub(super) fn caption(&self, row: usize) -> Result<Option<Caption>> {
        Ok(self.caption_column.map(|column| self.dataset.text(row, column)).transpose()?)
    }
}
