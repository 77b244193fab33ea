//! Transformers that denoise.

use burn::tensor::{DType, Tensor};

use crate::any_model::callable::{CallableModel, ModelOutput, required};
use crate::call_arguments;
use crate::error::Result;
use crate::models::transformers::DiTTransformer2DModel;

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
