//! The names of the layers of the transformers of FLUX.1, FLUX.2 and Chroma in their authors' layout, which single files and trainers use.

use std::collections::BTreeMap;

/// A name of theirs, and that of diffusers.
type Name = (&'static str, &'static str);

/// The names of a transformer.
#[derive(Debug)]
pub(crate) struct Names {
    outside: &'static [Name],
    /// Those inside a block with two streams.
    double: &'static [Name],
    /// Those inside a block with one stream.
    single: &'static [Name],
    /// Those inside a layer of the network that makes modulations.
    approximator: &'static [Name],
}

/// FLUX.1's. The last layer in a block with one stream is only in files of low-rank additions.
pub(crate) static FLUX1: Names = Names {
    outside: &[
        ("img_in", "x_embedder"),
        ("txt_in", "context_embedder"),
        ("time_in.in_layer", "time_text_embed.timestep_embedder.linear_1"),
        ("time_in.out_layer", "time_text_embed.timestep_embedder.linear_2"),
        ("guidance_in.in_layer", "time_text_embed.guidance_embedder.linear_1"),
        ("guidance_in.out_layer", "time_text_embed.guidance_embedder.linear_2"),
        ("vector_in.in_layer", "time_text_embed.text_embedder.linear_1"),
        ("vector_in.out_layer", "time_text_embed.text_embedder.linear_2"),
        ("final_layer.linear", "proj_out"),
        (FINAL_MODULATION, "norm_out.linear"),
    ],
    double: &[
        ("img_mod.lin", "norm1.linear"),
        ("img_attn.qkv", "attn.qkv"),
        ("img_attn.proj", "attn.to_out.0"),
        ("img_attn.norm.query_norm", "attn.norm_q"),
        ("img_attn.norm.key_norm", "attn.norm_k"),
        ("img_mlp.0", "ff.net.0.proj"),
        ("img_mlp.2", "ff.net.2"),
        ("txt_mod.lin", "norm1_context.linear"),
        ("txt_attn.qkv", "attn.added_qkv"),
        ("txt_attn.proj", "attn.to_add_out"),
        ("txt_attn.norm.query_norm", "attn.norm_added_q"),
        ("txt_attn.norm.key_norm", "attn.norm_added_k"),
        ("txt_mlp.0", "ff_context.net.0.proj"),
        ("txt_mlp.2", "ff_context.net.2"),
    ],
    single: &[
        ("modulation.lin", "norm.linear"),
        ("linear1", "qkv_mlp"),
        ("linear2", "proj_out"),
        ("norm.query_norm", "attn.norm_q"),
        ("norm.key_norm", "attn.norm_k"),
        ("qkv", "attn.qkv"),
    ],
    approximator: &[],
};

/// FLUX.2's.
pub(crate) static FLUX2: Names = Names {
    outside: &[
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
    ],
    double: &[
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
    ],
    single: &[
        ("linear1", "attn.to_qkv_mlp_proj"),
        ("linear2", "attn.to_out"),
        ("norm.query_norm", "attn.norm_q"),
        ("norm.key_norm", "attn.norm_k"),
    ],
    approximator: &[],
};

/// Chroma's: FLUX.1's, but for the layers that make modulations.
pub(crate) static CHROMA: Names = Names {
    outside: &[
        ("img_in", "x_embedder"),
        ("txt_in", "context_embedder"),
        ("distilled_guidance_layer.in_proj", "distilled_guidance_layer.in_proj"),
        ("distilled_guidance_layer.out_proj", "distilled_guidance_layer.out_proj"),
        ("final_layer.linear", "proj_out"),
    ],
    double: &[
        ("img_attn.qkv", "attn.qkv"),
        ("img_attn.proj", "attn.to_out.0"),
        ("img_attn.norm.query_norm", "attn.norm_q"),
        ("img_attn.norm.key_norm", "attn.norm_k"),
        ("img_mlp.0", "ff.net.0.proj"),
        ("img_mlp.2", "ff.net.2"),
        ("txt_attn.qkv", "attn.added_qkv"),
        ("txt_attn.proj", "attn.to_add_out"),
        ("txt_attn.norm.query_norm", "attn.norm_added_q"),
        ("txt_attn.norm.key_norm", "attn.norm_added_k"),
        ("txt_mlp.0", "ff_context.net.0.proj"),
        ("txt_mlp.2", "ff_context.net.2"),
    ],
    single: &[
        ("linear1", "qkv_mlp"),
        ("linear2", "proj_out"),
        ("norm.query_norm", "attn.norm_q"),
        ("norm.key_norm", "attn.norm_k"),
        ("qkv", "attn.qkv"),
    ],
    approximator: &[("in_layer", "linear_1"), ("out_layer", "linear_2")],
};

/// The layer that makes a shift, then a scale; in diffusers the scale comes first.
pub(crate) const FINAL_MODULATION: &str = "final_layer.adaLN_modulation.1";

