//! The autoencoder of latent diffusion (Rombach et al. 2022, <https://arxiv.org/abs/2112.10752>).

use burn::module::Module;
use burn::tensor::{DType, Device, Tensor, TensorData};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::slicing::code_batch;
use super::vae::{Decoder, DiagonalGaussianDistribution, Encoder, VaeShape};
use crate::error::{Error, Result};
use crate::loading::weights::OldKey;
use crate::models::layers::activations::Activation;
use crate::models::layers::convolution::Conv2d;
use crate::models::layers::per_block::SampleSize;
use crate::models::layers::spatial_attention::SpatialAttention;
use crate::models::least_memory::{self, CodedParts};
use crate::models::model::Model;

/// A block of the encoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DownEncoderBlockType {
    /// Residual blocks.
    DownEncoderBlock2D,
}

/// A block of the decoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum UpDecoderBlockType {
    /// Residual blocks.
    UpDecoderBlock2D,
}

/// The configuration of an [`AutoencoderKL`]; fields and defaults are those of diffusers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[allow(
    missing_docs,
    reason = "the fields are documented by the library whose configuration files this reads"
)]
pub struct AutoencoderKLConfig {
    pub in_channels: usize,
    pub out_channels: usize,
    pub down_block_types: Vec<DownEncoderBlockType>,
    pub up_block_types: Vec<UpDecoderBlockType>,
    pub block_out_channels: Vec<usize>,
    pub layers_per_block: usize,
    pub act_fn: Activation,
    pub latent_channels: usize,
    pub norm_num_groups: usize,
    pub sample_size: SampleSize,
    /// Latents are multiplied by this before diffusion, so that their variance is about 1.
    pub scaling_factor: f64,
    /// Subtracted from the latents before they are scaled.
    pub shift_factor: Option<f64>,
    pub latents_mean: Option<Vec<f64>>,
    pub latents_std: Option<Vec<f64>>,
    pub force_upcast: bool,
    pub use_quant_conv: bool,
    pub use_post_quant_conv: bool,
    pub mid_block_add_attention: bool,
    /// Fields that this class does not know; they are kept.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

impl Default for AutoencoderKLConfig {
    fn default() -> Self {
        Self {
            in_channels: 3,
            out_channels: 3,
            down_block_types: vec![DownEncoderBlockType::DownEncoderBlock2D],
            up_block_types: vec![UpDecoderBlockType::UpDecoderBlock2D],
            block_out_channels: vec![64],
            layers_per_block: 1,
            act_fn: Activation::Silu,
            latent_channels: 4,
            norm_num_groups: 32,
            sample_size: SampleSize::Square(32),
            scaling_factor: 0.18215,
            shift_factor: None,
            latents_mean: None,
            latents_std: None,
            force_upcast: true,
            use_quant_conv: true,
            use_post_quant_conv: true,
            mid_block_add_attention: true,
            other: Map::new(),
        }
    }
}

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
}

impl Model for AutoencoderKL {
    type Config = AutoencoderKLConfig;

    const CLASS_NAME: &'static str = "AutoencoderKL";

    const OLD_KEY: OldKey = SpatialAttention::old_key;

