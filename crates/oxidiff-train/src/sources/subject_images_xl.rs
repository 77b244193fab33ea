//! The images of a subject, and of other things of its class, for Stable Diffusion XL.

use std::sync::Arc;

use oxidiff::image::RgbImage;
use oxidiff::training::StateFile;

use super::{Class, Cut};
use crate::batches::{Batch, Origin, Source};
use crate::data::{Caption, Dataset, Role};
use crate::error::{Error, Result};
use crate::image_transform::{ImageTransform, PixelRange, stack};
use crate::random::Random;

/// Images of one subject. Which part of each is learned is drawn once, before the training.
#[derive(Clone, Debug)]
pub struct SubjectImagesXl {
    instances: SubjectInstances,
    /// What the model should not forget.
    class: Option<Class>,
    /// What happens to the images.
    transform: ImageTransform,
    /// One for each image of the subject, and for each time that it is in an epoch.
    cuts: Arc<[Cut]>,
}

/// The images of a subject, with their captions.
#[derive(Clone, Debug)]
pub struct SubjectInstances {
    /// The images.
    pub dataset: Arc<Dataset>,
    /// The column of the images.
    pub image_column: usize,
    /// The column of their captions, if they have some.
    pub caption_column: Option<usize>,
    /// The caption of images that have none.
    pub prompt: String,
    /// How often each image is in an epoch.
    pub repeats: usize,
}

/// More parts of images would fill the memory.
const MOST_CUTS: usize = 1 << 24;

/// The name of the parts in checkpoints.
const CUTS: &str = "cuts";

impl SubjectInstances {
    /// The number of images, of which a part is drawn each time that they are in an epoch.
    ///
    /// # Errors
    /// When the parts are too many.
    pub(super) fn rows(&self) -> Result<usize> {
        let rows = self.dataset.len();
        if rows.checked_mul(self.repeats).is_none_or(|count| count > MOST_CUTS) {
            let message = format!("{} times {rows} images are more than {MOST_CUTS}", self.repeats);
            return Err(Error::option("repeats", message));
        }
        Ok(rows)
    }
}

impl SubjectImagesXl {
    /// Images of a subject, of which it draws the parts that are learned.
    ///
    /// # Errors
    /// When an image cannot be read, or there are too many.
    pub fn new(
        instances: SubjectInstances,
        class: Option<Class>,
        transform: ImageTransform,
        random: &mut Random,
    ) -> Result<Self> {
        let rows = instances.rows()?;
        let mut cuts = Vec::with_capacity(rows * instances.repeats);
        for row in 0..rows {
            let image = instances.dataset.image(row, instances.image_column)?;
            let size = transform.resized_size(&image)?;
            cuts.extend((0..instances.repeats).map(|_| Cut::draw_after_flip(&transform, size, random)));
        }
        Ok(Self { instances, class, transform, cuts: cuts.into() })
    }

    /// The part of the image `index`, with its size in the dataset and its caption.
    fn instance(&self, index: usize) -> Result<SubjectInstance> {
        let SubjectInstances { dataset, image_column, caption_column, .. } = &self.instances;
        let row = index / self.instances.repeats;
        let image = dataset.image(row, *image_column)?;
        let size = [image.height(), image.width()];
        let image = self.transform.resized(&image)?;
        let (cut, side) = (self.cuts[index], self.transform.resolution);
        let (width, height) = image.dimensions();
        if !cut.fits([side, side], [height, width]) {
            let [top, left] = cut.corner;
            let message = format!(
                "image {row} has {width}x{height} pixels after resizing, without the part of {side}x{side} at {left}, {top} \
                 that was drawn for it: it is another image than at the beginning of the training"
            );
            return Err(Error::option("instance-data-dir", message));
        }
        let caption = caption_column.map(|column| dataset.text(row, column)).transpose()?;
        Ok(SubjectInstance { image, cut, size, caption })
    }

    fn caption(&self, caption: Option<Caption>, random: &mut Random) -> String {
        let caption = caption.map(|caption| random.choose_caption(caption));
        caption.filter(|caption| !caption.is_empty()).unwrap_or_else(|| self.instances.prompt.clone())
    }
}

/// An image of the subject.
#[derive(Debug)]
pub struct SubjectInstance {
    /// The resized image.
    image: RgbImage,
    cut: Cut,
    /// Height and width in the dataset.
    size: [u32; 2],
    caption: Option<Caption>,
}

impl Source for SubjectImagesXl {
    /// An image of the subject, and one of its class.
    type Sample = (SubjectInstance, Option<RgbImage>);

    fn len(&self) -> usize {
        self.class.as_ref().map_or(0, |class| class.count).max(self.cuts.len())
    }

    fn read(&self, index: usize) -> Result<Self::Sample> {
        let of_class = |class: &Class| {
            let column = class.images.choose(Role::Image, None)?;
            self.transform.resized(&class.images.image(index % class.count, column)?)
        };
        Ok((self.instance(index % self.cuts.len())?, self.class.as_ref().map(of_class).transpose()?))
    }

    /// All images of the subject come before those of the class. The model is told the same sizes and corners of both, as in the
    /// script.
    fn batch(&self, samples: Vec<Self::Sample>, random: &mut Random) -> Batch {
        let side = self.transform.resolution;
        let (mut parts, mut captions, mut origins) = (Vec::new(), Vec::new(), Vec::new());
        for (instance, _) in &samples {
            parts.push(instance.cut.part_of_mirrored(&instance.image, side));
            captions.push(self.caption(instance.caption.clone(), random));
            origins.push(Origin { size: instance.size, corner: instance.cut.corner });
        }
        if let Some(class) = &self.class {
            // Only the subject is mirrored.
            let transform = ImageTransform { random_flip: false, ..self.transform };
            for image in samples.iter().filter_map(|(_, image)| image.as_ref()) {
                parts.push(transform.draw(image, &mut random.torch));
                captions.push(class.prompt.clone());
            }
            origins.extend_from_within(..);
        }
        Batch { images: stack(&parts, PixelRange::Signed), captions, conditioning: None, origins }
    }

    fn save(&self, state: &mut StateFile) {
        Cut::save(&self.cuts, CUTS, state);
    }

    fn resumed(self, state: &StateFile) -> Result<Self> {
        Ok(Self { cuts: Cut::load(state, CUTS, self.cuts.len())?, ..self })
    }
}
