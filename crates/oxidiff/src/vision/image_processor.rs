//! From images to what a vision model takes: the image processors of transformers.
//!
//! transformers processes images with torchvision where that is installed, and else with Pillow; the bytes of a resized
//! image then differ by one here and there. This follows torchvision.

use std::path::Path;

use burn::tensor::ops::PadMode;
use burn::tensor::{DType, Device, Tensor, TensorData};
use image::DynamicImage;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::error::{Error, Result};
use crate::image_processor::{Arithmetic, Bitmap, Resample, resampling_matrix};
use crate::loading::config::Config;
use crate::loading::folder::Folder;
use crate::loading::{LoadOptions, Needed, write_whole};
use crate::models::layers::per_block::PerBlock;

/// The name of the file that holds the configuration of an image processor.
const FILE: &str = "preprocessor_config.json";

/// A longer side than any model takes: what is above is a mistake, and would not fit into memory.
const MOST_PIXELS: usize = 65_536;

/// A size in pixels; which fields are given says how it is meant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[allow(
    missing_docs,
    reason = "the fields are documented by the library whose configuration files this reads"
)]
pub struct ImageSize {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub height: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub width: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shortest_edge: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub longest_edge: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_height: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_width: Option<usize>,
}

/// The configuration of an image processor; fields are those of transformers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[allow(
    missing_docs,
    reason = "the fields are documented by the library whose configuration files this reads"
)]
pub struct ImageProcessorConfig {
    pub do_convert_rgb: Option<bool>,
    pub do_resize: Option<bool>,
    pub size: Option<ImageSize>,
    /// The filter, by Pillow's number: 0 nearest, 1 Lanczos, 2 bilinear, 3 bicubic.
    pub resample: Option<u8>,
    pub keep_aspect_ratio: Option<bool>,
    pub ensure_multiple_of: Option<usize>,
    pub do_center_crop: Option<bool>,
    pub crop_size: Option<ImageSize>,
    pub do_rescale: Option<bool>,
    pub rescale_factor: Option<f64>,
    pub do_normalize: Option<bool>,
    pub image_mean: Option<PerBlock<f64>>,
    pub image_std: Option<PerBlock<f64>>,
    pub do_pad: Option<bool>,
    pub pad_size: Option<ImageSize>,
    pub size_divisor: Option<usize>,
    /// Fields that this class does not know; they are kept.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// What an image processor can do: be loaded, saved, and turn images into what a model takes.
pub trait ImageProcessor: Sized {
    /// The name that `model_index.json` uses.
    const CLASS_NAME: &'static str;

    /// The configuration where nothing else is said.
    fn default_config() -> ImageProcessorConfig;

    /// A processor with a configuration.
    ///
    /// # Errors
    /// When the configuration contradicts itself, or asks for something that is not supported.
    fn new(config: ImageProcessorConfig) -> Result<Self>;

    /// The configuration.
    fn config(&self) -> &ImageProcessorConfig;

    /// A size that a file gives as one number.
    #[doc(hidden)]
    fn size_of_number(number: &Value) -> Value;

    /// The size that an image of the given height and width is resized to, height and width.
    #[doc(hidden)]
    fn resized(&self, size: [usize; 2]) -> Result<[usize; 2]>;

    /// Pads an image that was normalized.
    #[doc(hidden)]
    fn padded(&self, images: Vec<Tensor<4>>) -> Result<Vec<Tensor<4>>>;

