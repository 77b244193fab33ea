//! Transformers that denoise.

use burn::tensor::{DType, Tensor};

use crate::any_model::callable::{CallableModel, ModelOutput, required};
use crate::call_arguments;
use crate::error::{Error, Result};
use crate::models::transformers::{DiTTransformer2DModel, ZImageInputs, ZImageTransformer2DModel};

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
    /// The arguments of a call of a [`ZImageTransformer2DModel`].
    pub struct ZImageTransformer2DArguments: "ZImageTransformer2DModel" {
        /// The noisy latents of each image, `[in_channels, frames, height, width]`.
        pub x: Option<Vec<Tensor<4>>> = None,
        /// The time from 0 (noise) to 1: one for all images, or one for each.
        pub t: Option<Vec<f32>> = None,
        /// The hidden states of each caption, `[tokens, cap_feat_dim]`.
        pub cap_feats: Option<Vec<Tensor<2>>> = None,
        /// The height and width of a patch.
        pub patch_size: usize = 2,
        /// The frames of a patch.
        pub f_patch_size: usize = 1,
    }
}

/// The results have no common shape, so each has a number: `sample_0`, `sample_1` and so on stand for Python's list `sample`.
const SAMPLES: [&str; MOST_SAMPLES] =
    ["sample_0", "sample_1", "sample_2", "sample_3", "sample_4", "sample_5", "sample_6", "sample_7"];
/// The most images of a call by name.
const MOST_SAMPLES: usize = 8;

impl CallableModel for ZImageTransformer2DModel {
    type Arguments = ZImageTransformer2DArguments;

    fn dtype(&self) -> DType {
        self.dtype()
    }

    fn call(&self, arguments: ZImageTransformer2DArguments) -> Result<ModelOutput> {
        let x = required("x", arguments.x)?;
        let t = required("t", arguments.t)?;
        let cap_feats = required("cap_feats", arguments.cap_feats)?;
        if x.len() > MOST_SAMPLES {
            return Err(Error::argument("x", format!("{} images; at most {MOST_SAMPLES} at once", x.len())));
        }
        let ZImageTransformer2DArguments { patch_size, f_patch_size, .. } = arguments;
        let inputs = ZImageInputs { patch_size, f_patch_size, ..Default::default() };
        let samples = self.forward_with(&x, &t, &cap_feats, &inputs)?;
        Ok(SAMPLES.into_iter().zip(samples.into_iter().map(Into::into)).collect())
    }
}
