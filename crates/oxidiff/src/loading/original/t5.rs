//! The encoder of T5 in a file of its own: with the names of llama.cpp, as in GGUF files, or with those of transformers.

use super::{Layout, OriginalModel, configs};
use crate::error::Result;
use crate::loading::config::Config;
use crate::loading::formats::state_dict::StateDict;

/// The table of distances, which no other language model has.
const MARKS: [&str; 2] =
    ["enc.blk.0.attn_rel_b.weight", "encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight"];

/// The gate of the first feed-forward in the names of llama.cpp. There, `ffn_up` is what is gated, or the only layer.
const GATE: &str = "enc.blk.0.ffn_gate.weight";

pub(super) static LAYOUT: Layout = Layout {
    recognizes: |tensors| MARKS.iter().any(|mark| tensors.contains(mark)),
    configs: |_| &configs::T5,
    models: &[OriginalModel { class_name: "T5EncoderModel", subfolder: "text_encoder", convert: model }],
};

fn model(tensors: &StateDict, _: &Config) -> Result<StateDict> {
    let up = if tensors.contains(GATE) { "DenseReluDense.wi_1" } else { "DenseReluDense.wi" };
    Ok(tensors.rename(|key| match key {
        "token_embd.weight" => Some("shared.weight".into()),
        "enc.output_norm.weight" => Some("encoder.final_layer_norm.weight".into()),
        // What generates texts, and a mark of files in `f8`.
        _ if ["decoder.", "dec.", "lm_head.", "scaled_fp8"].iter().any(|part| key.starts_with(part)) => None,
        _ => Some(in_block(key, up).unwrap_or_else(|| key.to_owned())),
    }))
}

/// The name in transformers of a tensor of a block: `enc.blk.0.attn_q.weight` is `encoder.block.0.layer.0.SelfAttention.q.weight`.
fn in_block(key: &str, up: &str) -> Option<String> {
    let (number, rest) = key.strip_prefix("enc.blk.")?.split_once('.')?;
    let (module, parameter) = rest.rsplit_once('.')?;
    let (layer, module) = match module {
        "attn_norm" => (0, "layer_norm"),
        "attn_q" => (0, "SelfAttention.q"),
        "attn_k" => (0, "SelfAttention.k"),
        "attn_v" => (0, "SelfAttention.v"),
        "attn_o" => (0, "SelfAttention.o"),
        "attn_rel_b" => (0, "SelfAttention.relative_attention_bias"),
        "ffn_norm" => (1, "layer_norm"),
        "ffn_gate" => (1, "DenseReluDense.wi_0"),
        "ffn_up" => (1, up),
        "ffn_down" => (1, "DenseReluDense.wo"),
        _ => return None,
    };
    Some(format!("encoder.block.{number}.layer.{layer}.{module}.{parameter}"))
}
