//! The dense prediction transformer (Ranftl et al. 2021, <https://arxiv.org/abs/2103.13413>), which estimates depth from
//! one image.

mod config;
mod embeddings;
mod neck;

use burn::module::Module;
use burn::tensor::{DType, Device, Tensor, activation};

pub use self::config::{DPTConfig, DPTReadoutType};
use self::embeddings::Embeddings;
use self::neck::Neck;
use super::vit::VitEncoder;
use crate::error::Result;
use crate::interpolation::{Corners, Interpolation, interpolate};
use crate::loading::config::Config;
use crate::models::call::call;
use crate::models::layers::convolution::Conv2d;
use crate::models::layers::normalization::LayerNorm;
use crate::models::model::{Model, compiled_with_the_library, saved_transformers_config};

/// The result of a [`DPTForDepthEstimation`].
#[derive(Clone, Debug)]
pub struct DepthEstimatorOutput {
    /// How near each position is, `[batch, height, width]`: larger is nearer, without a unit.
    pub predicted_depth: Tensor<3>,
    /// The input of the transformer, then the result of each of its layers, `[batch, tokens, hidden_size]`.
    pub hidden_states: Vec<Tensor<3>>,
    /// The feature maps of a hybrid's convolutional network that bypass the transformer; empty for other models.
    pub backbone_feature_maps: Vec<Tensor<4>>,
}

/// Estimates how near each part of an image is.
///
/// ```no_run
/// use oxidiff::{DPTForDepthEstimation, DPTImageProcessor, ImageProcessor, Model};
///
/// let model = DPTForDepthEstimation::from_pretrained("Intel/dpt-large")?;
/// let processor = DPTImageProcessor::from_pretrained("Intel/dpt-large")?;
/// let image = oxidiff::image::open("room.png").expect("an image");
/// let depth = model.forward(processor.preprocess(&[image])?)?.predicted_depth;
/// # Ok::<(), oxidiff::Error>(())
/// ```
#[derive(Module, Debug)]
pub struct DPTForDepthEstimation {
    dpt: DPTModel,
    neck: Neck,
    head: DepthHead,
    #[module(skip)]
    layers: Vec<usize>,
    #[module(skip)]
    config: DPTConfig,
}

#[derive(Module, Debug)]
struct DPTModel {
    embeddings: Embeddings,
    encoder: VitEncoder,
    layernorm: LayerNorm,
}

#[derive(Module, Debug)]
struct DepthHead {
    projection: Option<Conv2d>,
    /// Convolutions at even positions, resampling and activations at odd ones.
    head: Vec<Option<Conv2d>>,
    in_index: usize,
}

impl Model for DPTForDepthEstimation {
    type Config = DPTConfig;

    const CLASS_NAME: &'static str = "DPTForDepthEstimation";
    const WEIGHTS_NAME: &'static str = "model";

    fn init(config: &DPTConfig, device: &Device) -> Result<Self> {
        let required = config.check()?;
        Ok(Self {
            dpt: DPTModel {
                embeddings: Embeddings::init(config, &required, device)?,
                encoder: VitEncoder::init(&required.transformer, device),
                layernorm: LayerNorm::init(config.hidden_size, required.transformer.norm_epsilon, device),
            },
            neck: Neck::init(config, device)?,
            head: DepthHead::init(config, device),
            layers: config.transformer_layers(&required),
            config: config.clone(),
        })
    }

    fn config(&self) -> &DPTConfig {
        &self.config
    }

    fn place_on_card(&mut self, _: &Device) -> Result<()> {
        // It runs once for an image, and stays on the CPU.
        Ok(())
    }

    fn saved_config(&self) -> Config {
        saved_transformers_config(&self.config)
    }

    compiled_with_the_library!();
}

impl DPTForDepthEstimation {
    /// The element type of the weights, in which the model computes.
    pub fn dtype(&self) -> DType {
        self.dpt.layernorm.weight.val().dtype()
    }

    /// Estimates the depth of images `[batch, num_channels, height, width]`, as prepared by an image processor.
    ///
    /// # Errors
    /// When the images have a wrong number of channels, or a size that the model cannot work with.
    pub fn forward(&self, pixel_values: Tensor<4>) -> Result<DepthEstimatorOutput> {
        call(Self::CLASS_NAME, &pixel_values.device(), || self.estimate(pixel_values))
    }

    fn estimate(&self, pixel_values: Tensor<4>) -> Result<DepthEstimatorOutput> {
        let (tokens, backbone_feature_maps) = self.dpt.embeddings.forward(pixel_values.cast(self.dtype()))?;
        let hidden_states = self.dpt.encoder.forward(tokens);
        let from_transformer = self.layers.iter().map(|layer| hidden_states[layer + 1].clone()).collect();
        let fused = self.neck.forward(backbone_feature_maps.clone(), from_transformer);
        Ok(DepthEstimatorOutput {
            predicted_depth: self.head.forward(fused),
            hidden_states,
            backbone_feature_maps,
        })
    }
}

impl DepthHead {
    fn init(config: &DPTConfig, device: &Device) -> Self {
        let features = config.fusion_hidden_size;
        Self {
            projection: config.add_projection.then(|| Conv2d::init(features, features, 3, device)),
            head: vec![
                Some(Conv2d::init(features, features / 2, 3, device)),
                None,
                Some(Conv2d::init(features / 2, 32, 3, device)),
                None,
                Some(Conv2d::init(32, 1, 1, device)),
            ],
            in_index: config.stage(config.head_in_index).expect("the configuration was checked"),
        }
    }

    fn forward(&self, mut fused: Vec<Tensor<4>>) -> Tensor<3> {
        let mut x = fused.swap_remove(self.in_index);
        if let Some(projection) = &self.projection {
            x = activation::relu(projection.forward(x));
        }
        let [reduce, to_32, to_depth] =
            [0, 2, 4].map(|place| self.head[place].as_ref().expect("convolutions at even positions"));
        let x = reduce.forward(x);
        let [_, _, height, width] = x.dims();
        let x = interpolate(x, [2 * height, 2 * width], Interpolation::Bilinear, Corners::Aligned);
        let x = activation::relu(to_32.forward(x));
        activation::relu(to_depth.forward(x)).squeeze_dim(1)
    }
}
