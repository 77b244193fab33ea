//! Several ControlNets of HunyuanDiT, and one or several as a pipeline has them.

use super::multi_controlnet::list_methods;
use super::one_or_several::one_or_several;
use crate::models::model::Model;
use crate::models::transformers::HunyuanDiT2DControlNetModel;

/// Several ControlNets of HunyuanDiT, whose results are added.
///
/// ```
/// use oxidiff::{
///     Device, HunyuanDiT2DControlNetConfig, HunyuanDiT2DControlNetModel, HunyuanDiT2DMultiControlNetModel, Model,
/// };
///
/// let config = HunyuanDiT2DControlNetConfig {
///     num_attention_heads: 2,
///     attention_head_dim: 8,
///     hidden_size: 16,
///     transformer_num_layers: 4,
///     ..Default::default()
/// };
/// let edges = HunyuanDiT2DControlNetModel::init(&config, &Device::flex())?;
/// let both = HunyuanDiT2DMultiControlNetModel::new(vec![edges.clone(), edges])?;
/// assert_eq!(both.nets().len(), 2);
/// # Ok::<(), oxidiff::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct HunyuanDiT2DMultiControlNetModel {
    nets: Vec<HunyuanDiT2DControlNetModel>,
}

impl HunyuanDiT2DMultiControlNetModel {
    /// The name that `model_index.json` uses.
    pub const CLASS_NAME: &'static str = "HunyuanDiT2DMultiControlNetModel";

    list_methods!(HunyuanDiT2DControlNetModel);
}

one_or_several! {
    /// The ControlNets of a pipeline of HunyuanDiT.
    HunyuanDiTControlNet of HunyuanDiT2DControlNetModel, HunyuanDiT2DMultiControlNetModel, hunyuan_dit_controlnet
}
