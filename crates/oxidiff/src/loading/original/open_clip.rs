//! Text encoders of OpenCLIP, which keep query, key and value in one matrix.

use crate::error::Result;
use crate::loading::formats::state_dict::StateDict;

/// The encoder whose keys begin with `prefix`, under the keys of transformers, each after `parent`. Its projection is left
/// out.
///
/// # Errors
/// When the matrix of query, key and value does not divide into three.
pub(super) fn convert(tensors: &StateDict, prefix: &str, parent: &str) -> Result<StateDict> {
    let mut out = tensors.rename(|key| Some(format!("{parent}{}", new_key(key.strip_prefix(prefix)?)?)));
    for (key, tensor) in tensors.iter() {
        let Some((layer, kind)) = key
            .strip_prefix(prefix)
            .and_then(|key| key.strip_prefix("transformer.resblocks."))
            .and_then(|key| key.split_once(".attn.in_proj_"))
        else {
            continue;
        };
        let third = tensor.shape().first().copied().unwrap_or(0) / 3;
        for (index, name) in ["q_proj", "k_proj", "v_proj"].into_iter().enumerate() {
            let rows = tensor.rows(index * third..(index + 1) * third).ok_or_else(|| {
                tensors.error(format!(
                    "tensor `{key}` has shape {:?}, which does not divide into three",
                    tensor.shape()
                ))
            })?;
            out.insert(format!("{parent}encoder.layers.{layer}.self_attn.{name}.{kind}"), rows);
        }
    }
    Ok(out)
}

/// Like [`convert`], with the projection, which OpenCLIP multiplies from the other side.
///
/// # Errors
/// As for [`convert`], and when the projection is not a matrix or cannot be read.
pub(super) fn convert_with_projection(tensors: &StateDict, prefix: &str) -> Result<StateDict> {
    let mut out = convert(tensors, prefix, "text_model.")?;
    let key = format!("{prefix}text_projection");
    if let Some(projection) = tensors.get(&key) {
        let transposed = projection.transposed()?.ok_or_else(|| {
            tensors.error(format!("tensor `{key}` has shape {:?}, not that of a matrix", projection.shape()))
        })?;
        out.insert("text_projection.weight".to_owned(), transposed);
    }
    Ok(out)
}

fn new_key(key: &str) -> Option<String> {
    match key {
        "positional_embedding" => return Some("embeddings.position_embedding.weight".into()),
        "token_embedding.weight" => return Some("embeddings.token_embedding.weight".into()),
        _ => {}
    }
    if let Some(parameter) = key.strip_prefix("ln_final.") {
        return Some(format!("final_layer_norm.{parameter}"));
    }
    let rest = key.strip_prefix("transformer.resblocks.")?;
    if rest.contains(".attn.in_proj_") {
        return None;
    }
    let rest = rest
        .replace(".ln_1.", ".layer_norm1.")
        .replace(".ln_2.", ".layer_norm2.")
        .replace(".attn.", ".self_attn.")
        .replace(".mlp.c_fc.", ".mlp.fc1.")
        .replace(".mlp.c_proj.", ".mlp.fc2.");
    Some(format!("encoder.layers.{rest}"))
}
