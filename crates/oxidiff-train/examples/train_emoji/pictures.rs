//! The pictures and their captions.

use std::error::Error;
use std::path::Path;

use oxidiff::image::imageops::{FilterType, crop_imm, flip_horizontal_in_place, overlay, resize};
use oxidiff::image::{DynamicImage, Rgb, RgbImage, Rgba, RgbaImage};
use oxidiff::{Generator, Tensor, VaeImageProcessor};
use oxidiff_train::data::{Caption, Dataset, OpenOptions, Role};

/// How views differ from their pictures.
#[derive(Clone, Copy, Debug)]
pub struct Variation {
    /// How much smaller or larger than the picture a view may be.
    pub scale: f32,
    /// Whether half of the views are mirrored.
    pub mirror: bool,
}

const WHITE: u8 = 255;

/// A picture on white.
pub struct Picture {
    /// A square, twice as wide as a view.
    image: RgbImage,
    /// Whether it was transparent in places, so that there may be white around it.
    is_cut_out: bool,
    captions: Vec<String>,
}

impl Picture {
    /// A caption; of several, any.
    pub fn caption(&self, generator: &mut Generator) -> Result<&str, Box<dyn Error>> {
        let drawn = generator.randint_vec(0, self.captions.len() as i64, 1)?[0];
        Ok(&self.captions[drawn as usize])
    }

    /// The picture with sides of this many pixels, as it is.
    pub fn whole(&self, side: u32) -> RgbImage {
        resize(&self.image, side, side, FilterType::CatmullRom)
    }

    /// The picture, a little larger or smaller, moved within its frame, and perhaps mirrored.
    pub fn view(&self, side: u32, variation: Variation, generator: &mut Generator) -> RgbImage {
        let [flip, scale, x, y] = generator.rand_vec::<f32>(4).try_into().expect("four numbers");
        let scale = 1.0 + variation.scale * if self.is_cut_out { -scale } else { scale };
        let scaled = (side as f32 * scale).round() as u32;
        let mut picture = resize(&self.image, scaled, scaled, FilterType::CatmullRom);
        if variation.mirror && flip < 0.5 {
            flip_horizontal_in_place(&mut picture);
        }
        let free = side as f32 - scaled as f32;
        let mut view = RgbImage::from_pixel(side, side, Rgb([WHITE; 3]));
        overlay(&mut view, &picture, (free * x) as i64, (free * y) as i64);
        view
    }
}

/// All pictures of the folder, for views with sides of this many pixels.
pub fn load(folder: &Path, side: u32) -> Result<Vec<Picture>, Box<dyn Error>> {
    let dataset = Dataset::open(folder, &OpenOptions::default())?;
    let (images, captions) = (dataset.choose(Role::Image, None)?, dataset.choose(Role::Caption, None)?);
    let load = |row| {
        let image = dataset.image_unconverted(row, images)?.resize_to_fill(
            2 * side,
            2 * side,
            FilterType::CatmullRom,
        );
        let captions = match dataset.text(row, captions)? {
            Caption::One(caption) => vec![caption],
            Caption::Several(captions) => captions,
        };
        let (image, is_cut_out) = on_white(&image);
        Ok(Picture { image, is_cut_out, captions })
    };
    (0..dataset.len()).map(load).collect()
}

/// The picture on white, and whether any white shows through.
fn on_white(picture: &DynamicImage) -> (RgbImage, bool) {
    let picture = picture.to_rgba8();
    let mut page = RgbaImage::from_pixel(picture.width(), picture.height(), Rgba([WHITE; 4]));
    overlay(&mut page, &picture, 0, 0);
    let is_cut_out = picture.pixels().any(|pixel| pixel.0[3] < WHITE);
    (DynamicImage::ImageRgba8(page).into_rgb8(), is_cut_out)
}

/// Different captions of the pictures, spread over all of them.
pub fn some_captions(pictures: &[Picture], most: usize) -> Vec<String> {
    let mut captions: Vec<String> = Vec::new();
    for caption in pictures.iter().filter_map(|picture| picture.captions.first()) {
        if !captions.contains(caption) {
            captions.push(caption.clone());
        }
    }
    let step = captions.len().div_ceil(most).max(1);
    captions.into_iter().step_by(step).collect()
}

/// A square part of a view, anywhere in it.
pub fn part(view: &RgbImage, side: u32, generator: &mut Generator) -> Result<RgbImage, Box<dyn Error>> {
    let mut corner = |length: u32| -> Result<u32, Box<dyn Error>> {
        Ok(generator.randint_vec(0, i64::from(length - side) + 1, 1)?[0] as u32)
    };
    let (x, y) = (corner(view.width())?, corner(view.height())?);
    Ok(crop_imm(view, x, y, side, side).to_image())
}

/// Images of one size as `[images, 3, height, width]` in [-1, 1].
pub fn stack(images: Vec<RgbImage>) -> Result<Tensor<4>, Box<dyn Error>> {
    let processor = VaeImageProcessor::default();
    let tensor =
        |image: RgbImage| processor.preprocess(&DynamicImage::ImageRgb8(image).into(), Default::default());
    Ok(Tensor::cat(images.into_iter().map(tensor).collect::<Result<_, _>>()?, 0))
}
