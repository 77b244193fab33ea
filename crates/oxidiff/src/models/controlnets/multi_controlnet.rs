//! Several ControlNets that steer one UNet together.

use std::path::{Path, PathBuf};

use burn::tensor::Tensor;

use super::controlnet::{ControlNetInputs, ControlNetModel, ControlNetOutput};
use crate::error::{Error, Result};
use crate::models::model::Model;
use crate::wording::counted;

/// Inside `impl`, for a class with a field `nets`, a list of `$net`: makes, loads and saves the list.
macro_rules! list_methods {
    ($net:ident) => {
        /// The given models.
        ///
        /// # Errors
        /// When there are none.
        pub fn new(nets: Vec<$net>) -> $crate::error::Result<Self> {
            if nets.is_empty() {
                return Err($crate::error::Error::argument("controlnet", "is an empty list"));
            }
            Ok(Self { nets })
        }

        /// The models, in their order.
        pub fn nets(&self) -> &[$net] {
            &self.nets
        }

        /// Loads the models from the folders `path`, `path_1`, `path_2` and so on, in `f32` on the CPU.
        ///
        /// # Errors
        /// When there is no such folder, a file is missing or damaged, or weights and configuration do not match.
        pub fn from_pretrained(path: impl AsRef<std::path::Path>) -> $crate::error::Result<Self> {
            Self::from_pretrained_with(path, &$crate::loading::LoadOptions::default())
        }

        /// Loads the models with another element type, device or variant.
        ///
        /// # Errors
        /// As for [`Self::from_pretrained`].
        pub fn from_pretrained_with(
            path: impl AsRef<std::path::Path>,
            options: &$crate::loading::LoadOptions,
        ) -> $crate::error::Result<Self> {
            let folders = (0..).map(|number| $crate::models::controlnets::numbered(path.as_ref(), number));
            let nets = folders
                .take_while(|folder| folder.is_dir())
                .map(|folder| $net::from_pretrained_with(&folder.to_string_lossy(), options))
                .collect::<$crate::error::Result<Vec<_>>>()?;
            if nets.is_empty() {
                let message = format!("no such folder; a {} is in one or more", Self::CLASS_NAME);
                return Err($crate::error::Error::MissingFile { path: path.as_ref().into(), message });
            }
            Self::new(nets)
        }

        /// Writes the models into the folders `folder`, `folder_1`, `folder_2` and so on.
        ///
        /// # Errors
        /// When a folder cannot be written.
        pub fn save_pretrained(&self, folder: impl AsRef<std::path::Path>) -> $crate::error::Result<()> {
            let folders = (0..).map(|number| $crate::models::controlnets::numbered(folder.as_ref(), number));
            self.nets.iter().zip(folders).try_for_each(|(net, folder)| net.save_pretrained(folder))
        }
    };
}

pub(super) use list_methods;

/// Several ControlNets, whose results are added.
///
/// ```
/// use oxidiff::{ControlNetConfig, ControlNetModel, Device, Model, MultiControlNetModel};
///
/// let config = ControlNetConfig { block_out_channels: vec![32; 4], ..Default::default() };
/// let edges = ControlNetModel::init(&config, &Device::flex())?;
/// let both = MultiControlNetModel::new(vec![edges.clone(), edges])?;
/// assert_eq!(both.nets().len(), 2);
/// # Ok::<(), oxidiff::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct MultiControlNetModel {
    nets: Vec<ControlNetModel>,
}

impl MultiControlNetModel {
    /// The name that `model_index.json` uses.
    pub const CLASS_NAME: &'static str = "MultiControlNetModel";

    list_methods!(ControlNetModel);

    /// The sum of what the models say to add inside a UNet: see [`ControlNetModel::forward`]. Each has its own image and its own
    /// scale.
    ///
    /// # Errors
    /// When there is not one image and one scale for each model, or as [`ControlNetModel::forward_with`].
    pub fn forward(
        &self,
        sample: Tensor<4>,
        timesteps: &[f32],
        encoder_hidden_states: Tensor<3>,
        controlnet_cond: &[Tensor<4>],
        conditioning_scale: &[f64],
        inputs: ControlNetInputs,
    ) -> Result<ControlNetOutput> {
        for (argument, given) in
            [("controlnet_cond", controlnet_cond.len()), ("conditioning_scale", conditioning_scale.len())]
        {
            if given != self.nets.len() {
                let message = format!("has {given} for {}", counted(self.nets.len(), "ControlNet"));
                return Err(Error::argument(argument, message));
            }
        }
        let each = self.nets.iter().zip(controlnet_cond).zip(conditioning_scale);
        let mut sum: Option<ControlNetOutput> = None;
        for ((net, image), &conditioning_scale) in each {
            let inputs = ControlNetInputs { conditioning_scale, ..inputs.clone() };
            let (sample, text) = (sample.clone(), encoder_hidden_states.clone());
            let output = net.forward_with(sample, timesteps, text, image.clone(), inputs)?;
            sum = Some(match sum {
                Some(sum) => sum + output,
                None => output,
            });
        }
        Ok(sum.expect("`new` refuses an empty list"))
    }
}

/// The folder of a model by its place in the list.
pub(super) fn numbered(folder: &Path, number: usize) -> PathBuf {
    let mut name = folder.as_os_str().to_owned();
    name.push(suffix(number));
    name.into()
}

/// What the folder of a model has after the name of the first one's.
pub(crate) fn suffix(number: usize) -> String {
    if number == 0 { String::new() } else { format!("_{number}") }
}

impl std::ops::Add for ControlNetOutput {
    type Output = Self;

    /// Adds what two models say to add.
    fn add(self, other: Self) -> Self {
        let down = self.down_block_res_samples.into_iter().zip(other.down_block_res_samples);
        Self {
            down_block_res_samples: down.map(|(one, other)| one + other).collect(),
            mid_block_res_sample: self.mid_block_res_sample + other.mid_block_res_sample,
        }
    }
}