    /// A processor from the data of a configuration file.
    ///
    /// # Errors
    /// As [`ImageProcessor::new`].
    fn from_config(config: &Config) -> Result<Self> {
        let origin = config.origin();
        let defaults = serde_json::to_value(Self::default_config()).expect("fields are plain data");
        let Value::Object(mut fields) = defaults else { unreachable!("fields serialize to an object") };
        for (field, value) in config.values() {
            let value = match (field.as_str(), value) {
                ("size", Value::Number(_)) => Self::size_of_number(value),
                ("crop_size" | "pad_size", Value::Number(_)) => json!({ "height": value, "width": value }),
                ("size" | "crop_size" | "pad_size", Value::Array(sides)) if sides.len() == 2 => {
                    json!({ "height": sides[0], "width": sides[1] })
                }
                _ => value.clone(),
            };
            fields.insert(field.clone(), value);
        }
        let typed = serde_path_to_error::deserialize(Value::Object(fields)).map_err(|error| {
            let field = error.path().to_string();
            Error::config(origin, field, error.into_inner().to_string())
        })?;
        Self::new(typed).map_err(|error| error.in_file(origin))
    }

    /// Loads the processor from a folder, or from the hub.
    ///
    /// # Errors
    /// When the file is missing, or says something that the class does not understand.
    fn from_pretrained(name_or_path: &str) -> Result<Self> {
        Self::from_pretrained_with(name_or_path, &LoadOptions::default())
    }

    /// Loads the processor from a subfolder or another revision.
    ///
    /// # Errors
    /// As [`ImageProcessor::from_pretrained`].
    fn from_pretrained_with(name_or_path: &str, options: &LoadOptions) -> Result<Self> {
        Self::load(&options.open(name_or_path, Needed::Config { config: FILE })?)
    }

    /// Loads the processor from the folder that holds its configuration.
    #[doc(hidden)]
    fn load(folder: &Folder) -> Result<Self> {
        let text = folder.read(FILE, Self::CLASS_NAME)?;
        Self::from_config(&Config::parse(&text, &folder.locate(FILE).display().to_string())?)
    }

    /// Writes `preprocessor_config.json` into `folder`, which is made where it does not exist.
    ///
    /// # Errors
    /// When the folder cannot be written.
    fn save_pretrained(&self, folder: impl AsRef<Path>) -> Result<()> {
        let folder = folder.as_ref();
        std::fs::create_dir_all(folder).map_err(Error::io(folder))?;
        let config = Config::from_transformers_fields(self.config())
            .without_nulls()
            .without("feature_extractor_type")
            .with("image_processor_type", Self::CLASS_NAME);
        write_whole(&folder.join(FILE), (config.to_json() + "\n").as_bytes())
    }

    /// Turns images into `pixel_values`, `[images, channels, height, width]`.
    ///
    /// # Errors
    /// When there are no images, or they end in different sizes; when one has other channels than the mean.
    fn preprocess(&self, images: &[DynamicImage]) -> Result<Tensor<4>> {
        let config = self.config();
        let device = Device::flex();
        let mut processed = Vec::new();
        for image in images {
            let mut bitmap = Bitmap::from_image(image)?;
            check_size([bitmap.height, bitmap.width])?;
            if config.do_convert_rgb == Some(true) {
                bitmap = on_white(&bitmap);
            }
            if config.do_resize == Some(true) {
                let [height, width] = self.resized([bitmap.height, bitmap.width])?;
                bitmap = bitmap.resize_with(width, height, config.filter()?, Arithmetic::Torchvision);
            }
            let Bitmap { width, height, channels, bytes } = bitmap;
            let values: Vec<f32> = bytes.into_iter().map(f32::from).collect();
            let data = TensorData::new(values, [1, height, width, channels]);
            let values = Tensor::<4>::from_data(data, (&device, DType::F32)).permute([0, 3, 1, 2]);
            processed.push(config.crop_and_normalize(values)?);
        }
        stack(self.padded(processed)?)
    }

