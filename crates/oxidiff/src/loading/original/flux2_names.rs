//! The names of the layers of FLUX.2's transformer in its authors' layout, which single files and trainers use.

/// A name of theirs, and that of diffusers.
type Name = (&'static str, &'static str);

/// Names inside a block with two streams, theirs and those of diffusers. A layer `qkv` stands for three.
const DOUBLE: [Name; 12] = [
    ("img_attn.qkv", "attn.qkv"),
    ("img_attn.proj", "attn.to_out.0"),
    ("img_attn.norm.query_norm", "attn.norm_q"),
    ("img_attn.norm.key_norm", "attn.norm_k"),
    ("img_mlp.0", "ff.linear_in"),
    ("img_mlp.2", "ff.linear_out"),
    ("txt_attn.qkv", "attn.added_qkv"),
    ("txt_attn.proj", "attn.to_add_out"),
    ("txt_attn.norm.query_norm", "attn.norm_added_q"),
    ("txt_attn.norm.key_norm", "attn.norm_added_k"),
    ("txt_mlp.0", "ff_context.linear_in"),
    ("txt_mlp.2", "ff_context.linear_out"),
];
/// Names inside a block with one stream.
const SINGLE: [Name; 4] = [
    ("linear1", "attn.to_qkv_mlp_proj"),
    ("linear2", "attn.to_out"),
    ("norm.query_norm", "attn.norm_q"),
    ("norm.key_norm", "attn.norm_k"),
];
const OUTSIDE: [Name; 11] = [
    ("img_in", "x_embedder"),
    ("txt_in", "context_embedder"),
    ("time_in.in_layer", "time_guidance_embed.timestep_embedder.linear_1"),
    ("time_in.out_layer", "time_guidance_embed.timestep_embedder.linear_2"),
    ("guidance_in.in_layer", "time_guidance_embed.guidance_embedder.linear_1"),
    ("guidance_in.out_layer", "time_guidance_embed.guidance_embedder.linear_2"),
    ("double_stream_modulation_img.lin", "double_stream_modulation_img.linear"),
    ("double_stream_modulation_txt.lin", "double_stream_modulation_txt.linear"),
    ("single_stream_modulation.lin", "single_stream_modulation.linear"),
    ("final_layer.linear", "proj_out"),
    (FINAL_MODULATION, "norm_out.linear"),
];
/// The lists of blocks, theirs and those of diffusers, and the names inside a block.
const LISTS: [(&str, &str, &[Name]); 2] = [
    ("double_blocks", "transformer_blocks", &DOUBLE),
    ("single_blocks", "single_transformer_blocks", &SINGLE),
];

/// The layer that makes a shift, then a scale; in diffusers the scale comes first.
pub(crate) const FINAL_MODULATION: &str = "final_layer.adaLN_modulation.1";

/// The name in diffusers of a layer.
pub(crate) fn in_diffusers(module: &str) -> Option<String> {
    if let Some((_, new)) = OUTSIDE.iter().find(|(old, _)| *old == module) {
        return Some((*new).to_owned());
    }
    let (list, rest) = module.split_once('.')?;
    let (number, rest) = rest.split_once('.')?;
    let (_, list, names) = LISTS.into_iter().find(|(old, ..)| *old == list)?;
    let (_, name) = names.iter().find(|(old, _)| *old == rest)?;
    number.bytes().all(|digit| digit.is_ascii_digit()).then(|| format!("{list}.{number}.{name}"))
}

/// The layers of a model, theirs and those of diffusers, given the number of its blocks of each kind.
pub(crate) fn all(double: usize, single: usize) -> impl Iterator<Item = (String, String)> {
    let outside = OUTSIDE.iter().map(|(old, new)| ((*old).to_owned(), (*new).to_owned()));
    let blocks = LISTS.into_iter().zip([double, single]).flat_map(|((old_list, list, names), count)| {
        (0..count).flat_map(move |number| {
            names.iter().map(move |(old, new)| {
                (format!("{old_list}.{number}.{old}"), format!("{list}.{number}.{new}"))
            })
        })
    });
    outside.chain(blocks)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_names_are_found_one_by_one() {
        let all: Vec<(String, String)> = all(2, 1).collect();
        assert_eq!(all.len(), 11 + 2 * 12 + 4);
        for (old, new) in all {
            assert_eq!(in_diffusers(&old).as_deref(), Some(new.as_str()));
        }
        for unknown in
            ["double_blocks.0", "double_blocks.x.img_mlp.0", "img_in.weight", "single_blocks.0.linear3"]
        {
            assert_eq!(in_diffusers(unknown), None, "{unknown}");
        }
    }
}
