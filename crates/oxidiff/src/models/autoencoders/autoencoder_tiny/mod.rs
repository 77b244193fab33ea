//! The tiny autoencoder (TAESD, <https://github.com/madebyollin/taesd>): a small network trained to encode and decode like
//! that of Stable Diffusion.

mod config;
mod layers;
mod tiles;

use burn::module::Module;
use burn::tensor::{DType, Device, Tensor};

pub use self::config::{AutoencoderTinyConfig, UpsampleFn};
use self::layers::{DecoderTiny, EncoderTiny};
use self::tiles::{Scale, Tiles};
use super::autoencoder::{Autoencoder, model_methods};
use super::encoded_image::EncodedImage;
use super::slicing::code_batch;
use crate::error::{Error, Result};
use crate::models::least_memory::{self, CodedParts};
use crate::models::model::{Model, compiled_with_the_library};
use crate::models::on_cards::computes_on_cards;
use crate::models::placement::Placement;

/// The side of a tile in pixels of the image.
const TILE_PIXELS: usize = 512;
/// How many pixels one position of a tile's latents stands for, in each direction.
const TILE_SCALE: usize = 8;
/// An eighth of a tile overlaps its neighbour.
const TILE_OVERLAP: usize = 8;

/// Encodes images into latents and decodes latents into images: much faster than an [`AutoencoderKL`](super::AutoencoderKL),
/// with slightly lower quality.
///
/// ```
/// use oxidiff::{AutoencoderTiny, AutoencoderTinyConfig, Device, Model, Tensor};
///
/// let device = Device::flex();
/// let vae = AutoencoderTiny::init(&AutoencoderTinyConfig::default(), &device)?;
/// let latents = vae.encode(Tensor::zeros([1, 3, 16, 24], &device))?;
/// assert_eq!(vae.decode(latents)?.dims(), [1, 3, 16, 24]);
/// # Ok::<(), oxidiff::Error>(())
/// ```
#[derive(Module, Debug)]
pub struct AutoencoderTiny {
    encoder: EncoderTiny,
    decoder: DecoderTiny,
    use_slicing: bool,
    use_tiling: bool,
    #[module(skip)]
    config: AutoencoderTinyConfig,
    #[module(skip)]
    placement: Placement,
}

impl Model for AutoencoderTiny {
    type Config = AutoencoderTinyConfig;

    const CLASS_NAME: &'static str = "AutoencoderTiny";

    fn init(config: &AutoencoderTinyConfig, device: &Device) -> Result<Self> {
        config.check()?;
        let config = AutoencoderTinyConfig {
            block_out_channels: Some(config.decoder_block_out_channels.clone()),
            force_upcast: false,
            ..config.clone()
        };
        Ok(Self {
            encoder: EncoderTiny::init(&config, device),
            decoder: DecoderTiny::init(&config, device),
            use_slicing: false,
            use_tiling: false,
            config,
            placement: Placement::default(),
        })
    }

    fn config(&self) -> &AutoencoderTinyConfig {
        &self.config
    }

    computes_on_cards!();

    compiled_with_the_library!();
}

impl AutoencoderTiny {
    /// The element type of the weights, in which the model computes.
    pub fn dtype(&self) -> DType {
        self.encoder.dtype()
    }

    /// How many pixels of the image one position of the latent stands for, in each direction, as pipelines
    /// compute it.
    pub fn scale_factor(&self) -> usize {
        1 << (self.config.decoder_block_out_channels.len() - 1)
    }

    /// Bytes that decoding or encoding `images` of `height` by `width` latents needs at least, without the weights.
    pub fn least_memory(&self, images: usize, height: usize, width: usize) -> u64 {
        let latents = [images, height, width];
        let factor = self.scale_factor();
        let parts = CodedParts { slicing: self.use_slicing, tile: self.use_tiling.then_some(TILE_PIXELS) };
        least_memory::autoencoder(
            &self.config.decoder_block_out_channels,
            latents,
            factor,
            parts,
            self.dtype(),
        )
    }

    /// Whether large images are encoded and decoded in tiles.
    pub fn is_tiling(&self) -> bool {
        self.use_tiling
    }

    /// Encode and decode the items of a batch one by one, which takes less memory.
    pub fn enable_slicing(&mut self) {
        self.use_slicing = true;
    }

    /// Encode and decode whole batches.
    pub fn disable_slicing(&mut self) {
        self.use_slicing = false;
    }

    /// Encode and decode large images in overlapping tiles, so that memory does not grow with their size.
    pub fn enable_tiling(&mut self) {
        self.use_tiling = true;
    }

    /// Encode and decode whole images.
    pub fn disable_tiling(&mut self) {
        self.use_tiling = false;
    }

