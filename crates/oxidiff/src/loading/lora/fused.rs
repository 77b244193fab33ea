//! Adapters of attentions whose original layout has query, key and value in one matrix.

use std::collections::BTreeMap;

use super::layer::{DOWN, Parts, UP};
use crate::error::Result;
use crate::loading::formats::state_dict::StateDict;
use crate::loading::original::flux_names;

/// The name of the module that stands for query, key and value of an attention.
pub(super) fn name(attention: &str) -> String {
    format!("{attention}.qkv")
}

/// The modules that `module` stands for, if the model has them.
pub(super) fn parts(module: &str, weights: &BTreeMap<String, Vec<usize>>) -> Option<Vec<String>> {
    let parts = flux_names::parts(module)?;
    parts.iter().all(|part| weights.contains_key(&format!("{part}.weight"))).then_some(parts)
}

/// Replaces each module that stands for several by those. They share the first matrix, and each has its rows of the second. Modules
/// that also have tensors of their own keep those.
///
/// # Errors
/// When a module has other tensors than those of a LoRA, or not as many rows.
pub(super) fn split<'a>(
    mut layers: BTreeMap<String, Parts<'a>>,
    weights: &BTreeMap<String, Vec<usize>>,
    file: &StateDict,
) -> Result<BTreeMap<String, Parts<'a>>> {
    let fused: Vec<(String, Vec<String>)> =
        layers.keys().filter_map(|module| Some((module.clone(), parts(module, weights)?))).collect();
    for (module, parts) in fused {
        let layer = layers.remove(&module).expect("the name was just found");
        let error = |what: &str| file.error(format!("layer `{module}` {what}"));
        let (Some(down), Some(up), 2) = (layer.tensors.get(DOWN), layer.tensors.get(UP), layer.tensors.len())
        else {
            return Err(error("stands for several; it can be changed by two matrices only"));
        };
        let mut start = 0;
        for part in parts {
            let rows = weights[&format!("{part}.weight")][0];
            let own = up.rows(start..start + rows);
            let own = own.ok_or_else(|| error("does not have as many rows as those that it stands for"))?;
            start += rows;
            layers.entry(part).or_insert_with(|| Parts {
                tensors: BTreeMap::from([(DOWN, down.clone()), (UP, own)]),
                alpha: layer.alpha,
            });
        }
        if up.shape().first() != Some(&start) {
            return Err(error("does not have as many rows as those that it stands for"));
        }
    }
    Ok(layers)
}
