//! The calls that a card plans and runs.

use burn::tensor::Tensor;

use super::UNet2DConditionModel;
use super::added_embedding::AddedEmbedding;
use super::conditioning::AddedConditions;
use super::residuals::Residuals;
use crate::error::Result;
use crate::models::layers::attention_context::AttentionContext;
use crate::models::placement::Operand;

impl UNet2DConditionModel {
    /// As [`Self::predict`], for the conditions of Stable Diffusion and Stable Diffusion XL: all of it on the card.
    pub(super) fn predict_on_card(
        &self,
        sample: Tensor<4>,
        timesteps: &[f32],
        text: Tensor<3>,
        added: AddedConditions,
        residuals: Residuals,
    ) -> Result<Tensor<4>> {
        let dtype = self.dtype();
        let time = self.time_proj.forward(timesteps, "timestep", &sample.device())?;
        // The text is the same in each step of a generation, so the tensor that was given is passed on.
        let mut inputs: Vec<Operand> = vec![sample.into(), time.into(), text.into()];
        if let Some(AddedEmbedding::TextTime(embedding)) = &self.add_embedding {
            let AddedConditions { text_embeds, time_ids, .. } = added;
            inputs.push(embedding.join(text_embeds, time_ids, timesteps.len(), dtype)?.into());
        }
        let layout = residuals.layout();
        inputs.extend(residuals.into_operands());
        let name = layout.name(&format!("predict {:?}", self.freeu));
        self.placement.call_for_image(self, &name, &inputs, &[2], |model, inputs| {
            let mut inputs = inputs.into_iter();
            let mut next = || inputs.next().expect("as many inputs as were given");
            let (sample, time, text) = (next().into_image(), next().into_matrix(), next().into_tokens());
            let mut temb = model.time_embedding.forward(time.cast(dtype), None);
            if let Some(AddedEmbedding::TextTime(embedding)) = &model.add_embedding {
                temb = temb + embedding.embed(next().into_matrix());
            }
            let (temb, sample) = (model.activate_embedding(temb), model.centred(sample.cast(dtype)));
            let context = text.cast(dtype).into();
            model.denoise(sample, &temb, &context, Residuals::from_operands(inputs, layout))
        })
    }

    /// As [`Self::denoise`], given conditions that were embedded on the CPU.
    pub(super) fn denoise_on_card(
        &self,
        sample: Tensor<4>,
        temb: Tensor<2>,
        context: AttentionContext,
        residuals: Residuals,
    ) -> Result<Tensor<4>> {
        let name = format!("denoise {:?} {}", self.freeu, self.ip_adapter_scales());
        let (context, context_layout) = context.into_operands();
        let conditions: Vec<usize> = (2..2 + context.len()).collect();
        let layout = residuals.layout();
        let mut inputs = vec![sample.into(), temb.into()];
        inputs.extend(context);
        inputs.extend(residuals.into_operands());
        let name = layout.name(&name);
        self.placement.call_for_image(self, &name, &inputs, &conditions, |model, inputs| {
            let mut inputs = inputs.into_iter();
            let mut next = || inputs.next().expect("as many inputs as were given");
            let (sample, temb) = (next().into_image(), next().into_matrix());
            let context = AttentionContext::from_operands(&context_layout, &mut inputs);
            model.denoise(sample, &temb, &context, Residuals::from_operands(inputs, layout))
        })
    }
}
