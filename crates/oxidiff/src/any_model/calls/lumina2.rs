//! The transformer of Lumina 2.

use burn::tensor::{DType, Tensor};

use crate::any_model::callable::{CallableModel, ModelOutput, required};
use crate::call_arguments;
use crate::error::Result;
use crate::models::transformers::{Lumina2Inputs, Lumina2Transformer2DModel};

call_arguments! {
    /// The arguments of a call of a [`Lumina2Transformer2DModel`].
    pub struct Lumina2Transformer2DArguments: "Lumina2Transformer2DModel" {
        /// The noisy latents, `[batch, in_channels, height, width]`.
        pub hidden_states: Option<Tensor<4>> = None,
        /// The time from 0 (noise) to 1: one for all items, or one for each.
        pub timestep: Option<Vec<f32>> = None,
        /// The embedded prompts, `[batch, tokens, cap_feat_dim]`.
        pub encoder_hidden_states: Option<Tensor<3>> = None,
        /// 1 for the tokens of each prompt and 0 for those after them, `[batch, tokens]`.
        pub encoder_attention_mask: Option<Tensor<2>> = None,
    }
}

impl CallableModel for Lumina2Transformer2DModel {
    type Arguments = Lumina2Transformer2DArguments;

    fn dtype(&self) -> DType {
        self.dtype()
    }

    fn call(&self, arguments: Lumina2Transformer2DArguments) -> Result<ModelOutput> {
        let inputs = Lumina2Inputs {
            hidden_states: required("hidden_states", arguments.hidden_states)?,
            timestep: &required("timestep", arguments.timestep)?,
            encoder_hidden_states: required("encoder_hidden_states", arguments.encoder_hidden_states)?,
            encoder_attention_mask: &required("encoder_attention_mask", arguments.encoder_attention_mask)?,
        };
        Ok(vec![("sample", self.forward(&inputs)?.into())])
    }
}
