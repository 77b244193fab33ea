//! Transformers that denoise.

use burn::tensor::{DType, Tensor};

use crate::any_model::callable::{CallableModel, ModelOutput, required};
use crate::call_arguments;
use crate::error::{Error, Result};
use crate::models::transformers::{
    ChromaInputs, ChromaTransformer2DModel, DiTTransformer2DModel, Flux2Inputs, Flux2Transformer2DModel,
    FluxControlSamples, FluxInputs, FluxTransformer2DModel, SD3Inputs, SD3Transformer2DModel,
};
use crate::pipelines::AnyTensor;

call_arguments! {
    /// The arguments of a call of a [`ChromaTransformer2DModel`].
    pub struct ChromaTransformer2DArguments: "ChromaTransformer2DModel" {
        /// The tokens of the images, `[batch, tokens, in_channels]`.
        pub hidden_states: Option<Tensor<3>> = None,
        /// The embedded prompts, `[batch, tokens, joint_attention_dim]`.
        pub encoder_hidden_states: Option<Tensor<3>> = None,
        /// The time from 1 (noise) to 0: one for all items, or one for each.
        pub timestep: Option<Vec<f32>> = None,
        /// The places of the images' tokens, `[tokens, 3]`, or of each item, `[batch, tokens, 3]`; those of the first item count.
        pub img_ids: Option<AnyTensor> = None,
        /// The places of the prompts' tokens, as `img_ids`.
        pub txt_ids: Option<AnyTensor> = None,
        /// How much each token counts, those of the prompts first, `[batch, tokens]`: numbers, as in a float mask in Python.
        pub attention_mask: Option<Tensor<2>> = None,
        /// What ControlNets add after the blocks with two streams, each `[batch, tokens, dim]`.
        pub controlnet_block_samples: Vec<Tensor<3>> = Vec::new(),
        /// What they add after the blocks with one stream, likewise.
        pub controlnet_single_block_samples: Vec<Tensor<3>> = Vec::new(),
        /// Whether the additions are used from the first on again, where there are fewer than blocks.
        pub controlnet_blocks_repeat: bool = false,
    }
}

impl CallableModel for ChromaTransformer2DModel {
    type Arguments = ChromaTransformer2DArguments;

    fn dtype(&self) -> DType {
        self.dtype()
    }

    fn call(&self, arguments: ChromaTransformer2DArguments) -> Result<ModelOutput> {
        let inputs = ChromaInputs {
            hidden_states: required("hidden_states", arguments.hidden_states)?,
            encoder_hidden_states: required("encoder_hidden_states", arguments.encoder_hidden_states)?,
            timestep: &required("timestep", arguments.timestep)?,
            img_ids: &places("img_ids", arguments.img_ids)?,
            txt_ids: &places("txt_ids", arguments.txt_ids)?,
            attention_mask: arguments.attention_mask,
        };
        let control = FluxControlSamples {
            blocks: arguments.controlnet_block_samples,
            single_blocks: arguments.controlnet_single_block_samples,
            repeat: arguments.controlnet_blocks_repeat,
        };
        Ok(vec![("sample", self.forward_with(&inputs, &control)?.into())])
    }
}

call_arguments! {
    /// The arguments of a call of a [`DiTTransformer2DModel`].
    pub struct DiTTransformer2DArguments: "DiTTransformer2DModel" {
        /// The noisy latents, `[batch, in_channels, size, size]`.
        pub hidden_states: Option<Tensor<4>> = None,
        /// The timestep: one for all items, or one for each.
        pub timestep: Option<Vec<f32>> = None,
        /// The class of each item.
        pub class_labels: Option<Vec<usize>> = None,
    }
}

impl CallableModel for DiTTransformer2DModel {
    type Arguments = DiTTransformer2DArguments;

    fn dtype(&self) -> DType {
        self.dtype()
    }

    fn call(&self, arguments: DiTTransformer2DArguments) -> Result<ModelOutput> {
        let sample = required("hidden_states", arguments.hidden_states)?;
        let timesteps = required("timestep", arguments.timestep)?;
        let labels = required("class_labels", arguments.class_labels)?;
        Ok(vec![("sample", self.forward(sample, &timesteps, &labels)?.into())])
    }
}

call_arguments! {
    /// The arguments of a call of a [`Flux2Transformer2DModel`].
    pub struct Flux2Transformer2DArguments: "Flux2Transformer2DModel" {
        /// The tokens of the images, `[batch, tokens, in_channels]`.
        pub hidden_states: Option<Tensor<3>> = None,
        /// The embedded prompts, `[batch, tokens, joint_attention_dim]`.
        pub encoder_hidden_states: Option<Tensor<3>> = None,
        /// The time from 1 (noise) to 0: one for all items, or one for each.
        pub timestep: Option<Vec<f32>> = None,
        /// The places of the images' tokens, `[tokens, 4]`, or of each item, `[batch, tokens, 4]`; those of the first item count.
        pub img_ids: Option<AnyTensor> = None,
        /// The places of the prompts' tokens, as `img_ids`.
        pub txt_ids: Option<AnyTensor> = None,
        /// How strongly to follow the prompt: one for all items, or one for each.
        pub guidance: Option<Vec<f32>> = None,
    }
}

/// The places of tokens, of the first item if each has its own.
pub(super) fn places<const A: usize>(
    argument: &'static str,
    ids: Option<AnyTensor>,
) -> Result<Vec<[f32; A]>> {
    let ids = required(argument, ids)?;
    let ids: Tensor<2> = match ids.shape()[..] {
        [items, tokens, axes] if items > 0 => {
            ids.to_rank::<3>(argument)?.narrow(0, 0, 1).reshape([tokens, axes])
        }
        _ => ids.to_rank(argument)?,
    };
    if ids.dims()[1] != A {
        return Err(Error::argument(argument, format!("have {} axes, must have {A}", ids.dims()[1])));
    }
    let values: Vec<f32> = ids.cast(DType::F32).into_data().iter().collect();
    Ok(values.chunks_exact(A).map(|place| place.try_into().expect("chunks of this length")).collect())
}

