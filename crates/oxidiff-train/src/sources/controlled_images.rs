//! Images with what steers them: outlines, poses, depth. For ControlNets.

use std::sync::Arc;

use oxidiff::image::RgbImage;

use crate::batches::{Batch, Source};
use crate::data::{Caption, Dataset};
use crate::error::Result;
use crate::image_transform::{ImageTransform, PixelRange, stack};
use crate::random::Random;

/// The images of a dataset with a second column of images.
#[derive(Clone, Debug)]
pub struct ControlledImages {
    /// The rows.
    pub dataset: Arc<Dataset>,
    /// The column of the images.
    pub image_column: usize,
    /// The column of the images that steer.
    pub conditioning_column: usize,
    /// The column of the captions.
    pub caption_column: usize,
    /// How many of the captions are left out, from 0 to 1.
    pub proportion_empty_prompts: f64,
    /// What happens to the images of both columns. Nothing may be drawn for it.
    pub transform: ImageTransform,
}

impl Source for ControlledImages {
    /// The image, what steers it, and the caption.
    type Sample = (RgbImage, RgbImage, Caption);

    fn len(&self) -> usize {
        self.dataset.len()
    }

    fn read(&self, row: usize) -> Result<Self::Sample> {
        let image = |column| self.transform.resized(&self.dataset.image(row, column)?);
        let caption = self.dataset.text(row, self.caption_column)?;
        Ok((image(self.image_column)?, image(self.conditioning_column)?, caption))
    }

    fn batch(&self, samples: Vec<Self::Sample>, random: &mut Random) -> Batch {
        let (mut images, mut conditioning, mut captions) = (Vec::new(), Vec::new(), Vec::new());
        for (image, steers, caption) in &samples {
            images.push(self.transform.draw(image, &mut random.torch));
            conditioning.push(self.transform.draw(steers, &mut random.torch));
            let is_empty = random.python.random() < self.proportion_empty_prompts;
            captions.push(if is_empty { String::new() } else { random.choose_caption(caption.clone()) });
        }
        let conditioning = Some(stack(&conditioning, PixelRange::Unsigned));
        Batch { images: stack(&images, PixelRange::Signed), captions, conditioning, origins: Vec::new() }
    }
}
