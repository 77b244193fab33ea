//! The language model Gemma 2 in a file of its own: with the names of llama.cpp, as in GGUF files, or with those of transformers.

use super::{Layout, OriginalModel, configs};
use crate::error::Result;
use crate::loading::config::Config;
use crate::loading::formats::state_dict::StateDict;

/// Norms of the results of feed-forwards, which earlier language models do not have.
const MARKS: [&str; 3] = [
    "blk.0.post_ffw_norm.weight",
    "model.layers.0.post_feedforward_layernorm.weight",
    "layers.0.post_feedforward_layernorm.weight",
];

pub(super) static LAYOUT: Layout = Layout {
    recognizes: |tensors| MARKS.iter().any(|mark| tensors.contains(mark)),
    configs: |_| &configs::GEMMA2,
    models: &[OriginalModel { class_name: "Gemma2Model", subfolder: "text_encoder", convert: model }],
};

/// The model under the keys of transformers. llama.cpp keeps factors where transformers keeps what is added to 1.
///
/// # Errors
/// When a norm of llama.cpp cannot be read.
fn model(tensors: &StateDict, _: &Config) -> Result<StateDict> {
    let of_llama_cpp = tensors.contains(MARKS[0]);
    let mut model = tensors.rename(|key| match key {
        // What predicts the next token, and the tokenizer.
        "output.weight" | "lm_head.weight" | "spiece_model" => None,
        "token_embd.weight" => Some("embed_tokens.weight".into()),
        "output_norm.weight" => Some("norm.weight".into()),
        _ => Some(in_block(key).unwrap_or_else(|| key.strip_prefix("model.").unwrap_or(key).to_owned())),
    });
    if of_llama_cpp {
        let norms: Vec<String> =
            model.keys().filter(|key| key.ends_with("norm.weight")).map(str::to_owned).collect();
        for key in norms {
            let norm = model.get(&key).expect("a key of this file").less(1.0)?;
            model.insert(key, norm);
        }
    }
    Ok(model)
}

/// The name in transformers of a tensor of a block: `blk.0.attn_q.weight` is `layers.0.self_attn.q_proj.weight`.
fn in_block(key: &str) -> Option<String> {
    let (number, rest) = key.strip_prefix("blk.")?.split_once('.')?;
    let (module, parameter) = rest.rsplit_once('.')?;
    let module = match module {
        "attn_norm" => "input_layernorm",
        "attn_q" => "self_attn.q_proj",
        "attn_k" => "self_attn.k_proj",
        "attn_v" => "self_attn.v_proj",
        "attn_output" => "self_attn.o_proj",
        "post_attention_norm" => "post_attention_layernorm",
        "ffn_norm" => "pre_feedforward_layernorm",
        "ffn_gate" => "mlp.gate_proj",
        "ffn_up" => "mlp.up_proj",
        "ffn_down" => "mlp.down_proj",
        "post_ffw_norm" => "post_feedforward_layernorm",
        _ => return None,
    };
    Some(format!("layers.{number}.{module}.{parameter}"))
}