/// The ends of the names of layers that stand for several, and those of these; rows of the last one are four times as many, if there are
/// four.
const FUSED: [(&str, &[&str]); 3] = [
    (".qkv", &[".to_q", ".to_k", ".to_v"]),
    (".added_qkv", &[".add_q_proj", ".add_k_proj", ".add_v_proj"]),
    (".qkv_mlp", &[".attn.to_q", ".attn.to_k", ".attn.to_v", ".proj_mlp"]),
];

/// The layers in diffusers that a layer stands for.
pub(crate) fn parts(module: &str) -> Option<Vec<String>> {
    let (block, parts) = FUSED.iter().find_map(|(end, parts)| Some((module.strip_suffix(end)?, parts)))?;
    Some(parts.iter().map(|part| format!("{block}{part}")).collect())
}

impl Names {
    /// Those of the model with these weights, by their keys.
    pub fn of(weights: &BTreeMap<String, Vec<usize>>) -> Option<&'static Self> {
        [
            ("single_stream_modulation.linear.weight", &FLUX2),
            ("distilled_guidance_layer.in_proj.weight", &CHROMA),
            ("single_transformer_blocks.0.proj_mlp.weight", &FLUX1),
        ]
        .into_iter()
        .find_map(|(mark, names)| weights.contains_key(mark).then_some(names))
    }

    /// The lists of blocks, theirs and those of diffusers, and the names inside a block.
    fn lists(&self) -> [(&'static str, &'static str, &'static [Name]); 3] {
        const APPROXIMATOR: &str = "distilled_guidance_layer.layers";
        [
            ("double_blocks", "transformer_blocks", self.double),
            ("single_blocks", "single_transformer_blocks", self.single),
            (APPROXIMATOR, APPROXIMATOR, self.approximator),
        ]
    }

    /// The name in diffusers of a layer.
    pub fn in_diffusers(&self, module: &str) -> Option<String> {
        if let Some((_, new)) = self.outside.iter().find(|(old, _)| *old == module) {
            return Some((*new).to_owned());
        }
        let (list, names, rest) = self
            .lists()
            .into_iter()
            .find_map(|(old, new, names)| Some((new, names, module.strip_prefix(old)?.strip_prefix('.')?)))?;
        let (number, rest) = rest.split_once('.')?;
        let (_, name) = names.iter().find(|(old, _)| *old == rest)?;
        number.bytes().all(|digit| digit.is_ascii_digit()).then(|| format!("{list}.{number}.{name}"))
    }

    /// The layers of the model with these weights, theirs and those of diffusers.
    pub fn all(&self, weights: &BTreeMap<String, Vec<usize>>) -> impl Iterator<Item = (String, String)> {
        let count = |list: &str| {
            let has = |number: &usize| {
                let first = format!("{list}.{number}.");
                weights.keys().any(|key| key.starts_with(&first))
            };
            (0..).take_while(has).count()
        };
        let outside = self.outside.iter().map(|(old, new)| ((*old).to_owned(), (*new).to_owned()));
        let lists = self.lists().map(|list| (list, count(list.1)));
        let blocks = lists.into_iter().flat_map(|((old_list, list, names), count)| {
            (0..count).flat_map(move |number| {
                names.iter().map(move |(old, new)| {
                    (format!("{old_list}.{number}.{old}"), format!("{list}.{number}.{new}"))
                })
            })
        });
        outside.chain(blocks)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_names_are_found_one_by_one() {
        for (names, first, count) in [
            (&FLUX1, "single_transformer_blocks.0.proj_mlp.weight", 10 + 2 * 14 + 6),
            (&FLUX2, "single_stream_modulation.linear.weight", 11 + 2 * 12 + 4),
            (&CHROMA, "distilled_guidance_layer.in_proj.weight", 5 + 2 * 12 + 5 + 2),
        ] {
            let keys = [
                first,
                "transformer_blocks.0.attn.to_q.weight",
                "transformer_blocks.1.attn.to_q.weight",
                "single_transformer_blocks.0.attn.norm_q.weight",
                "distilled_guidance_layer.layers.0.linear_1.weight",
            ];
            let weights = keys.map(|key| (key.to_owned(), vec![1])).into();
            assert!(std::ptr::eq(Names::of(&weights).unwrap(), names));
            let all: Vec<(String, String)> = names.all(&weights).collect();
            assert_eq!(all.len(), count);
            for (old, new) in all {
                assert_eq!(names.in_diffusers(&old).as_deref(), Some(new.as_str()));
            }
            for unknown in
                ["double_blocks.0", "double_blocks.x.img_mlp.0", "img_in.weight", "single_blocks.0.linear3"]
            {
                assert_eq!(names.in_diffusers(unknown), None, "{unknown}");
            }
        }
        assert!(Names::of(&BTreeMap::new()).is_none());
        assert_eq!(parts("a.attn.added_qkv").unwrap()[2], "a.attn.add_v_proj");
        assert_eq!(
            parts("single_transformer_blocks.3.qkv_mlp").unwrap()[3],
            "single_transformer_blocks.3.proj_mlp"
        );
        assert_eq!(parts("a.attn.to_q"), None);
    }
}
