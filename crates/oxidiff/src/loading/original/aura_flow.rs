//! The layout of AuraFlow's transformer in a file of its own, as its authors published it and ComfyUI reads it.

use super::{Layout, OriginalModel, UNET, configs};
use crate::error::Result;
use crate::loading::config::Config;
use crate::loading::formats::state_dict::StateDict;

/// A tensor that only these models have, in their authors' layout and in that of diffusers.
const MARKS: [&str; 2] = ["double_layers.0.attn.w1q.weight", "joint_transformer_blocks.0.attn.to_q.weight"];

/// Names outside of blocks, and those of diffusers.
const OUTSIDE: [(&str, &str); 8] = [
    ("t_embedder.mlp.0", "time_step_proj.linear_1"),
    ("t_embedder.mlp.2", "time_step_proj.linear_2"),
    ("cond_seq_linear", "context_embedder"),
    ("init_x_linear", "pos_embed.proj"),
    ("positional_encoding", "pos_embed.pos_embed"),
    ("final_linear", "proj_out"),
    ("modF.1", "norm_out.linear"),
    ("register_tokens", "register_tokens"),
];

/// Names inside a block with two streams: the text's have a 1 or a C.
const DOUBLE: [(&str, &str); 16] = [
    ("modX.1", "norm1.linear"),
    ("modC.1", "norm1_context.linear"),
    ("attn.w2q", "attn.to_q"),
    ("attn.w2k", "attn.to_k"),
    ("attn.w2v", "attn.to_v"),
    ("attn.w2o", "attn.to_out.0"),
    ("attn.w1q", "attn.add_q_proj"),
    ("attn.w1k", "attn.add_k_proj"),
    ("attn.w1v", "attn.add_v_proj"),
    ("attn.w1o", "attn.to_add_out"),
    ("mlpX.c_fc1", "ff.linear_1"),
    ("mlpX.c_fc2", "ff.linear_2"),
    ("mlpX.c_proj", "ff.out_projection"),
    ("mlpC.c_fc1", "ff_context.linear_1"),
    ("mlpC.c_fc2", "ff_context.linear_2"),
    ("mlpC.c_proj", "ff_context.out_projection"),
];

/// Names inside a block with one stream.
const SINGLE: [(&str, &str); 8] = [
    ("modCX.1", "norm1.linear"),
    ("attn.w1q", "attn.to_q"),
    ("attn.w1k", "attn.to_k"),
    ("attn.w1v", "attn.to_v"),
    ("attn.w1o", "attn.to_out.0"),
    ("mlp.c_fc1", "ff.linear_1"),
    ("mlp.c_fc2", "ff.linear_2"),
    ("mlp.c_proj", "ff.out_projection"),
];

/// The layer that makes a shift, then a scale; in diffusers the scale comes first.
const SHIFTS_FIRST: &str = "modF.1.weight";

/// Tensors that are tables of tokens, `[1, tokens, features]`.
const TABLES: [&str; 2] = ["pos_embed.pos_embed", "register_tokens"];

pub(super) static LAYOUT: Layout = Layout {
    recognizes: |tensors| tensors.keys().any(|key| MARKS.contains(&bare(key))),
    configs: |tensors| match positions(tensors) {
        Some(FIRST_POSITIONS) => &configs::AURA_FLOW_1,
        _ => &configs::AURA_FLOW_3,
    },
    models: &[OriginalModel {
        class_name: "AuraFlowTransformer2DModel",
        subfolder: "transformer",
        convert: transformer,
    }],
};

/// The number of learned positions of the first version.
const FIRST_POSITIONS: usize = 1024;

/// The number of learned positions.
fn positions(tensors: &StateDict) -> Option<usize> {
    let (_, table) = tensors.iter().find(|(key, _)| new_key(bare(key)) == TABLES[0])?;
    table.shape().iter().rev().nth(1).copied()
}

fn bare(key: &str) -> &str {
    key.strip_prefix(UNET).or_else(|| key.strip_prefix("model.")).unwrap_or(key)
}

/// The transformer under the keys of diffusers; a file may have these already.
///
/// # Errors
/// When the last modulation does not divide into two.
fn transformer(tensors: &StateDict, _: &Config) -> Result<StateDict> {
    let mut out = tensors.rename(|key| Some(new_key(bare(key))));
    for (key, tensor) in tensors.iter().filter(|(key, _)| bare(key) == SHIFTS_FIRST) {
        let indivisible = || {
            let shape = tensor.shape();
            tensor.error(format!("tensor `{key}` has shape {shape:?}, which does not divide into two"))
        };
        let swapped = tensor.with_halves_swapped()?.ok_or_else(indivisible)?;
        out.insert(new_key(SHIFTS_FIRST), swapped);
    }
    // Converters to GGUF may leave out dimensions of 1.
    for key in TABLES {
        let table = out.get(key).filter(|table| table.shape().len() == 2);
        let whole = table.and_then(|table| table.reshaped(&[&[1], table.shape()].concat()));
        if let Some(whole) = whole {
            out.insert(key.to_owned(), whole);
        }
    }
    Ok(out)
}

fn new_key(key: &str) -> String {
    let renamed = |names: &[(&str, &str)], rest: &str| {
        let (name, end) = names.iter().find_map(|(original, name)| {
            let end = rest.strip_prefix(original)?;
            (end.is_empty() || end.starts_with('.')).then_some((name, end))
        })?;
        Some(format!("{name}{end}"))
    };
    for (blocks, new_blocks, names) in [
        ("double_layers.", "joint_transformer_blocks.", &DOUBLE[..]),
        ("single_layers.", "single_transformer_blocks.", &SINGLE[..]),
    ] {
        let Some((number, rest)) = key.strip_prefix(blocks).and_then(|rest| rest.split_once('.')) else {
            continue;
        };
        if let Some(name) = renamed(names, rest) {
            return format!("{new_blocks}{number}.{name}");
        }
    }
    renamed(&OUTSIDE, key).unwrap_or_else(|| key.to_owned())
}
