//! UNets.

use burn::tensor::{DType, Tensor};

use crate::any_model::callable::{CallableModel, ModelOutput, required};
use crate::call_arguments;
use crate::error::{Error, Result};
use crate::models::unets::{
    AddedConditions, ClassLabels, IpAdapterInputs, UNet2DConditionInputs, UNet2DConditionModel, UNet2DModel,
};
use crate::pipelines::{IpAdapterEmbeds, IpAdapterMasks};

call_arguments! {
    /// The arguments of a call of a [`UNet2DModel`].
    pub struct UNet2DArguments: "UNet2DModel" {
        /// The noisy sample, `[batch, in_channels, height, width]`.
        pub sample: Option<Tensor<4>> = None,
        /// The timestep: one for all items, or one for each.
        pub timestep: Option<Vec<f32>> = None,
        /// The class of each item, for models that were trained with classes.
        pub class_labels: Option<Vec<f32>> = None,
    }
}

impl CallableModel for UNet2DModel {
    type Arguments = UNet2DArguments;

    fn dtype(&self) -> DType {
        self.dtype()
    }

    fn call(&self, arguments: UNet2DArguments) -> Result<ModelOutput> {
        let sample = required("sample", arguments.sample)?;
        let timesteps = required("timestep", arguments.timestep)?;
        let labels = arguments.class_labels.map(ClassLabels::Numbers);
        Ok(vec![("sample", self.forward_with(sample, &timesteps, labels)?.into())])
    }
}

call_arguments! {
    /// The arguments of a call of a [`UNet2DConditionModel`]. The fields of Python's `added_cond_kwargs` are arguments.
    pub struct UNet2DConditionArguments: "UNet2DConditionModel" {
        /// The noisy sample, `[batch, in_channels, height, width]`.
        pub sample: Option<Tensor<4>> = None,
        /// The timestep: one for all items, or one for each.
        pub timestep: Option<Vec<f32>> = None,
        /// The embedded text, `[batch, tokens, features]`.
        pub encoder_hidden_states: Option<Tensor<3>> = None,
        /// The class of each item, for models that were trained with classes.
        pub class_labels: Option<Vec<f32>> = None,
        /// An embedding of the guidance scale, `[batch, features]`, for distilled models.
        pub timestep_cond: Option<Tensor<2>> = None,
        /// What the text says as a whole, `[batch, features]`.
        pub text_embeds: Option<Tensor<2>> = None,
        /// Numbers such as the size of the image, `[batch, numbers]`.
        pub time_ids: Option<Tensor<2>> = None,
        /// What an image says as a whole, `[batch, features]`.
        pub image_embeds: Option<Tensor<2>> = None,
        /// An image that hints at the result, `[batch, 3, 8 * height, 8 * width]`.
        pub hint: Option<Tensor<4>> = None,
        /// The embedded pictures of each IP-Adapter, `[batch, pictures, features]` or `[batch, pictures, tokens, features]`.
        pub ip_adapter_image_embeds: Option<IpAdapterEmbeds> = None,
        /// Where the pictures of each IP-Adapter count; by default everywhere.
        pub ip_adapter_masks: IpAdapterMasks = IpAdapterMasks::default(),
        /// What ControlNets add to the skips of the down blocks, a tensor for each.
        pub down_block_additional_residuals: Vec<Tensor<4>> = Vec::new(),
        /// What ControlNets add to the result of the middle block.
        pub mid_block_additional_residual: Option<Tensor<4>> = None,
        /// What T2I-Adapters add inside the down blocks, a tensor for each, and then to the result of the middle block.
        pub down_intrablock_additional_residuals: Vec<Tensor<4>> = Vec::new(),
    }
}

impl CallableModel for UNet2DConditionModel {
    type Arguments = UNet2DConditionArguments;

    fn dtype(&self) -> DType {
        self.dtype()
    }

    fn call(&self, arguments: UNet2DConditionArguments) -> Result<ModelOutput> {
        let sample = required("sample", arguments.sample)?;
        let timesteps = required("timestep", arguments.timestep)?;
        let text = required("encoder_hidden_states", arguments.encoder_hidden_states)?;
        if timesteps.is_empty() {
            return Err(Error::argument("timestep", "is empty"));
        }
        let ip_adapter = match arguments.ip_adapter_image_embeds {
            Some(embeds) => {
                let masks = arguments.ip_adapter_masks.prepare(embeds.tensors().len())?;
                Some(IpAdapterInputs { image_embeds: embeds.into_tensors(), masks })
            }
            None => None,
        };
        let inputs = UNet2DConditionInputs {
            ip_adapter,
            class_labels: arguments.class_labels.map(ClassLabels::Numbers),
            timestep_cond: arguments.timestep_cond,
            added: AddedConditions {
                text_embeds: arguments.text_embeds,
                time_ids: arguments.time_ids,
                image_embeds: arguments.image_embeds,
                hint: arguments.hint,
            },
            down_block_additional_residuals: arguments.down_block_additional_residuals,
            mid_block_additional_residual: arguments.mid_block_additional_residual,
            down_intrablock_additional_residuals: arguments.down_intrablock_additional_residuals,
        };
        Ok(vec![("sample", self.forward_with(sample, &timesteps, text, inputs)?.into())])
    }
}
