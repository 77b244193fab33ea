//! Enlarges pictures with a network.

use std::path::Path;

use burn::tensor::{DType, Device, Tensor, TensorData};
use image::{DynamicImage, GrayAlphaImage, GrayImage, RgbImage, RgbaImage};

use super::file::Network;
use super::tiles::{Piece, pieces, reflected};
use crate::error::{Error, Result};
use crate::loading::state_dict::StateDict;
use crate::memory;
use crate::models::call::call;
use crate::models::finite::is_finite;
use crate::models::least_memory;
use crate::pipelines::common::progress::denoising_bar;

/// How to enlarge a picture: the options of Real-ESRGAN's own program.
#[derive(Clone, Copy, Debug)]
pub struct UpscaleOptions {
    /// The side of the squares that the picture is cut into, in input pixels, so that memory does not grow with its size; 0 enlarges
    /// it as a whole. It is rounded up to what the network can work with.
    pub tile: usize,
    /// How many input pixels around its square the network sees, likewise rounded up.
    pub tile_pad: usize,
    /// How many pixels are added at the right and at the bottom before, and cut off after, against artefacts at the border.
    pub pre_pad: usize,
    /// Whether to show a progress bar.
    pub progress_bar: bool,
}

impl Default for UpscaleOptions {
    fn default() -> Self {
        Self { tile: 256, tile_pad: 10, pre_pad: 0, progress_bar: false }
    }
}

/// Enlarges pictures with an ESRGAN network: `RRDBNet` (ESRGAN, Real-ESRGAN) or `SRVGGNetCompact` (the small ones of
/// Real-ESRGAN).
///
/// ```no_run
/// use oxidiff::{ImageUpscaler, UpscaleOptions, load_image};
///
/// let upscaler = ImageUpscaler::from_file("RealESRGAN_x4plus.pth")?;
/// let large = upscaler.upscale(&load_image("small.png")?, &UpscaleOptions::default())?;
/// large.save("large.png").expect("the folder can be written");
/// # Ok::<(), oxidiff::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct ImageUpscaler {
    network: Network,
    /// The file that it is from.
    origin: String,
}