    fn init(config: &AutoencoderKLConfig, device: &Device) -> Result<Self> {
        check(config)?;
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
        })
    }

    fn config(&self) -> &AutoencoderKLConfig {
        &self.config
    }
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

    /// Replaces the configuration's `scaling_factor`.
    pub(crate) fn set_scaling_factor(&mut self, scaling_factor: f64) {
        self.config.scaling_factor = scaling_factor;
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
    /// normalized by itself, so the result differs a little from that without tiles.
    pub fn enable_tiling(&mut self) {
        self.use_tiling = true;
    }

    /// Encode and decode images whole.
    pub fn disable_tiling(&mut self) {
        self.use_tiling = false;
    }

    /// The distribution of the latents of images `[batch, in_channels, height, width]` with values in [-1, 1].
    ///
    /// # Errors
    /// When the images have another number of channels, or are smaller than one position of the latent.
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

    /// The images `[batch, out_channels, height, width]` of latents `[batch, latent_channels, ...]`, with values in about
    /// [-1, 1].
    ///
    /// # Errors
    /// When the latents have another number of channels.
    pub fn decode(&self, latent: Tensor<4>) -> Result<Tensor<4>> {
        let channels = latent.dims()[1];
        if channels != self.config.latent_channels {
            let message = format!("has {channels} channels, the model takes {}", self.config.latent_channels);
            return Err(Error::argument("latents", message));
        }
        let latent = latent.cast(self.dtype());
        code_batch(Self::CLASS_NAME, latent, self.use_slicing, |latent| self.decode_batch(latent))
    }

    fn encode_batch(&self, image: Tensor<4>) -> Tensor<4> {
        let encode = |tile| {
            let moments = self.encoder.forward(tile);
            match &self.quant_conv {
                Some(conv) => conv.forward(moments),
                None => moments,
            }
        };
        let tiles = Tiles { from: self.sample_tile(), to: self.latent_tile() };
        if self.use_tiling && tiles.are_needed(&image) { tiles.map(image, encode) } else { encode(image) }
    }

    fn decode_batch(&self, latent: Tensor<4>) -> Tensor<4> {
        let decode = |tile: Tensor<4>| {
            self.decoder.forward(match &self.post_quant_conv {
                Some(conv) => conv.forward(tile),
                None => tile,
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

/// An image cut into overlapping tiles, and put together from what became of them.
struct Tiles {
    /// The side of a tile before.
    from: usize,
    /// The side of a tile after.
    to: usize,
}

impl Tiles {
    /// The part of a tile that it shares with its neighbour.
    const OVERLAP: f64 = 0.25;

    fn are_needed(&self, x: &Tensor<4>) -> bool {
        let [_, _, height, width] = x.dims();
        height > self.from || width > self.from
    }

    fn map(&self, x: Tensor<4>, code: impl Fn(Tensor<4>) -> Tensor<4>) -> Tensor<4> {
        let [_, _, height, width] = x.dims();
        let stride = ((self.from as f64 * (1.0 - Self::OVERLAP)) as usize).max(1);
        let blend = (self.to as f64 * Self::OVERLAP) as usize;
        let kept = self.to - blend;

        let mut above: Vec<Tensor<4>> = Vec::new();
        let mut rows = Vec::new();
        for top in (0..height).step_by(stride) {
            let mut row: Vec<Tensor<4>> = Vec::new();
            for left in (0..width).step_by(stride) {
                let tile = x.clone().narrow(2, top, self.from.min(height - top));
                let mut tile = code(tile.narrow(3, left, self.from.min(width - left)));
                if let Some(above) = above.get(row.len()) {
                    tile = blend_into(above.clone(), tile, 2, blend);
                }
                if let Some(left) = row.last() {
                    tile = blend_into(left.clone(), tile, 3, blend);
                }
                row.push(tile);
            }
            let cropped = row.iter().map(|tile| {
                let [_, _, height, width] = tile.dims();
                tile.clone().narrow(2, 0, kept.min(height)).narrow(3, 0, kept.min(width))
            });
            rows.push(Tensor::cat(cropped.collect(), 3));
            above = row;
        }
        Tensor::cat(rows, 2)
    }
}

/// Fades from the end of `before` to the beginning of `after` over at most `extent` positions along `dim`.
fn blend_into(before: Tensor<4>, after: Tensor<4>, dim: usize, extent: usize) -> Tensor<4> {
    let (before_len, after_len) = (before.dims()[dim], after.dims()[dim]);
    let extent = extent.min(before_len).min(after_len);
    if extent == 0 {
        return after;
    }
    let mut shape = [1; 4];
    shape[dim] = extent;
    let ramp: Vec<f32> = (0..extent).map(|i| i as f32 / extent as f32).collect();
    let ramp = Tensor::<4>::from_data(TensorData::new(ramp, shape), (&after.device(), after.dtype()));

    let fading = before.narrow(dim, before_len - extent, extent) * (ramp.clone().neg() + 1.0);
    let growing = after.clone().narrow(dim, 0, extent) * ramp;
    let blended = fading + growing;
    if extent == after_len {
        return blended;
    }
    Tensor::cat(vec![blended, after.narrow(dim, extent, after_len - extent)], dim)
}

fn check(config: &AutoencoderKLConfig) -> Result<()> {
    let invalid = |field: &str, message: String| Err(Error::config("", field, message));
    let count = config.block_out_channels.len();
    if count == 0 || count > 16 {
        return invalid("block_out_channels", format!("has {count} values; 1 to 16 make sense"));
    }
    for (field, blocks) in
        [("down_block_types", config.down_block_types.len()), ("up_block_types", config.up_block_types.len())]
    {
        if blocks != count {
            return invalid(field, format!("has {blocks} blocks, `block_out_channels` {count} values"));
        }
    }
    let groups = config.norm_num_groups;
    for &channels in &config.block_out_channels {
        if groups == 0 || channels == 0 || channels % groups != 0 {
            return invalid(
                "norm_num_groups",
                format!("{channels} channels do not divide into {groups} groups"),
            );
        }
    }
    if config.layers_per_block == 0 || config.layers_per_block > 1024 {
        return invalid("layers_per_block", "must be between 1 and 1024".into());
    }
    for (field, value) in [
        ("in_channels", config.in_channels),
        ("out_channels", config.out_channels),
        ("latent_channels", config.latent_channels),
    ] {
        if value == 0 {
            return invalid(field, "must not be 0".into());
        }
    }
    if config.scaling_factor == 0.0 || !config.scaling_factor.is_finite() {
        return invalid("scaling_factor", format!("cannot be {}", config.scaling_factor));
    }
    Ok(())
}
