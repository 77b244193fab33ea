//! The configuration of the deep compression autoencoder.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::error::{Error, Result};
use crate::models::layers::activations::Activation;
use crate::models::layers::per_block::PerBlock;

/// What a stage of an [`AutoencoderDC`](super::AutoencoderDC) is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DCBlockType {
    /// Two convolutions.
    ResBlock,
    /// Linear attention at several scales, and a gated feed-forward (Cai et al. 2022, <https://arxiv.org/abs/2205.14756>).
    EfficientViTBlock,
}

/// The norm after the second convolution, or after the attention, of a block of an [`AutoencoderDC`](super::AutoencoderDC).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DCNormType {
    /// The root mean square of the channels of a pixel.
    RmsNorm,
    /// The mean and variance of a channel during training.
    BatchNorm,
    /// Python normalizes rows of pixels with it, which works for one width alone; refused.
    LayerNorm,
}

/// The configuration of an [`AutoencoderDC`](super::AutoencoderDC); fields and defaults are those of diffusers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[allow(
    missing_docs,
    reason = "the fields are documented by the library whose configuration files this reads"
)]
pub struct AutoencoderDCConfig {
    pub in_channels: usize,
    pub latent_channels: usize,
    pub attention_head_dim: usize,
    pub encoder_block_types: PerBlock<DCBlockType>,
    pub decoder_block_types: PerBlock<DCBlockType>,
    pub encoder_block_out_channels: Vec<usize>,
    pub decoder_block_out_channels: Vec<usize>,
    pub encoder_layers_per_block: Vec<usize>,
    pub decoder_layers_per_block: Vec<usize>,
    pub encoder_qkv_multiscales: Vec<Vec<usize>>,
    pub decoder_qkv_multiscales: Vec<Vec<usize>>,
    /// `interpolate`, or else pixels are shuffled.
    pub upsample_block_type: String,
    /// `pixel_unshuffle`, or else a convolution has a stride.
    pub downsample_block_type: String,
    pub decoder_norm_types: PerBlock<DCNormType>,
    pub decoder_act_fns: PerBlock<Activation>,
    pub encoder_out_shortcut: bool,
    pub decoder_in_shortcut: bool,
    pub decoder_conv_act_fn: Activation,
    pub scaling_factor: f64,
    /// Fields that this class does not know; they are kept.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

impl Default for AutoencoderDCConfig {
    fn default() -> Self {
        let multiscales = vec![vec![], vec![], vec![], vec![5], vec![5], vec![5]];
        Self {
            in_channels: 3,
            latent_channels: 32,
            attention_head_dim: 32,
            encoder_block_types: PerBlock::Same(DCBlockType::ResBlock),
            decoder_block_types: PerBlock::Same(DCBlockType::ResBlock),
            encoder_block_out_channels: vec![128, 256, 512, 512, 1024, 1024],
            decoder_block_out_channels: vec![128, 256, 512, 512, 1024, 1024],
            encoder_layers_per_block: vec![2, 2, 2, 3, 3, 3],
            decoder_layers_per_block: vec![3, 3, 3, 3, 3, 3],
            encoder_qkv_multiscales: multiscales.clone(),
            decoder_qkv_multiscales: multiscales,
            upsample_block_type: "pixel_shuffle".into(),
            downsample_block_type: "pixel_unshuffle".into(),
            decoder_norm_types: PerBlock::Same(DCNormType::RmsNorm),
            decoder_act_fns: PerBlock::Same(Activation::Silu),
            encoder_out_shortcut: true,
            decoder_in_shortcut: true,
            decoder_conv_act_fn: Activation::Relu,
            scaling_factor: 1.0,
            other: Map::new(),
        }
    }
}

/// One of the stages of an encoder or a decoder.
#[derive(Clone, Debug)]
pub(super) struct Stage {
    pub channels: usize,
    pub layers: usize,
    pub block: DCBlockType,
    pub norm: DCNormType,
    pub activation: Activation,
    pub kernel_sizes: Vec<usize>,
    pub head_dim: usize,
}

/// The most of a number in a configuration.
const MOST: usize = 1 << 16;

impl AutoencoderDCConfig {
    /// Whether downsampling moves pixels to channels.
    pub(super) fn unshuffles(&self) -> bool {
        self.downsample_block_type == "pixel_unshuffle"
    }

    /// Whether upsampling repeats pixels.
    pub(super) fn interpolates(&self) -> bool {
        self.upsample_block_type == "interpolate"
    }

    /// The stages of the encoder, from the image to the latents.
    ///
    /// # Errors
    /// When lists have different lengths, or a value is not possible.
    pub(super) fn encoder_stages(&self) -> Result<Vec<Stage>> {
        self.stages(&Lists {
            names: [
                "encoder_block_types",
                "encoder_block_out_channels",
                "encoder_layers_per_block",
                "encoder_qkv_multiscales",
            ],
            blocks: &self.encoder_block_types,
            channels: &self.encoder_block_out_channels,
            layers: &self.encoder_layers_per_block,
            multiscales: &self.encoder_qkv_multiscales,
            norms: &PerBlock::Same(DCNormType::RmsNorm),
            activations: &PerBlock::Same(Activation::Silu),
        })
    }

    /// The stages of the decoder, from the image to the latents.
    ///
    /// # Errors
    /// As [`Self::encoder_stages`].
    pub(super) fn decoder_stages(&self) -> Result<Vec<Stage>> {
        self.stages(&Lists {
            names: [
                "decoder_block_types",
                "decoder_block_out_channels",
                "decoder_layers_per_block",
                "decoder_qkv_multiscales",
            ],
            blocks: &self.decoder_block_types,
            channels: &self.decoder_block_out_channels,
            layers: &self.decoder_layers_per_block,
            multiscales: &self.decoder_qkv_multiscales,
            norms: &self.decoder_norm_types,
            activations: &self.decoder_act_fns,
        })
    }

