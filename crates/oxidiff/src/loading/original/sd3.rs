//! The layout of Stable Diffusion 3 and 3.5: the transformer of its authors, and possibly the autoencoder and the text encoders, or the
//! transformer alone.

use super::flux::split;
use super::flux_names::parts;
use super::sd3_names::{in_diffusers, shifts_first};
use super::{Layout, OriginalModel, UNET, configs, stable_diffusion, width};
use crate::error::Result;
use crate::loading::config::Config;
use crate::loading::folder::EmbeddedFolder;
use crate::loading::formats::state_dict::StateDict;

/// A tensor that only these transformers have.
const MARK: &str = "joint_blocks.0.context_block.adaLN_modulation.1.bias";
/// Tensors that only these have together in the layout of diffusers; ControlNets have the first alone.
const MARKS_IN_DIFFUSERS: [&str; 2] = ["pos_embed.pos_embed", "proj_out.weight"];
/// Those that only the large one of version 3.5 has, in both layouts.
const LARGE_MARKS: [&str; 2] =
    ["joint_blocks.37.x_block.mlp.fc1.weight", "transformer_blocks.37.ff.net.0.proj.weight"];
/// The table of positions, in both layouts.
const POSITIONS: [&str; 2] = ["pos_embed", "pos_embed.pos_embed"];
/// It has as many rows in the medium one of version 3.5, and fewer in version 3.
const POSITIONS_OF_MEDIUM: usize = 384 * 384;
const AUTOENCODER: &str = "first_stage_model.";
const CLIPS: [&str; 2] = ["text_encoders.clip_l.transformer.", "text_encoders.clip_g.transformer."];
const T5: &str = "text_encoders.t5xxl.transformer.";
const TOKENS: &str = "text_model.embeddings.token_embedding.weight";

pub(super) static LAYOUT: Layout = Layout {
    recognizes: |tensors| has(tensors, MARK) || MARKS_IN_DIFFUSERS.iter().all(|key| tensors.contains(key)),
    configs,
    models: &[
        OriginalModel { class_name: "SD3Transformer2DModel", subfolder: "transformer", convert: transformer },
        OriginalModel { class_name: "AutoencoderKL", subfolder: "vae", convert: stable_diffusion::vae },
        OriginalModel { class_name: "CLIPTextModelWithProjection", subfolder: "text_encoder", convert: clip },
        OriginalModel { class_name: "T5EncoderModel", subfolder: "text_encoder_3", convert: t5 },
    ],
};

/// Whether the transformer has a tensor.
fn has(tensors: &StateDict, key: &str) -> bool {
    tensors.contains(key) || tensors.contains(&format!("{UNET}{key}"))
}

/// Whether a file is the transformer alone.
pub(super) fn is_alone(tensors: &StateDict) -> bool {
    (LAYOUT.recognizes)(tensors) && !tensors.keys().any(|key| key.starts_with(AUTOENCODER))
}

/// Whether a file has the third text encoder, which [`configs`] leaves out: its tokenizer is in no file and too large for the library.
pub(super) fn has_third_text_encoder(tensors: &StateDict) -> bool {
    (LAYOUT.recognizes)(tensors) && tensors.keys().any(|key| key.starts_with(T5))
}

fn configs(tensors: &StateDict) -> &'static EmbeddedFolder {
    let has_clips = CLIPS.iter().all(|prefix| tensors.contains(&format!("{prefix}{TOKENS}")));
    let table = |key: &&str| tensors.get(key).or_else(|| tensors.get(&format!("{UNET}{key}")));
    let rows = POSITIONS.iter().find_map(table).and_then(|table| table.shape().iter().rev().nth(1).copied());
    match (LARGE_MARKS.iter().any(|key| has(tensors, key)), rows, has_clips) {
        (true, _, true) => &configs::SD35_LARGE,
        (true, _, false) => &configs::SD35_LARGE_WITHOUT_TEXT,
        (false, Some(POSITIONS_OF_MEDIUM), true) => &configs::SD35_MEDIUM,
        (false, Some(POSITIONS_OF_MEDIUM), false) => &configs::SD35_MEDIUM_WITHOUT_TEXT,
        (false, _, true) => &configs::SD3_MEDIUM,
        (false, _, false) => &configs::SD3_MEDIUM_WITHOUT_TEXT,
    }
}

/// The transformer under the keys of diffusers; a file may have these already.
///
/// # Errors
/// When a matrix does not divide into the parts that it stands for.
fn transformer(tensors: &StateDict, _: &Config) -> Result<StateDict> {
    let bare = |key: &str| key.strip_prefix(UNET).map(str::to_owned);
    let is_whole = tensors.keys().any(|key| key.starts_with(UNET));
    let own = match is_whole {
        true => tensors.rename(bare),
        false => tensors.clone(),
    };
    let mut out = own.rename(|_| None);
    for (key, tensor) in own.iter() {
        if key == POSITIONS[0] {
            // Converters to GGUF may leave out dimensions of 1.
            let row = match *tensor.shape() {
                [rows, features] => tensor.reshaped(&[1, rows, features]),
                _ => None,
            };
            out.insert(POSITIONS[1].to_owned(), row.unwrap_or_else(|| tensor.clone()));
            continue;
        }
        let Some((module, parameter)) = key.rsplit_once('.') else { continue };
        let Some(name) = in_diffusers(module) else {
            out.insert(key.to_owned(), tensor.clone());
            continue;
        };
        let indivisible = |count: &str| {
            tensor.error(format!(
                "tensor `{key}` has shape {:?}, which does not divide into {count}",
                tensor.shape()
            ))
        };
        if shifts_first(module, |other| own.contains(other)) {
            let swapped = tensor.with_halves_swapped()?.ok_or_else(|| indivisible("two"))?;
            out.insert(format!("{name}.{parameter}"), swapped);
        } else if let Some(parts) = parts(&name) {
            let split = split(tensor, parts.len()).ok_or_else(|| indivisible("three"))?;
            for (part, own) in parts.into_iter().zip(split) {
                out.insert(format!("{part}.{parameter}"), own);
            }
        } else {
            out.insert(format!("{name}.{parameter}"), tensor.clone());
        }
    }
    Ok(out)
}

/// The CLIP text encoder whose tokens are as long as the configuration says.
fn clip(tensors: &StateDict, config: &Config) -> Result<StateDict> {
    let wanted = config.get("hidden_size").and_then(serde_json::Value::as_u64);
    let found = CLIPS
        .iter()
        .find(|prefix| width(tensors, &format!("{prefix}{TOKENS}")).map(|width| width as u64) == wanted);
    Ok(tensors.rename(|key| key.strip_prefix(found?).map(str::to_owned)))
}

fn t5(tensors: &StateDict, _: &Config) -> Result<StateDict> {
    Ok(tensors.rename(|key| key.strip_prefix(T5).map(str::to_owned)))
}
