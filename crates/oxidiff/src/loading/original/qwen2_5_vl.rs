//! Qwen2.5-VL in a file of its own: its language model with the names of llama.cpp, as in GGUF files, or all of it with those of
//! transformers.

use super::qwen3::in_block;
use super::{Layout, OriginalModel, configs};
use crate::error::{Error, Result};
use crate::loading::config::Config;
use crate::loading::formats::state_dict::StateDict;

/// Biases of the attention, which the language models of other text encoders do not have.
const MARKS: [&str; 3] = [
    "blk.0.attn_q.bias",
    "model.layers.0.self_attn.q_proj.bias",
    "model.language_model.layers.0.self_attn.q_proj.bias",
];

pub(super) static LAYOUT: Layout = Layout {
    recognizes: |tensors| MARKS.iter().any(|mark| tensors.contains(mark)),
    configs: |_| &configs::QWEN2_5_VL,
    models: &[OriginalModel {
        class_name: "Qwen2_5_VLForConditionalGeneration",
        subfolder: "text_encoder",
        convert: model,
    }],
};

/// The model under the keys of transformers.
///
/// # Errors
/// When the weights have to be multiplied by scales.
fn model(tensors: &StateDict, _: &Config) -> Result<StateDict> {
    if tensors.keys().any(|key| key.ends_with(".scale_weight")) {
        let what = format!("`{}`, whose weights are in `f8` with scales", tensors.origin());
        return Err(Error::unsupported(what, "take the file in `bf16`, or one of GGUF"));
    }
    Ok(tensors.rename(|key| {
        let of_language_model = |key: &str| Some(format!("model.language_model.{key}"));
        match key {
            "output.weight" => Some("lm_head.weight".to_owned()),
            "token_embd.weight" => of_language_model("embed_tokens.weight"),
            "output_norm.weight" => of_language_model("norm.weight"),
            _ if key.starts_with("visual.") => Some(format!("model.{key}")),
            _ if key.starts_with("blk.") => in_block(key).and_then(|key| of_language_model(&key)),
            _ => match key.strip_prefix("model.") {
                Some(rest)
                    if ["layers.", "embed_tokens.", "norm."].iter().any(|part| rest.starts_with(part)) =>
                {
                    of_language_model(rest)
                }
                _ => Some(key.to_owned()),
            },
        }
    }))
}
