//! The names of the layers of Lumina 2's transformer in its authors' layout, which single files and trainers use.

use std::collections::BTreeMap;

/// The lists of blocks, and whether the time modulates these.
const BLOCKS: [(&str, bool); 3] = [("noise_refiner", true), ("context_refiner", false), ("layers", true)];

/// The layers outside of blocks: the name of the authors, then that of diffusers.
const LAYERS: [(&str, &str); 7] = [
    ("x_embedder", "x_embedder"),
    ("cap_embedder.0", "time_caption_embed.caption_embedder.0"),
    ("cap_embedder.1", "time_caption_embed.caption_embedder.1"),
    ("t_embedder.mlp.0", "time_caption_embed.timestep_embedder.linear_1"),
    ("t_embedder.mlp.2", "time_caption_embed.timestep_embedder.linear_2"),
    ("final_layer.adaLN_modulation.1", "norm_out.linear_1"),
    ("final_layer.linear", "norm_out.linear_2"),
];

/// The layers of a block. `attn.qkv` stands for the three of diffusers.
const PARTS: [(&str, &str); 12] = [
    ("attention.qkv", "attn.qkv"),
    ("attention.out", "attn.to_out.0"),
    ("attention.q_norm", "attn.norm_q"),
    ("attention.k_norm", "attn.norm_k"),
    ("feed_forward.w1", "feed_forward.linear_1"),
    ("feed_forward.w2", "feed_forward.linear_2"),
    ("feed_forward.w3", "feed_forward.linear_3"),
    ("adaLN_modulation.1", "norm1.linear"),
    ("attention_norm1", "norm1.norm"),
    ("attention_norm2", "norm2"),
    ("ffn_norm1", "ffn_norm1"),
    ("ffn_norm2", "ffn_norm2"),
];

/// The name in diffusers of a module of the authors' layout, if it is one.
pub(crate) fn in_diffusers(module: &str) -> Option<String> {
    if let Some((_, name)) = LAYERS.iter().find(|(original, _)| *original == module) {
        return Some((*name).to_owned());
    }
    let (list, rest) = module.split_once('.')?;
    let (number, part) = rest.split_once('.')?;
    let (_, is_modulated) = BLOCKS.iter().find(|(name, _)| *name == list)?;
    let (_, name) = PARTS.iter().find(|(original, _)| *original == part)?;
    // Without a modulation, there is nothing beside the norm.
    let name = if *name == "norm1.norm" && !is_modulated { "norm1" } else { name };
    Some(format!("{list}.{number}.{name}"))
}

/// Whether these are the weights of Lumina 2.
pub(crate) fn is_lumina2(weights: &BTreeMap<String, Vec<usize>>) -> bool {
    weights.contains_key("time_caption_embed.caption_embedder.1.weight")
        && weights.contains_key("norm_out.linear_2.weight")
}

/// The modules of a transformer with these weights, by the names that its authors give them.
pub(crate) fn all(weights: &BTreeMap<String, Vec<usize>>) -> Vec<(String, String)> {
    let blocks = BLOCKS.into_iter().flat_map(|(list, _)| {
        let exists = move |number: &usize| weights.contains_key(&format!("{list}.{number}.attn.to_q.weight"));
        let numbers = (0..).take_while(exists);
        numbers.flat_map(move |number| PARTS.map(|(original, _)| format!("{list}.{number}.{original}")))
    });
    let originals = LAYERS.into_iter().map(|(original, _)| original.to_owned()).chain(blocks);
    originals.filter_map(|original| Some((original.clone(), in_diffusers(&original)?))).collect()
}
