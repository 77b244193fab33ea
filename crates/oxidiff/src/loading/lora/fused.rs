//! Adapters of attentions whose original layout has query, key and value in one matrix.

use std::collections::BTreeMap;

use super::layer::{DOWN, Parts, UP};
use crate::error::Result;
use crate::loading::formats::state_dict::StateDict;

/// The ends of the names of modules that stand for three, and the ends of those.
const FUSED: [(&str, [&str; 3]); 2] =
    [(".qkv", [".to_q", ".to_k", ".to_v"]), (".added_qkv", [".add_q_proj", ".add_k_proj", ".add_v_proj"])];

/// The name of the module that stands for query, key and value of an attention.
pub(super) fn name(attention: &str) -> String {
    format!("{attention}{}", FUSED[0].0)
}

/// The three modules that `module` stands for, if the model has them.
pub(super) fn parts(module: &str, weights: &BTreeMap<String, Vec<usize>>) -> Option<[String; 3]> {
    let (attention, parts) =
        FUSED.iter().find_map(|(end, parts)| Some((module.strip_suffix(end)?, parts)))?;
    let parts = parts.map(|part| format!("{attention}{part}"));
    parts.iter().all(|part| weights.contains_key(&format!("{part}.weight"))).then_some(parts)
}

/// Replaces each module that stands for three by those. They share the first matrix, and have a third each of the second. Modules
/// that also have tensors of their own keep those.
///
/// # Errors
/// When a module has other tensors than those of a LoRA, or they do not divide into three.
pub(super) fn split<'a>(
    mut layers: BTreeMap<String, Parts<'a>>,
    weights: &BTreeMap<String, Vec<usize>>,
    file: &StateDict,
) -> Result<BTreeMap<String, Parts<'a>>> {
    let fused: Vec<(String, [String; 3])> =
        layers.keys().filter_map(|module| Some((module.clone(), parts(module, weights)?))).collect();
    for (module, parts) in fused {
        let layer = layers.remove(&module).expect("the name was just found");
        let error = |what: &str| file.error(format!("layer `{module}` {what}"));
        let (Some(down), Some(up), 2) = (layer.tensors.get(DOWN), layer.tensors.get(UP), layer.tensors.len())
        else {
            return Err(error("stands for query, key and value; it can be changed by two matrices only"));
        };
        let mut start = 0;
        for part in parts {
            let rows = weights[&format!("{part}.weight")][0];
            let own = up.rows(start..start + rows);
            let own = own.ok_or_else(|| error("does not have as many rows as query, key and value"))?;
            start += rows;
            layers.entry(part).or_insert_with(|| Parts {
                tensors: BTreeMap::from([(DOWN, down.clone()), (UP, own)]),
                alpha: layer.alpha,
            });
        }
        if up.shape().first() != Some(&start) {
            return Err(error("does not have as many rows as query, key and value"));
        }
    }
    Ok(layers)
}