    fn stages(&self, lists: &Lists<'_>) -> Result<Vec<Stage>> {
        let [blocks_name, channels_name, layers_name, multiscales_name] = lists.names;
        let count = lists.channels.len();
        if !(2..=12).contains(&count) {
            return invalid(channels_name, format!("has {count} stages; 2 to 12 are possible"));
        }
        let other_length = |field, found: Option<usize>| {
            let found = found.map_or("another number of".to_owned(), |found| found.to_string());
            invalid(field, format!("has {found} values, but `{channels_name}` has {count}"))
        };
        if lists.layers.len() != count {
            return other_length(layers_name, Some(lists.layers.len()));
        }
        if lists.multiscales.len() != count {
            return other_length(multiscales_name, Some(lists.multiscales.len()));
        }
        let Some(blocks) = lists.blocks.expand(count) else { return other_length(blocks_name, None) };
        let Some(norms) = lists.norms.expand(count) else { return other_length("decoder_norm_types", None) };
        let Some(activations) = lists.activations.expand(count) else {
            return other_length("decoder_act_fns", None);
        };
        if norms.contains(&DCNormType::LayerNorm) {
            let message = "`layer_norm` normalizes rows of pixels, for images of one width; `rms_norm` and `batch_norm` are supported";
            return invalid("decoder_norm_types", message.to_owned());
        }
        if let Some(stage) = (1..count - 1).find(|stage| lists.layers[*stage] == 0) {
            let message = format!(
                "stage {stage} has no layers, which leaves out a change of size; only the first and the last can be empty"
            );
            return invalid(layers_name, message);
        }
        if let Some(layers) = lists.layers.iter().find(|layers| **layers > 1024) {
            return invalid(layers_name, format!("cannot be {layers}"));
        }
        let stages = (0..count).map(|index| Stage {
            channels: lists.channels[index],
            layers: lists.layers[index],
            block: blocks[index],
            norm: norms[index],
            activation: activations[index],
            kernel_sizes: lists.multiscales[index].clone(),
            head_dim: self.attention_head_dim,
        });
        let stages: Vec<Stage> = stages.collect();
        for stage in &stages {
            if stage.channels == 0 || stage.channels > MOST {
                return invalid(channels_name, format!("cannot be {}", stage.channels));
            }
            if let Some(size) = stage.kernel_sizes.iter().find(|size| size.is_multiple_of(2) || **size > 63) {
                return invalid(multiscales_name, format!("{size} is no odd size of a kernel up to 63"));
            }
            if stage.block == DCBlockType::EfficientViTBlock && stage.channels < self.attention_head_dim {
                let message = format!(
                    "is {}, more than the {} channels of a stage",
                    self.attention_head_dim, stage.channels
                );
                return invalid("attention_head_dim", message);
            }
        }
        self.check_sizes(&stages, channels_name)?;
        Ok(stages)
    }

    /// Checks that changes of size can share channels out evenly.
    fn check_sizes(&self, stages: &[Stage], field: &str) -> Result<()> {
        let skipped = usize::from(stages[0].layers == 0);
        let is_encoder = field.starts_with("encoder");
        for pair in stages[skipped..].windows(2) {
            let [near, far] = [pair[0].channels, pair[1].channels];
            // Neighbours share the channels of squares of 2 by 2 pixels out evenly.
            if !(4 * near).is_multiple_of(far) || is_encoder && self.unshuffles() && !far.is_multiple_of(4) {
                let message =
                    format!("{near} and {far} channels of neighbouring stages do not fit each other");
                return invalid(field, message);
            }
        }
        if is_encoder && skipped == 1 && self.unshuffles() && !stages[1].channels.is_multiple_of(4) {
            return invalid(field, format!("{} channels are no multiple of 4", stages[1].channels));
        }
        let last = stages[stages.len() - 1].channels;
        let shortcut = if is_encoder { self.encoder_out_shortcut } else { self.decoder_in_shortcut };
        if shortcut && !last.is_multiple_of(self.latent_channels) {
            let message = format!(
                "ends with {last} channels, no multiple of the {} of the latents",
                self.latent_channels
            );
            return invalid(field, message);
        }
        Ok(())
    }

    /// # Errors
    /// When the configuration contradicts itself.
    pub(super) fn check(&self) -> Result<()> {
        for (field, value) in [
            ("in_channels", self.in_channels),
            ("latent_channels", self.latent_channels),
            ("attention_head_dim", self.attention_head_dim),
        ] {
            if value == 0 || value > MOST {
                return invalid(field, format!("cannot be {value}"));
            }
        }
        let [encoder, decoder] =
            [&self.encoder_block_out_channels, &self.decoder_block_out_channels].map(Vec::len);
        if encoder != decoder {
            let message = format!("has {decoder} stages, but the encoder has {encoder}");
            return invalid("decoder_block_out_channels", message);
        }
        self.encoder_stages()?;
        self.decoder_stages()?;
        Ok(())
    }
}

/// The fields that describe the stages of one half, and their names.
struct Lists<'a> {
    names: [&'static str; 4],
    blocks: &'a PerBlock<DCBlockType>,
    channels: &'a [usize],
    layers: &'a [usize],
    multiscales: &'a [Vec<usize>],
    norms: &'a PerBlock<DCNormType>,
    activations: &'a PerBlock<Activation>,
}

fn invalid<T>(field: &str, message: String) -> Result<T> {
    Err(Error::config("", field, message))
}
