//! The deep compression autoencoder (Chen et al. 2024, <https://arxiv.org/abs/2410.10733>): a position of its latents stands for 32 by 32
//! pixels and more. Changes of size move pixels to channels, and its deep stages have linear attention.

mod blocks;
mod config;
mod encoder_decoder;
mod resampling;
mod tiles;

use burn::module::Module;
use burn::tensor::{DType, Device, Tensor};

pub use self::config::{AutoencoderDCConfig, DCBlockType, DCNormType};
use self::encoder_decoder::{Decoder, Encoder};
pub use self::tiles::DCTiles;
use super::autoencoder::{Autoencoder, model_methods};
use super::encoded_image::EncodedImage;
use super::slicing::code_batch;
use crate::error::{Error, Result};
use crate::models::least_memory::{self, CodedParts};
use crate::models::model::{Model, compiled_with_the_library};
use crate::models::on_cards::computes_on_cards;
use crate::models::placement::Placement;

/// Encodes images into latents and decodes latents into images.
///
/// ```
/// use oxidiff::{AutoencoderDC, AutoencoderDCConfig, Device, Model, Tensor};
///
/// let device = Device::flex();
/// let config = AutoencoderDCConfig {
///     latent_channels: 4,
///     attention_head_dim: 8,
///     encoder_block_out_channels: vec![8, 16, 16],
///     decoder_block_out_channels: vec![8, 16, 16],
///     encoder_layers_per_block: vec![1, 1, 1],
///     decoder_layers_per_block: vec![1, 1, 1],
///     encoder_qkv_multiscales: vec![vec![], vec![], vec![5]],
///     decoder_qkv_multiscales: vec![vec![], vec![], vec![5]],
///     ..Default::default()
/// };
/// let vae = AutoencoderDC::init(&config, &device)?;
/// let latents = vae.encode(Tensor::zeros([1, 3, 16, 24], &device))?;
/// assert_eq!(latents.dims(), [1, 4, 4, 6]);
/// assert_eq!(vae.decode(latents)?.dims(), [1, 3, 16, 24]);
/// # Ok::<(), oxidiff::Error>(())
/// ```
#[derive(Module, Debug)]
pub struct AutoencoderDC {
    encoder: Encoder,
    decoder: Decoder,
    use_slicing: bool,
    #[module(skip)]
    tiles: Option<DCTiles>,
    #[module(skip)]
    config: AutoencoderDCConfig,
    #[module(skip)]
    placement: Placement,
}

impl Model for AutoencoderDC {
    type Config = AutoencoderDCConfig;

    const CLASS_NAME: &'static str = "AutoencoderDC";

    fn init(config: &AutoencoderDCConfig, device: &Device) -> Result<Self> {
        config.check()?;
        Ok(Self {
            encoder: Encoder::init(config, device)?,
            decoder: Decoder::init(config, device)?,
            use_slicing: false,
            tiles: None,
            config: config.clone(),
            placement: Placement::default(),
        })
    }

    fn config(&self) -> &AutoencoderDCConfig {
        &self.config
    }

    computes_on_cards!();

    compiled_with_the_library!();
}

impl AutoencoderDC {
    /// The element type of the weights, in which the model computes.
    pub fn dtype(&self) -> DType {
        self.decoder.dtype()
    }

    /// How many pixels of the image one position of the latents stands for, in each direction.
    pub fn scale_factor(&self) -> usize {
        1 << (self.config.encoder_block_out_channels.len() - 1)
    }

    /// Bytes that decoding or encoding `images` of `height` by `width` latents needs at least, without the weights.
    pub fn least_memory(&self, images: usize, height: usize, width: usize) -> u64 {
        let tile = |tiles: DCTiles| tiles.tile_sample_min_height.max(tiles.tile_sample_min_width);
        let parts = CodedParts { slicing: self.use_slicing, tile: self.tiles.map(tile) };
        // Without a first stage, the largest tensors have half the sides of the image.
        let (channels, layers) =
            (&self.config.decoder_block_out_channels, &self.config.decoder_layers_per_block);
        let channels = if layers[0] > 0 { channels[0] } else { channels[1] / 4 };
        least_memory::autoencoder(
            &[channels],
            [images, height, width],
            self.scale_factor(),
            parts,
            self.dtype(),
        )
    }

    /// Whether large images are encoded and decoded in tiles.
    pub fn is_tiling(&self) -> bool {
        self.tiles.is_some()
    }

    /// Encode and decode the items of a batch one by one, which takes less memory.
    pub fn enable_slicing(&mut self) {
        self.use_slicing = true;
    }

