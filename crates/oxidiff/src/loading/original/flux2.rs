//! The layouts of FLUX.2's transformer and autoencoder in files of their own, as their authors published them and ComfyUI reads them:
//! query, key and value are one matrix.

use super::flux2_names::{FINAL_MODULATION, in_diffusers};
use super::{Layout, OriginalModel, UNET, configs, stable_diffusion, thirds};
use crate::error::Result;
use crate::loading::config::Config;
use crate::loading::formats::state_dict::StateDict;

/// Tensors that only these transformers have, in the layouts of their authors and of diffusers.
const MARKS: [&str; 2] = ["single_stream_modulation.lin.weight", "single_stream_modulation.linear.weight"];
/// The first layer in both layouts: its rows tell the models apart.
const FIRST: [&str; 2] = ["img_in.weight", "x_embedder.weight"];

pub(super) static TRANSFORMER: Layout = Layout {
    recognizes: |tensors| tensors.keys().any(|key| MARKS.contains(&bare(key))),
    configs: |tensors| {
        let first = tensors.iter().find(|(key, _)| FIRST.contains(&bare(key)));
        match first.and_then(|(_, tensor)| tensor.shape().first().copied()) {
            Some(3072) => &configs::FLUX2_KLEIN_4B,
            Some(4096) => &configs::FLUX2_KLEIN_9B,
            _ => &configs::FLUX2_DEV,
        }
    },
    models: &[OriginalModel {
        class_name: "Flux2Transformer2DModel",
        subfolder: "transformer",
        convert: transformer,
    }],
};

pub(super) static AUTOENCODER: Layout = Layout {
    recognizes: |tensors| {
        tensors.contains("bn.running_mean") && tensors.keys().any(|key| key.starts_with("decoder."))
    },
    configs: |_| &configs::FLUX2_KLEIN_4B,
    models: &[OriginalModel {
        class_name: "AutoencoderKLFlux2",
        subfolder: "vae",
        convert: stable_diffusion::vae,
    }],
};

/// A key without the name that whole checkpoints give the model.
fn bare(key: &str) -> &str {
    key.strip_prefix(UNET).unwrap_or(key)
}

/// The transformer under the keys of diffusers; a file may have these already.
///
/// # Errors
/// When a matrix does not divide into the parts that it stands for.
fn transformer(tensors: &StateDict, _: &Config) -> Result<StateDict> {
    let mut out = tensors.rename(|_| None);
    for (key, tensor) in tensors.iter() {
        let Some((module, parameter)) = bare(key).rsplit_once('.') else { continue };
        let parameter = if parameter == "scale" { "weight" } else { parameter };
        let Some(name) = in_diffusers(module) else {
            out.insert(bare(key).to_owned(), tensor.clone());
            continue;
        };
        let indivisible = |count: &str| {
            tensor.error(format!(
                "tensor `{key}` has shape {:?}, which does not divide into {count}",
                tensor.shape()
            ))
        };
        if module == FINAL_MODULATION {
            let swapped = tensor.with_halves_swapped()?.ok_or_else(|| indivisible("two"))?;
            out.insert(format!("{name}.{parameter}"), swapped);
        } else if let Some(parts) = parts(&name) {
            let split = thirds(tensor).ok_or_else(|| indivisible("three"))?;
            for (part, own) in parts.into_iter().zip(split) {
                out.insert(format!("{part}.{parameter}"), own);
            }
        } else {
            out.insert(format!("{name}.{parameter}"), tensor.clone());
        }
    }
    Ok(out)
}

/// The three layers that one stands for.
fn parts(module: &str) -> Option<[String; 3]> {
    if let Some(attention) = module.strip_suffix(".added_qkv") {
        return Some(["q", "k", "v"].map(|part| format!("{attention}.add_{part}_proj")));
    }
    let attention = module.strip_suffix(".qkv")?;
    Some(["q", "k", "v"].map(|part| format!("{attention}.to_{part}")))
}
