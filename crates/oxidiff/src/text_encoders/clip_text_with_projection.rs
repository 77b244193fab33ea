//! The text half of CLIP with the projection into the space that it shares with images.

use burn::module::Module;
use burn::tensor::{DType, Device, Tensor};

use super::clip_text::{CLIPTextConfig, CLIPTextModel};
use crate::error::Result;
use crate::loading::config::Config;
use crate::models::adapters::{Adaptable, Adapters};
use crate::models::layers::linear::Linear;
use crate::models::layers::low_rank::{LowRankTarget, inside};
use crate::models::model::{Model, compiled_with_the_library, saved_transformers_config};

/// Embeds a text, and what it says as a whole: `CLIPTextModelWithProjection` of transformers.
#[derive(Module, Debug)]
pub struct CLIPTextModelWithProjection {
    /// Embeds the tokens.
    pub text_model: CLIPTextModel,
    pub(crate) text_projection: Linear,
    #[module(skip)]
    adapters: Adapters,
}

/// What a [`CLIPTextModelWithProjection`] computes.
#[derive(Clone, Debug)]
pub struct CLIPTextProjectionOutput {
    /// The projection of the end of each text, `[batch, projection_dim]`.
    pub text_embeds: Tensor<2>,
    /// The last layer's result after the final norm, `[batch, tokens, hidden_size]`.
    pub last_hidden_state: Tensor<3>,
    /// The embedding, then the result of each layer, all of them before the final norm.
    pub hidden_states: Vec<Tensor<3>>,
}

impl Model for CLIPTextModelWithProjection {
    type Config = CLIPTextConfig;

    const CLASS_NAME: &'static str = "CLIPTextModelWithProjection";
    const LIBRARY: &'static str = "transformers";
    const WEIGHTS_NAME: &'static str = "model";

    fn init(config: &CLIPTextConfig, device: &Device) -> Result<Self> {
        let projection = config.projection_dim.unwrap_or(config.hidden_size);
        Ok(Self {
            text_model: CLIPTextModel::init(config, device)?,
            text_projection: Linear::init(config.hidden_size, projection, false, device),
            adapters: Adapters::default(),
        })
    }

    fn config(&self) -> &CLIPTextConfig {
        self.text_model.config()
    }

    /// The configuration of a whole CLIP keeps that of its text half under `text_config`.
    fn from_config(config: &Config, device: &Device) -> Result<Self> {
        let (typed, _) = CLIPTextConfig::of_text_half(config)?.resolve::<CLIPTextConfig>(Self::CLASS_NAME)?;
        Self::init(&typed, device).map_err(|error| error.in_file(config.origin()))
    }

    fn place_on_card(&mut self, device: &Device) -> Result<()> {
        self.text_model.place_on_card(device)
    }

    fn card(&self) -> Option<&str> {
        self.text_model.card()
    }

    fn leave_card(&self) {
        self.text_model.leave_card();
    }

    fn saved_config(&self) -> Config {
        saved_transformers_config(self.config())
    }

    compiled_with_the_library!();
}

impl LowRankTarget for CLIPTextModelWithProjection {
    fn attention_projections_mut(&mut self) -> Result<Vec<(String, &mut Linear)>> {
        Ok(inside("text_model", self.text_model.attention_projections_mut()?).collect())
    }
}

impl Adaptable for CLIPTextModelWithProjection {
    fn adapters(&self) -> &Adapters {
        &self.adapters
    }

    fn adapters_mut(&mut self) -> &mut Adapters {
        &mut self.adapters
    }
}

impl CLIPTextModelWithProjection {
    /// The device of the weights.
    pub fn device(&self) -> Device {
        self.text_model.device()
    }

    /// The element type of the weights, in which the model computes.
    pub fn dtype(&self) -> DType {
        self.text_model.dtype()
    }

    /// Embeds `input_ids` `[batch, tokens]`. With `attention_mask`, of the same shape, tokens whose value is 0 are not
    /// looked at.
    ///
    /// # Errors
    /// When there are more tokens than positions, a token that the vocabulary lacks, or a mask of another shape.
    pub fn forward(
        &self,
        input_ids: &[Vec<u32>],
        attention_mask: Option<&[Vec<u32>]>,
    ) -> Result<CLIPTextProjectionOutput> {
        let output = self.text_model.forward(input_ids, attention_mask)?;
        Ok(CLIPTextProjectionOutput {
            text_embeds: self.text_projection.forward(output.pooler_output),
            last_hidden_state: output.last_hidden_state,
            hidden_states: output.hidden_states,
        })
    }
}