    /// Maps latents from about `-latent_magnitude` to `latent_magnitude` to values in [0, 1], so that they can be stored as an
    /// image.
    pub fn scale_latents(&self, latents: Tensor<4>) -> Tensor<4> {
        (latents / (2.0 * self.config.latent_magnitude) + self.config.latent_shift).clamp(0.0, 1.0)
    }

    /// The inverse of [`Self::scale_latents`].
    pub fn unscale_latents(&self, latents: Tensor<4>) -> Tensor<4> {
        (latents - self.config.latent_shift) * (2.0 * self.config.latent_magnitude)
    }

    /// The latents, `[batch, latent_channels, ...]`, of images `[batch, in_channels, height, width]` with values in [-1, 1].
    ///
    /// # Errors
    /// When the images have a wrong number of channels; with tiling, when the autoencoder is not for colour images.
    pub fn encode(&self, image: Tensor<4>) -> Result<Tensor<4>> {
        check_input("image", &image, self.config.in_channels)?;
        let scale = 1 << (self.config.num_encoder_blocks.len() - 1);
        let tiles = self.tiles(Some(scale))?.then_some(Tiles {
            size: TILE_PIXELS,
            blend: TILE_PIXELS / TILE_OVERLAP,
            result: Scale::Down(TILE_SCALE),
        });
        let encode =
            |tile| self.placement.image(self, "encode", tile, |model, tile| model.encoder.forward(tile));
        code_batch(Self::CLASS_NAME, image.cast(self.dtype()), self.use_slicing, |image| match &tiles {
            Some(tiles) => tiles.map(image, encode),
            None => encode(image),
        })
    }

    /// Decodes latents `[batch, latent_channels, ...]` to images `[batch, out_channels, height, width]` with values in about
    /// [-1, 1].
    ///
    /// # Errors
    /// When the latents have a wrong number of channels; with tiling, when the autoencoder is not for colour images.
    pub fn decode(&self, latents: Tensor<4>) -> Result<Tensor<4>> {
        check_input("latents", &latents, self.config.latent_channels)?;
        let enlarged = self.config.num_decoder_blocks.len() as u32 - 1;
        let scale = self.config.upsampling_scaling_factor.checked_pow(enlarged);
        let tiles = self.tiles(scale)?.then_some(Tiles {
            size: TILE_PIXELS / TILE_SCALE,
            blend: TILE_PIXELS / TILE_SCALE / TILE_OVERLAP,
            result: Scale::Up(TILE_SCALE),
        });
        let decode =
            |tile| self.placement.image(self, "decode", tile, |model, tile| model.decoder.forward(tile));
        code_batch(Self::CLASS_NAME, latents.cast(self.dtype()), self.use_slicing, |latents| match &tiles {
            Some(tiles) => tiles.map(latents, decode),
            None => decode(latents),
        })
    }

    /// Whether to tile, between images and latents that are `scale` times smaller. Python computes the scale of tiles as 2 to
    /// the power of `out_channels`, so tiles work only for autoencoders where that is right.
    fn tiles(&self, scale: Option<usize>) -> Result<bool> {
        if self.use_tiling && (self.config.out_channels != 3 || scale != Some(TILE_SCALE)) {
            return Err(Error::unsupported(
                "tiling of this AutoencoderTiny",
                "tiles are for images with 3 channels and latents that are eight times smaller",
            ));
        }
        Ok(self.use_tiling)
    }
}

fn check_input(argument: &'static str, x: &Tensor<4>, channels: usize) -> Result<()> {
    let [_, found, height, width] = x.dims();
    if found != channels {
        return Err(Error::argument(argument, format!("has {found} channels, the model takes {channels}")));
    }
    if height == 0 || width == 0 {
        return Err(Error::argument(argument, format!("is {height}x{width}")));
    }
    Ok(())
}

impl Autoencoder for AutoencoderTiny {
    fn in_channels(&self) -> usize {
        self.config.in_channels
    }

    fn latent_channels(&self) -> usize {
        self.config.latent_channels
    }

    fn scaling_factor(&self) -> f64 {
        self.config.scaling_factor
    }

    fn shift_factor(&self) -> Option<f64> {
        Some(self.config.shift_factor)
    }

    fn force_upcast(&self) -> bool {
        self.config.force_upcast
    }

    fn encode(&self, image: Tensor<4>) -> Result<EncodedImage> {
        Ok(EncodedImage::Latents(self.encode(image)?))
    }

    fn decode(&self, latents: Tensor<4>) -> Result<Tensor<4>> {
        self.decode(latents)
    }

    model_methods!();
}
