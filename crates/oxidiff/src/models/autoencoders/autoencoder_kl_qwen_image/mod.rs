//! The autoencoder of Qwen-Image (Wu et al. 2025, <https://arxiv.org/abs/2508.02324>): that of Wan 2.1 (Wan et al. 2025,
//! <https://arxiv.org/abs/2503.20314>), which is for videos, with a decoder trained for images. Here it encodes and decodes
//! images, which are videos of a single frame.

mod config;
mod encoder_decoder;
mod layers;
mod single_frame;

use burn::module::Module;
use burn::tensor::{DType, Device, Tensor};

pub use self::config::AutoencoderKLQwenImageConfig;
use self::encoder_decoder::{Decoder, Encoder};
use self::single_frame::{CausalConv3d, for_single_frames};
use super::autoencoder::{Autoencoder, model_methods};
use super::autoencoder_kl::tiles::Tiles;
use super::encoded_image::{DiagonalGaussianDistribution, EncodedImage};
use super::slicing::code_batch;
use crate::error::{Error, Result};
use crate::models::least_memory::{self, CodedParts};
use crate::models::model::{Model, compiled_with_the_library};
use crate::models::on_cards::computes_on_cards;
use crate::models::placement::Placement;

/// The side of a tile in pixels of the image.
const TILE_PIXELS: usize = 256;
/// The field of a configuration that other classes have.
const SCALING_FACTOR: &str = "scaling_factor";

/// Encodes images into latents and decodes latents into images.
///
/// In Python, images and latents have a further dimension for frames, after the channels. It has length 1 and is left out here.
///
/// ```
/// use oxidiff::{AutoencoderKLQwenImage, AutoencoderKLQwenImageConfig, Device, Model, Tensor};
///
/// let device = Device::flex();
/// let config = AutoencoderKLQwenImageConfig {
///     base_dim: 4,
///     z_dim: 2,
///     num_res_blocks: 1,
///     latents_mean: vec![0.1, -0.2],
///     latents_std: vec![1.5, 2.5],
///     ..Default::default()
/// };
/// let vae = AutoencoderKLQwenImage::init(&config, &device)?;
/// let latents = vae.encode(Tensor::zeros([1, 3, 16, 24], &device))?.mode();
/// assert_eq!(latents.dims(), [1, 2, 2, 3]);
/// assert_eq!(vae.decode(latents)?.dims(), [1, 3, 16, 24]);
/// # Ok::<(), oxidiff::Error>(())
/// ```
#[derive(Module, Debug)]
pub struct AutoencoderKLQwenImage {
    encoder: Encoder,
    quant_conv: CausalConv3d,
    post_quant_conv: CausalConv3d,
    decoder: Decoder,
    use_slicing: bool,
    use_tiling: bool,
    #[module(skip)]
    config: AutoencoderKLQwenImageConfig,
    #[module(skip)]
    placement: Placement,
}

impl Model for AutoencoderKLQwenImage {
    type Config = AutoencoderKLQwenImageConfig;

    const CLASS_NAME: &'static str = "AutoencoderKLQwenImage";

    fn init(config: &AutoencoderKLQwenImageConfig, device: &Device) -> Result<Self> {
        config.check()?;
        let latent = config.z_dim;
        Ok(Self {
            encoder: Encoder::init(config, device),
            quant_conv: CausalConv3d::init(2 * latent, 2 * latent, 1, device),
            post_quant_conv: CausalConv3d::init(latent, latent, 1, device),
            decoder: Decoder::init(config, device),
            use_slicing: false,
            use_tiling: false,
            config: config.clone(),
            placement: Placement::default(),
        })
    }

    fn config(&self) -> &AutoencoderKLQwenImageConfig {
        &self.config
    }

    computes_on_cards!();

    compiled_with_the_library!();
}

impl AutoencoderKLQwenImage {
    /// The element type of the weights, in which the model computes.
    pub fn dtype(&self) -> DType {
        self.post_quant_conv.bias.val().dtype()
    }

    /// How many pixels of the image one position of the latents stands for, in each direction.
    pub fn scale_factor(&self) -> usize {
        1 << self.config.temperal_downsample.len()
    }

