//! Checks of the inputs of a ControlNetUnion.

use burn::tensor::Tensor;

use super::ControlNetUnionModel;
use crate::error::{Error, Result};

impl ControlNetUnionModel {
    /// Checks the inputs and returns one timestep per item of the batch.
    pub(super) fn check_shapes(
        &self,
        sample: &Tensor<4>,
        timesteps: &[f32],
        text: &Tensor<3>,
        images: &[Tensor<4>],
    ) -> Result<Vec<f32>> {
        let [batch, channels, height, width] = sample.dims();
        let taken = self.config.in_channels;
        if channels != taken {
            let message = format!("has {channels} channels, the model takes {taken}");
            return Err(Error::argument("sample", message));
        }
        if batch == 0 || height == 0 || width == 0 {
            return Err(Error::argument("sample", format!("is empty: {:?}", sample.dims())));
        }
        let ([text_batch, _, features], taken) = (text.dims(), self.config.cross_attention_dim);
        if text_batch != batch {
            let message = format!("has a batch of {text_batch}, but the sample has one of {batch}");
            return Err(Error::argument("encoder_hidden_states", message));
        }
        if features != taken {
            let message = format!("has tokens of length {features}, the model takes {taken}");
            return Err(Error::argument("encoder_hidden_states", message));
        }
        for image in images {
            let [items, channels, rows, columns] = image.dims();
            let taken = self.config.conditioning_channels;
            if channels != taken || (items != batch && items != 1) {
                let message = format!(
                    "has shape {:?}, the model takes {batch} images of {taken} channels",
                    image.dims()
                );
                return Err(Error::argument("controlnet_cond", message));
            }
            let embedded = self.controlnet_cond_embedding.size([rows, columns]);
            if embedded != [height, width] {
                let message = format!(
                    "has {rows}x{columns} pixels, which become {embedded:?} positions, but the sample has {:?}",
                    [height, width]
                );
                return Err(Error::argument("controlnet_cond", message));
            }
        }
        match timesteps {
            [timestep] => Ok(vec![*timestep; batch]),
            _ if timesteps.len() == batch => Ok(timesteps.to_vec()),
            _ => Err(Error::argument("timestep", format!("{} for a batch of {batch}", timesteps.len()))),
        }
    }
}
