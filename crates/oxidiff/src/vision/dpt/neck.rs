//! The neck of a dense prediction transformer: it turns tokens into feature maps of several resolutions and fuses them.

use burn::module::{Module, Param};
use burn::tensor::ops::ConvTransposeOptions;
use burn::tensor::{Device, Tensor, activation, module};
use oxidiff_kernels::to_image;

use super::config::{DPTConfig, DPTReadoutType, square_root};
use crate::error::{Error, Result};
use crate::interpolation::{Corners, Interpolation, interpolate};
use crate::models::layers::convolution::Conv2d;
use crate::models::layers::hidden_activation::HiddenActivation;
use crate::models::layers::linear::Linear;
use crate::models::layers::normalization::BatchNorm2d;
use crate::models::layers::parameter;

/// Reassembles tokens, projects the maps to the same number of channels, and fuses them.
#[derive(Module, Debug)]
pub(super) struct Neck {
    reassemble_stage: ReassembleStage,
    convs: Vec<Conv2d>,
    fusion_stage: FusionStage,
}

#[derive(Module, Debug)]
struct ReassembleStage {
    /// `None` for stages that are feature maps already.
    layers: Vec<Option<ReassembleLayer>>,
    readout_projects: Option<Vec<Option<[Linear; 1]>>>,
    #[module(skip)]
    readout_type: DPTReadoutType,
    #[module(skip)]
    activation: HiddenActivation,
}

#[derive(Module, Debug)]
struct ReassembleLayer {
    projection: Conv2d,
    resize: Option<Resize>,
}

#[derive(Module, Debug)]
enum Resize {
    Larger(ConvTranspose2d),
    Smaller(Conv2d),
}

/// A transposed convolution whose windows do not overlap: each position becomes a square of `stride` by `stride`.
#[derive(Module, Debug)]
struct ConvTranspose2d {
    /// `[in_channels, out_channels, stride, stride]`.
    weight: Param<Tensor<4>>,
    /// `[out_channels]`.
    bias: Param<Tensor<1>>,
}

#[derive(Module, Debug)]
struct FusionStage {
    layers: Vec<FusionLayer>,
}

#[derive(Module, Debug)]
struct FusionLayer {
    projection: Conv2d,
    residual_layer1: PreActResidualLayer,
    residual_layer2: PreActResidualLayer,
}

/// Two convolutions, each after a ReLU, with a residual around them.
#[derive(Module, Debug)]
struct PreActResidualLayer {
    convolution1: Conv2d,
    batch_norm1: Option<BatchNorm2d>,
    convolution2: Conv2d,
    batch_norm2: Option<BatchNorm2d>,
}

impl Neck {
    /// The neck of a configuration that was checked.
    ///
    /// # Errors
    /// When a factor is neither a whole number nor at most 1.
    pub(super) fn init(config: &DPTConfig, device: &Device) -> Result<Self> {
        let fused = config.fusion_hidden_size;
        let convs = config.neck_hidden_sizes.iter();
        Ok(Self {
            reassemble_stage: ReassembleStage::init(config, device)?,
            convs: convs.map(|&channels| Conv2d::init(channels, fused, 3, device).without_bias()).collect(),
            fusion_stage: FusionStage {
                layers: config.neck_hidden_sizes.iter().map(|_| FusionLayer::init(config, device)).collect(),
            },
        })
    }

    /// Fuses the feature maps `maps` with those made from `tokens` `[batch, 1 + tokens, hidden_size]`. Returns the fused maps,
    /// from low to high resolution.
    pub(super) fn forward(&self, maps: Vec<Tensor<4>>, tokens: Vec<Tensor<3>>) -> Vec<Tensor<4>> {
        let ready = maps.len();
        let reassembled = tokens
            .into_iter()
            .enumerate()
            .map(|(index, tokens)| self.reassemble_stage.forward(ready + index, tokens));
        let maps = maps.into_iter().chain(reassembled);

        let projected: Vec<Tensor<4>> =
            self.convs.iter().zip(maps).map(|(conv, map)| conv.forward(map)).collect();

        let mut fused: Vec<Tensor<4>> = Vec::new();
        for (layer, map) in self.fusion_stage.layers.iter().zip(projected.into_iter().rev()) {
            fused.push(match fused.last() {
                None => layer.forward(map, None),
                Some(previous) => layer.forward(previous.clone(), Some(map)),
            });
        }
        fused
    }
}

impl ReassembleStage {
    fn init(config: &DPTConfig, device: &Device) -> Result<Self> {
        let hidden = config.hidden_size;
        let is_map = |stage: usize| config.is_hybrid && stage <= 1;
        let mut layers = Vec::new();
        for (stage, (&channels, &factor)) in
            config.neck_hidden_sizes.iter().zip(&config.reassemble_factors).enumerate()
        {
            layers.push(if is_map(stage) {
                None
            } else {
                Some(ReassembleLayer {
                    projection: Conv2d::init(hidden, channels, 1, device),
                    resize: Resize::init(channels, factor, device)?,
                })
            });
        }
        let readout = |stage| (!is_map(stage)).then(|| [Linear::init(2 * hidden, hidden, true, device)]);
        Ok(Self {
            readout_projects: (config.readout_type == DPTReadoutType::Project)
                .then(|| (0..layers.len()).map(readout).collect()),
            layers,
            readout_type: config.readout_type,
            activation: config.hidden_act,
        })
    }

