//! The inputs of a call.

use burn::module::Param;
use burn::tensor::{Bool, DType, Device, Tensor};

use super::condition::TextProjection;
use super::sizes::Sizes;
use crate::error::{Error, Result};
use crate::models::layers::rotary_embedding::RotaryEmbedding;
use crate::wording::counted;

/// What a [`HunyuanDiT2DModel`](super::HunyuanDiT2DModel) and its ControlNet are called with.
#[derive(Clone, Debug)]
pub struct HunyuanDiTInputs<'a> {
    /// The latents, `[batch, in_channels, height, width]`.
    pub hidden_states: Tensor<4>,
    /// The timestep from 1000 (noise) to 0: one for all items, or one for each.
    pub timestep: &'a [f32],
    /// The prompts as the first text encoder embeds them, `[batch, text_len, cross_attention_dim]`.
    pub encoder_hidden_states: Tensor<3>,
    /// Which of its tokens count, `[batch, text_len]`: those that are not 0.
    pub text_embedding_mask: Tensor<2>,
    /// The prompts as T5 embeds them, `[batch, text_len_t5, cross_attention_dim_t5]`.
    pub encoder_hidden_states_t5: Tensor<3>,
    /// Which of its tokens count, `[batch, text_len_t5]`: those that are not 0.
    pub text_embedding_mask_t5: Tensor<2>,
    /// For each item the height and width of the original, those of the result, and from where on it was cropped, for models that are
    /// conditioned on them.
    pub image_meta_size: Option<&'a [[f32; 6]]>,
    /// The style of each item, for the same models. There is one, 0.
    pub style: Option<&'a [usize]>,
    /// By how much the place of a patch turns the features of a head: cosines and sines, each `[patches, attention_head_dim]`, in which
    /// two neighbours are alike. See [`get_2d_rotary_pos_embed`](super::get_2d_rotary_pos_embed).
    pub image_rotary_emb: Option<&'a [Tensor<2>; 2]>,
}

impl HunyuanDiTInputs<'_> {
    /// # Errors
    /// When the numbers do not fit each other, or a shape is not what the configuration says.
    pub(super) fn check(&self, sizes: &Sizes) -> Result<()> {
        sizes.check_latents("hidden_states", &self.hidden_states)?;
        let [batch, _, height, width] = self.hidden_states.dims();
        let items = counted(batch, "item");
        let wrong = |argument, found: &[usize], expected: &[usize]| {
            Error::argument(argument, format!("has the shape {found:?}, must have {expected:?}"))
        };
        let texts = [
            ("encoder_hidden_states", &self.encoder_hidden_states, [sizes.text_len, sizes.text_features]),
            (
                "encoder_hidden_states_t5",
                &self.encoder_hidden_states_t5,
                [sizes.text_len_t5, sizes.t5_features],
            ),
        ];
        for (argument, text, [tokens, features]) in texts {
            if text.dims() != [batch, tokens, features] {
                return Err(wrong(argument, &text.dims(), &[batch, tokens, features]));
            }
        }
        for (argument, mask, tokens) in [
            ("text_embedding_mask", &self.text_embedding_mask, sizes.text_len),
            ("text_embedding_mask_t5", &self.text_embedding_mask_t5, sizes.text_len_t5),
        ] {
            if mask.dims() != [batch, tokens] {
                return Err(wrong(argument, &mask.dims(), &[batch, tokens]));
            }
        }
        if self.timestep.len() != 1 && self.timestep.len() != batch {
            return Err(Error::argument("timestep", format!("got {} for {items}", self.timestep.len())));
        }
        if let Some(value) = self.timestep.iter().find(|value| !value.is_finite()) {
            return Err(Error::argument("timestep", format!("cannot be {value}")));
        }
        if sizes.has_style {
            let sizes_of_images = self.image_meta_size.map(<[_]>::len);
            for (argument, found) in
                [("image_meta_size", sizes_of_images), ("style", self.style.map(<[_]>::len))]
            {
                match found {
                    Some(found) if found == batch => {}
                    Some(found) => {
                        return Err(Error::argument(argument, format!("got {found} for {items}")));
                    }
                    None => {
                        let message =
                            "must be given: the model was made with `use_style_cond_and_image_meta_size`";
                        return Err(Error::argument(argument, message));
                    }
                }
            }
            let numbers = self.image_meta_size.unwrap_or_default().as_flattened();
            if let Some(value) = numbers.iter().find(|value| !value.is_finite()) {
                return Err(Error::argument("image_meta_size", format!("cannot have {value}")));
            }
        }
        let patches = (height / sizes.patch_size) * (width / sizes.patch_size);
        let mut tables = self.image_rotary_emb.into_iter().flatten();
        match tables.find(|table| table.dims() != [patches, sizes.head_dim]) {
            Some(table) => Err(wrong("image_rotary_emb", &table.dims(), &[patches, sizes.head_dim])),
            None => Ok(()),
        }
    }

    /// The tokens of T5 `[batch, tokens, features]`.
    pub(super) fn t5(&self, dtype: DType, device: &Device) -> Tensor<3> {
        self.encoder_hidden_states_t5.clone().to_device(device).cast(dtype)
    }

    /// The tokens that images attend to, `[batch, tokens, features]`: those of both texts. The model has learned what stands for those
    /// that do not count.
    pub(super) fn text(
        &self,
        t5: Tensor<3>,
        projection: &TextProjection,
        padding: &Param<Tensor<2>>,
    ) -> Tensor<3> {
        let (dtype, device) = (t5.dtype(), t5.device());
        let first = self.encoder_hidden_states.clone().to_device(&device).cast(dtype);
        let text = Tensor::cat(vec![first, projection.forward(t5)], 1);
        let masks = [&self.text_embedding_mask, &self.text_embedding_mask_t5];
        let is_hidden = masks.map(|mask| mask.clone().to_device(&device).equal_scalar(0.0));
        let is_hidden: Tensor<3, Bool> = Tensor::cat(is_hidden.to_vec(), 1).unsqueeze_dim(2);
        let dims = text.dims();
        let padding: Tensor<3> = padding.val().cast(dtype).unsqueeze_dim(0);
        text.mask_where(is_hidden.expand(dims), padding.expand(dims))
    }

    /// How places turn the features of a head.
    pub(super) fn rotary(&self, device: &Device) -> Option<RotaryEmbedding> {
        let tables = self.image_rotary_emb?;
        Some(RotaryEmbedding::of_features(tables.clone().map(|table| table.to_device(device))))
    }
}
