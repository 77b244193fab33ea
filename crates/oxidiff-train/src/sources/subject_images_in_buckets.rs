//! The images of a subject, and of other things of its class, in batches of images of one size.

use std::sync::Arc;

use oxidiff::image::{DynamicImage, RgbImage};
use oxidiff::training::StateFile;
use oxidiff::{Resample, ResizeMode, VaeImageProcessor};

use super::{Buckets, Class, Cut, SubjectInstances};
use crate::batches::{Batch, GroupedSamples, Source};
use crate::data::{Caption, Role};
use crate::error::{Error, Result};
use crate::image_transform::{MOST_PIXELS, PixelRange, stack};
use crate::random::Random;

/// Images of one subject. Which part of each is learned, and with which others, is drawn once, before the training.
#[derive(Clone, Debug)]
pub struct SubjectImagesInBuckets {
    instances: SubjectInstances,
    /// What the model should not forget.
    class: Option<Class>,
    is_centered: bool,
    /// One for each image of the subject, and for each time that it is in an epoch.
    cuts: Arc<[Cut]>,
    /// Their heights and widths.
    sizes: Arc<[[u32; 2]]>,
    samples: GroupedSamples,
    /// The parts of the images of the class, by the images of the subject beside them, if they are drawn once as well.
    class_cuts: Option<Arc<[Cut]>>,
}

/// What happens to the images.
#[derive(Clone, Debug)]
pub(crate) struct BucketTransform {
    pub buckets: Buckets,
    /// Whether to take the middle of images of another shape, or a random part of them.
    pub is_centered: bool,
    /// Whether to mirror every other image of the subject.
    pub random_flip: bool,
    pub batch_size: usize,
    /// Whether latents are kept, so that the parts of images of the class stay the same.
    pub keeps_latents: bool,
}

/// The names of parts and batches in checkpoints.
const CUTS: &str = "cuts";
const CLASS_CUTS: &str = "class_cuts";
const BATCHES: &str = "batches";

impl SubjectImagesInBuckets {
    /// Images of a subject, of which it draws parts and batches. Images that are left over when batches of a size are filled are
    /// never learned.
    ///
    /// # Errors
    /// When an image cannot be read, there are too many, or too few of each size for a batch.
    pub(crate) fn new(
        instances: SubjectInstances,
        class: Option<Class>,
        transform: &BucketTransform,
        random: &mut Random,
    ) -> Result<Self> {
        let rows = instances.rows()?;
        let BucketTransform { is_centered, random_flip, .. } = *transform;
        let (mut cuts, mut sizes) = (Vec::new(), Vec::new());
        for row in 0..rows {
            let image = instances.dataset.image(row, instances.image_column)?;
            let size = transform.buckets.of([image.height(), image.width()]);
            let [height, width] = covering(&image, size)?;
            let free = [height - size[0], width - size[1]];
            for _ in 0..instances.repeats {
                cuts.push(Cut::draw_then_flip(free, is_centered, random_flip, random));
                sizes.push(size);
            }
        }
        let is_kept = transform.keeps_latents || instances.caption_column.is_some();
        let batches = batches(&sizes, transform.batch_size, random)?;
        let mut samples = GroupedSamples { batches: batches.into(), is_shuffled: !is_kept };
        if is_kept {
            let mut batches = samples.batches.to_vec();
            random.python.shuffle(&mut batches);
            samples.batches = batches.into();
        }
        let (cuts, sizes) = (cuts.into(), sizes.into());
        let source = Self { instances, class, is_centered, cuts, sizes, samples, class_cuts: None };
        if !is_kept {
            return Ok(source);
        }
        // The script reads all batches once to encode them. torch's loader draws a seed that nothing uses for each iterator, of which
        // the progress bar makes one that it does not read.
        random.draw_seed();
        random.draw_seed();
        let class_cuts = source.draw_class_cuts(random)?;
        Ok(Self { class_cuts: class_cuts.filter(|_| transform.keeps_latents), ..source })
    }

