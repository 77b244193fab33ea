//! The names that the layers of transformers have in the layouts of their authors.

use std::collections::BTreeMap;

use super::OUT;
use crate::loading::original::flux2_names;

/// An old name of the blocks of FLUX.2, which some exports have.
const FORMER_BLOCKS: &str = "sformer_blocks.";

/// The name in diffusers of a module.
pub(super) fn canonical(module: String) -> String {
    if let Some(name) = flux2_names::in_diffusers(&module) {
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

/// The modules of a transformer of FLUX.2, given its weights by key, by their names in kohya's layout.
pub(super) fn of_flux2(weights: &BTreeMap<String, Vec<usize>>) -> impl Iterator<Item = (String, String)> {
    let count = |list: &str| {
        let has = |number: &usize| {
            let first = format!("{list}.{number}.");
            weights.keys().any(|key| key.starts_with(&first))
        };
        (0..).take_while(has).count()
    };
    let names = flux2_names::all(count("transformer_blocks"), count("single_transformer_blocks"));
    names.map(|(original, module)| (original.replace('.', "_"), module))
}
