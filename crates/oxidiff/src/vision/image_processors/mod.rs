//! The image processors of transformers: from images to the input of a vision model.
//!
//! transformers processes images with torchvision if that is installed, and with Pillow otherwise; some bytes of a resized
//! image then differ by one. This follows torchvision.

mod clip;
mod config;
mod dpt;
mod qwen2_vl;
mod siglip;
mod siglip2;

use std::path::Path;

use burn::tensor::{DType, Device, Tensor, TensorData};
use image::DynamicImage;
use serde_json::{Value, json};

pub use self::clip::CLIPImageProcessor;
pub use self::config::{ImageProcessorConfig, ImageSize};
pub use self::dpt::DPTImageProcessor;
pub use self::qwen2_vl::{Qwen2VLImageProcessor, Qwen2VLImages};
pub use self::siglip::SiglipImageProcessor;
pub use self::siglip2::{Siglip2ImageProcessor, Siglip2Images};
use crate::error::{Error, Result};
use crate::image_processor::{Arithmetic, Bitmap, Resample, resampling_matrix};
use crate::loading::config::Config;
use crate::loading::folder::Folder;
use crate::loading::{LoadOptions, Needed, write_whole};

/// The name of the configuration file of an image processor.
const FILE: &str = "preprocessor_config.json";

/// What every image processor can do: be loaded, be saved, and turn images into the input of a model.
pub trait ImageProcessor: Sized {
    /// The name that `model_index.json` uses.
    const CLASS_NAME: &'static str;

    /// The default configuration.
    fn default_config() -> ImageProcessorConfig;

    /// A processor with a configuration.
    ///
    /// # Errors
    /// When the configuration contradicts itself, or asks for something that is not supported.
    fn new(config: ImageProcessorConfig) -> Result<Self>;

    /// The configuration.
    fn config(&self) -> &ImageProcessorConfig;

    /// The meaning of a size that a file gives as one number.
    #[doc(hidden)]
    fn size_of_number(number: &Value) -> Value;

    /// The height and width that an image of the given height and width is resized to.
    #[doc(hidden)]
    fn resized(&self, size: [usize; 2]) -> Result<[usize; 2]>;

    /// Pads normalized images.
    #[doc(hidden)]
    fn padded(&self, images: Vec<Tensor<4>>) -> Result<Vec<Tensor<4>>>;

    /// A processor from the data of a configuration file.
    ///
    /// # Errors
    /// As for [`ImageProcessor::new`].
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
    /// When the file is missing, or has a field that the class does not understand.
    fn from_pretrained(name_or_path: &str) -> Result<Self> {
        Self::from_pretrained_with(name_or_path, &LoadOptions::default())
    }

    /// Loads the processor from a subfolder or another revision.
    ///
    /// # Errors
    /// As for [`ImageProcessor::from_pretrained`].
    fn from_pretrained_with(name_or_path: &str, options: &LoadOptions) -> Result<Self> {
        Self::load(&options.open(name_or_path, Needed::Config { config: FILE })?)
    }

    /// Loads the processor from the folder that holds its configuration.
    #[doc(hidden)]
    fn load(folder: &Folder) -> Result<Self> {
        let text = folder.read(FILE, Self::CLASS_NAME)?;
        Self::from_config(&Config::parse(&text, &folder.locate(FILE).display().to_string())?)
    }

    /// Writes `preprocessor_config.json` into `folder`, which is created if it does not exist.
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
    /// When there are no images, they end up with different sizes, or one does not have the channels of the mean.
    fn preprocess(&self, images: &[DynamicImage]) -> Result<Tensor<4>> {
        let processed: Result<Vec<Tensor<4>>> = images.iter().map(|image| self.prepared(image)).collect();
        stack(self.padded(processed?)?)
    }

    /// An image, resized and normalized, `[1, channels, height, width]`.
    #[doc(hidden)]
    fn prepared(&self, image: &DynamicImage) -> Result<Tensor<4>> {
        let config = self.config();
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
        let values = Tensor::<4>::from_data(data, (&Device::flex(), DType::F32)).permute([0, 3, 1, 2]);
        config.crop_and_normalize(values)
    }

    /// Like [`ImageProcessor::preprocess`], for values `[images, channels, height, width]`.
    ///
    /// As in Python, they are resized without rounding, and rescaled as if they were between 0 and 255.
    ///
    /// # Errors
    /// As for [`ImageProcessor::preprocess`].
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

/// Checks that an image has pixels.
fn check_size(size: [usize; 2]) -> Result<()> {
    if size.contains(&0) { Err(Error::argument("images", "an image has no pixels")) } else { Ok(()) }
}

/// In colour, over white where it is transparent.
fn on_white(bitmap: &Bitmap) -> Bitmap {
    if !bitmap.has_alpha() {
        return bitmap.to_rgb();
    }
    bitmap.to_rgba().map_pixels(3, |pixel, rgb| {
        let alpha = u32::from(pixel[3]);
        for (new, &color) in rgb.iter_mut().zip(pixel) {
            // Pillow's rounded division by 255, with 7 additional bits.
            let sum = (u32::from(color) * alpha + 255 * (255 - alpha)) * (1 << 7) + (0x80 << 7);
            *new = (((sum >> 8) + sum) >> 8 >> 7) as u8;
        }
    })
}

/// Resamples values without rounding, along rows and then along columns.
///
/// # Errors
/// When the filter picks pixels instead of weighing them.
pub(in crate::vision) fn resize_values(
    x: Tensor<4>,
    [height, width]: [usize; 2],
    filter: Resample,
) -> Result<Tensor<4>> {
    let along_rows = |x: Tensor<4>, new: usize| -> Result<Tensor<4>> {
        let [batch, channels, rows, old] = x.dims();
        if old == new {
            return Ok(x);
        }
        let matrix = resampling_matrix(old, new, filter).ok_or_else(|| {
            Error::unsupported("`resample` 0 (nearest) for tensors", "it is supported for images only")
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
            "become tensors of different shapes, {:?} and {:?}; all images of a batch must have the same size",
            &first[1..],
            &other.dims()[1..]
        );
        return Err(Error::argument("images", message));
    }
    Ok(Tensor::cat(images, 0))
}
