//! Several ControlNetUnions that steer one UNet together.

use burn::tensor::Tensor;

use super::{ControlNetUnionInputs, ControlNetUnionModel};
use crate::error::{Error, Result};
use crate::models::controlnets::ControlNetOutput;
use crate::models::controlnets::multi_controlnet::list_methods;
use crate::models::model::Model;
use crate::wording::counted;

/// Several ControlNetUnions, whose results are added.
///
/// ```
/// use oxidiff::{ControlNetUnionConfig, ControlNetUnionModel, Device, Model, MultiControlNetUnionModel};
///
/// let config = ControlNetUnionConfig { addition_time_embed_dim: Some(256), ..Default::default() };
/// let one = ControlNetUnionModel::init(&config, &Device::flex())?;
/// let both = MultiControlNetUnionModel::new(vec![one.clone(), one])?;
/// assert_eq!(both.nets().len(), 2);
/// # Ok::<(), oxidiff::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct MultiControlNetUnionModel {
    nets: Vec<ControlNetUnionModel>,
}

impl MultiControlNetUnionModel {
    /// The name that `model_index.json` uses.
    pub const CLASS_NAME: &'static str = "MultiControlNetUnionModel";

    list_methods!(ControlNetUnionModel);

    /// The sum of what the models say to add inside a UNet: see [`ControlNetUnionModel::forward`]. Each has its own images, their
    /// types, and one scale; a model whose scale is 0 is not asked. `None` if none is.
    ///
    /// # Errors
    /// When there are not images, types and a scale for each model, or as [`ControlNetUnionModel::forward_with`].
    #[expect(clippy::too_many_arguments, reason = "those of Python")]
    pub fn forward(
        &self,
        sample: Tensor<4>,
        timesteps: &[f32],
        encoder_hidden_states: Tensor<3>,
        controlnet_cond: &[Vec<Tensor<4>>],
        control_type_idx: &[Vec<usize>],
        conditioning_scale: &[f64],
        inputs: ControlNetUnionInputs,
    ) -> Result<Option<ControlNetOutput>> {
        for (argument, given) in [
            ("controlnet_cond", controlnet_cond.len()),
            ("control_type_idx", control_type_idx.len()),
            ("conditioning_scale", conditioning_scale.len()),
        ] {
            if given != self.nets.len() {
                let message = format!("has {given} for {}", counted(self.nets.len(), "ControlNet"));
                return Err(Error::argument(argument, message));
            }
        }
        let each = self.nets.iter().zip(controlnet_cond).zip(control_type_idx).zip(conditioning_scale);
        let mut sum: Option<ControlNetOutput> = None;
        for (((net, images), types), &scale) in each.filter(|(_, scale)| **scale != 0.0) {
            let conditioning_scale = vec![scale; images.len()];
            let inputs = ControlNetUnionInputs { conditioning_scale, from_multi: true, ..inputs.clone() };
            let (sample, text) = (sample.clone(), encoder_hidden_states.clone());
            let output = net.forward_with(sample, timesteps, text, images, types, inputs)?;
            sum = Some(match sum {
                Some(sum) => sum + output,
                None => output,
            });
        }
        Ok(sum)
    }
}
