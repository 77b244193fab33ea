//! The configuration of the ControlNet of Z-Image.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::ZImageTransformer2DConfig;
use crate::error::{Error, Result};

/// What a ControlNet of Z-Image refines its image with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ControlNoiseRefiner {
    /// Its layers, which also see the tokens of the noisy image.
    ControlLayers,
    /// Layers of its own, which also see them.
    ControlNoiseRefiner,
}

/// The configuration of a [`ZImageControlNetModel`](super::ZImageControlNetModel); fields and defaults are those of diffusers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[allow(
    missing_docs,
    reason = "the fields are documented by the library whose configuration files this reads"
)]
pub struct ZImageControlNetConfig {
    /// The layers of the transformer whose results are added to.
    pub control_layers_places: Vec<usize>,
    /// The layers of the transformer's refiner whose results are added to.
    pub control_refiner_layers_places: Option<Vec<usize>>,
    /// Channels of the image to follow.
    pub control_in_dim: Option<usize>,
    /// What refines the image to follow together with the noisy one; by default it is refined alone.
    pub add_control_noise_refiner: Option<ControlNoiseRefiner>,
    pub all_patch_size: Vec<usize>,
    pub all_f_patch_size: Vec<usize>,
    pub dim: usize,
    pub n_refiner_layers: usize,
    pub n_heads: usize,
    /// Has no effect, as in Python: there are as many heads of keys as of queries.
    pub n_kv_heads: usize,
    pub norm_eps: f64,
    pub qk_norm: bool,
    /// Fields that this class does not know; they are kept.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

impl Default for ZImageControlNetConfig {
    fn default() -> Self {
        let shape = ZImageTransformer2DConfig::default();
        Self {
            // Those of the first published ControlNet; Python has no defaults for these two.
            control_layers_places: vec![0, 5, 10, 15, 20, 25],
            control_in_dim: Some(shape.in_channels),
            control_refiner_layers_places: None,
            add_control_noise_refiner: None,
            all_patch_size: shape.all_patch_size,
            all_f_patch_size: shape.all_f_patch_size,
            dim: shape.dim,
            n_refiner_layers: shape.n_refiner_layers,
            n_heads: shape.n_heads,
            n_kv_heads: shape.n_kv_heads,
            norm_eps: shape.norm_eps,
            qk_norm: shape.qk_norm,
            other: Map::new(),
        }
    }
}

impl ZImageControlNetConfig {
    /// The shape of a block, as the transformer's configuration says it.
    pub(super) fn shape(&self) -> ZImageTransformer2DConfig {
        let head = self.dim / self.n_heads.max(1);
        ZImageTransformer2DConfig {
            all_patch_size: self.all_patch_size.clone(),
            all_f_patch_size: self.all_f_patch_size.clone(),
            in_channels: self.control_in_dim.unwrap_or_default(),
            dim: self.dim,
            n_refiner_layers: self.n_refiner_layers,
            n_heads: self.n_heads,
            norm_eps: self.norm_eps,
            qk_norm: self.qk_norm,
            // A ControlNet has no positions of its own.
            axes_dims: [head, 0, 0],
            ..Default::default()
        }
    }

    /// # Errors
    /// When the configuration contradicts itself.
    pub(super) fn check(&self) -> Result<()> {
        let invalid = |field: &str, message: String| Err(Error::config("", field, message));
        if self.control_in_dim.is_none() {
            return invalid("control_in_dim", "must be set".into());
        }
        let places = &self.control_layers_places;
        if places.first() != Some(&0) || places.windows(2).any(|pair| pair[0] >= pair[1]) {
            return invalid("control_layers_places", format!("is {places:?}, but must ascend from 0"));
        }
        if places.len() > 1024 {
            return invalid("control_layers_places", "must have at most 1024 places".into());
        }
        let refining = match self.add_control_noise_refiner {
            None => 0,
            Some(ControlNoiseRefiner::ControlLayers) => places.len(),
            Some(ControlNoiseRefiner::ControlNoiseRefiner) => self.n_refiner_layers,
        };
        let refined = self.control_refiner_layers_places.as_deref().unwrap_or_default();
        if self.add_control_noise_refiner.is_some() && (refined.len() > refining || refining == 0) {
            let message = format!("is {refined:?}, but {refining} layers refine the image to follow");
            return invalid("control_refiner_layers_places", message);
        }
        if self.add_control_noise_refiner.is_some() && self.control_refiner_layers_places.is_none() {
            let message = "must be set with `add_control_noise_refiner`";
            return invalid("control_refiner_layers_places", message.into());
        }
        self.shape().check()
    }
}
