//! The layout of Lumina 2's transformer in files of its own, where query, key and value are one matrix, or in a file with all parts, as
//! ComfyUI reads it.

use super::lumina2_names::in_diffusers;
use super::{Layout, OriginalModel, UNET, configs};
use crate::error::Result;
use crate::loading::config::Config;
use crate::loading::formats::state_dict::{StateDict, StoredTensor};

/// A tensor that only these models have, in the layout of the authors and in that of diffusers. Z-Image, which has the first one as
/// well, is recognised before.
const MARKS: [&str; 2] = ["cap_embedder.0.weight", "time_caption_embed.caption_embedder.0.weight"];
const FUSED: &str = "attn.qkv";

pub(super) static LAYOUT: Layout = Layout {
    recognizes: |tensors| MARKS.iter().any(|mark| tensors.contains(mark) || is_prefixed(tensors, mark)),
    configs: |_| &configs::LUMINA2,
    models: &[OriginalModel {
        class_name: "Lumina2Transformer2DModel",
        subfolder: "transformer",
        convert: transformer,
    }],
};

fn is_prefixed(tensors: &StateDict, mark: &str) -> bool {
    tensors.contains(&format!("{UNET}{mark}"))
}

/// The transformer under the keys of diffusers; a file may have these already.
///
/// # Errors
/// When the matrix of query, key and value does not divide into these.
fn transformer(tensors: &StateDict, _: &Config) -> Result<StateDict> {
    let is_prefixed = MARKS.iter().any(|mark| is_prefixed(tensors, mark));
    let own = tensors.rename(|key| {
        let key = if is_prefixed { key.strip_prefix(UNET)? } else { key };
        // A norm that the model does not use.
        (!key.starts_with("norm_final.")).then(|| key.to_owned())
    });
    let mut out = own.rename(|_| None);
    for (key, tensor) in own.iter() {
        let (module, parameter) = key.rsplit_once('.').unwrap_or((key, ""));
        let Some(name) = in_diffusers(module) else {
            out.insert(key.to_owned(), tensor.clone());
            continue;
        };
        let Some(block) = name.strip_suffix(FUSED) else {
            out.insert(format!("{name}.{parameter}"), tensor.clone());
            continue;
        };
        let parts = parts(tensor).ok_or_else(|| {
            let shape = tensor.shape();
            tensor.error(format!(
                "tensor `{key}` has shape {shape:?}, which is not that of query, key and value"
            ))
        })?;
        for (part, own) in ["to_q", "to_k", "to_v"].into_iter().zip(parts) {
            out.insert(format!("{block}attn.{part}.{parameter}"), own);
        }
    }
    Ok(out)
}

/// Query, key and value. The first is as long as a token; the others share the rest.
fn parts(tensor: &StoredTensor) -> Option<[StoredTensor; 3]> {
    let [rows, features] = *tensor.shape() else { return None };
    let rest = rows.checked_sub(features).filter(|rest| *rest > 0 && rest.is_multiple_of(2))?;
    let middle = features + rest / 2;
    Some([tensor.rows(0..features)?, tensor.rows(features..middle)?, tensor.rows(middle..rows)?])
}

#[cfg(test)]
mod tests {
    use safetensors::tensor::{Dtype, TensorView};

    use super::*;

    #[test]
    fn a_matrix_that_is_not_query_key_and_value_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.safetensors");
        let bytes = [0; 4 * 2 * 2];
        let view = || TensorView::new(Dtype::F32, vec![2, 2], &bytes).unwrap();
        let tensors = [(MARKS[0], view()), ("layers.0.attention.qkv.weight", view())];
        std::fs::write(&path, safetensors::serialize(tensors, None).unwrap()).unwrap();
        let file = StateDict::open(&path).unwrap();
        assert!((LAYOUT.recognizes)(&file));
        let error = transformer(&file, &Config::default()).unwrap_err().to_string();
        assert!(error.contains("layers.0.attention.qkv.weight") && error.contains("[2, 2]"), "{error}");
    }
}
