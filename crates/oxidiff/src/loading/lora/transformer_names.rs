//! The names that the layers of transformers have in the layouts of their authors.

use std::collections::BTreeMap;

use super::OUT;
use crate::loading::original::{flux2_names, sd3_names};

/// An old name of the blocks of FLUX.2, which some exports have.
const FORMER_BLOCKS: &str = "sformer_blocks.";

/// The name in diffusers of a module.
pub(super) fn canonical(module: String) -> String {
    if let Some(name) = flux2_names::in_diffusers(&module) {
        return name;
    }
    // Outside of the blocks, other models have layers of the same names.
    if let Some(name) =
        sd3_names::in_diffusers(&module).filter(|name| name.starts_with("transformer_blocks."))
    {
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

/// The modules of a transformer of Stable Diffusion 3, given its weights by key, by their names in kohya's layout.
pub(super) fn of_sd3(weights: &BTreeMap<String, Vec<usize>>) -> impl Iterator<Item = (String, String)> {
    let has = |number: &usize| {
        let first = format!("transformer_blocks.{number}.");
        weights.keys().any(|key| key.starts_with(&first))
    };
    let names = sd3_names::all((0..).take_while(has).count());
    names.map(|(original, module)| (original.replace('.', "_"), module))
}

/// Whether a module, by its name in its authors' layout or in kohya's, makes a shift, then a scale, which diffusers has the other way
/// round.
pub(super) fn shifts_first(original: &str, module: &str, weights: &BTreeMap<String, Vec<usize>>) -> bool {
    const IN_KOHYA: &str = "final_layer_adaLN_modulation_1";
    if original == flux2_names::FINAL_MODULATION || original == IN_KOHYA {
        return true;
    }
    // In the last block of Stable Diffusion 3, which does not change the text, the layer for the text does.
    let is_of_text = original.ends_with("context_block.adaLN_modulation.1")
        || original.ends_with("context_block_adaLN_modulation_1");
    let block = module.strip_suffix(".norm1_context.linear").filter(|_| is_of_text);
    block.is_some_and(|block| !weights.contains_key(&format!("{block}.ff_context.net.2.weight")))
}
