//! The layout of Z-Image's transformer in files of its own, as ComfyUI reads them: query, key and value are one matrix.

use super::{Layout, OriginalModel, UNET, configs};
use crate::error::Result;
use crate::loading::config::Config;
use crate::loading::formats::state_dict::StateDict;

/// A tensor that only these models have, in both layouts.
const MARK: &str = "cap_pad_token";
const FUSED: &str = ".attention.qkv.weight";

pub(super) static LAYOUT: Layout = Layout {
    recognizes: |tensors| tensors.keys().any(|key| key.strip_prefix(UNET).unwrap_or(key) == MARK),
    configs: |_| &configs::Z_IMAGE,
    models: &[OriginalModel {
        class_name: "ZImageTransformer2DModel",
        subfolder: "transformer",
        convert: transformer,
    }],
};

/// The transformer under the keys of diffusers; a file may have these already.
///
/// # Errors
/// When the matrix of query, key and value does not divide into three.
fn transformer(tensors: &StateDict, _: &Config) -> Result<StateDict> {
    let mut out = tensors.rename(|key| {
        let key = key.strip_prefix(UNET).unwrap_or(key);
        // An unused norm, and the matrices that are split below.
        (key != "norm_final.weight" && !key.ends_with(FUSED)).then(|| new_key(key))
    });
    for (key, tensor) in tensors.iter() {
        let Some(block) = key.strip_prefix(UNET).unwrap_or(key).strip_suffix(FUSED) else { continue };
        let rows = tensor.shape().first().copied().unwrap_or(0);
        for (index, name) in ["to_q", "to_k", "to_v"].into_iter().enumerate() {
            let part = (rows % 3 == 0).then(|| tensor.rows(index * rows / 3..(index + 1) * rows / 3));
            let part = part.flatten().ok_or_else(|| {
                tensor.error(format!(
                    "tensor `{key}` has shape {:?}, which does not divide into three",
                    tensor.shape()
                ))
            })?;
            out.insert(format!("{block}.attention.{name}.weight"), part);
        }
    }
    Ok(out)
}

fn new_key(key: &str) -> String {
    for (original, diffusers) in
        [("final_layer.", "all_final_layer.2-1."), ("x_embedder.", "all_x_embedder.2-1.")]
    {
        if let Some(rest) = key.strip_prefix(original) {
            return format!("{diffusers}{rest}");
        }
    }
    key.replace(".attention.out.", ".attention.to_out.0.")
        .replace(".attention.q_norm.", ".attention.norm_q.")
        .replace(".attention.k_norm.", ".attention.norm_k.")
}
