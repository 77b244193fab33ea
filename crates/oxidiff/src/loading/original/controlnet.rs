//! The layout of ControlNets as their author published them (<https://github.com/lllyasviel/ControlNet>): that of the first half
//! of a UNet, whose keys begin with `control_model.` or with nothing.

use super::stable_diffusion::unet_key;
use super::{Layout, OriginalModel, configs, width};
use crate::error::Result;
use crate::loading::config::Config;
use crate::loading::folder::EmbeddedFolder;
use crate::loading::formats::state_dict::StateDict;

const PREFIX: &str = "control_model.";
/// A key that only ControlNets have, after the prefix.
const ZERO_CONVOLUTION: &str = "zero_convs.0.0.weight";
/// The same in the layout of diffusers.
const EMBEDDING: &str = "controlnet_cond_embedding.conv_in.weight";

pub(super) static LAYOUT: Layout = Layout {
    recognizes: |tensors| {
        let keys = [ZERO_CONVOLUTION.to_owned(), format!("{PREFIX}{ZERO_CONVOLUTION}"), EMBEDDING.to_owned()];
        keys.iter().any(|key| tensors.contains(key))
    },
    configs,
    models: &[OriginalModel { class_name: "ControlNetModel", subfolder: "controlnet", convert }],
};

/// The configuration of the published ControlNet for a UNet that attends to texts of the same length.
fn configs(tensors: &StateDict) -> &'static EmbeddedFolder {
    const ATTENTIONS: [&str; 4] = [
        "control_model.input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight",
        "input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight",
        "down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k.weight",
        "down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_k.weight",
    ];
    match ATTENTIONS.into_iter().find_map(|key| width(tensors, key)) {
        Some(1024) => &configs::CONTROLNET_STABLE_DIFFUSION_2,
        Some(2048) => &configs::CONTROLNET_XL,
        _ => &configs::CONTROLNET_STABLE_DIFFUSION_1,
    }
}

fn convert(tensors: &StateDict, config: &Config) -> Result<StateDict> {
    if tensors.contains(EMBEDDING) {
        return Ok(tensors.clone());
    }
    let prefix = if tensors.contains(ZERO_CONVOLUTION) { "" } else { PREFIX };
    let layers = config.get("layers_per_block").and_then(serde_json::Value::as_u64).unwrap_or(2) as usize;
    let channels = config.get("conditioning_embedding_out_channels").and_then(serde_json::Value::as_array);
    let convolutions = 2 * channels.map_or(4, Vec::len);
    Ok(tensors.rename(|key| controlnet_key(key.strip_prefix(prefix)?, layers, convolutions)))
}

/// The key of a parameter of a ControlNet whose blocks have `layers` layers each, and whose image goes through this many
/// `convolutions`.
fn controlnet_key(key: &str, layers: usize, convolutions: usize) -> Option<String> {
    let numbered = |rest: &str| {
        let (number, rest) = rest.split_once('.')?;
        Some((number.parse::<usize>().ok()?, rest.to_owned()))
    };
    if let Some(rest) = key.strip_prefix("zero_convs.") {
        let (number, rest) = numbered(rest)?;
        return Some(format!("controlnet_down_blocks.{number}.{}", rest.strip_prefix("0.")?));
    }
    if let Some(rest) = key.strip_prefix("middle_block_out.0.") {
        return Some(format!("controlnet_mid_block.{rest}"));
    }
    if let Some(rest) = key.strip_prefix("input_hint_block.") {
        // An activation follows each convolution.
        let (number, rest) = numbered(rest)?;
        let layer = match number / 2 {
            0 => "conv_in".to_owned(),
            last if last + 1 == convolutions => "conv_out".to_owned(),
            block => format!("blocks.{}", block - 1),
        };
        return Some(format!("controlnet_cond_embedding.{layer}.{rest}"));
    }
    unet_key(key, layers, "add_embedding")
}
