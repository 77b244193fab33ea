//! The tiny autoencoder (TAESD, <https://github.com/madebyollin/taesd>): a small network that was trained to encode and
//! decode as that of Stable Diffusion does.

use burn::module::Module;
use burn::tensor::{DType, Device, Tensor, TensorData, activation};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::slicing::code_batch;
use crate::error::{Error, Result};
use crate::models::layers::activations::Activation;
use crate::models::layers::convolution::Conv2d;
use crate::models::layers::interpolation::{Corners, Interpolation, interpolate};
use crate::models::least_memory::{self, CodedParts};
use crate::models::model::Model;

/// How the decoder makes feature maps larger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum UpsampleFn {
    /// Each value becomes a square.
    Nearest,
    /// As `Nearest`, where the factor is a whole number.
    NearestExact,
    /// By lines between neighbours.
    Bilinear,
    /// By cubic convolution.
    Bicubic,
}

/// The configuration of an [`AutoencoderTiny`]; fields and defaults are those of diffusers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[allow(
    missing_docs,
    reason = "the fields are documented by the library whose configuration files this reads"
)]
pub struct AutoencoderTinyConfig {
    pub in_channels: usize,
    pub out_channels: usize,
    pub encoder_block_out_channels: Vec<usize>,
    pub decoder_block_out_channels: Vec<usize>,
    pub act_fn: Activation,
    pub upsample_fn: UpsampleFn,
    pub latent_channels: usize,
    pub upsampling_scaling_factor: usize,
    pub num_encoder_blocks: Vec<usize>,
    pub num_decoder_blocks: Vec<usize>,
    /// Latents as an image hold values up to this.
    pub latent_magnitude: f64,
    pub latent_shift: f64,
    pub force_upcast: bool,
    /// Latents are multiplied by this before diffusion.
    pub scaling_factor: f64,
    /// Subtracted from the latents before they are scaled.
    pub shift_factor: f64,
    /// The channels of the decoder under the name that other autoencoders use.
    pub block_out_channels: Option<Vec<usize>>,
    /// Fields that this class does not know; they are kept.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

impl Default for AutoencoderTinyConfig {
    fn default() -> Self {
        Self {
            in_channels: 3,
            out_channels: 3,
            encoder_block_out_channels: vec![64; 4],
            decoder_block_out_channels: vec![64; 4],
            act_fn: Activation::Relu,
            upsample_fn: UpsampleFn::Nearest,
            latent_channels: 4,
            upsampling_scaling_factor: 2,
            num_encoder_blocks: vec![1, 3, 3, 3],
            num_decoder_blocks: vec![3, 3, 3, 1],
            latent_magnitude: 3.0,
            latent_shift: 0.5,
            force_upcast: false,
            scaling_factor: 1.0,
            shift_factor: 0.0,
            block_out_channels: None,
            other: Map::new(),
        }
    }
}

/// Encodes images into latents and decodes latents into images, much faster than an
/// [`AutoencoderKL`](super::AutoencoderKL) and a little worse.
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
}

#[derive(Module, Debug)]
struct EncoderTiny {
    layers: Vec<Layer>,
}

#[derive(Module, Debug)]
struct DecoderTiny {
    /// `None` at the places that have no weights: the first activation, and upsampling.
    layers: Vec<Option<Layer>>,
    #[module(skip)]
    activation: Activation,
    #[module(skip)]
    upsample_fn: UpsampleFn,
    upsampling_scaling_factor: usize,
}

#[derive(Module, Debug)]
enum Layer {
    Conv(Conv2d),
    Block(AutoencoderTinyBlock),
}

/// Three convolutions with a residual around them.
#[derive(Module, Debug)]
struct AutoencoderTinyBlock {
    /// Convolutions at the even places, activations at the odd ones.
    conv: Vec<Option<Conv2d>>,
    #[module(skip)]
    activation: Activation,
}

impl Model for AutoencoderTiny {
    type Config = AutoencoderTinyConfig;

    const CLASS_NAME: &'static str = "AutoencoderTiny";

    fn init(config: &AutoencoderTinyConfig, device: &Device) -> Result<Self> {
        check(config)?;
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
        })
    }

    fn config(&self) -> &AutoencoderTinyConfig {
        &self.config
    }
}

