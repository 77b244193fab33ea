//! The encoder and the decoder.

use burn::module::Module;
use burn::tensor::{Device, Tensor};

use super::AutoencoderKLQwenImageConfig;
use super::layers::{AttentionBlock, MidBlock, PixelNorm, Resample, ResidualBlock};
use super::single_frame::CausalConv3d;

#[derive(Module, Debug)]
pub(super) struct Encoder {
    conv_in: CausalConv3d,
    down_blocks: Vec<DownLayer>,
    mid_block: MidBlock,
    norm_out: PixelNorm,
    conv_out: CausalConv3d,
}

#[derive(Module, Debug)]
#[allow(clippy::large_enum_variant, reason = "most of them are the largest")]
enum DownLayer {
    Residual(ResidualBlock),
    Attention(AttentionBlock),
    Resample(Resample),
}

#[derive(Module, Debug)]
pub(super) struct Decoder {
    pub conv_in: CausalConv3d,
    mid_block: MidBlock,
    up_blocks: Vec<UpBlock>,
    norm_out: PixelNorm,
    conv_out: CausalConv3d,
}

#[derive(Module, Debug)]
struct UpBlock {
    resnets: Vec<ResidualBlock>,
    upsamplers: Option<Vec<Resample>>,
}

impl Encoder {
    pub fn init(config: &AutoencoderKLQwenImageConfig, device: &Device) -> Self {
        let channels = config.channels();
        let mut layers = Vec::new();
        let (mut from, mut scale) = (config.base_dim, 1.0);
        for (index, &to) in channels.iter().enumerate() {
            for _ in 0..config.num_res_blocks {
                layers.push(DownLayer::Residual(ResidualBlock::init(from, to, device)));
                if config.attn_scales.contains(&scale) {
                    layers.push(DownLayer::Attention(AttentionBlock::init(to, device)));
                }
                from = to;
            }
            if let Some(in_time) = config.temperal_downsample.get(index) {
                layers.push(DownLayer::Resample(Resample::halving(to, *in_time, device)));
                scale /= 2.0;
            }
        }
        Self {
            conv_in: CausalConv3d::init(config.input_channels, config.base_dim, 3, device),
            down_blocks: layers,
            mid_block: MidBlock::init(from, device),
            norm_out: PixelNorm::init(from, device),
            conv_out: CausalConv3d::init(from, 2 * config.z_dim, 3, device),
        }
    }

    /// Images `[batch, input_channels, ...]` to the means and log-variances of latents, `[batch, 2 * z_dim, ...]`.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let x = self.down_blocks.iter().fold(self.conv_in.forward(x), |x, layer| match layer {
            DownLayer::Residual(block) => block.forward(x),
            DownLayer::Attention(block) => block.forward(x),
            DownLayer::Resample(resample) => resample.forward(x),
        });
        let x = self.norm_out.forward_activated(self.mid_block.forward(x));
        self.conv_out.forward(x)
    }
}

impl Decoder {
    pub fn init(config: &AutoencoderKLQwenImageConfig, device: &Device) -> Self {
        let channels = config.channels();
        let deepest = channels[channels.len() - 1];
        let mut from = deepest;
        let up_blocks = channels.iter().enumerate().rev().map(|(index, &to)| {
            let resnets = (0..=config.num_res_blocks)
                .map(|block| ResidualBlock::init(if block == 0 { from } else { to }, to, device))
                .collect();
            let doubling = index.checked_sub(1).map(|change| {
                let in_time = config.temperal_downsample[change];
                vec![Resample::doubling(to, in_time, device)]
            });
            from = to / 2;
            UpBlock { resnets, upsamplers: doubling }
        });
        Self {
            conv_in: CausalConv3d::init(config.z_dim, deepest, 3, device),
            mid_block: MidBlock::init(deepest, device),
            up_blocks: up_blocks.collect(),
            norm_out: PixelNorm::init(channels[0], device),
            conv_out: CausalConv3d::init(channels[0], config.input_channels, 3, device),
        }
    }

    /// Latents `[batch, z_dim, ...]` to images `[batch, input_channels, ...]`.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let mut x = self.mid_block.forward(self.conv_in.forward(x));
        for block in &self.up_blocks {
            x = block.resnets.iter().fold(x, |x, resnet| resnet.forward(x));
            x = block.upsamplers.iter().flatten().fold(x, |x, upsampler| upsampler.forward(x));
        }
        self.conv_out.forward(self.norm_out.forward_activated(x))
    }
}
