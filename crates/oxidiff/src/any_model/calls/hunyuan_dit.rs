//! The transformer of HunyuanDiT.

use burn::tensor::{DType, Tensor};

use crate::any_model::callable::{CallableModel, ModelOutput, required};
use crate::call_arguments;
use crate::error::{Error, Result};
use crate::models::transformers::{HunyuanDiT2DModel, HunyuanDiTInputs};

call_arguments! {
    /// The arguments of a call of a [`HunyuanDiT2DModel`].
    pub struct HunyuanDiT2DArguments: "HunyuanDiT2DModel" {
        /// The latents, `[batch, in_channels, height, width]`.
        pub hidden_states: Option<Tensor<4>> = None,
        /// The timestep from 1000 (noise) to 0: one for all items, or one for each.
        pub timestep: Option<Vec<f32>> = None,
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
        /// What ControlNets add to the results of the first half's blocks, each `[batch, tokens, hidden_size]`.
        pub controlnet_block_samples: Vec<Tensor<3>> = Vec::new(),
    }
}

impl CallableModel for HunyuanDiT2DModel {
    type Arguments = HunyuanDiT2DArguments;

    fn dtype(&self) -> DType {
        self.dtype()
    }

    fn call(&self, mut arguments: HunyuanDiT2DArguments) -> Result<ModelOutput> {
        let added = std::mem::take(&mut arguments.controlnet_block_samples);
        let sample = arguments.with_inputs(|inputs| self.forward_with(&inputs, &added))?;
        Ok(vec![("sample", sample.into())])
    }
}

impl HunyuanDiT2DArguments {
    /// Calls a model with what the transformer and its ControlNets both take.
    ///
    /// # Errors
    /// When an argument is missing, has a wrong form, or the model refuses it.
    pub(super) fn with_inputs<T>(self, model: impl FnOnce(HunyuanDiTInputs<'_>) -> Result<T>) -> Result<T> {
        let arguments = self;
        let sizes = arguments.image_meta_size.map(rows).transpose()?;
        let places = arguments.image_rotary_emb.map(|tables| {
            let wrong = |_| Error::argument("image_rotary_emb", "must be cosines and sines");
            <[Tensor<2>; 2]>::try_from(tables).map_err(wrong)
        });
        let places = places.transpose()?;
        model(HunyuanDiTInputs {
            hidden_states: required("hidden_states", arguments.hidden_states)?,
            timestep: &required("timestep", arguments.timestep)?,
            encoder_hidden_states: required("encoder_hidden_states", arguments.encoder_hidden_states)?,
            text_embedding_mask: required("text_embedding_mask", arguments.text_embedding_mask)?,
            encoder_hidden_states_t5: required(
                "encoder_hidden_states_t5",
                arguments.encoder_hidden_states_t5,
            )?,
            text_embedding_mask_t5: required("text_embedding_mask_t5", arguments.text_embedding_mask_t5)?,
            image_meta_size: sizes.as_deref(),
            style: arguments.style.as_deref(),
            image_rotary_emb: places.as_ref(),
        })
    }
}

/// The sizes of each item.
fn rows(sizes: Tensor<2>) -> Result<Vec<[f32; 6]>> {
    let [_, numbers] = sizes.dims();
    if numbers != 6 {
        return Err(Error::argument(
            "image_meta_size",
            format!("has {numbers} numbers for an item, must have 6"),
        ));
    }
    let values: Vec<f32> = sizes.cast(DType::F32).into_data().iter().collect();
    Ok(values.chunks_exact(6).map(|row| row.try_into().expect("chunks of this length")).collect())
}
