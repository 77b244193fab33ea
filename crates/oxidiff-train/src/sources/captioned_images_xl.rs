//! The images of a dataset, with their captions and what Stable Diffusion XL is told of each image.

use oxidiff::image::RgbImage;

use super::CaptionedImages;
use crate::batches::{Batch, Origin, Source};
use crate::data::Caption;
use crate::error::Result;
use crate::image_transform::{Part, PixelRange, draw_flip, stack};
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
            let (part, corner) = self.draw(image, random);
            parts.push(part);
            origins.push(Origin { size: *size, corner });
        }
        let images = stack(&parts, PixelRange::Signed);
        let captions = samples.into_iter().filter_map(|(.., caption)| caption);
        let captions = captions.map(|caption| random.choose_caption(caption)).collect();
        Batch { images, captions, conditioning: None, origins }
    }
}

impl CaptionedImagesXl {
    /// A part of an image, and its corner. Unlike the other scripts, those for Stable Diffusion XL mirror images first, and let
    /// Python's generator decide.
    fn draw<'a>(&self, image: &'a RgbImage, random: &mut Random) -> (Part<'a>, [u32; 2]) {
        let transform = &self.0.transform;
        let is_flipped = transform.random_flip && random.python.random() < 0.5;
        if is_flipped {
            // torchvision draws as well, although it mirrors in any case.
            draw_flip(&mut random.torch);
        }
        let [top, left] = transform.draw_corner(image, &mut random.torch);
        let side = transform.resolution;
        let unflipped_left = if is_flipped { image.width() - side - left } else { left };
        (Part { image, top, left: unflipped_left, side, is_flipped }, [top, left])
    }
}
