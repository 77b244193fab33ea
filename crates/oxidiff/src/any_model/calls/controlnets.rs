//! ControlNets.

use burn::tensor::{DType, Tensor};

use crate::any_model::callable::{CallableModel, ModelOutput, required};
use crate::call_arguments;
use crate::error::{Error, Result};
use crate::models::controlnets::{
    ControlNetInputs, ControlNetModel, ControlNetOutput, ControlNetUnionInputs, ControlNetUnionModel,
};
use crate::models::unets::{AddedConditions, ClassLabels};
use crate::pipelines::PerControlNet;

call_arguments! {
    /// The arguments of a call of a [`ControlNetModel`]. The fields of Python's `added_cond_kwargs` are arguments.
    pub struct ControlNetArguments: "ControlNetModel" {
        /// The noisy sample, `[batch, in_channels, height, width]`.
        pub sample: Option<Tensor<4>> = None,
        /// The timestep: one for all items, or one for each.
        pub timestep: Option<Vec<f32>> = None,
        /// The embedded text, `[batch, tokens, features]`.
        pub encoder_hidden_states: Option<Tensor<3>> = None,
        /// The image to follow, values in [0, 1], `[batch, 3, 8 * height, 8 * width]`.
        pub controlnet_cond: Option<Tensor<4>> = None,
        /// A factor of the results.
        pub conditioning_scale: f64 = 1.0,
        /// The class of each item, for models that were trained with classes.
        pub class_labels: Option<Vec<f32>> = None,
        /// What the text says as a whole, `[batch, features]`.
        pub text_embeds: Option<Tensor<2>> = None,
        /// Numbers such as the size of the image, `[batch, numbers]`.
        pub time_ids: Option<Tensor<2>> = None,
        /// Whether the results grow from a tenth at the highest resolution to the whole in the middle.
        pub guess_mode: bool = false,
    }
}

/// The tensors of `down_block_res_samples` have the same name.
impl CallableModel for ControlNetModel {
    type Arguments = ControlNetArguments;

    fn dtype(&self) -> DType {
        self.dtype()
    }

    fn call(&self, arguments: ControlNetArguments) -> Result<ModelOutput> {
        let sample = required("sample", arguments.sample)?;
        let timesteps = required("timestep", arguments.timestep)?;
        let text = required("encoder_hidden_states", arguments.encoder_hidden_states)?;
        let image = required("controlnet_cond", arguments.controlnet_cond)?;
        if timesteps.is_empty() {
            return Err(Error::argument("timestep", "is empty"));
        }
        let inputs = ControlNetInputs {
            conditioning_scale: arguments.conditioning_scale,
            guess_mode: arguments.guess_mode,
            class_labels: arguments.class_labels.map(ClassLabels::Numbers),
            added: AddedConditions {
                text_embeds: arguments.text_embeds,
                time_ids: arguments.time_ids,
                ..Default::default()
            },
        };
        Ok(named(self.forward_with(sample, &timesteps, text, image, inputs)?))
    }
}

fn named(output: ControlNetOutput) -> ModelOutput {
    let down = output.down_block_res_samples.into_iter().map(|it| ("down_block_res_samples", it.into()));
    down.chain([("mid_block_res_sample", output.mid_block_res_sample.into())]).collect()
}

call_arguments! {
    /// The arguments of a call of a [`ControlNetUnionModel`]. The fields of Python's `added_cond_kwargs` are arguments.
    pub struct ControlNetUnionArguments: "ControlNetUnionModel" {
        /// The noisy sample, `[batch, in_channels, height, width]`.
        pub sample: Option<Tensor<4>> = None,
        /// The timestep: one for all items, or one for each.
        pub timestep: Option<Vec<f32>> = None,
        /// The embedded text, `[batch, tokens, features]`.
        pub encoder_hidden_states: Option<Tensor<3>> = None,
        /// The images to follow, values in [0, 1], each `[batch, 3, 8 * height, 8 * width]`.
        pub controlnet_cond: Vec<Tensor<4>> = Vec::new(),
        /// 1 for each type that is used and 0 for the others, `[batch, num_control_type]`; by default those of the images.
        pub control_type: Option<Tensor<2>> = None,
        /// The types of the images.
        pub control_type_idx: Vec<usize> = Vec::new(),
        /// A factor of the results, or one for each image.
        pub conditioning_scale: PerControlNet = PerControlNet::Same(1.0),
        /// The class of each item, for models that were trained with classes.
        pub class_labels: Option<Vec<f32>> = None,
        /// What the text says as a whole, `[batch, features]`.
        pub text_embeds: Option<Tensor<2>> = None,
        /// Numbers such as the size of the image, `[batch, numbers]`.
        pub time_ids: Option<Tensor<2>> = None,
        /// Whether the first scale is one of all results also with several images.
        pub from_multi: bool = false,
        /// Whether the results grow from a tenth at the highest resolution to the whole in the middle.
        pub guess_mode: bool = false,
    }
}

/// The tensors of `down_block_res_samples` have the same name.
impl CallableModel for ControlNetUnionModel {
    type Arguments = ControlNetUnionArguments;

    fn dtype(&self) -> DType {
        self.dtype()
    }

    fn call(&self, arguments: ControlNetUnionArguments) -> Result<ModelOutput> {
        let sample = required("sample", arguments.sample)?;
        let timesteps = required("timestep", arguments.timestep)?;
        let text = required("encoder_hidden_states", arguments.encoder_hidden_states)?;
        if timesteps.is_empty() {
            return Err(Error::argument("timestep", "is empty"));
        }
        let (images, types) = (arguments.controlnet_cond, arguments.control_type_idx);
        let inputs = ControlNetUnionInputs {
            control_type: arguments.control_type,
            conditioning_scale: match arguments.conditioning_scale {
                PerControlNet::Same(scale) => vec![scale; images.len()],
                PerControlNet::Each(scales) => scales,
            },
            from_multi: arguments.from_multi,
            guess_mode: arguments.guess_mode,
            class_labels: arguments.class_labels.map(ClassLabels::Numbers),
            added: AddedConditions {
                text_embeds: arguments.text_embeds,
                time_ids: arguments.time_ids,
                ..Default::default()
            },
        };
        Ok(named(self.forward_with(sample, &timesteps, text, &images, &types, inputs)?))
    }
}
