//! The blocks of a conditional UNet: residual blocks, each followed by a transformer where the block looks at the text.

use burn::module::Module;
use burn::tensor::{Device, Tensor};

use crate::models::resnet::{Downsample2D, ResnetBlock2D, ResnetBlock2DConfig, Upsample2D};
use crate::models::transformers::{Transformer2DConfig, Transformer2DModel};

/// `DownBlock2D`, or with transformers `CrossAttnDownBlock2D`: some layers at one resolution, then half of it.
#[derive(Module, Debug)]
pub struct DownBlock2D {
    resnets: Vec<ResnetBlock2D>,
    attentions: Option<Vec<Transformer2DModel>>,
    downsamplers: Option<[Downsample2D; 1]>,
}

impl DownBlock2D {
    /// `num_layers` layers from `resnet.in_channels` to `resnet.out_channels`; `downsample_padding` where the block
    /// halves the size at its end.
    pub fn init(
        resnet: ResnetBlock2DConfig,
        num_layers: usize,
        transformer: Option<Transformer2DConfig>,
        downsample_padding: Option<usize>,
        device: &Device,
    ) -> Self {
        let channels = resnet.out_channels;
        let layer = |index| {
            let in_channels = if index == 0 { resnet.in_channels } else { channels };
            ResnetBlock2DConfig { in_channels, ..resnet }.init(device)
        };
        Self {
            resnets: (0..num_layers).map(layer).collect(),
            attentions: transformer.map(|config| (0..num_layers).map(|_| config.init(device)).collect()),
            downsamplers: downsample_padding.map(|padding| [Downsample2D::init(channels, padding, device)]),
        }
    }

    /// Returns the result, and pushes what the way up will need onto `skips`.
    pub fn forward(
        &self,
        mut x: Tensor<4>,
        temb: &Tensor<2>,
        context: &Tensor<3>,
        skips: &mut Vec<Tensor<4>>,
    ) -> Tensor<4> {
        for (index, resnet) in self.resnets.iter().enumerate() {
            x = resnet.forward(x, Some(temb.clone()));
            if let Some(attentions) = &self.attentions {
                x = attentions[index].forward(x, context.clone());
            }
            skips.push(x.clone());
        }
        if let Some([downsampler]) = &self.downsamplers {
            x = downsampler.forward(x);
            skips.push(x.clone());
        }
        x
    }
}

/// `UNetMidBlock2D`, or with transformers `UNetMidBlock2DCrossAttn`: layers at the lowest resolution.
#[derive(Module, Debug)]
pub struct MidBlock2D {
    resnets: Vec<ResnetBlock2D>,
    attentions: Vec<Transformer2DModel>,
}

impl MidBlock2D {
    /// A residual block, then a transformer and another residual block where `transformer` is given.
    pub fn init(
        resnet: ResnetBlock2DConfig,
        transformer: Option<Transformer2DConfig>,
        device: &Device,
    ) -> Self {
        let attentions: Vec<_> = transformer.into_iter().map(|config| config.init(device)).collect();
        Self { resnets: (0..=attentions.len()).map(|_| resnet.init(device)).collect(), attentions }
    }

    /// `[batch, channels, height, width]` to the same shape.
    pub fn forward(&self, x: Tensor<4>, temb: &Tensor<2>, context: &Tensor<3>) -> Tensor<4> {
        let mut x = self.resnets[0].forward(x, Some(temb.clone()));
        for (attention, resnet) in self.attentions.iter().zip(&self.resnets[1..]) {
            x = attention.forward(x, context.clone());
            x = resnet.forward(x, Some(temb.clone()));
        }
        x
    }
}

/// `UpBlock2D`, or with transformers `CrossAttnUpBlock2D`: layers that join what the way down left at this resolution,
/// then twice of it.
#[derive(Module, Debug)]
pub struct UpBlock2D {
    resnets: Vec<ResnetBlock2D>,
    attentions: Option<Vec<Transformer2DModel>>,
    upsamplers: Option<[Upsample2D; 1]>,
}

impl UpBlock2D {
    /// `num_layers` layers to `resnet.out_channels`. The first takes `prev_output_channels` from below; each is joined
    /// with a skip of the way down, the last of which has `resnet.in_channels`.
    pub fn init(
        resnet: ResnetBlock2DConfig,
        prev_output_channels: usize,
        num_layers: usize,
        transformer: Option<Transformer2DConfig>,
        upsample: bool,
        device: &Device,
    ) -> Self {
        let channels = resnet.out_channels;
        let layer = |index| {
            let from_below = if index == 0 { prev_output_channels } else { channels };
            let skip = if index == num_layers - 1 { resnet.in_channels } else { channels };
            ResnetBlock2DConfig { in_channels: from_below + skip, ..resnet }.init(device)
        };
        Self {
            resnets: (0..num_layers).map(layer).collect(),
            attentions: transformer.map(|config| (0..num_layers).map(|_| config.init(device)).collect()),
            upsamplers: upsample.then(|| [Upsample2D::init(channels, device)]),
        }
    }

    /// Takes its skips from the end of `skips`. The result has the size of the next skip, so that sizes which were
    /// rounded on the way down come back.
    pub fn forward(
        &self,
        mut x: Tensor<4>,
        temb: &Tensor<2>,
        context: &Tensor<3>,
        skips: &mut Vec<Tensor<4>>,
    ) -> Tensor<4> {
        for (index, resnet) in self.resnets.iter().enumerate() {
            let skip = skips.pop().expect("the way down left one skip for each layer of the way up");
            x = resnet.forward(Tensor::cat(vec![x, skip], 1), Some(temb.clone()));
            if let Some(attentions) = &self.attentions {
                x = attentions[index].forward(x, context.clone());
            }
        }
        match &self.upsamplers {
            Some([upsampler]) => {
                let size = skips.last().map(|skip| [skip.dims()[2], skip.dims()[3]]);
                upsampler.forward(x, size)
            }
            None => x,
        }
    }
}
