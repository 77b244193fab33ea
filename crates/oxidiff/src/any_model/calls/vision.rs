//! Models that look at images.

use burn::tensor::{DType, Tensor};

use super::text_encoders::tokens;
use crate::any_model::callable::{CallableModel, ModelOutput, required};
use crate::call_arguments;
use crate::error::{Error, Result};
use crate::vision::{
    CLIPVisionModelWithProjection, DPTForDepthEstimation, ReduxImageEncoder, Siglip2VisionModel,
    SiglipVisionModel, SiglipVisionOutput,
};

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

call_arguments! {
    /// The arguments of a call of a [`SiglipVisionModel`].
    pub struct SiglipVisionArguments: "SiglipVisionModel" {
        /// The prepared images, `[batch, channels, height, width]`.
        pub pixel_values: Option<Tensor<4>> = None,
    }
}

impl CallableModel for SiglipVisionModel {
    type Arguments = SiglipVisionArguments;

    fn dtype(&self) -> DType {
        self.dtype()
    }

    fn call(&self, arguments: SiglipVisionArguments) -> Result<ModelOutput> {
        Ok(seen(self.forward(required("pixel_values", arguments.pixel_values)?)?))
    }
}

call_arguments! {
    /// The arguments of a call of a [`Siglip2VisionModel`].
    pub struct Siglip2VisionArguments: "Siglip2VisionModel" {
        /// The images in patches, `[batch, patches, channels * patch_size * patch_size]`.
        pub pixel_values: Option<Tensor<3>> = None,
        /// 1 for each patch of an image and 0 for each empty one, `[batch, patches]`.
        pub pixel_attention_mask: Option<Vec<Vec<usize>>> = None,
        /// Height and width of each image in patches, `[batch, 2]`.
        pub spatial_shapes: Option<Vec<Vec<usize>>> = None,
    }
}

impl CallableModel for Siglip2VisionModel {
    type Arguments = Siglip2VisionArguments;

    fn dtype(&self) -> DType {
        self.dtype()
    }

    fn call(&self, arguments: Siglip2VisionArguments) -> Result<ModelOutput> {
        let pixels = required("pixel_values", arguments.pixel_values)?;
        let mask = tokens(required("pixel_attention_mask", arguments.pixel_attention_mask)?);
        let shapes = required("spatial_shapes", arguments.spatial_shapes)?.into_iter().map(|shape| {
            shape
                .try_into()
                .map_err(|_| Error::argument("spatial_shapes", "must be two numbers for each image"))
        });
        Ok(seen(self.forward(pixels, &mask, &shapes.collect::<Result<Vec<_>>>()?)?))
    }
}

fn seen(output: SiglipVisionOutput) -> ModelOutput {
    let pooled = output.pooler_output.map(|pooled| ("pooler_output", pooled.into()));
    [("last_hidden_state", output.last_hidden_state.into())].into_iter().chain(pooled).collect()
}

call_arguments! {
    /// The arguments of a call of a [`ReduxImageEncoder`].
    pub struct ReduxImageEncoderArguments: "ReduxImageEncoder" {
        /// The embedded images, `[batch, patches, redux_dim]`.
        pub x: Option<Tensor<3>> = None,
    }
}

impl CallableModel for ReduxImageEncoder {
    type Arguments = ReduxImageEncoderArguments;

    fn dtype(&self) -> DType {
        self.dtype()
    }

    fn call(&self, arguments: ReduxImageEncoderArguments) -> Result<ModelOutput> {
        Ok(vec![("image_embeds", self.forward(required("x", arguments.x)?)?.into())])
    }
}