    fn forward(&self, stage: usize, tokens: Tensor<3>) -> Tensor<4> {
        let [_, count, _] = tokens.dims();
        let (whole, places) = (tokens.clone().narrow(1, 0, 1), tokens.narrow(1, 1, count - 1));
        let places = match self.readout_type {
            DPTReadoutType::Ignore => places,
            DPTReadoutType::Add => places + whole,
            DPTReadoutType::Project => {
                let joined = Tensor::cat(vec![places, whole.repeat_dim(1, count - 1)], 2);
                let [project] = self.readout_projects.as_ref().expect("this readout has projections")[stage]
                    .as_ref()
                    .expect("tokens are projected");
                self.activation.forward(project.forward(joined))
            }
        };
        let side = square_root(count - 1).expect("checked with the size of the image");
        let layer = self.layers[stage].as_ref().expect("tokens are reassembled");
        let map = layer.projection.forward(to_image(places, side, side));
        match &layer.resize {
            None => map,
            Some(Resize::Larger(conv)) => conv.forward(map),
            Some(Resize::Smaller(conv)) => conv.forward(map),
        }
    }
}

impl Resize {
    fn init(channels: usize, factor: f64, device: &Device) -> Result<Option<Self>> {
        let invalid =
            |message: &str| Err(Error::config("", "reassemble_factors", format!("{factor} {message}")));
        if !(1.0 / 1024.0..=1024.0).contains(&factor) {
            return invalid("is not between 1/1024 and 1024");
        }
        if factor > 1.0 {
            if factor.fract() != 0.0 {
                return invalid("is above 1, but not a whole number");
            }
            return Ok(Some(Self::Larger(ConvTranspose2d::init(channels, factor as usize, device))));
        }
        if factor == 1.0 {
            return Ok(None);
        }
        let stride = (1.0 / factor) as usize;
        Ok(Some(Self::Smaller(Conv2d::init(channels, channels, 3, device).with_stride(stride, 1))))
    }
}

impl ConvTranspose2d {
    fn init(channels: usize, stride: usize, device: &Device) -> Self {
        let bound = 1.0 / ((channels * stride * stride) as f64).sqrt();
        Self {
            weight: parameter::uniform([channels, channels, stride, stride], bound, device),
            bias: parameter::uniform([channels], bound, device),
        }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let weight = self.weight.val();
        let stride = weight.dims()[2];
        let options = ConvTransposeOptions::new([stride; 2], [0; 2], [0; 2], [1; 2], 1);
        module::conv_transpose2d(x, weight, Some(self.bias.val()), options)
    }
}

impl FusionLayer {
    fn init(config: &DPTConfig, device: &Device) -> Self {
        let channels = config.fusion_hidden_size;
        Self {
            projection: Conv2d::init(channels, channels, 1, device),
            residual_layer1: PreActResidualLayer::init(config, device),
            residual_layer2: PreActResidualLayer::init(config, device),
        }
    }

    /// Adds `map` to the maps fused so far, and doubles the resolution.
    fn forward(&self, fused: Tensor<4>, map: Option<Tensor<4>>) -> Tensor<4> {
        let [_, _, height, width] = fused.dims();
        let fused = match map {
            None => fused,
            Some(map) => {
                let map = interpolate(map, [height, width], Interpolation::Bilinear, Corners::Free);
                fused + self.residual_layer1.forward(map)
            }
        };
        let fused = self.residual_layer2.forward(fused);
        let fused = interpolate(fused, [2 * height, 2 * width], Interpolation::Bilinear, Corners::Aligned);
        self.projection.forward(fused)
    }
}

impl PreActResidualLayer {
    fn init(config: &DPTConfig, device: &Device) -> Self {
        let channels = config.fusion_hidden_size;
        let normalizes = config.use_batch_norm_in_fusion_residual.unwrap_or(false);
        let bias = config.use_bias_in_fusion_residual.unwrap_or(!normalizes);
        let conv = || {
            let conv = Conv2d::init(channels, channels, 3, device);
            if bias { conv } else { conv.without_bias() }
        };
        let norm = || normalizes.then(|| BatchNorm2d::init(channels, device));
        Self { convolution1: conv(), batch_norm1: norm(), convolution2: conv(), batch_norm2: norm() }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let normalize = |norm: &Option<BatchNorm2d>, x| match norm {
            Some(norm) => norm.forward(x),
            None => x,
        };
        let inner = self.convolution1.forward(activation::relu(x.clone()));
        let inner = normalize(&self.batch_norm1, inner);
        let inner = self.convolution2.forward(activation::relu(inner));
        normalize(&self.batch_norm2, inner) + x
    }
}
