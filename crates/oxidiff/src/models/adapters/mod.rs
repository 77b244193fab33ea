//! Adapters, LoRA (Hu et al. 2021, <https://arxiv.org/abs/2106.09685>) and its relatives, on a model's weights.
//!
//! A layer with the weight `W` computes with `W + Σ ΔWᵢ`, where `ΔWᵢ = sᵢ Bᵢ Aᵢ` for a LoRA. The sum is formed when adapters change, not in each call, so a
//! call costs the same as without adapters. The weights of the checkpoint are kept as well (mapped from the file, they need
//! no memory of their own), so that removing an adapter restores every bit. Quantised weights stay as they are: `Bᵢ` and `Aᵢ` are kept beside
//! them.

mod change;
mod weights;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param, ParamId};
use burn::tensor::{DType, Device, Tensor};

use self::change::Layer;
use self::weights::Factors;
pub use self::weights::{AdapterWeight, BlockWeight, BlockWeights};
use crate::error::{Error, Result};
use crate::loading::lora::LoraLayers;
use crate::loading::weights::{pop_field, push_field};
use crate::models::finite::is_finite;
use crate::models::layers::quantised_weight::{Half, QuantisedWeight, quantised_weights};
use crate::models::model::Model;

/// A model that supports adapters.
pub(crate) trait Adaptable: Model {
    fn adapters(&self) -> &Adapters;

    fn adapters_mut(&mut self) -> &mut Adapters;

    /// Changes the adapters, then updates the weights.
    ///
    /// # Errors
    /// Those of `change`, and when a weight overflows, or an adapter of another kind than LoRA changes one that is quantised.
    fn adapt<T>(&mut self, change: impl FnOnce(&mut Adapters) -> Result<T>) -> Result<T> {
        let mut adapters = std::mem::take(self.adapters_mut());
        let result = change(&mut adapters);
        let quantised = quantised_weights(self);
        let mut merger = Merger { adapters: &mut adapters, quantised, path: Vec::new(), error: None };
        *self = self.clone().map(&mut merger);
        let error = merger.error;
        *self.adapters_mut() = adapters;
        let result = result?;
        error.map_or(Ok(result), Err)
    }

    /// Removes all adapters. Those that are fused into the weights stay there.
    fn unload_adapters(&mut self) {
        // Fused adapters stay, and so does an overflow that they cause, which was reported when they were fused.
        let _ = self.adapt(|adapters| {
            adapters.list.clear();
            Ok(())
        });
        *self.adapters_mut() = Adapters::default();
    }
}

/// A model that takes adapters, of whatever class. Every [`Adaptable`] is one.
pub trait AnyAdaptable {
    fn adapters(&self) -> &Adapters;

    /// As [`Adaptable::adapt`].
    fn change_adapters(&mut self, change: &mut dyn FnMut(&mut Adapters) -> Result<()>) -> Result<()>;

    /// As [`Adaptable::unload_adapters`].
    fn unload_adapters(&mut self);

    /// The weights that adapters can change, by key and shape.
    fn adaptable_weights(&self) -> BTreeMap<String, Vec<usize>>;

    /// Where the weights are.
    fn weights_device(&self) -> Device;
}

impl<M: Adaptable> AnyAdaptable for M {
    fn adapters(&self) -> &Adapters {
        Adaptable::adapters(self)
    }

    fn change_adapters(&mut self, change: &mut dyn FnMut(&mut Adapters) -> Result<()>) -> Result<()> {
        self.adapt(change)
    }

    fn unload_adapters(&mut self) {
        Adaptable::unload_adapters(self);
    }

    fn adaptable_weights(&self) -> BTreeMap<String, Vec<usize>> {
        adaptable_weights(self)
    }

    fn weights_device(&self) -> Device {
        self.devices().into_iter().next().unwrap_or_default()
    }
}

/// The adapters of a model.
#[derive(Clone, Debug)]
pub struct Adapters {
    list: Vec<Adapter>,
    /// Adapters merged into the weights, which no longer follow the list.
    fused: Vec<Adapter>,
    /// A factor for all adapters that are not fused.
    scale: f64,
    enabled: bool,
    /// The flattened weights of the checkpoint, for layers that adapters have changed.
    base: BTreeMap<String, Tensor<1>>,
}

/// An adapter and its factor in the sum.
#[derive(Clone, Debug)]
struct Adapter {
    name: String,
    layers: Arc<BTreeMap<String, Layer>>,
    active: bool,
    factors: Factors,
}

impl Default for Adapters {
    fn default() -> Self {
        Self { list: Vec::new(), fused: Vec::new(), scale: 1.0, enabled: true, base: BTreeMap::new() }
    }
}

