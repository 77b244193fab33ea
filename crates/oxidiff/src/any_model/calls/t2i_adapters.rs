//! T2I-Adapters.

use burn::tensor::{DType, Tensor};

use crate::any_model::callable::{CallableModel, ModelOutput, required};
use crate::call_arguments;
use crate::error::Result;
use crate::models::t2i_adapters::T2IAdapter;

call_arguments! {
    /// The arguments of a call of a [`T2IAdapter`].
    pub struct T2IAdapterArguments: "T2IAdapter" {
        /// The image to follow, values in [0, 1], `[batch, in_channels, height, width]`.
        pub x: Option<Tensor<4>> = None,
    }
}

/// The features have the same name.
impl CallableModel for T2IAdapter {
    type Arguments = T2IAdapterArguments;

    fn dtype(&self) -> DType {
        self.dtype()
    }

    fn call(&self, arguments: T2IAdapterArguments) -> Result<ModelOutput> {
        let features = self.forward(required("x", arguments.x)?)?;
        Ok(features.into_iter().map(|feature| ("features", feature.into())).collect())
    }
}
