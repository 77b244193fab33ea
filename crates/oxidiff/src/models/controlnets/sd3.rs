//! Several ControlNets of Stable Diffusion 3, and one or several as a pipeline has them.

use super::multi_controlnet::list_methods;
use super::one_or_several::one_or_several;
use crate::models::model::Model;
use crate::models::transformers::SD3ControlNetModel;

/// Several ControlNets of Stable Diffusion 3, whose results are added.
///
/// ```
/// use oxidiff::{Device, Model, SD3ControlNetConfig, SD3ControlNetModel, SD3MultiControlNetModel};
///
/// let config = SD3ControlNetConfig {
///     sample_size: 8,
///     num_layers: 1,
///     attention_head_dim: 8,
///     num_attention_heads: 2,
///     caption_projection_dim: 16,
///     pos_embed_max_size: 8,
///     ..Default::default()
/// };
/// let edges = SD3ControlNetModel::init(&config, &Device::flex())?;
/// let both = SD3MultiControlNetModel::new(vec![edges.clone(), edges])?;
/// assert_eq!(both.nets().len(), 2);
/// # Ok::<(), oxidiff::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct SD3MultiControlNetModel {
    nets: Vec<SD3ControlNetModel>,
}

impl SD3MultiControlNetModel {
    /// The name that `model_index.json` uses.
    pub const CLASS_NAME: &'static str = "SD3MultiControlNetModel";

    list_methods!(SD3ControlNetModel);
}

one_or_several! {
    /// The ControlNets of a pipeline of Stable Diffusion 3.
    SD3ControlNet of SD3ControlNetModel, SD3MultiControlNetModel, sd3_controlnet
}