    /// The parts of the images of the class, in the order of the batches.
    fn draw_class_cuts(&self, random: &mut Random) -> Result<Option<Arc<[Cut]>>> {
        let Some(class) = &self.class else { return Ok(None) };
        let mut cuts = vec![Cut { corner: [0, 0], is_flipped: false }; self.cuts.len()];
        for index in self.samples.batches.iter().flatten() {
            let size = self.sizes[*index];
            let [height, width] = covering(&class_image(class, *index)?, size)?;
            cuts[*index] = self.draw_class_cut([height - size[0], width - size[1]], random);
        }
        Ok(Some(cuts.into()))
    }

    /// Only the subject is mirrored.
    fn draw_class_cut(&self, free: [u32; 2], random: &mut Random) -> Cut {
        Cut::draw_then_flip(free, self.is_centered, false, random)
    }

    fn check_fits(&self, cut: Cut, index: usize, image: &RgbImage, option: &'static str) -> Result<()> {
        let (size @ [height, width], (has_width, has_height)) = (self.sizes[index], image.dimensions());
        if cut.fits(size, [has_height, has_width]) {
            return Ok(());
        }
        let [top, left] = cut.corner;
        let message = format!(
            "image {index} has {has_width}x{has_height} pixels after resizing, without the part of {width}x{height} at {left}, \
             {top} that was drawn for it: it is another image than at the beginning of the training"
        );
        Err(Error::option(option, message))
    }
}

/// An image of the subject that is resized, with its caption, and one of the class.
#[derive(Debug)]
pub struct BucketedInstance {
    index: usize,
    image: RgbImage,
    caption: Option<Caption>,
    of_class: Option<RgbImage>,
}

impl Source for SubjectImagesInBuckets {
    type Sample = BucketedInstance;

    fn len(&self) -> usize {
        self.cuts.len()
    }

    fn groups(&self) -> Option<&GroupedSamples> {
        Some(&self.samples)
    }

    fn read(&self, index: usize) -> Result<Self::Sample> {
        let SubjectInstances { dataset, image_column, caption_column, repeats, .. } = &self.instances;
        let (row, size) = (index / repeats, self.sizes[index]);
        let image = resized(&dataset.image(row, *image_column)?, size)?;
        self.check_fits(self.cuts[index], index, &image, "instance-data-dir")?;
        let caption = caption_column.map(|column| dataset.text(row, column)).transpose()?;
        let of_class =
            self.class.as_ref().map(|class| resized(&class_image(class, index)?, size)).transpose()?;
        if let (Some(image), Some(cuts)) = (&of_class, &self.class_cuts) {
            self.check_fits(cuts[index], index, image, "class-data-dir")?;
        }
        Ok(BucketedInstance { index, image, caption, of_class })
    }

    /// All images of the subject come before those of the class.
    fn batch(&self, samples: Vec<Self::Sample>, random: &mut Random) -> Batch {
        let (mut parts, mut captions) = (Vec::new(), Vec::new());
        for BucketedInstance { index, image, caption, .. } in &samples {
            parts.push(self.cuts[*index].part(image, self.sizes[*index]));
            let caption = caption.clone().map(|caption| random.choose_caption(caption));
            let caption = caption.filter(|caption| !caption.is_empty());
            captions.push(caption.unwrap_or_else(|| self.instances.prompt.clone()));
        }
        for (index, image) in samples.iter().filter_map(|it| Some((it.index, it.of_class.as_ref()?))) {
            let size = self.sizes[index];
            // The script draws even where it has encoded all images.
            let drawn = self.draw_class_cut([image.height() - size[0], image.width() - size[1]], random);
            let cut = self.class_cuts.as_ref().map_or(drawn, |cuts| cuts[index]);
            parts.push(cut.part(image, size));
            captions.extend(self.class.as_ref().map(|class| class.prompt.clone()));
        }
        Batch { images: stack(&parts, PixelRange::Signed), captions, conditioning: None, origins: Vec::new() }
    }

    fn save(&self, state: &mut StateFile) {
        Cut::save(&self.cuts, CUTS, state);
        if let Some(cuts) = &self.class_cuts {
            Cut::save(cuts, CLASS_CUTS, state);
        }
        let indices = self.samples.batches.iter().flatten();
        state.put_bytes(BATCHES, indices.flat_map(|index| (*index as u32).to_le_bytes()).collect());
    }