    /// The same for values that are no images, `[images, channels, height, width]`.
    ///
    /// As in Python they are resized without rounding, and rescaled as if they were between 0 and 255.
    ///
    /// # Errors
    /// As [`ImageProcessor::preprocess`].
    fn preprocess_tensor(&self, images: Tensor<4>) -> Result<Tensor<4>> {
        let config = self.config();
        let mut values = images.cast(DType::F32);
        let [_, channels, height, width] = values.dims();
        check_size([height, width])?;
        if config.do_convert_rgb == Some(true) && channels == 1 {
            values = values.repeat_dim(1, 3);
        }
        if config.do_resize == Some(true) {
            values = resize_values(values, self.resized([height, width])?, config.filter()?)?;
        }
        stack(self.padded(vec![config.crop_and_normalize(values)?])?)
    }
}

/// Checks that there is an image.
fn check_size(size: [usize; 2]) -> Result<()> {
    if size.contains(&0) { Err(Error::argument("images", "an image has no pixels")) } else { Ok(()) }
}

/// In colour, laid over white where it is transparent.
fn on_white(bitmap: &Bitmap) -> Bitmap {
    if !bitmap.has_alpha() {
        return bitmap.to_rgb();
    }
    bitmap.to_rgba().map_pixels(3, |pixel, rgb| {
        let alpha = u32::from(pixel[3]);
        for (new, &color) in rgb.iter_mut().zip(pixel) {
            // Pillow's rounded division by 255, with 7 binary digits more than the value has.
            let sum = (u32::from(color) * alpha + 255 * (255 - alpha)) * (1 << 7) + (0x80 << 7);
            *new = (((sum >> 8) + sum) >> 8 >> 7) as u8;
        }
    })
}

/// Resamples values that are not rounded, along rows and then along columns.
fn resize_values(x: Tensor<4>, [height, width]: [usize; 2], filter: Resample) -> Result<Tensor<4>> {
    let along_rows = |x: Tensor<4>, new: usize| -> Result<Tensor<4>> {
        let [batch, channels, rows, old] = x.dims();
        if old == new {
            return Ok(x);
        }
        let matrix = resampling_matrix(old, new, filter).ok_or_else(|| {
            Error::unsupported("`resample` 0 (nearest) for tensors", "it is supported for images alone")
        })?;
        let matrix = TensorData::new(matrix, [old, new]);
        let matrix = Tensor::<2>::from_data(matrix, (&x.device(), DType::F32));
        Ok(x.reshape([batch * channels * rows, old]).matmul(matrix).reshape([batch, channels, rows, new]))
    };
    let x = along_rows(x, width)?;
    Ok(along_rows(x.swap_dims(2, 3), height)?.swap_dims(2, 3))
}

fn stack(images: Vec<Tensor<4>>) -> Result<Tensor<4>> {
    let Some(first) = images.first().map(Tensor::dims) else {
        return Err(Error::argument("images", "must hold at least one image"));
    };
    if let Some(other) = images.iter().find(|image| image.dims()[1..] != first[1..]) {
        let message = format!(
            "become tensors of different shapes, {:?} and {:?}; a batch needs images of one size",
            &first[1..],
            &other.dims()[1..]
        );
        return Err(Error::argument("images", message));
    }
    Ok(Tensor::cat(images, 0))
}

impl ImageProcessorConfig {
    /// Nothing is done to an image.
    pub(super) fn nothing() -> Self {
        Self {
            do_convert_rgb: None,
            do_resize: None,
            size: None,
            resample: None,
            keep_aspect_ratio: None,
            ensure_multiple_of: None,
            do_center_crop: None,
            crop_size: None,
            do_rescale: None,
            rescale_factor: None,
            do_normalize: None,
            image_mean: None,
            image_std: None,
            do_pad: None,
            pad_size: None,
            size_divisor: None,
            other: Map::new(),
        }
    }