    /// Encode and decode whole batches.
    pub fn disable_slicing(&mut self) {
        self.use_slicing = false;
    }

    /// Encode and decode large images in overlapping tiles, so that memory does not grow with their size. Each tile attends to itself alone,
    /// so the result differs from that without tiles.
    pub fn enable_tiling(&mut self) {
        self.tiles = Some(DCTiles::default());
    }

    /// Like [`Self::enable_tiling`], with other sizes of the tiles.
    ///
    /// # Errors
    /// When tiles are smaller than what a position of the latents stands for, or leave gaps.
    pub fn enable_tiling_with(&mut self, tiles: DCTiles) -> Result<()> {
        tiles.check(self.scale_factor())?;
        self.tiles = Some(tiles);
        Ok(())
    }

    /// Encode and decode whole images.
    pub fn disable_tiling(&mut self) {
        self.tiles = None;
    }

    /// The latents, `[batch, latent_channels, ...]`, of images `[batch, in_channels, height, width]` with values in [-1, 1].
    ///
    /// # Errors
    /// When the images have a wrong number of channels, or sides that latents cannot stand for.
    pub fn encode(&self, image: Tensor<4>) -> Result<Tensor<4>> {
        let [_, channels, height, width] = image.dims();
        check_channels("image", channels, self.config.in_channels)?;
        let factor = self.scale_factor();
        let tiles = self.tiles.map(|tiles| tiles.of_images(factor)).filter(|tiles| tiles.are_needed(&image));
        let fits = |side: usize| side >= factor && (tiles.is_some() || side.is_multiple_of(factor));
        if !fits(height) || !fits(width) {
            let message = format!("is {height}x{width}; sides must be multiples of {factor} pixels");
            return Err(Error::argument("image", message));
        }
        let encode =
            |image| self.placement.image(self, "encode", image, |model, image| model.encoder.forward(image));
        code_batch(Self::CLASS_NAME, image.cast(self.dtype()), self.use_slicing, |image| match &tiles {
            Some(tiles) => {
                let encoded = tiles.map(image, |tile| encode(filled_up(tile, factor)))?;
                Ok(encoded.narrow(2, 0, height / factor).narrow(3, 0, width / factor))
            }
            None => encode(image),
        })
    }

    /// Decodes latents `[batch, latent_channels, ...]` to images `[batch, in_channels, height, width]` with values in about [-1, 1].
    ///
    /// # Errors
    /// When the latents have a wrong number of channels, or no positions.
    pub fn decode(&self, latents: Tensor<4>) -> Result<Tensor<4>> {
        let [_, channels, height, width] = latents.dims();
        check_channels("latents", channels, self.config.latent_channels)?;
        if height == 0 || width == 0 {
            return Err(Error::argument("latents", format!("is {height}x{width}")));
        }
        let tiles = self.tiles.map(|tiles| tiles.of_latents(self.scale_factor()));
        let tiles = tiles.filter(|tiles| tiles.are_needed(&latents));
        let decode = |latents| {
            self.placement.image(self, "decode", latents, |model, latents| model.decoder.forward(latents))
        };
        code_batch(Self::CLASS_NAME, latents.cast(self.dtype()), self.use_slicing, |latents| match &tiles {
            Some(tiles) => tiles.map(latents, decode),
            None => decode(latents),
        })
    }
}

/// The image with zeros on the right and below, up to multiples of `factor`.
fn filled_up(image: Tensor<4>, factor: usize) -> Tensor<4> {
    [2, 3].into_iter().fold(image, |image, side| {
        let mut missing = image.dims();
        missing[side] = missing[side].next_multiple_of(factor) - missing[side];
        if missing[side] == 0 {
            return image;
        }
        let zeros = Tensor::zeros(missing, (&image.device(), image.dtype()));
        Tensor::cat(vec![image, zeros], side)
    })
}

fn check_channels(argument: &'static str, found: usize, expected: usize) -> Result<()> {
    if found == expected {
        return Ok(());
    }
    Err(Error::argument(argument, format!("has {found} channels, the model takes {expected}")))
}

impl Autoencoder for AutoencoderDC {
    fn in_channels(&self) -> usize {
        self.config.in_channels
    }

    fn latent_channels(&self) -> usize {
        self.config.latent_channels
    }

    fn scaling_factor(&self) -> f64 {
        self.config.scaling_factor
    }

    fn encode(&self, image: Tensor<4>) -> Result<EncodedImage> {
        Ok(EncodedImage::Latents(self.encode(image)?))
    }

    fn decode(&self, latents: Tensor<4>) -> Result<Tensor<4>> {
        self.decode(latents)
    }

    model_methods!();
}
