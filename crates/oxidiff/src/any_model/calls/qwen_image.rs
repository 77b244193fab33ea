//! The transformer of Qwen-Image.

use burn::tensor::{DType, Tensor};

use crate::any_model::callable::{CallableModel, ModelOutput, required};
use crate::call_arguments;
use crate::error::{Error, Result};
use crate::models::layers::counting_tokens::counting_tokens;
use crate::models::transformers::{QwenImageInputs, QwenImageTransformer2DModel};

call_arguments! {
    /// The arguments of a call of a [`QwenImageTransformer2DModel`].
    pub struct QwenImageTransformer2DArguments: "QwenImageTransformer2DModel" {
        /// The tokens of the images, `[batch, tokens, in_channels]`.
        pub hidden_states: Option<Tensor<3>> = None,
        /// The embedded prompts, `[batch, tokens, joint_attention_dim]`.
        pub encoder_hidden_states: Option<Tensor<3>> = None,
        /// Which tokens of the prompts count, `[batch, tokens]`: 0 for those that fill up a prompt. By default all count.
        pub encoder_hidden_states_mask: Option<Tensor<2>> = None,
        /// The time from 1 (noise) to 0: one for all items, or one for each.
        pub timestep: Option<Vec<f32>> = None,
        /// Frames, rows and columns of the tokens of each image of an item.
        pub img_shapes: Option<Vec<Vec<usize>>> = None,
        /// How strongly to follow the prompt. No model of this class has a layer for it.
        pub guidance: Option<Vec<f32>> = None,
        /// What ControlNets add to the tokens of the images after the blocks, each `[batch, tokens, dim]`.
        pub controlnet_block_samples: Vec<Tensor<3>> = Vec::new(),
        /// What to make, for a model that is told so: 0 for an image, 1 for its layers.
        pub additional_t_cond: Option<Vec<usize>> = None,
    }
}

/// Frames, rows and columns of the tokens of each image.
pub(super) fn shapes(given: Option<Vec<Vec<usize>>>) -> Result<Vec<[usize; 3]>> {
    let wrong = |_| Error::argument("img_shapes", "must each be frames, rows and columns");
    required("img_shapes", given)?.into_iter().map(|shape| shape.try_into().map_err(wrong)).collect()
}

impl CallableModel for QwenImageTransformer2DModel {
    type Arguments = QwenImageTransformer2DArguments;

    fn dtype(&self) -> DType {
        self.dtype()
    }

    fn call(&self, arguments: QwenImageTransformer2DArguments) -> Result<ModelOutput> {
        let mask = arguments.encoder_hidden_states_mask.as_ref().map(counting_tokens);
        let inputs = QwenImageInputs {
            hidden_states: required("hidden_states", arguments.hidden_states)?,
            encoder_hidden_states: required("encoder_hidden_states", arguments.encoder_hidden_states)?,
            encoder_hidden_states_mask: mask.as_deref(),
            timestep: &required("timestep", arguments.timestep)?,
            img_shapes: &shapes(arguments.img_shapes)?,
            guidance: arguments.guidance.as_deref(),
            additional_t_cond: arguments.additional_t_cond.as_deref(),
        };
        let sample = self.forward_with(&inputs, &arguments.controlnet_block_samples)?;
        Ok(vec![("sample", sample.into())])
    }
}
