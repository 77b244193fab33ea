//! The transformer of PixArt.

use burn::tensor::{DType, Tensor};

use crate::any_model::callable::{CallableModel, ModelOutput, required};
use crate::call_arguments;
use crate::error::{Error, Result};
use crate::models::transformers::{PixArtInputs, PixArtTransformer2DModel};
use crate::pipelines::AnyTensor;

call_arguments! {
    /// The arguments of a call of a [`PixArtTransformer2DModel`]. The fields of Python's `added_cond_kwargs` are arguments.
    pub struct PixArtTransformer2DArguments: "PixArtTransformer2DModel" {
        /// The noisy latents, `[batch, in_channels, height, width]`.
        pub hidden_states: Option<Tensor<4>> = None,
        /// The embedded prompts, `[batch, tokens, features]`.
        pub encoder_hidden_states: Option<Tensor<3>> = None,
        /// The timestep: one for all items, or one for each.
        pub timestep: Option<Vec<f32>> = None,
        /// Height and width of the images in pixels, `[batch, 2]`.
        pub resolution: Option<Tensor<2>> = None,
        /// Height divided by width, `[batch, 1]` or `[batch]`.
        pub aspect_ratio: Option<AnyTensor> = None,
        /// Which patches of the images count, `[batch, patches]`.
        pub attention_mask: Option<Tensor<2>> = None,
        /// Which tokens of the prompts count, `[batch, tokens]`.
        pub encoder_attention_mask: Option<Tensor<2>> = None,
    }
}

impl CallableModel for PixArtTransformer2DModel {
    type Arguments = PixArtTransformer2DArguments;

    fn dtype(&self) -> DType {
        self.dtype()
    }

    fn call(&self, arguments: PixArtTransformer2DArguments) -> Result<ModelOutput> {
        let resolution = arguments.resolution.map(|resolution| {
            if resolution.dims()[1] != 2 {
                let message = format!("has the shape {:?}, must have [batch, 2]", resolution.dims());
                return Err(Error::argument("resolution", message));
            }
            let sides: Vec<f32> = resolution.cast(DType::F32).into_data().iter().collect();
            Ok(sides.chunks_exact(2).map(|sides| [sides[0], sides[1]]).collect::<Vec<_>>())
        });
        let resolution = resolution.transpose()?;
        let aspect_ratio = arguments.aspect_ratio.map(|ratios| {
            let items: usize = ratios.shape().iter().product();
            let ratios: Tensor<1> = match ratios.shape().len() {
                1 => ratios.to_rank("aspect_ratio")?,
                _ => ratios.to_rank::<2>("aspect_ratio")?.reshape([items]),
            };
            Ok::<Vec<f32>, Error>(ratios.cast(DType::F32).into_data().iter().collect())
        });
        let aspect_ratio = aspect_ratio.transpose()?;
        let sample = self.forward(&PixArtInputs {
            hidden_states: required("hidden_states", arguments.hidden_states)?,
            encoder_hidden_states: arguments.encoder_hidden_states,
            timestep: &required("timestep", arguments.timestep)?,
            resolution: resolution.as_deref(),
            aspect_ratio: aspect_ratio.as_deref(),
            encoder_attention_mask: arguments.encoder_attention_mask,
            attention_mask: arguments.attention_mask,
        })?;
        Ok(vec![("sample", sample.into())])
    }
}