impl CallableModel for Flux2Transformer2DModel {
    type Arguments = Flux2Transformer2DArguments;

    fn dtype(&self) -> DType {
        self.dtype()
    }

    fn call(&self, arguments: Flux2Transformer2DArguments) -> Result<ModelOutput> {
        let sample = self.forward(&Flux2Inputs {
            hidden_states: required("hidden_states", arguments.hidden_states)?,
            encoder_hidden_states: required("encoder_hidden_states", arguments.encoder_hidden_states)?,
            timestep: &required("timestep", arguments.timestep)?,
            img_ids: &places("img_ids", arguments.img_ids)?,
            txt_ids: &places("txt_ids", arguments.txt_ids)?,
            guidance: arguments.guidance.as_deref(),
        })?;
        Ok(vec![("sample", sample.into())])
    }
}

call_arguments! {
    /// The arguments of a call of a [`FluxTransformer2DModel`].
    pub struct FluxTransformer2DArguments: "FluxTransformer2DModel" {
        /// The tokens of the images, `[batch, tokens, in_channels]`.
        pub hidden_states: Option<Tensor<3>> = None,
        /// The embedded prompts, `[batch, tokens, joint_attention_dim]`.
        pub encoder_hidden_states: Option<Tensor<3>> = None,
        /// The pooled prompts, `[batch, pooled_projection_dim]`.
        pub pooled_projections: Option<Tensor<2>> = None,
        /// The time from 1 (noise) to 0: one for all items, or one for each.
        pub timestep: Option<Vec<f32>> = None,
        /// The places of the images' tokens, `[tokens, 3]`, or of each item, `[batch, tokens, 3]`; those of the first item count.
        pub img_ids: Option<AnyTensor> = None,
        /// The places of the prompts' tokens, as `img_ids`.
        pub txt_ids: Option<AnyTensor> = None,
        /// How strongly to follow the prompt: one for all items, or one for each.
        pub guidance: Option<Vec<f32>> = None,
        /// What ControlNets add after the blocks with two streams, each `[batch, tokens, dim]`.
        pub controlnet_block_samples: Vec<Tensor<3>> = Vec::new(),
        /// What they add after the blocks with one stream, likewise.
        pub controlnet_single_block_samples: Vec<Tensor<3>> = Vec::new(),
        /// Whether the additions are used from the first on again, where there are fewer than blocks.
        pub controlnet_blocks_repeat: bool = false,
    }
}

impl CallableModel for FluxTransformer2DModel {
    type Arguments = FluxTransformer2DArguments;

    fn dtype(&self) -> DType {
        self.dtype()
    }

    fn call(&self, arguments: FluxTransformer2DArguments) -> Result<ModelOutput> {
        let inputs = FluxInputs {
            hidden_states: required("hidden_states", arguments.hidden_states)?,
            encoder_hidden_states: required("encoder_hidden_states", arguments.encoder_hidden_states)?,
            pooled_projections: required("pooled_projections", arguments.pooled_projections)?,
            timestep: &required("timestep", arguments.timestep)?,
            img_ids: &places("img_ids", arguments.img_ids)?,
            txt_ids: &places("txt_ids", arguments.txt_ids)?,
            guidance: arguments.guidance.as_deref(),
        };
        let control = FluxControlSamples {
            blocks: arguments.controlnet_block_samples,
            single_blocks: arguments.controlnet_single_block_samples,
            repeat: arguments.controlnet_blocks_repeat,
        };
        Ok(vec![("sample", self.forward_with(&inputs, &control)?.into())])
    }
}

call_arguments! {
    /// The arguments of a call of a [`SD3Transformer2DModel`].
    pub struct SD3Transformer2DArguments: "SD3Transformer2DModel" {
        /// The latents, `[batch, in_channels, height, width]`.
        pub hidden_states: Option<Tensor<4>> = None,
        /// The embedded prompts, `[batch, tokens, joint_attention_dim]`.
        pub encoder_hidden_states: Option<Tensor<3>> = None,
        /// The pooled prompts, `[batch, pooled_projection_dim]`.
        pub pooled_projections: Option<Tensor<2>> = None,
        /// The timestep from 1000 (noise) to 0: one for all items, or one for each.
        pub timestep: Option<Vec<f32>> = None,
        /// What ControlNets add to the tokens of the image after the blocks, each `[batch, tokens, dim]`.
        pub block_controlnet_hidden_states: Vec<Tensor<3>> = Vec::new(),
        /// The numbers of blocks that are left out.
        pub skip_layers: Vec<usize> = Vec::new(),
    }
}

impl CallableModel for SD3Transformer2DModel {
    type Arguments = SD3Transformer2DArguments;

    fn dtype(&self) -> DType {
        self.dtype()
    }

    fn call(&self, arguments: SD3Transformer2DArguments) -> Result<ModelOutput> {
        let sample = self.forward(&SD3Inputs {
            hidden_states: required("hidden_states", arguments.hidden_states)?,
            encoder_hidden_states: required("encoder_hidden_states", arguments.encoder_hidden_states)?,
            pooled_projections: required("pooled_projections", arguments.pooled_projections)?,
            timestep: &required("timestep", arguments.timestep)?,
            block_controlnet_hidden_states: &arguments.block_controlnet_hidden_states,
            skip_layers: &arguments.skip_layers,
        })?;
        Ok(vec![("sample", sample.into())])
    }
}
