//! ControlNets of transformers.

use burn::tensor::{DType, Tensor};

use super::hunyuan_dit::HunyuanDiT2DArguments;
use super::qwen_image::shapes;
use super::transformers::places;
use crate::any_model::callable::{CallableModel, ModelOutput, required};
use crate::call_arguments;
use crate::error::{Error, Result};
use crate::models::layers::counting_tokens::counting_tokens;
use crate::models::transformers::{
    FluxControlCondition, FluxControlNetInputs, FluxControlNetModel, FluxInputs,
    HunyuanDiT2DControlNetInputs, HunyuanDiT2DControlNetModel, QwenImageControlNetInputs,
    QwenImageControlNetModel, QwenImageInputs, SD3ControlNetInputs, SD3ControlNetModel, SanaControlNetInputs,
    SanaControlNetModel, ZImageControlNetModel,
};
use crate::pipelines::AnyTensor;

/// The tensors have the same name, as those of a ControlNet of a U-Net.
fn named(name: &'static str, samples: Vec<Tensor<3>>) -> ModelOutput {
    samples.into_iter().map(|sample| (name, sample.into())).collect()
}

call_arguments! {
    /// The arguments of a call of a [`FluxControlNetModel`].
    pub struct FluxControlNetArguments: "FluxControlNetModel" {
        /// The tokens of the images, `[batch, tokens, in_channels]`.
        pub hidden_states: Option<Tensor<3>> = None,
        /// The image to follow: tokens `[batch, tokens, in_channels]`, or pixels `[batch, 3, height, width]` for a model that embeds
        /// them itself.
        pub controlnet_cond: Option<AnyTensor> = None,
        /// The kind of image of each item, for a union model.
        pub controlnet_mode: Option<Vec<usize>> = None,
        /// A factor of the results.
        pub conditioning_scale: f64 = 1.0,
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
    }
}

impl CallableModel for FluxControlNetModel {
    type Arguments = FluxControlNetArguments;

    fn dtype(&self) -> DType {
        self.dtype()
    }

    fn call(&self, arguments: FluxControlNetArguments) -> Result<ModelOutput> {
        let followed = required("controlnet_cond", arguments.controlnet_cond)?;
        let samples = self.forward(&FluxControlNetInputs {
            inputs: FluxInputs {
                hidden_states: required("hidden_states", arguments.hidden_states)?,
                encoder_hidden_states: required("encoder_hidden_states", arguments.encoder_hidden_states)?,
                pooled_projections: required("pooled_projections", arguments.pooled_projections)?,
                timestep: &required("timestep", arguments.timestep)?,
                img_ids: &places("img_ids", arguments.img_ids)?,
                txt_ids: &places("txt_ids", arguments.txt_ids)?,
                guidance: arguments.guidance.as_deref(),
            },
            controlnet_cond: match followed.shape().len() {
                4 => FluxControlCondition::Pixels(followed.to_rank("controlnet_cond")?),
                _ => FluxControlCondition::Tokens(followed.to_rank("controlnet_cond")?),
            },
            controlnet_mode: arguments.controlnet_mode.as_deref(),
            conditioning_scale: arguments.conditioning_scale,
        })?;
        let mut output = named("controlnet_block_samples", samples.blocks);
        output.extend(named("controlnet_single_block_samples", samples.single_blocks));
        Ok(output)
    }
}

call_arguments! {
    /// The arguments of a call of a [`SD3ControlNetModel`].
    pub struct SD3ControlNetArguments: "SD3ControlNetModel" {
        /// The latents, `[batch, in_channels, height, width]`.
        pub hidden_states: Option<Tensor<4>> = None,
        /// The latents of the image to follow and possibly further channels, `[batch, channels, height, width]`.
        pub controlnet_cond: Option<Tensor<4>> = None,
        /// A factor of the results.
        pub conditioning_scale: f64 = 1.0,
        /// The embedded prompts, `[batch, tokens, joint_attention_dim]`, for a model that reads them.
        pub encoder_hidden_states: Option<Tensor<3>> = None,
        /// The pooled prompts, `[batch, pooled_projection_dim]`.
        pub pooled_projections: Option<Tensor<2>> = None,
        /// The timestep from 1000 (noise) to 0: one for all items, or one for each.
        pub timestep: Option<Vec<f32>> = None,
    }
}

impl CallableModel for SD3ControlNetModel {
    type Arguments = SD3ControlNetArguments;

    fn dtype(&self) -> DType {
        self.dtype()
    }

