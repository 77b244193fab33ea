//! The layouts of Sana's transformer and of the deep compression autoencoder in files of their own, as their authors published them.

use super::{Layout, OriginalModel, UNET, configs, width};
use crate::error::{Error, Result};
use crate::loading::config::Config;
use crate::loading::formats::state_dict::{StateDict, StoredTensor};

/// A tensor that only these transformers have, in their authors' layout and in that of diffusers.
const MARKS: [&str; 2] = ["attention_y_norm.weight", "transformer_blocks.0.ff.conv_inverted.weight"];
/// One that tells how long a token is.
const TOKEN: [&str; 2] = ["final_layer.linear.weight", "proj_out.weight"];
/// The length of a token in the smaller model.
const SMALL: usize = 1152;
/// Tensors without a use here: a table of positions, and the embedding of no caption.
const UNUSED: [&str; 2] = ["pos_embed", "y_embedder.y_embedding"];

/// Names outside of blocks, and those of diffusers.
const OUTSIDE: [(&str, &str); 9] = [
    ("x_embedder.proj", "patch_embed.proj"),
    ("t_embedder.mlp.0", "time_embed.emb.timestep_embedder.linear_1"),
    ("t_embedder.mlp.2", "time_embed.emb.timestep_embedder.linear_2"),
    ("t_block.1", "time_embed.linear"),
    ("y_embedder.y_proj.fc1", "caption_projection.linear_1"),
    ("y_embedder.y_proj.fc2", "caption_projection.linear_2"),
    ("attention_y_norm", "caption_norm"),
    ("final_layer.linear", "proj_out"),
    ("final_layer.scale_shift_table", "scale_shift_table"),
];

/// Names inside a block.
const INSIDE: [(&str, &str); 7] = [
    ("attn.proj", "attn1.to_out.0"),
    ("cross_attn.q_linear", "attn2.to_q"),
    ("cross_attn.proj", "attn2.to_out.0"),
    ("mlp.inverted_conv.conv", "ff.conv_inverted"),
    ("mlp.depth_conv.conv", "ff.conv_depth"),
    ("mlp.point_conv.conv", "ff.conv_point"),
    ("scale_shift_table", "scale_shift_table"),
];

/// Matrices for several layers.
const FUSED: [(&str, &[&str]); 2] = [
    ("attn.qkv", &["attn1.to_q", "attn1.to_k", "attn1.to_v"]),
    ("cross_attn.kv_linear", &["attn2.to_k", "attn2.to_v"]),
];

pub(super) static TRANSFORMER: Layout = Layout {
    recognizes: |tensors| tensors.keys().any(|key| MARKS.contains(&bare(key))),
    configs: |tensors| {
        let width = TOKEN
            .iter()
            .find_map(|key| width(tensors, key).or_else(|| width(tensors, &format!("{UNET}{key}"))));
        if width == Some(SMALL) { &configs::SANA_600M } else { &configs::SANA_1600M }
    },
    models: &[OriginalModel {
        class_name: "SanaTransformer2DModel",
        subfolder: "transformer",
        convert: transformer,
    }],
};

fn bare(key: &str) -> &str {
    key.strip_prefix(UNET).unwrap_or(key)
}

/// The transformer under the keys of diffusers; a file may have these already.
///
/// # Errors
/// When a matrix does not divide into those of its layers.
fn transformer(tensors: &StateDict, _: &Config) -> Result<StateDict> {
    let mut out = tensors.rename(|key| {
        let key = bare(key);
        (!UNUSED.contains(&key) && fused(key).is_none()).then(|| new_key(key))
    });
    for (key, tensor) in tensors.iter() {
        let Some((block, layers, end)) = fused(bare(key)) else { continue };
        for (layer, part) in layers.iter().zip(parts(key, tensor, layers.len())?) {
            out.insert(format!("transformer_blocks.{block}.{layer}{end}"), part);
        }
    }
    Ok(out)
}

/// The number of the block, the layers of a matrix, and the end of its name.
fn fused(key: &str) -> Option<(&str, &'static [&'static str], &str)> {
    let (block, rest) = key.strip_prefix("blocks.")?.split_once('.')?;
    FUSED.iter().find_map(|(name, layers)| {
        let end = rest.strip_prefix(name)?;
        end.starts_with('.').then_some((block, *layers, end))
    })
}

/// Equal parts of the rows of a tensor.
///
/// # Errors
/// When they do not divide so.
fn parts(key: &str, tensor: &StoredTensor, count: usize) -> Result<Vec<StoredTensor>> {
    let rows = tensor.shape().first().copied().unwrap_or(0);
    let indivisible = || -> Error {
        let shape = tensor.shape();
        tensor.error(format!("tensor `{key}` has shape {shape:?}, which does not divide into {count}"))
    };
    if rows % count != 0 {
        return Err(indivisible());
    }
    let part = |index: usize| tensor.rows(index * rows / count..(index + 1) * rows / count);
    (0..count).map(|index| part(index).ok_or_else(indivisible)).collect()
}