    /// Checks what is asked for without an image.
    pub(super) fn check(&self) -> Result<()> {
        let invalid = |field: &str, message: &str| Err(Error::config("", field, message));
        if self.do_resize == Some(true) {
            self.filter()?;
            if self.size.is_none() {
                return invalid("size", "must be given to resize");
            }
        }
        for (field, size) in [("size", self.size), ("crop_size", self.crop_size), ("pad_size", self.pad_size)]
        {
            let size = size.unwrap_or_default();
            let sides = [
                size.height,
                size.width,
                size.shortest_edge,
                size.longest_edge,
                size.max_height,
                size.max_width,
            ];
            if sides.iter().flatten().any(|side| !(1..=MOST_PIXELS).contains(side)) {
                return invalid(field, "must be between 1 and 65536");
            }
        }
        if self.do_center_crop == Some(true) {
            self.crop()?;
        }
        if self.do_rescale == Some(true) && self.rescale_factor.is_none_or(|factor| factor == 0.0) {
            return invalid("rescale_factor", "must be given, and not be 0, to rescale");
        }
        if self.do_normalize == Some(true) {
            for (field, values) in [("image_mean", &self.image_mean), ("image_std", &self.image_std)] {
                if values.is_none() {
                    return invalid(field, "must be given to normalize");
                }
            }
            let std = match self.image_std.as_ref().expect("just checked") {
                PerBlock::Same(value) => vec![*value],
                PerBlock::Each(values) => values.clone(),
            };
            if std.contains(&0.0) {
                return invalid("image_std", "must not be 0");
            }
        }
        Ok(())
    }

    fn filter(&self) -> Result<Resample> {
        match self.resample.unwrap_or(2) {
            0 => Ok(Resample::Nearest),
            1 => Ok(Resample::Lanczos),
            2 => Ok(Resample::Bilinear),
            3 => Ok(Resample::Bicubic),
            other => Err(Error::config("", "resample", format!("{other} is not among the filters 0 to 3"))),
        }
    }

    fn crop(&self) -> Result<[usize; 2]> {
        let size = self.crop_size.unwrap_or_default();
        match (size.height, size.width) {
            (Some(height), Some(width)) => Ok([height, width]),
            _ => Err(Error::config("", "crop_size", "must have `height` and `width`")),
        }
    }

    /// The middle of an image `[batch, channels, height, width]`, then its values as the model takes them.
    fn crop_and_normalize(&self, mut x: Tensor<4>) -> Result<Tensor<4>> {
        if self.do_center_crop == Some(true) {
            x = center_crop(x, self.crop()?);
        }
        let rescale = self.rescale_factor.filter(|_| self.do_rescale == Some(true));
        if self.do_normalize != Some(true) {
            return Ok(match rescale {
                Some(factor) => x * factor,
                None => x,
            });
        }
        // Rescaling is folded into mean and deviation, which are numbers of 32 bits.
        let unscaled = rescale.map_or(1.0, |factor| (1.0 / factor) as f32);
        let channels = x.dims()[1];
        let per_channel = |field: &str, values: &Option<PerBlock<f64>>| -> Result<Tensor<4>> {
            let values = values.as_ref().and_then(|values| values.expand(channels)).ok_or_else(|| {
                let message = format!("has {channels} channels, which `{field}` has not");
                Error::argument("images", message)
            })?;
            let values: Vec<f32> = values.into_iter().map(|value| value as f32 * unscaled).collect();
            let data = TensorData::new(values, [1, channels, 1, 1]);
            Ok(Tensor::from_data(data, (&x.device(), DType::F32)))
        };
        let mean = per_channel("image_mean", &self.image_mean)?;
        let std = per_channel("image_std", &self.image_std)?;
        Ok((x - mean) / std)
    }
}

/// The middle of an image; where that is larger than the image, the rest is 0.
fn center_crop(mut x: Tensor<4>, [crop_height, crop_width]: [usize; 2]) -> Tensor<4> {
    let [_, _, height, width] = x.dims();
    if crop_height > height || crop_width > width {
        let missing = |size: usize, crop: usize| {
            let missing = crop.saturating_sub(size);
            (missing / 2, missing.div_ceil(2))
        };
        let padding = [missing(height, crop_height), missing(width, crop_width)];
        x = x.pad(padding, PadMode::Constant(0.0));
    }
    let [_, _, height, width] = x.dims();
    x.narrow(2, (height - crop_height) / 2, crop_height).narrow(3, (width - crop_width) / 2, crop_width)
}