impl AutoencoderTiny {
    /// The element type of the weights, in which the model computes.
    pub fn dtype(&self) -> DType {
        match self.encoder.layers.first() {
            Some(Layer::Conv(conv)) => conv.weight.val().dtype(),
            _ => unreachable!("the first layer is a convolution"),
        }
    }

    /// How many pixels of the image one position of the latent stands for, in each direction, as pipelines reckon.
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

    /// Encode and decode large images in overlapping tiles, so that memory does not grow with their size.
    pub fn enable_tiling(&mut self) {
        self.use_tiling = true;
    }

    /// Encode and decode images whole.
    pub fn disable_tiling(&mut self) {
        self.use_tiling = false;
    }

    /// Latents from about `-latent_magnitude` to `latent_magnitude` as values in [0, 1], so that they can be kept as an
    /// image.
    pub fn scale_latents(&self, latents: Tensor<4>) -> Tensor<4> {
        (latents / (2.0 * self.config.latent_magnitude) + self.config.latent_shift).clamp(0.0, 1.0)
    }

    /// The way back from [`Self::scale_latents`].
    pub fn unscale_latents(&self, latents: Tensor<4>) -> Tensor<4> {
        (latents - self.config.latent_shift) * (2.0 * self.config.latent_magnitude)
    }

    /// The latents, `[batch, latent_channels, ...]`, of images `[batch, in_channels, height, width]` with values in [-1, 1].
    ///
    /// # Errors
    /// When the images have another number of channels; with tiling, when the autoencoder is none of images in colour.
    pub fn encode(&self, image: Tensor<4>) -> Result<Tensor<4>> {
        check_input("image", &image, self.config.in_channels)?;
        let scale = 1 << (self.config.num_encoder_blocks.len() - 1);
        let tiles = self.tiles(Some(scale))?.then_some(Tiles {
            size: TILE_PIXELS,
            blend: TILE_PIXELS / TILE_OVERLAP,
            result: Scale::Down(TILE_SCALE),
        });
        code_batch(Self::CLASS_NAME, image.cast(self.dtype()), self.use_slicing, |image| match &tiles {
            Some(tiles) => tiles.map(image, |tile| self.encoder.forward(tile)),
            None => self.encoder.forward(image),
        })
    }

    /// The images `[batch, out_channels, height, width]` of latents `[batch, latent_channels, ...]`, with values in about
    /// [-1, 1].
    ///
    /// # Errors
    /// When the latents have another number of channels; with tiling, when the autoencoder is none of images in colour.
    pub fn decode(&self, latents: Tensor<4>) -> Result<Tensor<4>> {
        check_input("latents", &latents, self.config.latent_channels)?;
        let enlarged = self.config.num_decoder_blocks.len() as u32 - 1;
        let scale = self.config.upsampling_scaling_factor.checked_pow(enlarged);
        let tiles = self.tiles(scale)?.then_some(Tiles {
            size: TILE_PIXELS / TILE_SCALE,
            blend: TILE_PIXELS / TILE_SCALE / TILE_OVERLAP,
            result: Scale::Up(TILE_SCALE),
        });
        code_batch(Self::CLASS_NAME, latents.cast(self.dtype()), self.use_slicing, |latents| match &tiles {
            Some(tiles) => tiles.map(latents, |tile| self.decoder.forward(tile)),
            None => self.decoder.forward(latents),
        })
    }

    /// Whether to tile, between images and latents that are `scale` times smaller. Python takes the scale of tiles for 2 to
    /// the power of `out_channels`: they are for the autoencoders where that is right.
    fn tiles(&self, scale: Option<usize>) -> Result<bool> {
        if self.use_tiling && (self.config.out_channels != 3 || scale != Some(TILE_SCALE)) {
            return Err(Error::unsupported(
                "tiling of this AutoencoderTiny",
                "tiles are for images of 3 channels and latents that are eight times smaller",
            ));
        }
        Ok(self.use_tiling)
    }
}

/// The side of a tile in pixels of the image.
const TILE_PIXELS: usize = 512;
/// How many pixels one position of a tile's latents stands for, in each direction.
const TILE_SCALE: usize = 8;
/// The part of a tile that it shares with its neighbour: an eighth.
const TILE_OVERLAP: usize = 8;

enum Scale {
    Up(usize),
    Down(usize),
}

impl Scale {
    fn of(&self, size: usize) -> usize {
        match self {
            Self::Up(factor) => size * factor,
            Self::Down(factor) => size / factor,
        }
    }
}

