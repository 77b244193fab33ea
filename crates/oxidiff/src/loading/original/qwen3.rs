//! The language model Qwen3 in a file of its own: with the names of llama.cpp, as in GGUF files, or with those of transformers.

use super::{Layout, OriginalModel, configs};
use crate::error::Result;
use crate::loading::config::Config;
use crate::loading::formats::state_dict::StateDict;

/// Norms of each head, which earlier language models do not have.
const MARKS: [&str; 3] = [
    "blk.0.attn_q_norm.weight",
    "model.layers.0.self_attn.q_norm.weight",
    "layers.0.self_attn.q_norm.weight",
];

pub(super) static LAYOUT: Layout = Layout {
    recognizes: |tensors| MARKS.iter().any(|mark| tensors.contains(mark)),
    configs: |_| &configs::Z_IMAGE,
    models: &[OriginalModel { class_name: "Qwen3Model", subfolder: "text_encoder", convert: model }],
};

fn model(tensors: &StateDict, _: &Config) -> Result<StateDict> {
    Ok(tensors.rename(|key| match key {
        // What predicts the next token.
        "output.weight" | "lm_head.weight" => None,
        "token_embd.weight" => Some("embed_tokens.weight".into()),
        "output_norm.weight" => Some("norm.weight".into()),
        _ => Some(in_block(key).unwrap_or_else(|| key.strip_prefix("model.").unwrap_or(key).to_owned())),
    }))
}

/// The name in transformers of a tensor of a block: `blk.0.attn_q.weight` is `layers.0.self_attn.q_proj.weight`.
pub(super) fn in_block(key: &str) -> Option<String> {
    let (number, rest) = key.strip_prefix("blk.")?.split_once('.')?;
    let (module, parameter) = rest.rsplit_once('.')?;
    let module = match module {
        "attn_norm" => "input_layernorm",
        "attn_q" => "self_attn.q_proj",
        "attn_k" => "self_attn.k_proj",
        "attn_v" => "self_attn.v_proj",
        "attn_output" => "self_attn.o_proj",
        "attn_q_norm" => "self_attn.q_norm",
        "attn_k_norm" => "self_attn.k_norm",
        "ffn_norm" => "post_attention_layernorm",
        "ffn_gate" => "mlp.gate_proj",
        "ffn_up" => "mlp.up_proj",
        "ffn_down" => "mlp.down_proj",
        _ => return None,
    };
    Some(format!("layers.{number}.{module}.{parameter}"))
}
