//! The images of a dataset, with their captions and what Stable Diffusion XL is told of each image.

use oxidiff::image::RgbImage;

use super::{CaptionedImages, Cut};
use crate::batches::{Batch, Origin, Source};
use crate::data::Caption;
use crate::error::Result;
use crate::image_transform::{PixelRange, stack};
use crate::random::Random;

/// The images of a dataset, which remember where they come from.
#[derive(Clone, Debug)]
pub struct CaptionedImagesXl(pub CaptionedImages);

impl Source for CaptionedImagesXl {
    /// The resized image, height and width of the original, and the caption.
    type Sample = (RgbImage, [u32; 2], Option<Caption>);

    fn len(&self) -> usize {
        self.0.len()
    }

    fn read(&self, row: usize) -> Result<Self::Sample> {
        let image = self.0.image(row)?;
        let size = [image.height(), image.width()];
        Ok((self.0.transform.resized(&image)?, size, self.0.caption(row)?))
    }

    fn batch(&self, samples: Vec<Self::Sample>, random: &mut Random) -> Batch {
        let (mut parts, mut origins) = (Vec::new(), Vec::new());
        for (image, size, _) in &samples {
            let cut = Cut::draw_after_flip(&self.0.transform, [image.height(), image.width()], random);
            parts.push(cut.part_of_mirrored(image, self.0.transform.resolution));
            origins.push(Origin { size: *size, corner: cut.corner });
        }
        let images = stack(&parts, PixelRange::Signed);
        let captions = samples.into_iter().filter_map(|(.., caption)| caption);
        let captions = captions.map(|caption| random.choose_caption(caption)).collect();
        Batch { images, captions, conditioning: None, origins }
    }
}