/// An image cut into overlapping tiles, each of which fades in over those before it.
struct Tiles {
    /// The side of a tile.
    size: usize,
    /// The part of it that overlaps.
    blend: usize,
    /// How large what becomes of a tile is.
    result: Scale,
}

impl Tiles {
    fn map(&self, x: Tensor<4>, code: impl Fn(Tensor<4>) -> Tensor<4>) -> Tensor<4> {
        let [_, _, height, width] = x.dims();
        let (whole_height, whole_width) = (self.result.of(height), self.result.of(width));
        let stride = self.size - self.blend;
        let mut whole: Option<Tensor<4>> = None;
        for top in (0..height).step_by(stride) {
            for left in (0..width).step_by(stride) {
                let tile = x.clone().narrow(2, top, self.size.min(height - top));
                let tile = code(tile.narrow(3, left, self.size.min(width - left)));
                let [batch, channels, tile_height, tile_width] = tile.dims();
                let (top_to, left_to) = (self.result.of(top), self.result.of(left));
                // A part of a position at the edge of the image makes one that the whole has not.
                let kept_height = tile_height.min(whole_height - top_to);
                let kept_width = tile_width.min(whole_width - left_to);
                if kept_height == 0 || kept_width == 0 {
                    continue;
                }
                let tile = tile.narrow(2, 0, kept_height).narrow(3, 0, kept_width);
                let so_far = whole.unwrap_or_else(|| {
                    Tensor::zeros(
                        [batch, channels, whole_height, whole_width],
                        (&tile.device(), tile.dtype()),
                    )
                });
                let place =
                    [0..batch, 0..channels, top_to..top_to + kept_height, left_to..left_to + kept_width];
                let mask =
                    self.ramp(kept_height, top == 0, 2, &tile) * self.ramp(kept_width, left == 0, 3, &tile);
                let below = so_far.clone().slice(place.clone());
                let blended = mask.clone() * tile + (mask.neg() + 1.0) * below;
                whole = Some(so_far.slice_assign(place, blended));
            }
        }
        whole.expect("an image has pixels")
    }

    /// How much each position along `dim` counts: from 0 to 1 over the part that overlaps, or 1 at the edge of the image.
    fn ramp(&self, length: usize, at_edge: bool, dim: usize, like: &Tensor<4>) -> Tensor<4> {
        let end = self.result.of(self.blend) as f32 - 1.0;
        let weight = |index: usize| if at_edge { 1.0 } else { (index as f32 / end).clamp(0.0, 1.0) };
        let mut shape = [1; 4];
        shape[dim] = length;
        let weights: Vec<f32> = (0..length).map(weight).collect();
        Tensor::from_data(TensorData::new(weights, shape), (&like.device(), like.dtype()))
    }
}

impl EncoderTiny {
    fn init(config: &AutoencoderTinyConfig, device: &Device) -> Self {
        let mut layers = Vec::new();
        let stages = config.num_encoder_blocks.iter().zip(&config.encoder_block_out_channels);
        let mut last = 0;
        for (stage, (&blocks, &channels)) in stages.enumerate() {
            layers.push(Layer::Conv(if stage == 0 {
                Conv2d::init(config.in_channels, channels, 3, device)
            } else {
                Conv2d::init(channels, channels, 3, device).with_stride(2, 1).without_bias()
            }));
            layers.extend((0..blocks).map(|_| Layer::block(channels, config.act_fn, device)));
            last = channels;
        }
        layers.push(Layer::Conv(Conv2d::init(last, config.latent_channels, 3, device)));
        Self { layers }
    }

    fn forward(&self, image: Tensor<4>) -> Tensor<4> {
        // The network was trained with values in [0, 1].
        let image = (image + 1.0) / 2.0;
        self.layers.iter().fold(image, |x, layer| layer.forward(x))
    }
}

impl DecoderTiny {
    fn init(config: &AutoencoderTinyConfig, device: &Device) -> Self {
        let channels = &config.decoder_block_out_channels;
        let conv = |from, to| Conv2d::init(from, to, 3, device);
        let mut layers = vec![Some(Layer::Conv(conv(config.latent_channels, channels[0]))), None];
        for (stage, (&blocks, &channels)) in config.num_decoder_blocks.iter().zip(channels).enumerate() {
            layers.extend((0..blocks).map(|_| Some(Layer::block(channels, config.act_fn, device))));
            if stage + 1 == config.num_decoder_blocks.len() {
                layers.push(Some(Layer::Conv(conv(channels, config.out_channels))));
            } else {
                layers.push(None);
                layers.push(Some(Layer::Conv(conv(channels, channels).without_bias())));
            }
        }
        Self {
            layers,
            activation: config.act_fn,
            upsample_fn: config.upsample_fn,
            upsampling_scaling_factor: config.upsampling_scaling_factor,
        }
    }

