//! The names that the layers of transformers have in the layouts of their authors.

use std::collections::BTreeMap;

use super::OUT;
use crate::loading::original::flux_names::{FINAL_MODULATION, Names};
use crate::loading::original::lumina2_names;
use crate::loading::original::sd3_names;

/// An old name of the blocks of FLUX.2, which some exports have.
const FORMER_BLOCKS: &str = "sformer_blocks.";

/// The name in diffusers of a module of the model with these weights.
pub(super) fn canonical(module: String, weights: &BTreeMap<String, Vec<usize>>) -> String {
    if let Some(name) = Names::of(weights).and_then(|names| names.in_diffusers(&module)) {
        return name;
    }
    if let Some(name) = sd3_names::in_diffusers(&module).filter(|_| is_sd3(weights)) {
        return name;
    }
    if let Some(name) = lumina2_names::in_diffusers(&module).filter(|_| lumina2_names::is_lumina2(weights)) {
        return name;
    }
    if let Some(rest) = module.strip_prefix(FORMER_BLOCKS) {
        return format!("transformer_blocks.{rest}");
    }
    // A layout of Z-Image, whose converter took all underscores for dots.
    for (dotted, name) in [(".to.q", ".to_q"), (".to.k", ".to_k"), (".to.v", ".to_v")] {
        if let Some(block) = module.strip_suffix(dotted) {
            return format!("{block}{name}");
        }
    }
    match module.strip_suffix(".out") {
        Some(block) => format!("{block}{OUT}"),
        None => module,
    }
}

/// The modules of a transformer with these weights, by the names that its authors' layout gives them in kohya's.
pub(super) fn of_authors(weights: &BTreeMap<String, Vec<usize>>) -> impl Iterator<Item = (String, String)> {
    let names = Names::of(weights).into_iter().flat_map(|names| names.all(weights));
    let blocks =
        (0..).take_while(|number| weights.contains_key(&format!("transformer_blocks.{number}.{SD3_MARK}")));
    let of_sd3 = is_sd3(weights).then(|| sd3_names::all(blocks.count()));
    let of_lumina2 = lumina2_names::is_lumina2(weights).then(|| lumina2_names::all(weights));
    let all = names.chain(of_sd3.into_iter().flatten()).chain(of_lumina2.into_iter().flatten());
    all.map(|(original, module)| (original.replace('.', "_"), module))
}

/// Whether a module, by its name in its authors' layout or in kohya's, makes a shift, then a scale, which diffusers has the other way
/// round.
pub(super) fn shifts_first(original: &str, module: &str, weights: &BTreeMap<String, Vec<usize>>) -> bool {
    let original = original.replace('_', ".");
    if original == FINAL_MODULATION.replace('_', ".") {
        return true;
    }
    // In the last block of Stable Diffusion 3, which does not change the text, the layer for the text does.
    let is_of_text = original.ends_with("context.block.adaLN.modulation.1");
    let block = module.strip_suffix(".norm1_context.linear").filter(|_| is_of_text);
    block.is_some_and(|block| !weights.contains_key(&format!("{block}.ff_context.net.2.weight")))
}

/// A weight of each block of Stable Diffusion 3.
const SD3_MARK: &str = "attn.add_q_proj.weight";

/// Whether these are the weights of Stable Diffusion 3.
fn is_sd3(weights: &BTreeMap<String, Vec<usize>>) -> bool {
    weights.contains_key("pos_embed.proj.weight")
        && weights.contains_key(&format!("transformer_blocks.0.{SD3_MARK}"))
}
