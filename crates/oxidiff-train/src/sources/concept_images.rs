//! The images of a concept, with captions from templates: textual inversion (Gal et al. 2022, <https://arxiv.org/abs/2208.01618>).

use std::sync::Arc;

use oxidiff::image::{DynamicImage, RgbImage};
use oxidiff::{Resample, ResizeMode, VaeImageProcessor};

use crate::batches::{Batch, Source};
use crate::data::{Dataset, Role};
use crate::error::Result;
use crate::image_transform::{Part, PixelRange, draw_flip, stack};
use crate::random::Random;

/// Images of a concept.
#[derive(Clone, Debug)]
pub struct ConceptImages {
    /// The images.
    pub dataset: Arc<Dataset>,
    /// The word for the concept.
    pub placeholder: String,
    /// What the images have in common.
    pub property: LearnableProperty,
    /// How often each image is in an epoch.
    pub repeats: usize,
    /// Both sides of the images in pixels.
    pub resolution: u32,
    /// Whether to take the middle of images that are not square; otherwise they are distorted.
    pub center_crop: bool,
}

/// What images of a concept have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum LearnableProperty {
    /// A thing that is in all of them.
    Object,
    /// Their style.
    Style,
}

impl ConceptImages {
    fn resized(&self, image: &DynamicImage) -> Result<RgbImage> {
        let (width, height) = (image.width(), image.height());
        let side = width.min(height);
        let square = self.center_crop.then(|| {
            // The bounds are rounded down one by one, so that the part can be a pixel short.
            let bounds = |length: u32| ((length - side) / 2, (length + side) / 2);
            let ((top, bottom), (left, right)) = (bounds(height), bounds(width));
            image.crop_imm(left, top, right - left, bottom - top)
        });
        let processor = VaeImageProcessor { resample: Resample::Bicubic, ..Default::default() };
        let side = self.resolution as usize;
        let resized = processor.resize(square.as_ref().unwrap_or(image), side, side, ResizeMode::Default)?;
        Ok(resized.into_rgb8())
    }

    /// The caption of a template, in which the word stands for `{}`.
    fn templates(&self) -> &'static [&'static str] {
        match self.property {
            LearnableProperty::Object => &OBJECT_TEMPLATES,
            LearnableProperty::Style => &STYLE_TEMPLATES,
        }
    }
}

impl Source for ConceptImages {
    type Sample = RgbImage;

    fn len(&self) -> usize {
        self.dataset.len() * self.repeats
    }

    fn read(&self, index: usize) -> Result<RgbImage> {
        let column = self.dataset.choose(Role::Image, None)?;
        self.resized(&self.dataset.image(index % self.dataset.len(), column)?)
    }

    fn batch(&self, samples: Vec<RgbImage>, random: &mut Random) -> Batch {
        let (mut parts, mut captions) = (Vec::new(), Vec::new());
        for image in &samples {
            captions.push(random.python.choice(self.templates()).replace("{}", &self.placeholder));
            let is_flipped = draw_flip(&mut random.torch);
            parts.push(Part { image, top: 0, left: 0, size: [self.resolution; 2], is_flipped });
        }
        Batch { images: stack(&parts, PixelRange::Signed), captions, conditioning: None, origins: Vec::new() }
    }
}

/// The captions for a thing; the script draws one each time.
const OBJECT_TEMPLATES: [&str; 27] = [
    "a photo of a {}",
    "a rendering of a {}",
    "a cropped photo of the {}",
    "the photo of a {}",
    "a photo of a clean {}",
    "a photo of a dirty {}",
    "a dark photo of the {}",
    "a photo of my {}",
    "a photo of the cool {}",
    "a close-up photo of a {}",
    "a bright photo of the {}",
    "a cropped photo of a {}",
    "a photo of the {}",
    "a good photo of the {}",
    "a photo of one {}",
    "a close-up photo of the {}",
    "a rendition of the {}",
    "a photo of the clean {}",
    "a rendition of a {}",
    "a photo of a nice {}",
    "a good photo of a {}",
    "a photo of the nice {}",
    "a photo of the small {}",
    "a photo of the weird {}",
    "a photo of the large {}",
    "a photo of a cool {}",
    "a photo of a small {}",
];

/// The captions for a style.
const STYLE_TEMPLATES: [&str; 19] = [
    "a painting in the style of {}",
    "a rendering in the style of {}",
    "a cropped painting in the style of {}",
    "the painting in the style of {}",
    "a clean painting in the style of {}",
    "a dirty painting in the style of {}",
    "a dark painting in the style of {}",
    "a picture in the style of {}",
    "a cool painting in the style of {}",
    "a close-up painting in the style of {}",
    "a bright painting in the style of {}",
    "a cropped painting in the style of {}",
    "a good painting in the style of {}",
    "a close-up painting in the style of {}",
    "a rendition in the style of {}",
    "a nice painting in the style of {}",
    "a small painting in the style of {}",
    "a weird painting in the style of {}",
    "a large painting in the style of {}",
];
