//! The layout of Stable Diffusion 1 and 2 (CompVis' `latent-diffusion`, Stability AI's `stablediffusion`): all models in one
//! file, layers numbered by their position in the network.

use super::{Layout, OriginalModel, UNET, configs, input_channels, open_clip, width};
use crate::error::Result;
use crate::loading::config::Config;
use crate::loading::folder::EmbeddedFolder;
use crate::loading::formats::state_dict::StateDict;

const VAE: [&str; 2] = ["first_stage_model.", "vae."];
const CLIP: [&str; 2] = ["cond_stage_model.transformer.", "conditioner.embedders.0.transformer."];
const OPEN_CLIP: &str = "cond_stage_model.model.";

/// Recognises every file: one without distinctive keys, such as a standalone autoencoder, counts as Stable Diffusion 1.
pub(super) static LAYOUT: Layout = Layout {
    recognizes: |_| true,
    configs,
    models: &[
        OriginalModel { class_name: "UNet2DConditionModel", subfolder: "unet", convert: unet },
        OriginalModel { class_name: "AutoencoderKL", subfolder: "vae", convert: vae },
        OriginalModel { class_name: "CLIPTextModel", subfolder: "text_encoder", convert: text_encoder },
    ],
};

fn configs(tensors: &StateDict) -> &'static EmbeddedFolder {
    let is_second =
        width(tensors, "model.diffusion_model.input_blocks.2.1.transformer_blocks.0.attn2.to_k.weight")
            == Some(1024);
    let upscales = tensors.contains("model.diffusion_model.input_blocks.10.0.skip_connection.bias");
    match (input_channels(tensors), is_second) {
        (Some(9), true) => &configs::STABLE_DIFFUSION_2_INPAINTING,
        (Some(9), false) => &configs::STABLE_DIFFUSION_1_INPAINTING,
        (_, true) => &configs::STABLE_DIFFUSION_2,
        (_, false) if upscales => &configs::UPSCALER,
        (Some(8), false) => &configs::INSTRUCT_PIX2PIX,
        (_, false) => &configs::STABLE_DIFFUSION_1,
    }
}

/// The UNet of a whole checkpoint, or a file that is one in the layout of diffusers.
///
/// # Errors
/// When its first layer takes other channels than the configuration says.
pub(super) fn unet(tensors: &StateDict, config: &Config) -> Result<StateDict> {
    let integer = |field: &str| config.get(field).and_then(serde_json::Value::as_u64);
    if let (Some(found), Some(expected)) = (input_channels(tensors), integer("in_channels"))
        && found as u64 != expected
    {
        return Err(tensors.error(format!(
            "the UNet takes {found} channels, but {} says {expected}: choose the configuration of a model of this kind \
             with `config`",
            config.origin()
        )));
    }
    if tensors.contains("conv_in.weight") && tensors.contains("time_embedding.linear_1.weight") {
        return Ok(tensors.clone());
    }
    let layers = integer("layers_per_block").unwrap_or(2) as usize;
    // Both are called `label_emb`: the embedding of a class, and that of a text and sizes.
    let label = match config.get("addition_embed_type").and_then(serde_json::Value::as_str) {
        Some(_) => "add_embedding",
        None => "class_embedding",
    };
    Ok(tensors.rename(|key| unet_key(key.strip_prefix(UNET)?, layers, label)))
}

/// The key of a parameter of a UNet whose blocks have `layers` layers each, and whose further embedding is called `label`.
pub(super) fn unet_key(key: &str, layers: usize, label: &str) -> Option<String> {
    if let Some(rest) = key.strip_prefix("label_emb.") {
        return Some(match (rest.strip_prefix("0.0."), rest.strip_prefix("0.2.")) {
            (Some(rest), _) => format!("{label}.linear_1.{rest}"),
            (_, Some(rest)) => format!("{label}.linear_2.{rest}"),
            _ => format!("{label}.{rest}"),
        });
    }
    for (old, new) in [
        ("time_embed.0.", "time_embedding.linear_1."),
        ("time_embed.2.", "time_embedding.linear_2."),
        ("input_blocks.0.0.", "conv_in."),
        ("out.0.", "conv_norm_out."),
        ("out.2.", "conv_out."),
    ] {
        if let Some(rest) = key.strip_prefix(old) {
            return Some(format!("{new}{rest}"));
        }
    }
    let (half, rest) = key.split_once('.')?;
    let (number, rest) = rest.split_once('.')?;
    let number: usize = number.parse().ok()?;
    if half == "middle_block" {
        return match number {
            0 => Some(format!("mid_block.resnets.0.{}", resnet_part(rest))),
            1 => Some(format!("mid_block.attentions.0.{rest}")),
            2 => Some(format!("mid_block.resnets.1.{}", resnet_part(rest))),
            _ => None,
        };
    }
    let (part, rest) = rest.split_once('.')?;
    // Each block is followed by one that changes the size.
    let place = |number: usize| (number / (layers + 1), number % (layers + 1));
    match half {
        "input_blocks" => {
            let (block, layer) = place(number.checked_sub(1)?);
            match (part, rest.strip_prefix("op.")) {
                ("0", Some(rest)) => Some(format!("down_blocks.{block}.downsamplers.0.conv.{rest}")),
                ("0", None) => Some(format!("down_blocks.{block}.resnets.{layer}.{}", resnet_part(rest))),
                ("1", _) => Some(format!("down_blocks.{block}.attentions.{layer}.{rest}")),
                _ => None,
            }
        }
        "output_blocks" => {
            let (block, layer) = place(number);
            match (part, rest.strip_prefix("conv.")) {
                ("0", _) => Some(format!("up_blocks.{block}.resnets.{layer}.{}", resnet_part(rest))),
                ("1" | "2", Some(rest)) => Some(format!("up_blocks.{block}.upsamplers.0.conv.{rest}")),
                ("1", None) => Some(format!("up_blocks.{block}.attentions.{layer}.{rest}")),
                _ => None,
            }
        }
        _ => None,
    }
}

