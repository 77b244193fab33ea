//! Several ControlNetUnions that steer one UNet together.

use std::path::{Path, PathBuf};

use burn::tensor::Tensor;

use super::{ControlNetUnionInputs, ControlNetUnionModel};
use crate::error::{Error, Result};
use crate::loading::LoadOptions;
use crate::models::controlnets::{ControlNetOutput, suffix};
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

    /// The given models.
    ///
    /// # Errors
    /// When there are none.
    pub fn new(nets: Vec<ControlNetUnionModel>) -> Result<Self> {
        if nets.is_empty() {
            return Err(Error::argument("controlnet", "is an empty list"));
        }
        Ok(Self { nets })
    }

    /// The models, in their order.
    pub fn nets(&self) -> &[ControlNetUnionModel] {
        &self.nets
    }

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

    /// Loads the models from the folders `path`, `path_1`, `path_2` and so on, in `f32` on the CPU.
    ///
    /// # Errors
    /// When there is no such folder, a file is missing or damaged, or weights and configuration do not match.
    pub fn from_pretrained(path: impl AsRef<Path>) -> Result<Self> {
        Self::from_pretrained_with(path, &LoadOptions::default())
    }

    /// Loads the models with another element type, device or variant.
    ///
    /// # Errors
    /// As for [`Self::from_pretrained`].
    pub fn from_pretrained_with(path: impl AsRef<Path>, options: &LoadOptions) -> Result<Self> {
        let folders = (0..).map(|number| numbered(path.as_ref(), number));
        let nets = folders
            .take_while(|folder| folder.is_dir())
            .map(|folder| ControlNetUnionModel::from_pretrained_with(&folder.to_string_lossy(), options))
            .collect::<Result<Vec<_>>>()?;
        if nets.is_empty() {
            let message = format!("no such folder; a {} is in one or more", Self::CLASS_NAME);
            return Err(Error::MissingFile { path: path.as_ref().into(), message });
        }
        Self::new(nets)
    }

    /// Writes the models into the folders `folder`, `folder_1`, `folder_2` and so on.
    ///
    /// # Errors
    /// When a folder cannot be written.
    pub fn save_pretrained(&self, folder: impl AsRef<Path>) -> Result<()> {
        let folders = (0..).map(|number| numbered(folder.as_ref(), number));
        self.nets.iter().zip(folders).try_for_each(|(net, folder)| net.save_pretrained(folder))
    }
}

/// The folder of a model by its place in the list.
fn numbered(folder: &Path, number: usize) -> PathBuf {
    let mut name = folder.as_os_str().to_owned();
    name.push(suffix(number));
    name.into()
}
