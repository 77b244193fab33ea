//! The autoencoder of FLUX.2 (Black Forest Labs 2025, <https://bfl.ai/research/representation-comparison>): that of latent
//! diffusion, with the statistics of its latents among its weights.

mod config;

use burn::module::{Module, Param};
use burn::tensor::{DType, Device, Tensor};

pub use self::config::AutoencoderKLFlux2Config;
use super::autoencoder::{Autoencoder, model_methods};
use super::autoencoder_kl::coding_methods::coding_methods;
use super::autoencoder_kl::encoder_decoder::{Decoder, Encoder, VaeShape};
use super::encoded_image::EncodedImage;
use crate::error::Result;
use crate::loading::weights::OldKey;
use crate::models::layers::convolution::Conv2d;
use crate::models::layers::parameter;
use crate::models::layers::spatial_attention::SpatialAttention;
use crate::models::model::{Model, compiled_with_the_library};
use crate::models::on_cards::computes_on_cards;
use crate::models::placement::Placement;

/// The field of a configuration that other classes have.
const SCALING_FACTOR: &str = "scaling_factor";

/// Encodes images into latents and decodes latents into images.
///
/// ```
/// use oxidiff::{AutoencoderKLFlux2, AutoencoderKLFlux2Config, Device, Model, Tensor};
///
/// let device = Device::flex();
/// let config = AutoencoderKLFlux2Config {
///     block_out_channels: vec![4, 4, 8, 8],
///     layers_per_block: 1,
///     latent_channels: 4,
///     norm_num_groups: 2,
///     ..Default::default()
/// };
/// let vae = AutoencoderKLFlux2::init(&config, &device)?;
/// let image = Tensor::zeros([1, 3, 16, 16], &device);
/// let latent = vae.encode(image)?.mode();
/// assert_eq!(vae.decode(latent)?.dims(), [1, 3, 16, 16]);
/// # Ok::<(), oxidiff::Error>(())
/// ```
#[derive(Module, Debug)]
pub struct AutoencoderKLFlux2 {
    encoder: Encoder,
    decoder: Decoder,
    quant_conv: Option<Conv2d>,
    post_quant_conv: Option<Conv2d>,
    bn: LatentStatistics,
    use_slicing: bool,
    use_tiling: bool,
    #[module(skip)]
    config: AutoencoderKLFlux2Config,
    #[module(skip)]
    placement: Placement,
}

/// The statistics of latents in patches: those of a batch normalization.
#[derive(Module, Debug)]
struct LatentStatistics {
    /// `[features]`, those of a patch.
    running_mean: Param<Tensor<1>>,
    /// `[features]`.
    running_var: Param<Tensor<1>>,
}

impl Model for AutoencoderKLFlux2 {
    type Config = AutoencoderKLFlux2Config;

    const CLASS_NAME: &'static str = "AutoencoderKLFlux2";

    const OLD_KEY: OldKey = SpatialAttention::old_key;

    fn init(config: &AutoencoderKLFlux2Config, device: &Device) -> Result<Self> {
        config.check()?;
        let shape = |channels: &[usize]| VaeShape {
            block_out_channels: channels.to_vec(),
            layers_per_block: config.layers_per_block,
            norm_num_groups: config.norm_num_groups,
            act_fn: config.act_fn,
            mid_block_add_attention: config.mid_block_add_attention,
        };
        let latent = config.latent_channels;
        let features = config.patch_size.iter().product::<usize>() * latent;
        let of_encoder = &config.block_out_channels;
        let of_decoder = config.decoder_block_out_channels.as_ref().unwrap_or(of_encoder);
        Ok(Self {
            encoder: Encoder::init(&shape(of_encoder), config.in_channels, latent, device),
            decoder: Decoder::init(&shape(of_decoder), latent, config.out_channels, device),
            quant_conv: config.use_quant_conv.then(|| Conv2d::init(2 * latent, 2 * latent, 1, device)),
            post_quant_conv: config.use_post_quant_conv.then(|| Conv2d::init(latent, latent, 1, device)),
            bn: LatentStatistics {
                running_mean: parameter::constant([features], 0.0, device),
                running_var: parameter::constant([features], 1.0, device),
            },
            use_slicing: false,
            use_tiling: false,
            config: config.clone(),
            placement: Placement::default(),
        })
    }

    fn config(&self) -> &AutoencoderKLFlux2Config {
        &self.config
    }

    computes_on_cards!();

    compiled_with_the_library!();
}

coding_methods!(AutoencoderKLFlux2);

impl Autoencoder for AutoencoderKLFlux2 {
    fn in_channels(&self) -> usize {
        self.config.in_channels
    }

    fn latent_channels(&self) -> usize {
        self.config.latent_channels
    }

    fn scaling_factor(&self) -> f64 {
        self.config.other.get(SCALING_FACTOR).and_then(serde_json::Value::as_f64).unwrap_or(1.0)
    }

    fn set_scaling_factor(&mut self, scaling_factor: f64) {
        self.config.other.insert(SCALING_FACTOR.to_owned(), scaling_factor.into());
    }

    fn patch_statistics(&self) -> Option<[Tensor<4>; 2]> {
        let [mean, variance] = [&self.bn.running_mean, &self.bn.running_var].map(|values| {
            let values = values.val().cast(DType::F32);
            let count = values.dims()[0];
            values.reshape([1, count, 1, 1])
        });
        Some([mean, (variance + self.config.batch_norm_eps).sqrt()])
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

    model_methods!(but set_scaling_factor);
}
