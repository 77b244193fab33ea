//! The names that the layers of transformers have in the layouts of their authors.

use std::collections::BTreeMap;

use super::OUT;
use crate::loading::original::flux_names::{FLUX1, Names};

/// An old name of the blocks of FLUX.2, which some exports have.
const FORMER_BLOCKS: &str = "sformer_blocks.";

/// What the names of the last layers begin with in kohya's layout.
pub(super) const FINAL: &str = "final_layer_";

/// The name in diffusers of a module of the model with these weights.
pub(super) fn canonical(module: String, weights: &BTreeMap<String, Vec<usize>>) -> String {
    if let Some(name) = Names::of(weights).and_then(|names| names.in_diffusers(&module)) {
        return name;
    }
    if let Some(rest) = module.strip_prefix(FORMER_BLOCKS) {
        return format!("transformer_blocks.{rest}");
    }
    match module.strip_suffix(".out") {
        Some(block) => format!("{block}{OUT}"),
        None => module,
    }
}

/// The modules of a transformer with these weights, by the names that its authors' layout gives them in kohya's.
pub(super) fn of_authors(weights: &BTreeMap<String, Vec<usize>>) -> impl Iterator<Item = (String, String)> {
    let names = Names::of(weights).into_iter().flat_map(|names| names.all(weights));
    names.map(|(original, module)| (original.replace('.', "_"), module))
}

/// Whether these are the weights of FLUX.1.
pub(super) fn is_flux1(weights: &BTreeMap<String, Vec<usize>>) -> bool {
    Names::of(weights).is_some_and(|names| std::ptr::eq(names, &FLUX1))
}
