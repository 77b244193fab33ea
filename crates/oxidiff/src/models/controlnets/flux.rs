//! Several ControlNets of FLUX.1, and one or several as a pipeline has them.

use super::multi_controlnet::list_methods;
use super::one_or_several::one_or_several;
use crate::models::model::Model;
use crate::models::transformers::FluxControlNetModel;

/// Several ControlNets of FLUX.1, whose results are added.
///
/// ```
/// use oxidiff::{Device, FluxControlNetConfig, FluxControlNetModel, FluxMultiControlNetModel, Model};
///
/// let config = FluxControlNetConfig {
///     num_layers: 1,
///     num_single_layers: 0,
///     attention_head_dim: 6,
///     num_attention_heads: 2,
///     axes_dims_rope: [2; 3],
///     ..Default::default()
/// };
/// let edges = FluxControlNetModel::init(&config, &Device::flex())?;
/// let both = FluxMultiControlNetModel::new(vec![edges.clone(), edges])?;
/// assert_eq!(both.nets().len(), 2);
/// # Ok::<(), oxidiff::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct FluxMultiControlNetModel {
    nets: Vec<FluxControlNetModel>,
}

impl FluxMultiControlNetModel {
    /// The name that `model_index.json` uses.
    pub const CLASS_NAME: &'static str = "FluxMultiControlNetModel";

    list_methods!(FluxControlNetModel);
}

one_or_several! {
    /// The ControlNets of a pipeline of FLUX.1.
    FluxControlNet of FluxControlNetModel, FluxMultiControlNetModel, flux_controlnet
}