impl Adapters {
    /// Adds an adapter, which becomes the only active one. As in PEFT, those that are fused are taken out of the weights, with a warning.
    ///
    /// # Errors
    /// When the name is taken, the file does not hold what its header says, or a value is not finite.
    pub(crate) fn add(&mut self, name: &str, layers: &LoraLayers, device: &Device) -> Result<()> {
        self.check_free(name)?;
        let mut loaded = BTreeMap::new();
        for (key, layer) in layers {
            loaded.insert(key.clone(), Layer::load(key, layer, device)?);
        }
        if !self.fused.is_empty() {
            let fused = self.fused().join("`, `");
            tracing::warn!(
                "loading `{name}` takes `{fused}` out of the weights: unload fused adapters first to keep them there"
            );
            self.fused.clear();
        }
        for adapter in &mut self.list {
            adapter.active = false;
        }
        self.list.push(Adapter {
            name: name.to_owned(),
            layers: Arc::new(loaded),
            active: true,
            factors: Factors::one(),
        });
        Ok(())
    }

    /// # Errors
    /// When there is already an adapter of this name.
    pub(crate) fn check_free(&self, name: &str) -> Result<()> {
        if self.list.iter().any(|adapter| adapter.name == name) {
            return Err(Error::argument("adapter_name", format!("there is already an adapter `{name}`")));
        }
        Ok(())
    }

    /// The name for an adapter that is not given one.
    pub(crate) fn default_name(&self) -> String {
        format!("default_{}", self.list.len())
    }

    /// Activates exactly the given adapters, with these weights. Adapters that this model does not have are ignored.
    pub(crate) fn set(&mut self, adapters: &[(&str, Factors)]) {
        for adapter in &mut self.list {
            let found = adapters.iter().find(|(name, _)| *name == adapter.name);
            adapter.active = found.is_some();
            if let Some((_, factors)) = found {
                adapter.factors = factors.clone();
            }
        }
    }

    pub(crate) fn set_scale(&mut self, scale: f64) {
        self.scale = scale;
    }

    pub(crate) fn set_enabled(&mut self, enabled: bool) {
        // Without adapters, there is nothing that stays disabled.
        self.enabled = enabled || self.list.is_empty();
        if !enabled {
            self.fused.clear();
        }
    }

    /// Merges the adapters of the given names, or the active ones, into the weights. `scale` becomes a permanent factor of the
    /// active ones.
    pub(crate) fn fuse(&mut self, scale: f64, names: Option<&[&str]>) {
        for adapter in self.list.iter_mut().filter(|adapter| adapter.active) {
            adapter.factors.scale(scale);
        }
        for adapter in &self.list {
            let wanted = names.map_or(adapter.active, |names| names.contains(&adapter.name.as_str()));
            if wanted && !self.fused.iter().any(|fused| fused.name == adapter.name) {
                self.fused.push(adapter.clone());
            }
        }
    }

    pub(crate) fn unfuse(&mut self) {
        self.fused.clear();
    }

    pub(crate) fn delete(&mut self, names: &[&str]) -> Result<()> {
        if let Some(fused) = self.fused.iter().find(|fused| names.contains(&fused.name.as_str())) {
            let message = format!("`{}` is fused into the weights: unfuse it first", fused.name);
            return Err(Error::argument("adapter_names", message));
        }
        self.list.retain(|adapter| !names.contains(&adapter.name.as_str()));
        self.enabled |= self.list.is_empty();
        // In PEFT, there is always an active adapter.
        let none_active = self.list.iter().all(|adapter| !adapter.active);
        if let Some(first) = self.list.first_mut().filter(|_| none_active) {
            first.active = true;
        }
        Ok(())
    }

    pub(crate) fn names(&self) -> Vec<&str> {
        self.list.iter().map(|adapter| adapter.name.as_str()).collect()
    }

    pub(crate) fn active(&self) -> Vec<&str> {
        self.list.iter().filter(|adapter| adapter.active).map(|adapter| adapter.name.as_str()).collect()
    }

    pub(crate) fn fused(&self) -> Vec<&str> {
        self.fused.iter().map(|adapter| adapter.name.as_str()).collect()
    }

    /// The error for a weight that is finite without the adapters.
    fn overflow(&self, key: &str) -> Error {
        let changing = self.fused.iter().chain(self.list.iter().filter(|adapter| adapter.active));
        let changing = changing.filter(|adapter| adapter.layers.contains_key(key));
        let names = changing.map(|adapter| format!("`{}` times {:e}", adapter.name, adapter.factors.of(key)));
        let place = format!("adapter {}", Vec::from_iter(names).join(" and "));
        Error::NonFinite { place, message: format!("the changed weight `{key}` overflows") }
    }

    /// The factors and matrices to add to the weight `key`. If an adapter is fused, only fused adapters count.
    fn terms(&self, key: &str) -> Vec<(f64, &Layer)> {
        let of = |adapter: &'_ Adapter| adapter.layers.contains_key(key);
        if self.fused.iter().any(of) {
            return self
                .fused
                .iter()
                .filter_map(|adapter| Some((adapter.factors.of(key), adapter.layers.get(key)?)))
                .collect();
        }
        self.list
            .iter()
            .filter(|adapter| self.enabled && adapter.active)
            .filter_map(|adapter| Some((adapter.factors.of(key) * self.scale, adapter.layers.get(key)?)))
            .collect()
    }
}