    /// Bytes that decoding or encoding `images` of `height` by `width` latents needs at least, without the weights.
    pub fn least_memory(&self, images: usize, height: usize, width: usize) -> u64 {
        let parts = CodedParts { slicing: self.use_slicing, tile: self.use_tiling.then_some(TILE_PIXELS) };
        // The last upsampling halves the channels.
        let channels = [self.config.base_dim, self.config.base_dim * self.config.dim_mult[1] * 3 / 4];
        least_memory::autoencoder(
            &channels,
            [images, height, width],
            self.scale_factor(),
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

    /// Encode and decode large images in overlapping tiles, so that memory does not grow with their size. The result differs
    /// slightly from that without tiles.
    pub fn enable_tiling(&mut self) {
        self.use_tiling = true;
    }

    /// Encode and decode whole images.
    pub fn disable_tiling(&mut self) {
        self.use_tiling = false;
    }

    /// The distribution of the latents, `[batch, z_dim, ...]`, of images `[batch, input_channels, height, width]` with values in
    /// [-1, 1].
    ///
    /// # Errors
    /// When the images have a wrong number of channels, or they or their last tiles are smaller than one position of the latents.
    pub fn encode(&self, image: Tensor<4>) -> Result<DiagonalGaussianDistribution> {
        let [_, channels, height, width] = image.dims();
        check_channels("image", channels, self.config.input_channels)?;
        let tiles = Tiles::squares(TILE_PIXELS, TILE_PIXELS / self.scale_factor());
        let in_tiles = self.use_tiling && tiles.are_needed(&image);
        let [smallest_height, smallest_width] =
            if in_tiles && height.min(width) > 0 { tiles.last([height, width]) } else { [height, width] };
        if smallest_height.min(smallest_width) < self.scale_factor() {
            let part = if in_tiles { "; its last tiles are" } else { "," };
            let message =
                format!("is {height}x{width}{part} smaller than {0}x{0} pixels", self.scale_factor());
            return Err(Error::argument("image", message));
        }
        let image = image.cast(self.dtype());
        let encode = |tile| {
            self.placement.image(self, "encode", tile, |model, tile| {
                model.quant_conv.forward(for_single_frames(&model.encoder).forward(tile))
            })
        };
        let moments = code_batch(Self::CLASS_NAME, image, self.use_slicing, |image| match in_tiles {
            true => tiles.map(image, encode),
            false => encode(image),
        })?;
        Ok(DiagonalGaussianDistribution::new(moments))
    }

    /// Decodes latents `[batch, z_dim, ...]` to images `[batch, input_channels, height, width]` with values in [-1, 1], or in
    /// about [-1, 1] if they are decoded in tiles.
    ///
    /// # Errors
    /// When the latents have a wrong number of channels, or no positions.
    pub fn decode(&self, latents: Tensor<4>) -> Result<Tensor<4>> {
        let [_, channels, height, width] = latents.dims();
        check_channels("latents", channels, self.config.z_dim)?;
        if height == 0 || width == 0 {
            return Err(Error::argument("latents", format!("is {height}x{width}")));
        }
        let tiles = Tiles::squares(TILE_PIXELS / self.scale_factor(), TILE_PIXELS);
        let in_tiles = self.use_tiling && tiles.are_needed(&latents);
        let latents = latents.cast(self.dtype());
        let decode = |tile| {
            self.placement.image(self, "decode", tile, |model, tile| {
                for_single_frames(&model.decoder).forward(model.post_quant_conv.forward(tile))
            })
        };
        code_batch(Self::CLASS_NAME, latents, self.use_slicing, |latents| match in_tiles {
            true => tiles.map(latents, decode),
            false => Ok(decode(latents)?.clamp(-1.0, 1.0)),
        })
    }
}

fn check_channels(argument: &'static str, found: usize, expected: usize) -> Result<()> {
    if found == expected {
        return Ok(());
    }
    Err(Error::argument(argument, format!("has {found} channels, the model takes {expected}")))
}

impl Autoencoder for AutoencoderKLQwenImage {
    fn in_channels(&self) -> usize {
        self.config.input_channels
    }

    fn latent_channels(&self) -> usize {
        self.config.z_dim
    }

    fn scaling_factor(&self) -> f64 {
        self.config.other.get(SCALING_FACTOR).and_then(serde_json::Value::as_f64).unwrap_or(1.0)
    }

    fn set_scaling_factor(&mut self, scaling_factor: f64) {
        self.config.other.insert(SCALING_FACTOR.to_owned(), scaling_factor.into());
    }

    fn latent_statistics(&self) -> Option<[&[f64]; 2]> {
        Some([&self.config.latents_mean, &self.config.latents_std])
    }

    fn encode(&self, image: Tensor<4>) -> Result<EncodedImage> {
        Ok(EncodedImage::Distribution(self.encode(image)?))
    }

    fn decode(&self, latents: Tensor<4>) -> Result<Tensor<4>> {
        self.decode(latents)
    }

    model_methods!(but set_scaling_factor);
}
