//! The names of the layers of Stable Diffusion 3's transformer in its authors' layout (Stability AI's `sd3.5`).

/// A name of theirs, and that of diffusers.
type Name = (&'static str, &'static str);

/// Names inside a block. A layer `qkv` stands for three.
const BLOCK: [Name; 18] = [
    ("x_block.attn.qkv", "attn.qkv"),
    ("x_block.attn.proj", "attn.to_out.0"),
    ("x_block.attn.ln_q", "attn.norm_q"),
    ("x_block.attn.ln_k", "attn.norm_k"),
    ("x_block.attn2.qkv", "attn2.qkv"),
    ("x_block.attn2.proj", "attn2.to_out.0"),
    ("x_block.attn2.ln_q", "attn2.norm_q"),
    ("x_block.attn2.ln_k", "attn2.norm_k"),
    ("x_block.adaLN_modulation.1", "norm1.linear"),
    ("x_block.mlp.fc1", "ff.net.0.proj"),
    ("x_block.mlp.fc2", "ff.net.2"),
    ("context_block.attn.qkv", "attn.added_qkv"),
    ("context_block.attn.proj", "attn.to_add_out"),
    ("context_block.attn.ln_q", "attn.norm_added_q"),
    ("context_block.attn.ln_k", "attn.norm_added_k"),
    ("context_block.adaLN_modulation.1", "norm1_context.linear"),
    ("context_block.mlp.fc1", "ff_context.net.0.proj"),
    ("context_block.mlp.fc2", "ff_context.net.2"),
];
const OUTSIDE: [Name; 8] = [
    ("x_embedder.proj", "pos_embed.proj"),
    ("t_embedder.mlp.0", "time_text_embed.timestep_embedder.linear_1"),
    ("t_embedder.mlp.2", "time_text_embed.timestep_embedder.linear_2"),
    ("y_embedder.mlp.0", "time_text_embed.text_embedder.linear_1"),
    ("y_embedder.mlp.2", "time_text_embed.text_embedder.linear_2"),
    ("context_embedder", "context_embedder"),
    ("final_layer.linear", "proj_out"),
    (FINAL_MODULATION, "norm_out.linear"),
];

/// The list of blocks.
const BLOCKS: &str = "joint_blocks.";
/// The layer that makes a shift, then a scale; in diffusers the scale comes first.
const FINAL_MODULATION: &str = "final_layer.adaLN_modulation.1";

/// The name in diffusers of a layer.
pub(crate) fn in_diffusers(module: &str) -> Option<String> {
    if let Some((_, new)) = OUTSIDE.iter().find(|(old, _)| *old == module) {
        return Some((*new).to_owned());
    }
    let (number, rest) = module.strip_prefix(BLOCKS)?.split_once('.')?;
    let (_, name) = BLOCK.iter().find(|(old, _)| *old == rest)?;
    number.bytes().all(|digit| digit.is_ascii_digit()).then(|| format!("transformer_blocks.{number}.{name}"))
}

/// The layers of a model, theirs and those of diffusers, given the number of its blocks.
pub(crate) fn all(blocks: usize) -> impl Iterator<Item = (String, String)> {
    let outside = OUTSIDE.iter().map(|(old, new)| ((*old).to_owned(), (*new).to_owned()));
    let inside = (0..blocks).flat_map(|number| {
        BLOCK.iter().map(move |(old, new)| {
            (format!("{BLOCKS}{number}.{old}"), format!("transformer_blocks.{number}.{new}"))
        })
    });
    outside.chain(inside)
}

/// Whether a layer makes a shift, then a scale, which diffusers has the other way round. In the last block, whose text is not changed,
/// the layer for the text does.
pub(crate) fn shifts_first(module: &str, has: impl Fn(&str) -> bool) -> bool {
    if module == FINAL_MODULATION {
        return true;
    }
    let block = module.strip_suffix(".context_block.adaLN_modulation.1");
    block.is_some_and(|block| !has(&format!("{block}.context_block.mlp.fc1.weight")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_names_are_found_one_by_one() {
        let all: Vec<(String, String)> = all(2).collect();
        assert_eq!(all.len(), 8 + 2 * 18);
        for (old, new) in all {
            assert_eq!(in_diffusers(&old).as_deref(), Some(new.as_str()));
        }
        for unknown in
            ["joint_blocks.0", "joint_blocks.x.x_block.mlp.fc1", "x_embedder", "joint_blocks.0.mlp"]
        {
            assert_eq!(in_diffusers(unknown), None, "{unknown}");
        }
    }
}
