//! The autoencoder of latent diffusion (Rombach et al. 2022, <https://arxiv.org/abs/2112.10752>).

mod config;
mod encoder_decoder;
mod tiles;

use burn::module::Module;
use burn::tensor::{DType, Device, Tensor};

pub use self::config::{AutoencoderKLConfig, DownEncoderBlockType, UpDecoderBlockType};
use self::encoder_decoder::{Decoder, Encoder, VaeShape};
use self::tiles::Tiles;
use super::autoencoder::{Autoencoder, model_methods};
use super::encoded_image::{DiagonalGaussianDistribution, EncodedImage};
use super::slicing::code_batch;
use crate::error::{Error, Result};
use crate::loading::weights::OldKey;
use crate::models::layers::convolution::Conv2d;
use crate::models::layers::spatial_attention::SpatialAttention;
use crate::models::least_memory::{self, CodedParts};
use crate::models::model::{Model, compiled_with_the_library};
use crate::models::placement::Placement;

/// Encodes images into latents and decodes latents into images.
///
/// ```
/// use oxidiff::{AutoencoderKL, AutoencoderKLConfig, Device, Model, Tensor};
///
/// let device = Device::flex();
/// let vae = AutoencoderKL::init(&AutoencoderKLConfig::default(), &device)?;
/// let image = Tensor::zeros([1, 3, 8, 8], &device);
/// let latent = vae.encode(image)?.mode();
/// assert_eq!(vae.decode(latent)?.dims(), [1, 3, 8, 8]);
/// # Ok::<(), oxidiff::Error>(())
/// ```
#[derive(Module, Debug)]
pub struct AutoencoderKL {
    encoder: Encoder,
    decoder: Decoder,
    quant_conv: Option<Conv2d>,
    post_quant_conv: Option<Conv2d>,
    use_slicing: bool,
    use_tiling: bool,
    #[module(skip)]
    config: AutoencoderKLConfig,
    #[module(skip)]
    placement: Placement,
}

impl Model for AutoencoderKL {
    type Config = AutoencoderKLConfig;

    const CLASS_NAME: &'static str = "AutoencoderKL";

    const OLD_KEY: OldKey = SpatialAttention::old_key;

    fn init(config: &AutoencoderKLConfig, device: &Device) -> Result<Self> {
        config.check()?;
        let shape = VaeShape {
            block_out_channels: config.block_out_channels.clone(),
            layers_per_block: config.layers_per_block,
            norm_num_groups: config.norm_num_groups,
            act_fn: config.act_fn,
            mid_block_add_attention: config.mid_block_add_attention,
        };
        let latent = config.latent_channels;
        Ok(Self {
            encoder: Encoder::init(&shape, config.in_channels, latent, device),
            decoder: Decoder::init(&shape, latent, config.out_channels, device),
            quant_conv: config.use_quant_conv.then(|| Conv2d::init(2 * latent, 2 * latent, 1, device)),
            post_quant_conv: config.use_post_quant_conv.then(|| Conv2d::init(latent, latent, 1, device)),
            use_slicing: false,
            use_tiling: false,
            config: config.clone(),
            placement: Placement::default(),
        })
    }

    fn config(&self) -> &AutoencoderKLConfig {
        &self.config
    }

    fn place_on_card(&mut self, device: &Device) -> Result<()> {
        self.placement = Placement::on(device);
        Ok(())
    }

    compiled_with_the_library!();
}

impl AutoencoderKL {
    /// The element type of the weights, in which the model computes.
    pub fn dtype(&self) -> DType {
        self.decoder.conv_in.weight.val().dtype()
    }

    /// How many pixels of the image one position of the latent stands for, in each direction.
    pub fn scale_factor(&self) -> usize {
        1 << (self.config.block_out_channels.len() - 1)
    }

