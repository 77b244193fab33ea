//! From images to the tensors that an autoencoder encodes, and back.

use burn::tensor::{DType, Device, Int, Tensor, TensorData};
use image::DynamicImage;

use super::bitmap::Bitmap;
use super::crop_region::CropRegion;
use super::images::{Images, OutputType, to_output};
use super::masked_region::masked_region;
use super::overlay::lay_over;
use super::pipeline_image_input::PipelineImageInput;
use super::resample::Resample;
use super::resize_mode::{ResizeMode, resize};
use crate::error::{Error, Result};
use crate::memory;
use crate::models::finite::is_finite;

/// How to prepare images. By default they keep their size, rounded down to one that the autoencoder accepts.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct PreprocessOptions {
    /// The new height.
    pub height: Option<usize>,
    /// The new width.
    pub width: Option<usize>,
    /// How to bring an image to other proportions. Tensors and arrays are always stretched.
    pub resize_mode: ResizeMode,
    /// The part of each image to take.
    pub crops_coords: Option<CropRegion>,
}

/// Turns images into tensors for an autoencoder, and decoded tensors back into images. Fields and defaults are those of
/// diffusers.
///
/// Each image is cropped, resized, converted, divided by 255, normalized and binarized, in this order. The results are
/// bit for bit those of Python.
///
/// ```
/// use oxidiff::{PreprocessOptions, VaeImageProcessor, image::DynamicImage};
///
/// let processor = VaeImageProcessor { do_convert_rgb: true, ..Default::default() };
/// let image = DynamicImage::new_luma8(100, 67).into();
/// let values = processor.preprocess(&image, PreprocessOptions::default())?;
/// assert_eq!(values.dims(), [1, 3, 64, 96]);
/// # Ok::<(), oxidiff::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VaeImageProcessor {
    /// Whether to resize, at least to multiples of `vae_scale_factor`.
    pub do_resize: bool,
    /// How many pixels one position of the latents stands for, in each direction.
    pub vae_scale_factor: usize,
    /// Tensors with this many channels are latents and are left as they are.
    pub vae_latent_channels: usize,
    /// The filter for resizing images. Tensors and arrays are resized by picking the nearest value.
    pub resample: Resample,
    /// Whether to map values from [0, 1] to [-1, 1].
    pub do_normalize: bool,
    /// Whether to replace values below 1/2 by 0 and all others by 1.
    pub do_binarize: bool,
    /// Whether to convert images to RGB.
    pub do_convert_rgb: bool,
    /// Whether to convert images to greyscale.
    pub do_convert_grayscale: bool,
}

impl Default for VaeImageProcessor {
    fn default() -> Self {
        Self {
            do_resize: true,
            vae_scale_factor: 8,
            vae_latent_channels: 4,
            resample: Resample::Lanczos,
            do_normalize: true,
            do_binarize: false,
            do_convert_rgb: false,
            do_convert_grayscale: false,
        }
    }
}

impl VaeImageProcessor {
    /// The processor for masks.
    pub(crate) fn of_masks(vae_scale_factor: usize) -> Self {
        Self {
            vae_scale_factor,
            do_normalize: false,
            do_binarize: true,
            do_convert_grayscale: true,
            ..Self::default()
        }
    }

    /// The values of images, `[batch, channels, height, width]`: in [-1, 1], or in [0, 1] without `do_normalize`. Images
    /// become `f32` on the CPU; tensors and arrays keep their type and device.
    ///
    /// # Errors
    /// When there are no images, or they differ in size or number of channels, are too small, or cannot be converted as
    /// requested.
    pub fn preprocess(&self, image: &PipelineImageInput, options: PreprocessOptions) -> Result<Tensor<4>> {
        if self.do_convert_rgb && self.do_convert_grayscale {
            let message = "cannot be combined with `do_convert_grayscale`";
            return Err(Error::argument("do_convert_rgb", message));
        }
        let values = match image {
            PipelineImageInput::Images(images) => return self.preprocess_images(images, options),
            PipelineImageInput::Unfiltered(images) => {
                return Self { resample: Resample::Nearest, ..*self }.preprocess_images(images, options);
            }
            PipelineImageInput::Tensor(values) if values.dims()[1] == self.vae_latent_channels => {
                return Ok(values.clone());
            }
            PipelineImageInput::Tensor(values) => values.clone(),
            PipelineImageInput::Array(values) => values.clone().permute([0, 3, 1, 2]),
        };
        self.preprocess_values(values, options)
    }

