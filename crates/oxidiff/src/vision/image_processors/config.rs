//! The configuration of an image processor.

use burn::tensor::ops::PadMode;
use burn::tensor::{DType, Tensor, TensorData};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::error::{Error, Result};
use crate::image_processor::Resample;
use crate::models::layers::per_block::PerBlock;

/// The longest side that is accepted: anything above is a mistake, and would not fit into memory.
const MOST_PIXELS: usize = 65_536;

/// A size in pixels; its meaning depends on which fields are given.
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
    /// The filter, by its number in Pillow: 0 nearest, 1 Lanczos, 2 bilinear, 3 bicubic.
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

impl ImageProcessorConfig {
    /// Does nothing to an image.
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

    /// A whole number that a configuration may have, or else a default.
    ///
    /// # Errors
    /// When it is no positive number.
    pub(super) fn number(&self, field: &str, default: usize) -> Result<usize> {
        match self.other.get(field) {
            None | Some(Value::Null) => Ok(default),
            Some(value) => match value.as_u64().filter(|value| (1..=1 << 40).contains(value)) {
                Some(value) => Ok(value as usize),
                None => Err(Error::config("", field, format!("must be a positive number, not {value}"))),
            },
        }
    }

    /// As [`Self::number`], for the side of a patch or a square of patches.
    ///
    /// # Errors
    /// As [`Self::number`], and when it is large beyond reason.
    pub(super) fn side(&self, field: &str, default: usize) -> Result<usize> {
        match self.number(field, default)? {
            side if side > 1024 => Err(Error::config("", field, format!("{side} makes no sense"))),
            side => Ok(side),
        }
    }

    /// Checks the configuration.
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

    /// The filter to resize with.
    ///
    /// # Errors
    /// When there is no filter of this number.
    pub(super) fn filter(&self) -> Result<Resample> {
        match self.resample.unwrap_or(2) {
            0 => Ok(Resample::Nearest),
            1 => Ok(Resample::Lanczos),
            2 => Ok(Resample::Bilinear),
            3 => Ok(Resample::Bicubic),
            other => Err(Error::config("", "resample", format!("{other} is not one of the filters 0 to 3"))),
        }
    }

    fn crop(&self) -> Result<[usize; 2]> {
        let size = self.crop_size.unwrap_or_default();
        match (size.height, size.width) {
            (Some(height), Some(width)) => Ok([height, width]),
            _ => Err(Error::config("", "crop_size", "must have `height` and `width`")),
        }
    }

    /// Crops an image `[batch, channels, height, width]` to its centre, and scales and normalizes its values.
    ///
    /// # Errors
    /// When it does not have the channels of mean and deviation.
    pub(super) fn crop_and_normalize(&self, mut x: Tensor<4>) -> Result<Tensor<4>> {
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
        // Rescaling is folded into mean and deviation, in 32 bits.
        let unscaled = rescale.map_or(1.0, |factor| (1.0 / factor) as f32);
        let channels = x.dims()[1];
        let per_channel = |field: &str, values: &Option<PerBlock<f64>>| -> Result<Tensor<4>> {
            let values = values.as_ref().and_then(|values| values.expand(channels)).ok_or_else(|| {
                let message = format!("has {channels} channels, but `{field}` does not");
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

/// The centre of an image, filled up with 0 where the crop is larger than the image.
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