    /// Bytes that decoding or encoding `images` of `height` by `width` latents needs at least, without the weights.
    pub fn least_memory(&self, images: usize, height: usize, width: usize) -> u64 {
        let latents = [images, height, width];
        let factor = self.scale_factor();
        let parts =
            CodedParts { slicing: self.use_slicing, tile: self.use_tiling.then_some(self.sample_tile()) };
        least_memory::autoencoder(&self.config.block_out_channels, latents, factor, parts, self.dtype())
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

    /// Encode and decode large images in overlapping tiles, so that memory does not grow with their size. Each tile is
    /// normalized separately, so the result differs slightly from that without tiles.
    pub fn enable_tiling(&mut self) {
        self.use_tiling = true;
    }

    /// Encode and decode whole images.
    pub fn disable_tiling(&mut self) {
        self.use_tiling = false;
    }

    /// The distribution of the latents of images `[batch, in_channels, height, width]` with values in [-1, 1].
    ///
    /// # Errors
    /// When the images have a wrong number of channels, or are smaller than one position of the latent.
    pub fn encode(&self, image: Tensor<4>) -> Result<DiagonalGaussianDistribution> {
        let [_, channels, height, width] = image.dims();
        if channels != self.config.in_channels {
            let message = format!("has {channels} channels, the model takes {}", self.config.in_channels);
            return Err(Error::argument("image", message));
        }
        if height.min(width) < self.scale_factor() {
            let message = format!("is {height}x{width}, smaller than {0}x{0} pixels", self.scale_factor());
            return Err(Error::argument("image", message));
        }
        let image = image.cast(self.dtype());
        let moments =
            code_batch(Self::CLASS_NAME, image, self.use_slicing, |image| self.encode_batch(image))?;
        Ok(DiagonalGaussianDistribution::new(moments))
    }

    /// Decodes latents `[batch, latent_channels, ...]` to images `[batch, out_channels, height, width]` with values in about
    /// [-1, 1].
    ///
    /// # Errors
    /// When the latents have a wrong number of channels.
    pub fn decode(&self, latent: Tensor<4>) -> Result<Tensor<4>> {
        let channels = latent.dims()[1];
        if channels != self.config.latent_channels {
            let message = format!("has {channels} channels, the model takes {}", self.config.latent_channels);
            return Err(Error::argument("latents", message));
        }
        let latent = latent.cast(self.dtype());
        code_batch(Self::CLASS_NAME, latent, self.use_slicing, |latent| self.decode_batch(latent))
    }

    fn encode_batch(&self, image: Tensor<4>) -> Result<Tensor<4>> {
        let encode = |tile| {
            self.placement.image(self, "encode", tile, |model, tile| {
                let moments = model.encoder.forward(tile);
                match &model.quant_conv {
                    Some(conv) => conv.forward(moments),
                    None => moments,
                }
            })
        };
        let tiles = Tiles { from: self.sample_tile(), to: self.latent_tile() };
        if self.use_tiling && tiles.are_needed(&image) { tiles.map(image, encode) } else { encode(image) }
    }

    fn decode_batch(&self, latent: Tensor<4>) -> Result<Tensor<4>> {
        let decode = |tile| {
            self.placement.image(self, "decode", tile, |model, tile| {
                model.decoder.forward(match &model.post_quant_conv {
                    Some(conv) => conv.forward(tile),
                    None => tile,
                })
            })
        };
        let tiles = Tiles { from: self.latent_tile(), to: self.sample_tile() };
        if self.use_tiling && tiles.are_needed(&latent) { tiles.map(latent, decode) } else { decode(latent) }
    }

    /// The side of a tile in pixels of the image.
    fn sample_tile(&self) -> usize {
        self.config.sample_size.height_width()[0]
    }

    /// The side of a tile in positions of the latent.
    fn latent_tile(&self) -> usize {
        self.sample_tile() / self.scale_factor()
    }
}

impl Autoencoder for AutoencoderKL {
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
        self.config.shift_factor
    }

    fn latent_statistics(&self) -> Option<[&[f64]; 2]> {
        Some([self.config.latents_mean.as_deref()?, self.config.latents_std.as_deref()?])
    }

    fn force_upcast(&self) -> bool {
        self.config.force_upcast
    }

    fn encode(&self, image: Tensor<4>) -> Result<EncodedImage> {
        Ok(EncodedImage::Distribution(self.encode(image)?))
    }

    fn decode(&self, latents: Tensor<4>) -> Result<Tensor<4>> {
        self.decode(latents)
    }

    model_methods!();
}
