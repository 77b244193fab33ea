//! The ControlNets of Qwen-Image, and one or several as a pipeline has them.

use super::multi_controlnet::list_methods;
use super::one_or_several::one_or_several;
use crate::models::model::Model;
use crate::models::transformers::QwenImageControlNetModel;

/// ControlNets of Qwen-Image, whose results are added. One alone follows several images.
///
/// ```
/// use oxidiff::{
///     Device, Model, QwenImageControlNetConfig, QwenImageControlNetModel, QwenImageMultiControlNetModel,
/// };
///
/// let config = QwenImageControlNetConfig {
///     in_channels: 4,
///     num_layers: 1,
///     attention_head_dim: 6,
///     num_attention_heads: 2,
///     joint_attention_dim: 6,
///     axes_dims_rope: [2; 3],
///     ..Default::default()
/// };
/// let edges = QwenImageControlNetModel::init(&config, &Device::flex())?;
/// let several = QwenImageMultiControlNetModel::new(vec![edges])?;
/// assert_eq!(several.nets().len(), 1);
/// # Ok::<(), oxidiff::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct QwenImageMultiControlNetModel {
    nets: Vec<QwenImageControlNetModel>,
}

impl QwenImageMultiControlNetModel {
    /// The name that `model_index.json` uses.
    pub const CLASS_NAME: &'static str = "QwenImageMultiControlNetModel";

    list_methods!(QwenImageControlNetModel);
}

one_or_several! {
    /// The ControlNets of a pipeline of Qwen-Image.
    QwenImageControlNet of QwenImageControlNetModel, QwenImageMultiControlNetModel, qwen_image_controlnet
}