    fn call(&self, arguments: SD3ControlNetArguments) -> Result<ModelOutput> {
        let samples = self.forward(&SD3ControlNetInputs {
            hidden_states: required("hidden_states", arguments.hidden_states)?,
            controlnet_cond: required("controlnet_cond", arguments.controlnet_cond)?,
            conditioning_scale: arguments.conditioning_scale,
            encoder_hidden_states: arguments.encoder_hidden_states,
            pooled_projections: required("pooled_projections", arguments.pooled_projections)?,
            timestep: &required("timestep", arguments.timestep)?,
            transformer: None,
        })?;
        Ok(named("controlnet_block_samples", samples))
    }
}

call_arguments! {
    /// The arguments of a call of a [`QwenImageControlNetModel`].
    pub struct QwenImageControlNetArguments: "QwenImageControlNetModel" {
        /// The tokens of the images, `[batch, tokens, in_channels]`.
        pub hidden_states: Option<Tensor<3>> = None,
        /// The tokens of the image to follow, `[batch, tokens, in_channels + extra_condition_channels]`.
        pub controlnet_cond: Option<Tensor<3>> = None,
        /// A factor of the results.
        pub conditioning_scale: f64 = 1.0,
        /// The embedded prompts, `[batch, tokens, joint_attention_dim]`.
        pub encoder_hidden_states: Option<Tensor<3>> = None,
        /// Which tokens of the prompts count, `[batch, tokens]`: those that are not 0. By default all count.
        pub encoder_hidden_states_mask: Option<Tensor<2>> = None,
        /// The time from 1 (noise) to 0: one for all items, or one for each.
        pub timestep: Option<Vec<f32>> = None,
        /// Frames, rows and columns of the tokens of each image of an item.
        pub img_shapes: Option<Vec<Vec<usize>>> = None,
    }
}

impl CallableModel for QwenImageControlNetModel {
    type Arguments = QwenImageControlNetArguments;

    fn dtype(&self) -> DType {
        self.dtype()
    }

    fn call(&self, arguments: QwenImageControlNetArguments) -> Result<ModelOutput> {
        let mask = arguments.encoder_hidden_states_mask.as_ref().map(counting_tokens);
        let samples = self.forward(&QwenImageControlNetInputs {
            inputs: QwenImageInputs {
                hidden_states: required("hidden_states", arguments.hidden_states)?,
                encoder_hidden_states: required("encoder_hidden_states", arguments.encoder_hidden_states)?,
                encoder_hidden_states_mask: mask.as_deref(),
                timestep: &required("timestep", arguments.timestep)?,
                img_shapes: &shapes(arguments.img_shapes)?,
                guidance: None,
                additional_t_cond: None,
            },
            controlnet_cond: required("controlnet_cond", arguments.controlnet_cond)?,
            conditioning_scale: arguments.conditioning_scale,
        })?;
        Ok(named("controlnet_block_samples", samples))
    }
}

call_arguments! {
    /// The arguments of a call of a [`SanaControlNetModel`].
    pub struct SanaControlNetArguments: "SanaControlNetModel" {
        /// The latents, `[batch, in_channels, height, width]`.
        pub hidden_states: Option<Tensor<4>> = None,
        /// The embedded captions, `[batch, tokens, caption_channels]`.
        pub encoder_hidden_states: Option<Tensor<3>> = None,
        /// The time: one for all items, or one for each.
        pub timestep: Option<Vec<f32>> = None,
        /// The latents of the image to follow, of the shape of `hidden_states`.
        pub controlnet_cond: Option<Tensor<4>> = None,
        /// A factor of the results.
        pub conditioning_scale: f64 = 1.0,
        /// Which tokens of the captions count, `[batch, tokens]`: 1 for those, 0 for others. By default all count.
        pub encoder_attention_mask: Option<Tensor<2>> = None,
    }
}

impl CallableModel for SanaControlNetModel {
    type Arguments = SanaControlNetArguments;

    fn dtype(&self) -> DType {
        self.dtype()
    }

    fn call(&self, arguments: SanaControlNetArguments) -> Result<ModelOutput> {
        let samples = self.forward(&SanaControlNetInputs {
            hidden_states: required("hidden_states", arguments.hidden_states)?,
            controlnet_cond: required("controlnet_cond", arguments.controlnet_cond)?,
            conditioning_scale: arguments.conditioning_scale,
            encoder_hidden_states: required("encoder_hidden_states", arguments.encoder_hidden_states)?,
            encoder_attention_mask: arguments.encoder_attention_mask,
            timestep: &required("timestep", arguments.timestep)?,
        })?;
        Ok(named("controlnet_block_samples", samples))
    }
}

