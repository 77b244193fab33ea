//! The layout of Qwen-Image's transformer in files of its own: its keys are those of diffusers, in front of which ComfyUI's files may
//! have a prefix.

use super::{Layout, OriginalModel, UNET, configs};
use crate::error::Result;
use crate::loading::config::Config;
use crate::loading::formats::state_dict::StateDict;

/// A tensor that only these transformers and their ControlNets have.
const MARK: &str = "transformer_blocks.0.img_mod.1.weight";
/// One that only the ControlNets have.
const CONTROL_MARK: &str = "controlnet_x_embedder.weight";
/// One that only the transformer has that makes layers.
const LAYERED_MARK: &str = "time_text_embed.addition_t_embedding.weight";
/// By this empty tensor, ComfyUI's files say that the images to edit have no noise (`zero_cond_t`).
const CLEAN_MARK: &str = "__index_timestep_zero__";

pub(super) static LAYOUT: Layout = Layout {
    recognizes: |tensors| has(tensors, MARK) && !has(tensors, CONTROL_MARK),
    configs: |tensors| match (has(tensors, CLEAN_MARK), has(tensors, LAYERED_MARK)) {
        (_, true) => &configs::QWEN_IMAGE_LAYERED,
        (true, _) => &configs::QWEN_IMAGE_EDIT_2511,
        _ => &configs::QWEN_IMAGE,
    },
    models: &[OriginalModel {
        class_name: "QwenImageTransformer2DModel",
        subfolder: "transformer",
        convert: transformer,
    }],
};

fn has(tensors: &StateDict, key: &str) -> bool {
    tensors.contains(key) || tensors.contains(&format!("{UNET}{key}"))
}

/// The transformer under the keys of diffusers.
fn transformer(tensors: &StateDict, _: &Config) -> Result<StateDict> {
    let is_prefixed = tensors.contains(&format!("{UNET}{MARK}"));
    Ok(tensors.rename(|key| {
        let key = if is_prefixed { key.strip_prefix(UNET)? } else { key };
        (key != CLEAN_MARK).then(|| key.to_owned())
    }))
}
