//! The transformer of AuraFlow.

use burn::tensor::{DType, Tensor};

use crate::any_model::callable::{CallableModel, ModelOutput, required};
use crate::call_arguments;
use crate::error::Result;
use crate::models::transformers::{AuraFlowInputs, AuraFlowTransformer2DModel};

call_arguments! {
    /// The arguments of a call of an [`AuraFlowTransformer2DModel`].
    pub struct AuraFlowTransformer2DArguments: "AuraFlowTransformer2DModel" {
        /// The noisy latents, `[batch, in_channels, height, width]`.
        pub hidden_states: Option<Tensor<4>> = None,
        /// The embedded prompts, `[batch, tokens, joint_attention_dim]`.
        pub encoder_hidden_states: Option<Tensor<3>> = None,
        /// The time from 1 (noise) to 0: one for all items, or one for each.
        pub timestep: Option<Vec<f32>> = None,
    }
}

impl CallableModel for AuraFlowTransformer2DModel {
    type Arguments = AuraFlowTransformer2DArguments;

    fn dtype(&self) -> DType {
        self.dtype()
    }

    fn call(&self, arguments: AuraFlowTransformer2DArguments) -> Result<ModelOutput> {
        let sample = self.forward(&AuraFlowInputs {
            hidden_states: required("hidden_states", arguments.hidden_states)?,
            encoder_hidden_states: required("encoder_hidden_states", arguments.encoder_hidden_states)?,
            timestep: &required("timestep", arguments.timestep)?,
        })?;
        Ok(vec![("sample", sample.into())])
    }
}