/// Walks a module and updates the weight of each adapted layer.
struct Merger<'a> {
    adapters: &'a mut Adapters,
    /// Weights that stay as they are; what adapters add is kept beside them.
    quantised: Vec<ParamId>,
    path: Vec<String>,
    /// Why the first weight could not be changed: adapters made it infinite, or are none that can be kept beside it.
    error: Option<Error>,
}

impl Merger<'_> {
    /// Half of what adapters add beside the quantised weight `key`: those of all adapters, one after the other.
    ///
    /// # Errors
    /// When an adapter is no product of two matrices, or not finite.
    fn beside(&self, key: &str, half: Half, old: &Tensor<2>) -> Result<Tensor<2>> {
        let mut parts = Vec::new();
        for (factor, layer) in self.adapters.terms(key) {
            let narrowed = |half| Some(layer.half(half, factor)?.to_device(&old.device()).cast(old.dtype()));
            let (Some(down), Some(up)) = (narrowed(Half::Down), narrowed(Half::Up)) else {
                return Err(Error::unsupported(
                    format!("an adapter that is no LoRA, on the quantised weight `{key}`"),
                    "only products of two matrices are kept beside such a weight",
                ));
            };
            // Either both halves change or none.
            if !is_finite(&down) || !is_finite(&up) {
                return Err(self.adapters.overflow(key));
            }
            parts.push(if half == Half::Down { down } else { up });
        }
        let [rows, columns] = old.dims();
        let options = (&old.device(), old.dtype());
        Ok(match (parts.is_empty(), half) {
            (true, Half::Down) => Tensor::zeros([0, columns], options),
            (true, Half::Up) => Tensor::zeros([rows, 0], options),
            (false, Half::Down) => Tensor::cat(parts, 0),
            (false, Half::Up) => Tensor::cat(parts, 1),
        })
    }
}

impl ModuleMapper for Merger<'_> {
    fn enter_module(&mut self, name: &str, container_type: &str) {
        push_field(&mut self.path, name, container_type);
    }

    fn exit_module(&mut self, _name: &str, container_type: &str) {
        pop_field(&mut self.path, container_type);
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        if let Some((key, half)) = QuantisedWeight::addition(&self.path) {
            let old = param.val();
            let [rows, columns] = [old.dims()[0], old.dims()[1]];
            return match self.beside(&key, half, &old.reshape([rows, columns])) {
                Ok(new) => {
                    let [rows, columns] = new.dims();
                    let dims = std::array::from_fn(|axis| if axis == 0 { rows } else { columns });
                    Param::initialized(param.id, new.reshape::<D, _>(dims))
                }
                Err(error) => {
                    self.error.get_or_insert(error);
                    param
                }
            };
        }
        if self.quantised.contains(&param.id) {
            return param;
        }
        let key = self.path.join(".");
        let terms = self.adapters.terms(&key);
        if terms.is_empty() && !self.adapters.base.contains_key(&key) {
            return param;
        }
        let weight = param.val();
        let (shape, dtype, device) = (weight.dims(), weight.dtype(), weight.device());
        let size = shape.iter().product::<usize>();
        let base = match self.adapters.base.get(&key) {
            Some(base) => base.clone().to_device(&device),
            None => weight.reshape([size]),
        };
        let merged = if terms.is_empty() {
            base.clone()
        } else {
            let weight = base.clone().cast(DType::F32);
            let sum = terms
                .into_iter()
                .fold(weight.clone(), |sum, (factor, layer)| sum + layer.difference(&weight, &shape, factor));
            sum.cast(dtype)
        };
        if self.error.is_none() && !is_finite(&merged) && is_finite(&base) {
            self.error = Some(self.adapters.overflow(&key));
        }
        self.adapters.base.insert(key, base);
        Param::initialized(param.id, merged.reshape(shape))
    }
}

/// The weights that adapters can change, matrices and convolutions, by key and shape.
fn adaptable_weights(module: &impl Module) -> BTreeMap<String, Vec<usize>> {
    let mut shapes = Shapes::default();
    module.visit(&mut shapes);
    shapes.found
}

#[derive(Default)]
struct Shapes {
    path: Vec<String>,
    found: BTreeMap<String, Vec<usize>>,
}

impl ModuleVisitor for Shapes {
    fn enter_module(&mut self, name: &str, container_type: &str) {
        push_field(&mut self.path, name, container_type);
    }

    fn exit_module(&mut self, _name: &str, container_type: &str) {
        pop_field(&mut self.path, container_type);
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let embeds =
            self.path.iter().any(|field| field == "token_embedding" || field == "position_embedding");
        let is_addition = QuantisedWeight::addition(&self.path).is_some();
        if (D == 2 || D == 4) && !embeds && !is_addition {
            self.found.insert(self.path.join("."), param.lazy_shape().to_vec());
        }
    }
}

/// All names, sorted and without duplicates.
pub(crate) fn union<'a>(lists: impl IntoIterator<Item = Vec<&'a str>>) -> BTreeSet<&'a str> {
    lists.into_iter().flatten().collect()
}
