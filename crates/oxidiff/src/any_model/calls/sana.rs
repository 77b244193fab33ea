//! The transformer of Sana.

use burn::tensor::{DType, Tensor};

use crate::any_model::callable::{CallableModel, ModelOutput, required};
use crate::call_arguments;
use crate::error::Result;
use crate::models::transformers::{SanaInputs, SanaTransformer2DModel};

call_arguments! {
    /// The arguments of a call of a [`SanaTransformer2DModel`].
    pub struct SanaTransformer2DArguments: "SanaTransformer2DModel" {
        /// The latents, `[batch, in_channels, height, width]`.
        pub hidden_states: Option<Tensor<4>> = None,
        /// The embedded captions, `[batch, tokens, caption_channels]`.
        pub encoder_hidden_states: Option<Tensor<3>> = None,
        /// The time: one for all items, or one for each.
        pub timestep: Option<Vec<f32>> = None,
        /// The guidance that a model with `guidance_embeds` imitates, likewise.
        pub guidance: Option<Vec<f32>> = None,
        /// Which tokens of the captions count, `[batch, tokens]`: 1 for those, 0 for others. By default all count.
        pub encoder_attention_mask: Option<Tensor<2>> = None,
        /// What a ControlNet adds to the tokens after the blocks, from the second on, each `[batch, tokens, dim]`.
        pub controlnet_block_samples: Vec<Tensor<3>> = Vec::new(),
    }
}

impl CallableModel for SanaTransformer2DModel {
    type Arguments = SanaTransformer2DArguments;

    fn dtype(&self) -> DType {
        self.dtype()
    }

    fn call(&self, arguments: SanaTransformer2DArguments) -> Result<ModelOutput> {
        let sample = self.forward(&SanaInputs {
            hidden_states: required("hidden_states", arguments.hidden_states)?,
            encoder_hidden_states: required("encoder_hidden_states", arguments.encoder_hidden_states)?,
            encoder_attention_mask: arguments.encoder_attention_mask,
            timestep: &required("timestep", arguments.timestep)?,
            guidance: arguments.guidance.as_deref(),
            controlnet_block_samples: &arguments.controlnet_block_samples,
        })?;
        Ok(vec![("sample", sample.into())])
    }
}