/// The new name of a part of a residual block, whose layers used to be numbered.
fn resnet_part(part: &str) -> String {
    part.replace("in_layers.0", "norm1")
        .replace("in_layers.2", "conv1")
        .replace("out_layers.0", "norm2")
        .replace("out_layers.3", "conv2")
        .replace("emb_layers.1", "time_emb_proj")
        .replace("skip_connection", "conv_shortcut")
}

pub(super) fn vae(tensors: &StateDict, config: &Config) -> Result<StateDict> {
    if tensors.keys().any(|key| key.starts_with("encoder.down_blocks.")) {
        return Ok(tensors.clone());
    }
    let prefix =
        VAE.into_iter().rfind(|prefix| tensors.keys().any(|key| key.starts_with(prefix))).unwrap_or("");
    let blocks = config.get("up_block_types").and_then(serde_json::Value::as_array).map_or(1, Vec::len);
    let mut out = tensors.rename(|key| vae_key(key.strip_prefix(prefix)?, blocks));
    // The attention's projections were convolutions with a kernel of one pixel.
    let projections: Vec<String> = out
        .iter()
        .filter(|(key, tensor)| {
            key.contains(".attentions.") && key.ends_with(".weight") && tensor.shape().len() > 2
        })
        .map(|(key, _)| key.to_owned())
        .collect();
    for key in projections {
        let flat = out.get(&key).and_then(|tensor| tensor.reshaped(&tensor.shape()[..2]));
        if let Some(flat) = flat {
            out.insert(key, flat);
        }
    }
    Ok(out)
}

/// The key of a parameter of an autoencoder whose decoder has `blocks` blocks.
fn vae_key(key: &str, blocks: usize) -> Option<String> {
    let (half, rest) = key.split_once('.')?;
    if matches!(half, "quant_conv" | "post_quant_conv" | "bn") {
        return Some(key.to_owned());
    }
    if !matches!(half, "encoder" | "decoder") {
        return None;
    }
    // In FLUX.2, these are part of the halves.
    if rest.starts_with("quant_conv.") || rest.starts_with("post_quant_conv.") {
        return Some(rest.to_owned());
    }
    for (old, new) in [
        ("conv_in.", "conv_in."),
        ("conv_out.", "conv_out."),
        ("norm_out.", "conv_norm_out."),
        ("mid.block_1.", "mid_block.resnets.0."),
        ("mid.block_2.", "mid_block.resnets.1."),
    ] {
        if let Some(rest) = rest.strip_prefix(old) {
            return Some(format!("{half}.{new}{}", rest.replace("nin_shortcut", "conv_shortcut")));
        }
    }
    if let Some(rest) = rest.strip_prefix("mid.attn_1.") {
        let (layer, parameter) = rest.split_once('.')?;
        let layer = match layer {
            "norm" => "group_norm",
            "q" => "to_q",
            "k" => "to_k",
            "v" => "to_v",
            "proj_out" => "to_out.0",
            _ => return None,
        };
        return Some(format!("{half}.mid_block.attentions.0.{layer}.{parameter}"));
    }
    let (direction, rest) = rest.split_once('.')?;
    let (number, rest) = rest.split_once('.')?;
    let number: usize = number.parse().ok()?;
    let (list, change, number) = match direction {
        "down" => ("down_blocks", "downsample", number),
        // The blocks of the decoder were numbered from the image up.
        "up" => ("up_blocks", "upsample", (blocks - 1).checked_sub(number)?),
        _ => return None,
    };
    if let Some(rest) = rest.strip_prefix("block.") {
        return Some(format!(
            "{half}.{list}.{number}.resnets.{}",
            rest.replace("nin_shortcut", "conv_shortcut")
        ));
    }
    let rest = rest.strip_prefix(change)?.strip_prefix('.')?;
    Some(format!("{half}.{list}.{number}.{change}rs.0.{rest}"))
}

/// CLIP's encoder, or that of OpenCLIP, without its projection.
///
/// # Errors
/// When the matrix of query, key and value does not divide into three.
pub(super) fn text_encoder(tensors: &StateDict, _: &Config) -> Result<StateDict> {
    if tensors.keys().any(|key| CLIP.iter().any(|prefix| key.starts_with(prefix))) {
        return Ok(clip(tensors));
    }
    open_clip::convert(tensors, OPEN_CLIP, "")
}

fn clip(tensors: &StateDict) -> StateDict {
    tensors.rename(|key| {
        let key = CLIP.iter().find_map(|prefix| key.strip_prefix(prefix))?;
        Some(key.strip_prefix("text_model.").unwrap_or(key).to_owned())
    })
}