impl ImageUpscaler {
    /// Reads a network from a `.safetensors` or `.pth` file. What the network is follows from the tensors; no code in the file is
    /// run.
    ///
    /// # Errors
    /// When the file is missing or damaged, or holds no network of these kinds.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let network = Network::of_file(StateDict::open(path)?, &Device::flex())?;
        Ok(Self { network, origin: path.display().to_string() })
    }

    /// How many times larger the results are.
    pub fn scale(&self) -> usize {
        match &self.network {
            Network::Rrdb(network) => network.scale(),
            Network::Compact(network) => network.scale(),
        }
    }

    /// Enlarges a picture, to 8 bits per channel; a grey one stays grey, and transparency is enlarged by the network, too.
    ///
    /// # Errors
    /// When the picture is too small to be padded, or the result does not fit into memory.
    pub fn upscale(&self, image: &DynamicImage, options: &UpscaleOptions) -> Result<DynamicImage> {
        let enlarged = |image: RgbImage| -> Result<Vec<f32>> {
            Ok(self.upscale_to_array(&image.into(), options)?.into_data().iter().collect())
        };
        let colours = enlarged(image.to_rgb8())?;
        let alpha = match image.color().has_alpha() {
            true => {
                let alpha = image.to_rgba8();
                let grey = RgbImage::from_fn(alpha.width(), alpha.height(), |x, y| {
                    [alpha.get_pixel(x, y).0[3]; 3].into()
                });
                Some(enlarged(grey)?)
            }
            false => None,
        };
        let [width, height] = [image.width(), image.height()].map(|side| side * self.scale() as u32);
        let byte = |value: f32| (value * 255.0).round_ties_even() as u8;
        // The weights of ITU-R BT.601.
        let grey = |pixel: &[f32]| byte(0.299 * pixel[0] + 0.587 * pixel[1] + 0.114 * pixel[2]);
        let alpha = alpha.map(|alpha| alpha.chunks_exact(3).map(grey).collect::<Vec<u8>>());
        let is_grey = !image.color().has_color();
        let pixels = colours.chunks_exact(3).map(|pixel| match is_grey {
            true => vec![grey(pixel)],
            false => pixel.iter().copied().map(byte).collect(),
        });
        let bytes: Vec<u8> = match &alpha {
            Some(alpha) => {
                pixels.zip(alpha).flat_map(|(pixel, alpha)| pixel.into_iter().chain([*alpha])).collect()
            }
            None => pixels.flatten().collect(),
        };
        const FITS: &str = "as many bytes as the picture has";
        Ok(match (is_grey, alpha.is_some()) {
            (true, false) => GrayImage::from_raw(width, height, bytes).expect(FITS).into(),
            (true, true) => GrayAlphaImage::from_raw(width, height, bytes).expect(FITS).into(),
            (false, false) => RgbImage::from_raw(width, height, bytes).expect(FITS).into(),
            (false, true) => RgbaImage::from_raw(width, height, bytes).expect(FITS).into(),
        })
    }

    /// Enlarges the colours of a picture to values in [0, 1], `[1, height, width, 3]`.
    ///
    /// # Errors
    /// As [`Self::upscale`].
    pub fn upscale_to_array(&self, image: &DynamicImage, options: &UpscaleOptions) -> Result<Tensor<4>> {
        let values = self.upscale_values(to_values(&image.to_rgb8()), options)?;
        Ok(values.clamp(0.0, 1.0).permute([0, 2, 3, 1]))
    }

    /// Enlarges values in [0, 1], `[batch, 3, height, width]`. The result can lie outside of that range.
    ///
    /// # Errors
    /// When there are no values or not three channels, the result does not fit into memory, or is not finite.
    pub fn upscale_values(&self, values: Tensor<4>, options: &UpscaleOptions) -> Result<Tensor<4>> {
        let [batch, channels, height, width] = values.dims();
        if channels != 3 || values.dims().contains(&0) {
            let message = format!("has shape {:?}, expected [batch, 3, height, width]", values.dims());
            return Err(Error::argument("image", message));
        }
        let multiple = match &self.network {
            Network::Rrdb(network) => network.side_multiple(),
            Network::Compact(_) => 1,
        };
        let scale = self.scale();
        let padded = padded(values.cast(DType::F32), options.pre_pad, multiple)?;
        let [_, _, rows, columns] = padded.dims();
        let tile =
            if options.tile == 0 { rows.max(columns) } else { options.tile.next_multiple_of(multiple) };
        let pad = options.tile_pad.next_multiple_of(multiple);
        let (above, beside) = (pieces(rows, tile, pad), pieces(columns, tile, pad));
        self.check_memory(batch, [rows, columns], [&above, &beside])?;
        let bar = denoising_bar(above.len() * beside.len(), options.progress_bar);
        let mut strips = Vec::new();
        for piece in &above {
            let strip = padded.clone().narrow(2, piece.sees[0], piece.sees[1]);
            let mut made = Vec::new();
            for across in &beside {
                let seen = strip.clone().narrow(3, across.sees[0], across.sees[1]);
                let large = self.forward(seen)?;
                made.push(cut(cut(large, 2, piece, scale), 3, across, scale));
                bar.inc(1);
            }
            strips.push(Tensor::cat(made, 3));
        }
        bar.finish();
        let all = Tensor::cat(strips, 2);
        if !is_finite(&all) {
            let message = "its results are not finite: its weights may be damaged";
            return Err(Error::NonFinite { place: self.origin.clone(), message: message.into() });
        }
        Ok(all.narrow(2, 0, height * scale).narrow(3, 0, width * scale))
    }

    fn forward(&self, values: Tensor<4>) -> Result<Tensor<4>> {
        let device = values.device();
        call("image upscaler", &device, || {
            Ok(match &self.network {
                Network::Rrdb(network) => network.forward(values),
                Network::Compact(network) => network.forward(values),
            })
        })
    }

    /// Checks that the largest tile and the result fit into memory.
    fn check_memory(&self, batch: usize, size: [usize; 2], pieces: [&Vec<Piece>; 2]) -> Result<()> {
        let [height, width] =
            pieces.map(|pieces| pieces.iter().map(|piece| piece.sees[1]).max().unwrap_or(0));
        let scale = self.scale();
        // The enlarged tile before and after a convolution.
        let channels = match &self.network {
            Network::Rrdb(network) => 2 * network.features(),
            Network::Compact(_) => 2 * 3,
        };
        let tile = least_memory::bytes([batch, channels, height * scale, width * scale], DType::F32);
        let whole = least_memory::bytes([batch, 3, size[0] * scale, size[1] * scale], DType::F32);
        let work = format!("enlarging {}x{} pixels by {scale}", size[1], size[0]);
        // The whole result in strips, joined, limited to [0, 1], with its channels last, and in bytes.
        memory::check(&work, tile + 5 * whole, &Device::flex(), "use smaller tiles, or a smaller picture")
    }
}

/// The part of an enlarged piece that it covers.
fn cut(large: Tensor<4>, axis: usize, piece: &Piece, scale: usize) -> Tensor<4> {
    large.narrow(axis, (piece.covers[0] - piece.sees[0]) * scale, piece.covers[1] * scale)
}

/// Adds `pre_pad` pixels at the right and at the bottom, and as many as make both sides multiples of `multiple`.
fn padded(values: Tensor<4>, pre_pad: usize, multiple: usize) -> Result<Tensor<4>> {
    let add = |values: Tensor<4>, more: [usize; 2]| {
        let [_, _, height, width] = values.dims();
        if more[0] >= height || more[1] >= width {
            let message = format!(
                "has {width}x{height} pixels, too few to be mirrored {} times at the border",
                more[0].max(more[1])
            );
            return Err(Error::argument("image", message));
        }
        Ok(reflected(values, more))
    };
    let values = add(values, [pre_pad; 2])?;
    let [_, _, height, width] = values.dims();
    add(values, [height, width].map(|side| side.next_multiple_of(multiple) - side))
}

/// Values in [0, 1], `[1, 3, height, width]`.
fn to_values(image: &RgbImage) -> Tensor<4> {
    let values: Vec<f32> = image.as_raw().iter().map(|byte| f32::from(*byte) / 255.0).collect();
    let shape = [1, image.height() as usize, image.width() as usize, 3];
    Tensor::<4>::from_data(TensorData::new(values, shape), (&Device::flex(), DType::F32))
        .permute([0, 3, 1, 2])
}