    fn preprocess_images(&self, images: &[DynamicImage], options: PreprocessOptions) -> Result<Tensor<4>> {
        // Bytes of three channels before and after resizing, and two tensors of `f32`.
        let size = |given: u32, wanted: Option<usize>| u64::from(given).max(wanted.unwrap_or(0) as u64);
        let pixels = images
            .iter()
            .map(|image| {
                size(image.width(), options.width).saturating_mul(size(image.height(), options.height))
            })
            .fold(0, u64::saturating_add);
        memory::check("preparing images", pixels.saturating_mul(30), &Device::flex(), "give smaller images")?;
        let mut bitmaps = images.iter().map(Bitmap::from_image).collect::<Result<Vec<_>>>()?;
        if let Some(region) = options.crops_coords {
            bitmaps = bitmaps.iter().map(|bitmap| bitmap.crop(region)).collect();
        }
        let first = bitmaps.first().ok_or_else(|| Error::argument("image", "there are no images"))?;
        if self.do_resize {
            let [height, width] = self.default_size([first.height, first.width], options)?;
            for bitmap in &mut bitmaps {
                *bitmap = resize(bitmap, height, width, options.resize_mode, self.resample)?;
            }
        }
        if self.do_convert_rgb {
            bitmaps = bitmaps.iter().map(Bitmap::to_rgb).collect();
        } else if self.do_convert_grayscale {
            bitmaps = bitmaps.iter().map(Bitmap::to_gray).collect();
        }

        let shape = |bitmap: &Bitmap| [bitmap.height, bitmap.width, bitmap.channels];
        let [height, width, channels] = shape(&bitmaps[0]);
        if let Some(other) = bitmaps.iter().find(|bitmap| shape(bitmap) != shape(&bitmaps[0])) {
            let message = format!(
                "one has height, width and channels {:?}, another {:?}",
                shape(&bitmaps[0]),
                shape(other)
            );
            return Err(Error::argument("image", message));
        }
        let value = |byte: u8| {
            let value = f32::from(byte) / 255.0;
            let value = if self.do_normalize { 2.0 * value - 1.0 } else { value };
            if self.do_binarize { f32::from(u8::from(value >= 0.5)) } else { value }
        };
        let values: Vec<f32> =
            bitmaps.iter().flat_map(|bitmap| &bitmap.bytes).map(|&byte| value(byte)).collect();
        let values = TensorData::new(values, [bitmaps.len(), height, width, channels]);
        Ok(Tensor::<4>::from_data(values, (&Device::flex(), DType::F32)).permute([0, 3, 1, 2]))
    }

    fn preprocess_values(&self, values: Tensor<4>, options: PreprocessOptions) -> Result<Tensor<4>> {
        if options.resize_mode != ResizeMode::Default {
            return Err(Error::argument("resize_mode", "tensors and arrays can only be stretched"));
        }
        if options.crops_coords.is_some() {
            return Err(Error::argument("crops_coords", "only images can be cropped"));
        }
        let [_, _, height, width] = values.dims();
        if values.dims().contains(&0) {
            return Err(Error::argument("image", format!("has shape {:?}", values.dims())));
        }
        let mut values = values;
        if self.do_resize {
            values = resize_nearest(values, self.default_size([height, width], options)?);
        }
        if self.do_normalize {
            if values.clone().min().into_scalar::<f32>() < 0.0 {
                tracing::warn!(
                    "`image` has values below 0, so it is assumed to be in [-1, 1] already, not in [0, 1]"
                );
            } else {
                values = values * 2.0 - 1.0;
            }
        }
        if self.do_binarize {
            let dtype = values.dtype();
            values = values.cast(DType::F32).greater_equal_elem(0.5).float().cast(dtype);
        }
        Ok(values)
    }

    /// Turns decoded images, `[batch, channels, height, width]`, into the requested form. With `do_normalize`, values are
    /// mapped from [-1, 1] to [0, 1].
    ///
    /// # Errors
    /// When images are requested and the tensor has neither one, three nor four channels, or a value is not finite.
    pub fn postprocess(&self, image: Tensor<4>, output_type: OutputType) -> Result<Images> {
        // Clamping would hide an infinite value.
        if output_type != OutputType::Latent && !is_finite(&image) {
            let message = "has values that are not finite, so it cannot be turned into an image".to_owned();
            return Err(Error::NonFinite { place: "image".into(), message });
        }
        let denormalize =
            |image: Tensor<4>| if self.do_normalize { (image * 0.5 + 0.5).clamp(0.0, 1.0) } else { image };
        match output_type {
            OutputType::Latent => Ok(Images::Latent(image)),
            output_type => to_output(denormalize(image), output_type),
        }
    }

    /// An image in another size.
    ///
    /// # Errors
    /// When a side would have no pixels.
    pub fn resize(
        &self,
        image: &DynamicImage,
        height: usize,
        width: usize,
        resize_mode: ResizeMode,
    ) -> Result<DynamicImage> {
        let bitmap = Bitmap::from_image(image)?;
        Ok(resize(&bitmap, height, width, resize_mode, self.resample)?.into_image())
    }

