//! The vision half of CLIP with the projection into the space that it shares with texts.

use burn::module::Module;
use burn::tensor::{DType, Device, Tensor};

use super::clip_vision::{CLIPVisionConfig, ClipVisionTransformer};
use crate::error::{Error, Result};
use crate::loading::config::Config;
use crate::models::call::call;
use crate::models::layers::linear::Linear;
use crate::models::model::{Model, compiled_with_the_library, saved_transformers_config};

/// Embeds an image, and what it shows as a whole: `CLIPVisionModelWithProjection` of transformers.
///
/// ```
/// use oxidiff::{CLIPVisionConfig, CLIPVisionModelWithProjection, Device, Model, Tensor};
///
/// let config = CLIPVisionConfig {
///     hidden_size: 16,
///     intermediate_size: 32,
///     num_attention_heads: 2,
///     num_hidden_layers: 2,
///     projection_dim: 8,
///     ..Default::default()
/// };
/// let model = CLIPVisionModelWithProjection::init(&config, &Device::flex())?;
/// let output = model.forward(Tensor::zeros([1, 3, 224, 224], &Device::flex()))?;
/// assert_eq!(output.image_embeds.dims(), [1, 8]);
/// # Ok::<(), oxidiff::Error>(())
/// ```
#[derive(Module, Debug)]
pub struct CLIPVisionModelWithProjection {
    vision_model: ClipVisionTransformer,
    visual_projection: Linear,
    #[module(skip)]
    config: CLIPVisionConfig,
}

/// What a [`CLIPVisionModelWithProjection`] computes.
#[derive(Clone, Debug)]
pub struct CLIPVisionProjectionOutput {
    /// What each image shows as a whole, `[batch, projection_dim]`.
    pub image_embeds: Tensor<2>,
    /// The last layer's result, `[batch, tokens, hidden_size]`.
    pub last_hidden_state: Tensor<3>,
    /// The input of the first layer, then the result of each layer, `[batch, tokens, hidden_size]`.
    pub hidden_states: Vec<Tensor<3>>,
}

impl Model for CLIPVisionModelWithProjection {
    type Config = CLIPVisionConfig;

    const CLASS_NAME: &'static str = "CLIPVisionModelWithProjection";
    const LIBRARY: &'static str = "transformers";
    const WEIGHTS_NAME: &'static str = "model";

    fn init(config: &CLIPVisionConfig, device: &Device) -> Result<Self> {
        if !(1..=1 << 16).contains(&config.projection_dim) {
            return Err(Error::config("", "projection_dim", "must be between 1 and 65536"));
        }
        Ok(Self {
            vision_model: ClipVisionTransformer::init(config, device)?,
            visual_projection: Linear::init(config.hidden_size, config.projection_dim, false, device),
            config: config.clone(),
        })
    }

    fn config(&self) -> &CLIPVisionConfig {
        &self.config
    }

    /// The configuration of a whole CLIP keeps that of its vision half under `vision_config`.
    fn from_config(config: &Config, device: &Device) -> Result<Self> {
        let (typed, _) =
            CLIPVisionConfig::of_vision_half(config)?.resolve::<CLIPVisionConfig>(Self::CLASS_NAME)?;
        Self::init(&typed, device).map_err(|error| error.in_file(config.origin()))
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

impl CLIPVisionModelWithProjection {
    /// The element type of the weights, in which the model computes.
    pub fn dtype(&self) -> DType {
        self.vision_model.dtype()
    }

    /// Embeds images `[batch, num_channels, image_size, image_size]`, as an image processor prepares them.
    ///
    /// # Errors
    /// When the images have another size or number of channels than the model takes.
    pub fn forward(&self, pixel_values: Tensor<4>) -> Result<CLIPVisionProjectionOutput> {
        let device = pixel_values.device();
        let output = call(Self::CLASS_NAME, &device, || self.vision_model.forward(pixel_values))?;
        let last = output.hidden_states.last().expect("the input of the first layer is there");
        Ok(CLIPVisionProjectionOutput {
            image_embeds: self.visual_projection.forward(output.pooler_output),
            last_hidden_state: last.clone(),
            hidden_states: output.hidden_states,
        })
    }
}