    fn resumed(self, state: &StateFile) -> Result<Self> {
        let count = self.cuts.len();
        let cuts = Cut::load(state, CUTS, count)?;
        let class_cuts = self.class_cuts.as_ref().map(|_| Cut::load(state, CLASS_CUTS, count)).transpose()?;
        let (indices, rest) = state.bytes(BATCHES)?.as_chunks::<4>();
        let indices: Vec<usize> = indices.iter().map(|bytes| u32::from_le_bytes(*bytes) as usize).collect();
        let batch_size = self.samples.batches[0].len();
        let batches: Vec<Vec<usize>> = indices.chunks(batch_size).map(<[usize]>::to_vec).collect();
        let mut sorted = indices;
        sorted.sort_unstable();
        sorted.dedup();
        let are_batches = rest.is_empty()
            && sorted.len() == self.samples.batches.len() * batch_size
            && sorted.last().is_none_or(|last| *last < count)
            && batches.len() == self.samples.batches.len()
            && batches.iter().all(|batch| batch.iter().all(|it| self.sizes[*it] == self.sizes[batch[0]]));
        if !are_batches {
            let message = format!("`{BATCHES}` are not batches of the images that there are now");
            return Err(state.error(message).into());
        }
        let samples = GroupedSamples { batches: batches.into(), ..self.samples };
        Ok(Self { cuts, class_cuts, samples, ..self })
    }
}

/// The batches of images of each size, which are shuffled among themselves: `BucketBatchSampler`.
fn batches(sizes: &[[u32; 2]], batch_size: usize, random: &mut Random) -> Result<Vec<Vec<usize>>> {
    // In the order in which sizes come first.
    let mut buckets: Vec<([u32; 2], Vec<usize>)> = Vec::new();
    for (index, size) in sizes.iter().enumerate() {
        match buckets.iter_mut().find(|(known, _)| known == size) {
            Some((_, indices)) => indices.push(index),
            None => buckets.push((*size, vec![index])),
        }
    }
    let mut batches = Vec::new();
    for (_, indices) in &mut buckets {
        random.python.shuffle(indices);
        batches.extend(indices.chunks_exact(batch_size).map(<[usize]>::to_vec));
    }
    let (learned, all) = (batches.len() * batch_size, sizes.len());
    if learned == 0 {
        let message = format!(
            "is {batch_size}, but of the {all} images of the subject no {batch_size} have the same size; \
             --repeats has each several times in an epoch"
        );
        return Err(Error::option("train-batch-size", message));
    }
    if learned < all {
        tracing::warn!(
            "{} of the {all} images of the subject are left over when batches of {batch_size} are filled, and are not learned",
            all - learned
        );
    }
    Ok(batches)
}

/// The image of the class beside an image of the subject.
fn class_image(class: &Class, index: usize) -> Result<DynamicImage> {
    let column = class.images.choose(Role::Image, None)?;
    Ok(class.images.image(index % class.count, column)?)
}

/// Height and width of an image after it was resized to cover `size`.
fn covering(image: &DynamicImage, size: [u32; 2]) -> Result<[u32; 2]> {
    let has = [image.height(), image.width()].map(f64::from);
    if has.contains(&0.0) {
        return Err(Error::option("resolution", "an image has no pixels"));
    }
    let scale = (f64::from(size[0]) / has[0]).max(f64::from(size[1]) / has[1]);
    let sides = has.map(|side| (side * scale).round_ties_even());
    if sides.iter().any(|side| *side > MOST_PIXELS as f64) {
        let [height, width] = has;
        let message =
            format!("an image of {width}x{height} pixels would have a side of more than {MOST_PIXELS}");
        return Err(Error::option("resolution", message));
    }
    Ok([0, 1].map(|axis| (sides[axis] as u32).max(size[axis])))
}

fn resized(image: &DynamicImage, size: [u32; 2]) -> Result<RgbImage> {
    let [height, width] = covering(image, size)?.map(|side| side as usize);
    let processor = VaeImageProcessor { resample: Resample::Bilinear, ..Default::default() };
    Ok(processor.resize(image, height, width, ResizeMode::Default)?.into_rgb8())
}