    fn forward(&self, latents: Tensor<4>) -> Tensor<4> {
        // Values that no encoder makes are drawn to the range of those it does.
        let latents = (latents / 3.0).tanh() * 3.0;
        let image = self.layers.iter().enumerate().fold(latents, |x, (place, layer)| match layer {
            Some(layer) => layer.forward(x),
            None if place == 1 => self.activation.forward(x),
            None => self.upsample(x),
        });
        image * 2.0 - 1.0
    }

    fn upsample(&self, x: Tensor<4>) -> Tensor<4> {
        let factor = self.upsampling_scaling_factor;
        let [batch, channels, height, width] = x.dims();
        let size = [height * factor, width * factor];
        match self.upsample_fn {
            UpsampleFn::Nearest | UpsampleFn::NearestExact => x
                .reshape([batch, channels, height, 1, width, 1])
                .repeat(&[1, 1, 1, factor, 1, factor])
                .reshape([batch, channels, size[0], size[1]]),
            UpsampleFn::Bilinear => interpolate(x, size, Interpolation::Bilinear, Corners::Free),
            UpsampleFn::Bicubic => interpolate(x, size, Interpolation::Bicubic, Corners::Free),
        }
    }
}

impl Layer {
    fn block(channels: usize, activation: Activation, device: &Device) -> Self {
        let conv = || Some(Conv2d::init(channels, channels, 3, device));
        Self::Block(AutoencoderTinyBlock { conv: vec![conv(), None, conv(), None, conv()], activation })
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        match self {
            Self::Conv(conv) => conv.forward(x),
            Self::Block(block) => block.forward(x),
        }
    }
}

impl AutoencoderTinyBlock {
    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let inner = self.conv.iter().fold(x.clone(), |x, layer| match layer {
            Some(conv) => conv.forward(x),
            None => self.activation.forward(x),
        });
        activation::relu(inner + x)
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

fn check(config: &AutoencoderTinyConfig) -> Result<()> {
    let invalid = |field: &str, message: String| Err(Error::config("", field, message));
    for (fields, channels, blocks) in [
        (
            ["encoder_block_out_channels", "num_encoder_blocks"],
            &config.encoder_block_out_channels,
            &config.num_encoder_blocks,
        ),
        (
            ["decoder_block_out_channels", "num_decoder_blocks"],
            &config.decoder_block_out_channels,
            &config.num_decoder_blocks,
        ),
    ] {
        if channels.is_empty() || channels.len() > 16 || channels.contains(&0) {
            return invalid(fields[0], "must be 1 to 16 positive numbers".into());
        }
        if blocks.len() != channels.len() {
            let message = format!("has {} values, `{}` {}", channels.len(), fields[1], blocks.len());
            return invalid(fields[0], message);
        }
        if blocks.iter().any(|&blocks| blocks > 1024) {
            return invalid(fields[1], "must be at most 1024".into());
        }
    }
    // Neither convolution of the encoder that makes images smaller changes the number of channels.
    for (field, channels) in [
        ("encoder_block_out_channels", &config.encoder_block_out_channels),
        ("decoder_block_out_channels", &config.decoder_block_out_channels),
    ] {
        if channels.windows(2).any(|pair| pair[0] != pair[1]) {
            return invalid(field, "must be the same number for all stages".into());
        }
    }
    for (field, value) in [
        ("in_channels", config.in_channels),
        ("out_channels", config.out_channels),
        ("latent_channels", config.latent_channels),
        ("upsampling_scaling_factor", config.upsampling_scaling_factor),
    ] {
        if value == 0 || value > 1 << 16 {
            return invalid(field, format!("cannot be {value}"));
        }
    }
    for (field, value) in
        [("latent_magnitude", config.latent_magnitude), ("scaling_factor", config.scaling_factor)]
    {
        if value == 0.0 || !value.is_finite() {
            return invalid(field, format!("cannot be {value}"));
        }
    }
    Ok(())
}
