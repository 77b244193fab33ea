//! The autoencoder of latent diffusion (Rombach et al. 2022, <https://arxiv.org/abs/2112.10752>).

pub(super) mod coding_methods;
mod config;
pub(super) mod encoder_decoder;
pub(super) mod tiles;

use burn::module::Module;
use burn::tensor::{Device, Tensor};

use self::coding_methods::coding_methods;
pub use self::config::{AutoencoderKLConfig, DownEncoderBlockType, UpDecoderBlockType};
use self::encoder_decoder::{Decoder, Encoder, VaeShape};
use super::autoencoder::{Autoencoder, model_methods};
use super::encoded_image::EncodedImage;
use crate::error::Result;
use crate::loading::weights::OldKey;
use crate::models::layers::convolution::Conv2d;
use crate::models::layers::spatial_attention::SpatialAttention;
use crate::models::model::{Model, compiled_with_the_library};
use crate::models::on_cards::computes_on_cards;
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

    computes_on_cards!();

    compiled_with_the_library!();
}

coding_methods!(AutoencoderKL);

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
