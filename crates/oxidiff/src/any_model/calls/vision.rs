//! Models that look at images.

use burn::tensor::{DType, Tensor};

use crate::any_model::callable::{CallableModel, ModelOutput, required};
use crate::call_arguments;
use crate::error::Result;
use crate::vision::{CLIPVisionModelWithProjection, DPTForDepthEstimation};

call_arguments! {
    /// The arguments of a call of a [`DPTForDepthEstimation`].
    pub struct DepthEstimatorArguments: "DPTForDepthEstimation" {
        /// The prepared images, `[batch, channels, height, width]`.
        pub pixel_values: Option<Tensor<4>> = None,
    }
}

impl CallableModel for DPTForDepthEstimation {
    type Arguments = DepthEstimatorArguments;

    fn dtype(&self) -> DType {
        self.dtype()
    }

    fn call(&self, arguments: DepthEstimatorArguments) -> Result<ModelOutput> {
        let output = self.forward(required("pixel_values", arguments.pixel_values)?)?;
        Ok(vec![("predicted_depth", output.predicted_depth.into())])
    }
}

call_arguments! {
    /// The arguments of a call of a [`CLIPVisionModelWithProjection`].
    pub struct ImageEncoderArguments: "CLIPVisionModelWithProjection" {
        /// The prepared images, `[batch, channels, height, width]`.
        pub pixel_values: Option<Tensor<4>> = None,
    }
}

impl CallableModel for CLIPVisionModelWithProjection {
    type Arguments = ImageEncoderArguments;

    fn dtype(&self) -> DType {
        self.dtype()
    }

    fn call(&self, arguments: ImageEncoderArguments) -> Result<ModelOutput> {
        let output = self.forward(required("pixel_values", arguments.pixel_values)?)?;
        Ok(vec![
            ("image_embeds", output.image_embeds.into()),
            ("last_hidden_state", output.last_hidden_state.into()),
        ])
    }
}