call_arguments! {
    /// The arguments of a call of a [`HunyuanDiT2DControlNetModel`], with those of the transformer.
    pub struct HunyuanDiT2DControlNetArguments: "HunyuanDiT2DControlNetModel" {
        /// The latents, `[batch, in_channels, height, width]`.
        pub hidden_states: Option<Tensor<4>> = None,
        /// The timestep from 1000 (noise) to 0: one for all items, or one for each.
        pub timestep: Option<Vec<f32>> = None,
        /// The latents of the image to follow, of the shape of `hidden_states`.
        pub controlnet_cond: Option<Tensor<4>> = None,
        /// A factor of the results.
        pub conditioning_scale: f64 = 1.0,
        /// The prompts as the first text encoder embeds them, `[batch, text_len, cross_attention_dim]`.
        pub encoder_hidden_states: Option<Tensor<3>> = None,
        /// Which of its tokens count, `[batch, text_len]`: those that are not 0.
        pub text_embedding_mask: Option<Tensor<2>> = None,
        /// The prompts as T5 embeds them, `[batch, text_len_t5, cross_attention_dim_t5]`.
        pub encoder_hidden_states_t5: Option<Tensor<3>> = None,
        /// Which of its tokens count, `[batch, text_len_t5]`: those that are not 0.
        pub text_embedding_mask_t5: Option<Tensor<2>> = None,
        /// For each item the height and width of the original, those of the result, and from where on it was cropped, `[batch, 6]`.
        pub image_meta_size: Option<Tensor<2>> = None,
        /// The style of each item. There is one, 0.
        pub style: Option<Vec<usize>> = None,
        /// By how much places turn the features of a head: cosines and sines, each `[patches, attention_head_dim]`.
        pub image_rotary_emb: Option<Vec<Tensor<2>>> = None,
    }
}

impl CallableModel for HunyuanDiT2DControlNetModel {
    type Arguments = HunyuanDiT2DControlNetArguments;

    fn dtype(&self) -> DType {
        self.dtype()
    }

    fn call(&self, arguments: HunyuanDiT2DControlNetArguments) -> Result<ModelOutput> {
        let controlnet_cond = required("controlnet_cond", arguments.controlnet_cond)?;
        let conditioning_scale = arguments.conditioning_scale;
        let transformer = HunyuanDiT2DArguments {
            hidden_states: arguments.hidden_states,
            timestep: arguments.timestep,
            encoder_hidden_states: arguments.encoder_hidden_states,
            text_embedding_mask: arguments.text_embedding_mask,
            encoder_hidden_states_t5: arguments.encoder_hidden_states_t5,
            text_embedding_mask_t5: arguments.text_embedding_mask_t5,
            image_meta_size: arguments.image_meta_size,
            style: arguments.style,
            image_rotary_emb: arguments.image_rotary_emb,
            ..Default::default()
        };
        let samples = transformer.with_inputs(|inputs| {
            self.forward(&HunyuanDiT2DControlNetInputs { inputs, controlnet_cond, conditioning_scale })
        })?;
        Ok(named("controlnet_block_samples", samples))
    }
}

call_arguments! {
    /// A [`ZImageControlNetModel`] computes with parts of its transformer, so that it is called in a pipeline only.
    pub struct ZImageControlNetArguments: "ZImageControlNetModel" {
        /// The noisy latents of each image, `[in_channels, frames, height, width]`.
        pub x: Option<Vec<Tensor<4>>> = None,
        /// The time from 0 (noise) to 1: one for all images, or one for each.
        pub t: Option<Vec<f32>> = None,
        /// The hidden states of each caption, `[tokens, cap_feat_dim]`.
        pub cap_feats: Option<Vec<Tensor<2>>> = None,
        /// The image to follow for each image, `[control_in_dim, frames, height, width]`.
        pub control_context: Option<Vec<Tensor<4>>> = None,
        /// A factor of the results.
        pub conditioning_scale: f64 = 1.0,
    }
}

impl CallableModel for ZImageControlNetModel {
    type Arguments = ZImageControlNetArguments;

    fn dtype(&self) -> DType {
        self.dtype()
    }

    fn call(&self, _: ZImageControlNetArguments) -> Result<ModelOutput> {
        let message = "it computes with parts of its transformer: call it in a pipeline";
        Err(Error::unsupported("calling a ZImageControlNetModel alone", message))
    }
}