fn new_key(key: &str) -> String {
    let renamed = |names: &[(&str, &str)], rest: &str| {
        let (name, end) = names.iter().find_map(|(original, name)| {
            let end = rest.strip_prefix(original)?;
            (end.is_empty() || end.starts_with('.')).then_some((name, end))
        })?;
        Some(format!("{name}{end}"))
    };
    if let Some((block, rest)) = key.strip_prefix("blocks.").and_then(|rest| rest.split_once('.')) {
        let name = renamed(&INSIDE, rest).unwrap_or_else(|| rest.to_owned());
        return format!("transformer_blocks.{block}.{name}");
    }
    renamed(&OUTSIDE, key).unwrap_or_else(|| key.to_owned())
}

/// A tensor of an autoencoder in its authors' layout.
const AUTOENCODER_MARK: &str = "decoder.stages.1.op_list.0.main.conv.conv.bias";
/// One that only an autoencoder has whose first stage is not empty.
const WITH_FIRST_STAGE: &str = "encoder.project_in.conv.bias";
/// One that tells how many channels the latents have.
const LATENTS: &str = "decoder.project_in.main.conv.weight";
/// The matrix of queries, keys and values, and that after an attention: convolutions with a kernel of one pixel.
const QKV: &str = ".qkv.conv.weight";
const PROJECTION: &str = ".proj.conv.weight";

/// Parts of names, and those of diffusers, which replace each other in this order.
const AUTOENCODER_NAMES: [(&str, &str); 15] = [
    ("main.", ""),
    ("op_list.", ""),
    ("context_module", "attn"),
    ("local_module", "conv_out"),
    ("aggreg.0.0", "to_qkv_multiscale.0.proj_in"),
    ("aggreg.0.1", "to_qkv_multiscale.0.proj_out"),
    ("depth_conv.conv", "conv_depth"),
    ("inverted_conv.conv", "conv_inverted"),
    ("point_conv.conv", "conv_point"),
    ("point_conv.norm", "norm"),
    ("conv.conv.", "conv."),
    ("conv1.conv", "conv1"),
    ("conv2.conv", "conv2"),
    ("conv2.norm", "norm"),
    ("proj.norm", "norm_out"),
];

/// Names of the ends of both halves.
const ENDS: [(&str, &str); 7] = [
    ("encoder.project_in.conv", "encoder.conv_in"),
    ("encoder.project_out.0.conv", "encoder.conv_out"),
    ("encoder.stages", "encoder.down_blocks"),
    ("decoder.project_in.conv", "decoder.conv_in"),
    ("decoder.project_out.0", "decoder.norm_out"),
    ("decoder.project_out.2.conv", "decoder.conv_out"),
    ("decoder.stages", "decoder.up_blocks"),
];

pub(super) static AUTOENCODER: Layout = Layout {
    recognizes: |tensors| tensors.contains(AUTOENCODER_MARK),
    configs: |tensors| {
        let channels = tensors.get(LATENTS).and_then(|weight| weight.shape().get(1).copied());
        match channels {
            _ if tensors.contains(WITH_FIRST_STAGE) => &configs::DC_SANA,
            Some(32) => &configs::DC_F32C32,
            Some(128) => &configs::DC_F64C128,
            _ => &configs::DC_F128C512,
        }
    },
    models: &[OriginalModel { class_name: "AutoencoderDC", subfolder: "vae", convert: autoencoder }],
};

/// The autoencoder under the keys of diffusers.
///
/// # Errors
/// When a convolution that becomes a matrix has another kernel.
fn autoencoder(tensors: &StateDict, _: &Config) -> Result<StateDict> {
    let has_first_stage = tensors.contains(WITH_FIRST_STAGE);
    let is_matrix = |key: &str| key.ends_with(QKV) || key.ends_with(PROJECTION);
    let mut out = tensors.rename(|key| (!is_matrix(key)).then(|| autoencoder_key(key, has_first_stage)));
    for (key, tensor) in tensors.iter().filter(|(key, _)| is_matrix(key)) {
        let shape = tensor.shape();
        let matrix = tensor
            .reshaped(&shape[..shape.len().min(2)])
            .ok_or_else(|| tensor.error(format!("tensor `{key}` has shape {shape:?}, which is no matrix")))?;
        let renamed = autoencoder_key(key, has_first_stage);
        if let Some(attention) = renamed.strip_suffix(QKV) {
            for (name, part) in ["to_q", "to_k", "to_v"].into_iter().zip(parts(key, &matrix, 3)?) {
                out.insert(format!("{attention}.{name}.weight"), part);
            }
        } else if let Some(attention) = renamed.strip_suffix(PROJECTION) {
            out.insert(format!("{attention}.to_out.weight"), matrix);
        }
    }
    Ok(out)
}

fn autoencoder_key(key: &str, has_first_stage: bool) -> String {
    let replace = |key: String, (old, new): &(&str, &str)| key.replace(old, new);
    let inner = AUTOENCODER_NAMES.iter().fold(key.to_owned(), replace);
    let outer = ENDS.iter().fold(inner, replace);
    // Without a first stage, the ends also change the size.
    let resized = !has_first_stage;
    ["encoder.conv_in.", "decoder.conv_out."]
        .into_iter()
        .find_map(|end| outer.strip_prefix(end).filter(|_| resized).map(|rest| format!("{end}conv.{rest}")))
        .unwrap_or(outer)
}
