//! The images that a pipeline returns, and their forms.

use burn::tensor::{DType, Tensor};
use image::{DynamicImage, GrayImage, RgbImage, RgbaImage};

use crate::error::{Error, Result};

/// The form in which a pipeline returns its images.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OutputType {
    /// Images with 8 bits per channel (`"pil"` in Python).
    #[default]
    Image,
    /// A tensor of values in [0, 1], `[batch, height, width, channels]` in `f32` (`"np"`).
    Array,
    /// The latents, without decoding (`"latent"`).
    Latent,
}

/// The images that a pipeline made, in the requested form.
#[derive(Clone, Debug)]
pub enum Images {
    /// Images with 8 bits per channel.
    Image(Vec<DynamicImage>),
    /// Values in [0, 1], `[batch, height, width, channels]` in `f32`.
    Array(Tensor<4>),
    /// Latents, `[batch, latent_channels, height, width]`.
    Latent(Tensor<4>),
    /// For each image its layers, from the back to the front: images, or an array.
    Layers(Vec<Self>),
}

impl Images {
    /// The images; those of an array are rounded to 8 bits. Empty for latents, and for an array with neither one, three nor
    /// four channels. Those of layers, image by image.
    pub fn into_images(self) -> Vec<DynamicImage> {
        match self {
            Self::Image(images) => images,
            Self::Array(values) => to_images(values).unwrap_or_default(),
            Self::Latent(_) => Vec::new(),
            Self::Layers(images) => images.into_iter().flat_map(Self::into_images).collect(),
        }
    }

    /// The tensor, if the form is a tensor. Layers are side by side in the batch, image by image.
    pub fn into_tensor(self) -> Option<Tensor<4>> {
        match self {
            Self::Image(_) => None,
            Self::Array(values) | Self::Latent(values) => Some(values),
            Self::Layers(images) => {
                let tensors: Option<Vec<_>> = images.into_iter().map(Self::into_tensor).collect();
                tensors.filter(|tensors| !tensors.is_empty()).map(|tensors| Tensor::cat(tensors, 0))
            }
        }
    }

    /// Images, so many in a row of which are the layers of one. Latents stay as they are.
    pub(crate) fn in_layers(self, layers: usize) -> Self {
        match self {
            Self::Image(images) => {
                let mut images = images.into_iter().peekable();
                let rows = std::iter::from_fn(|| {
                    images.peek()?;
                    Some(Self::Image(images.by_ref().take(layers).collect()))
                });
                Self::Layers(rows.collect())
            }
            Self::Array(values) => {
                Self::Layers(values.split(layers, 0).into_iter().map(Self::Array).collect())
            }
            other => other,
        }
    }
}

/// Turns values in [0, 1], `[batch, channels, height, width]`, into the requested form.
pub(super) fn to_output(values: Tensor<4>, output_type: OutputType) -> Result<Images> {
    let values = values.permute([0, 2, 3, 1]).cast(DType::F32);
    match output_type {
        OutputType::Image => Ok(Images::Image(to_images(values)?)),
        OutputType::Array => Ok(Images::Array(values)),
        OutputType::Latent => unreachable!("latents are not decoded"),
    }
}

/// Rounds values in [0, 1], `[batch, height, width, channels]`, to images with 8 bits per channel.
fn to_images(values: Tensor<4>) -> Result<Vec<DynamicImage>> {
    let [batch, height, width, channels] = values.dims();
    let bytes: Vec<u8> =
        values.into_data().iter::<f32>().map(|value| (value * 255.0).round_ties_even() as u8).collect();
    let (w, h) = (width as u32, height as u32);
    let item =
        |index: usize| bytes[index * height * width * channels..][..height * width * channels].to_vec();
    (0..batch)
        .map(|index| match channels {
            1 => GrayImage::from_raw(w, h, item(index)).map(DynamicImage::from),
            3 => RgbImage::from_raw(w, h, item(index)).map(DynamicImage::from),
            4 => RgbaImage::from_raw(w, h, item(index)).map(DynamicImage::from),
            _ => None,
        })
        .map(|image| {
            image.ok_or_else(|| {
                Error::unsupported(
                    format!("an image of {channels} channels"),
                    "images have one, three or four",
                )
            })
        })
        .collect()
}