    /// The height and width that images are prepared in: those given, or else those of the first image, rounded down to
    /// multiples of `vae_scale_factor`.
    ///
    /// # Errors
    /// When there are no images, or a side is smaller than one multiple.
    pub fn get_default_height_width(
        &self,
        image: &PipelineImageInput,
        height: Option<usize>,
        width: Option<usize>,
    ) -> Result<[usize; 2]> {
        let own = match image {
            PipelineImageInput::Images(images) | PipelineImageInput::Unfiltered(images) => {
                let first = images.first().ok_or_else(|| Error::argument("image", "there are no images"))?;
                [first.height() as usize, first.width() as usize]
            }
            PipelineImageInput::Tensor(values) => [values.dims()[2], values.dims()[3]],
            PipelineImageInput::Array(values) => [values.dims()[1], values.dims()[2]],
        };
        self.default_size(own, PreprocessOptions { height, width, ..Default::default() })
    }

    fn default_size(&self, own: [usize; 2], options: PreprocessOptions) -> Result<[usize; 2]> {
        let factor = self.vae_scale_factor.max(1);
        let given = [options.height.unwrap_or(own[0]), options.width.unwrap_or(own[1])];
        let size = given.map(|side| side - side % factor);
        if size.contains(&0) {
            let message = format!("is {}x{}, smaller than {factor}x{factor} pixels", given[1], given[0]);
            return Err(Error::argument("image", message));
        }
        Ok(size)
    }

    /// The part of an image to inpaint: everything that is not black in the mask, with `pad` pixels around it, enlarged to
    /// the proportions of `width` to `height`.
    ///
    /// # Errors
    /// When the mask is black everywhere.
    pub fn get_crop_region(
        mask_image: &DynamicImage,
        width: usize,
        height: usize,
        pad: usize,
    ) -> Result<CropRegion> {
        masked_region(mask_image, width, height, pad)
    }

    /// Lays an inpainted image over the original, which is kept where the mask is black. With `crop_coords`, the inpainted
    /// image is first put back into the size and place of that part.
    ///
    /// # Errors
    /// When the images differ in size.
    pub fn apply_overlay(
        &self,
        mask: &DynamicImage,
        init_image: &DynamicImage,
        image: &DynamicImage,
        crop_coords: Option<CropRegion>,
    ) -> Result<DynamicImage> {
        let (mask, original) = (Bitmap::from_image(mask)?, Bitmap::from_image(init_image)?);
        let mut image = Bitmap::from_image(image)?;
        if let Some(CropRegion { x1, y1, x2, y2 }) = crop_coords {
            let (width, height) = (x2.saturating_sub(x1) as usize, y2.saturating_sub(y1) as usize);
            let part = resize(&image, height, width, ResizeMode::Crop, self.resample)?;
            image = Bitmap::new(original.width, original.height, 3);
            image.paste(&part, x1.into(), y1.into());
        }
        for (argument, other) in [("mask_image", &mask), ("image", &image)] {
            if [other.width, other.height] != [original.width, original.height] {
                let message = format!(
                    "is {}x{}, the original image {}x{}",
                    other.width, other.height, original.width, original.height
                );
                return Err(Error::argument(argument, message));
            }
        }
        Ok(lay_over(&original, &mask, &image).into_image())
    }
}

/// Resizes values `[batch, channels, height, width]` by picking the nearest old value: PyTorch's `interpolate` with its
/// default mode.
pub(crate) fn resize_nearest(values: Tensor<4>, size: [usize; 2]) -> Tensor<4> {
    let device = values.device();
    let nearest = |old: usize, new: usize| {
        // In single precision, as PyTorch computes it.
        let scale = old as f32 / new as f32;
        let indices: Vec<i64> =
            (0..new).map(|index| ((index as f32 * scale) as i64).min(old as i64 - 1)).collect();
        Tensor::<1, Int>::from_data(indices.as_slice(), &device)
    };
    let [_, _, height, width] = values.dims();
    let mut values = values;
    if size[0] != height {
        values = values.select(2, nearest(height, size[0]));
    }
    if size[1] != width {
        values = values.select(3, nearest(width, size[1]));
    }
    values
}

/// Turns decoded images, `[batch, channels, height, width]` in about [-1, 1], into the requested form.
///
/// # Errors
/// When images are requested and the tensor has neither one, three nor four channels, or a value is not finite.
pub(crate) fn postprocess(decoded: Tensor<4>, output_type: OutputType) -> Result<Images> {
    VaeImageProcessor::default().postprocess(decoded, output_type)
}
