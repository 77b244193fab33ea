//! The layouts of the transformers of FLUX.1, FLUX.2 and Chroma, and of FLUX.2's autoencoder, in files of their own, as their authors published
//! them and ComfyUI reads them: query, key and value are one matrix.

use super::flux_names::{CHROMA, FINAL_MODULATION, FLUX1, FLUX2, Names, parts};
use super::{Layout, OriginalModel, UNET, configs, stable_diffusion};
use crate::error::Result;
use crate::loading::formats::state_dict::{StateDict, StoredTensor};

/// Tensors that only these transformers have, in the layouts of their authors and of diffusers.
const FLUX1_MARKS: [&str; 2] =
    ["single_blocks.0.modulation.lin.weight", "single_transformer_blocks.0.norm.linear.weight"];
const FLUX2_MARKS: [&str; 2] =
    ["single_stream_modulation.lin.weight", "single_stream_modulation.linear.weight"];
/// A tensor that only Chroma has, in both layouts.
const CHROMA_MARKS: [&str; 1] = ["distilled_guidance_layer.in_proj.weight"];
/// A tensor that ControlNets have.
const CONTROLNET_MARK: &str = "controlnet_blocks.0.weight";
/// The first layer in both layouts: its shape tells the models apart.
const FIRST: [&str; 2] = ["img_in.weight", "x_embedder.weight"];
/// The layer that embeds the guidance, in both layouts.
const GUIDANCE: [&str; 2] =
    ["guidance_in.in_layer.weight", "time_text_embed.guidance_embedder.linear_1.weight"];

pub(super) static FLUX1_TRANSFORMER: Layout = Layout {
    recognizes: |tensors| has_one_of(tensors, &FLUX1_MARKS) && !tensors.contains(CONTROLNET_MARK),
    configs: |tensors| match first_shape(tensors) {
        Some([_, 384]) => &configs::FLUX1_FILL,
        Some([_, 128]) => &configs::FLUX1_CONTROL,
        _ if has_one_of(tensors, &GUIDANCE) => &configs::FLUX1_DEV,
        _ => &configs::FLUX1_SCHNELL,
    },
    models: &[OriginalModel {
        class_name: "FluxTransformer2DModel",
        subfolder: "transformer",
        convert: |tensors, _| transformer(tensors, &FLUX1),
    }],
};

pub(super) static CHROMA_TRANSFORMER: Layout = Layout {
    recognizes: |tensors| has_one_of(tensors, &CHROMA_MARKS),
    configs: |_| &configs::CHROMA,
    models: &[OriginalModel {
        class_name: "ChromaTransformer2DModel",
        subfolder: "transformer",
        convert: |tensors, _| transformer(tensors, &CHROMA),
    }],
};

pub(super) static FLUX2_TRANSFORMER: Layout = Layout {
    recognizes: |tensors| has_one_of(tensors, &FLUX2_MARKS),
    configs: |tensors| match first_shape(tensors) {
        Some([3072, _]) => &configs::FLUX2_KLEIN_4B,
        Some([4096, _]) => &configs::FLUX2_KLEIN_9B,
        _ => &configs::FLUX2_DEV,
    },
    models: &[OriginalModel {
        class_name: "Flux2Transformer2DModel",
        subfolder: "transformer",
        convert: |tensors, _| transformer(tensors, &FLUX2),
    }],
};

pub(super) static FLUX2_AUTOENCODER: Layout = Layout {
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

fn has_one_of(tensors: &StateDict, keys: &[&str]) -> bool {
    tensors.keys().any(|key| keys.contains(&bare(key)))
}

/// The shape of the first layer's weight.
fn first_shape(tensors: &StateDict) -> Option<[usize; 2]> {
    let (_, first) = tensors.iter().find(|(key, _)| FIRST.contains(&bare(key)))?;
    first.shape().try_into().ok()
}

/// The transformer under the keys of diffusers; a file may have these already.
///
/// # Errors
/// When a matrix does not divide into the parts that it stands for.
fn transformer(tensors: &StateDict, names: &Names) -> Result<StateDict> {
    let mut out = tensors.rename(|_| None);
    for (key, tensor) in tensors.iter() {
        let Some((module, parameter)) = bare(key).rsplit_once('.') else { continue };
        let parameter = if parameter == "scale" { "weight" } else { parameter };
        let Some(name) = names.in_diffusers(module) else {
            out.insert(format!("{module}.{parameter}"), tensor.clone());
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
            let shares = if parts.len() == 4 { "seven" } else { "three" };
            let split = split(tensor, parts.len()).ok_or_else(|| indivisible(shares))?;
            for (part, own) in parts.into_iter().zip(split) {
                out.insert(format!("{part}.{parameter}"), own);
            }
        } else {
            out.insert(format!("{name}.{parameter}"), tensor.clone());
        }
    }
    Ok(out)
}

/// The rows of three layers, or of four, of which the last has four times as many; `None` where they cannot be divided so.
pub(super) fn split(tensor: &StoredTensor, parts: usize) -> Option<Vec<StoredTensor>> {
    let shares = if parts == 4 { 7 } else { parts };
    let rows = tensor.shape().first().copied().filter(|rows| *rows > 0 && rows % shares == 0)?;
    let share = rows / shares;
    let range = |part: usize| part * share..if part == 3 { rows } else { (part + 1) * share };
    (0..parts).map(|part| tensor.rows(range(part))).collect()
}

#[cfg(test)]
mod tests {
    use safetensors::tensor::{Dtype, TensorView};

    use super::*;

    fn file(tensors: &[(&str, [usize; 2])]) -> StateDict {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.safetensors");
        let zeros = vec![0; 4 * 6144 * 384];
        let views = tensors.iter().map(|(key, shape)| {
            let bytes = &zeros[..4 * shape[0] * shape[1]];
            ((*key).to_owned(), TensorView::new(Dtype::F32, shape.to_vec(), bytes).unwrap())
        });
        std::fs::write(&path, safetensors::serialize(views, None).unwrap()).unwrap();
        StateDict::open(&path).unwrap()
    }

    #[test]
    fn the_model_follows_from_its_first_layers() {
        let name = |first: [usize; 2], mark: &str, guided: bool| {
            let mut tensors = vec![("img_in.weight", first), (mark, [1, 1])];
            if guided {
                tensors.push(("guidance_in.in_layer.weight", [1, 1]));
            }
            let file = file(&tensors);
            let mut layouts = [&FLUX1_TRANSFORMER, &CHROMA_TRANSFORMER, &FLUX2_TRANSFORMER].into_iter();
            (layouts.find(|layout| (layout.recognizes)(&file)).unwrap().configs)(&file).name
        };
        let first = FLUX1_MARKS[0];
        assert!(name([3072, 64], first, true).ends_with("FLUX.1-dev"));
        assert!(name([3072, 64], first, false).ends_with("FLUX.1-schnell"));
        assert!(name([3072, 384], first, true).ends_with("FLUX.1-Fill-dev"));
        assert!(name([3072, 128], first, true).ends_with("FLUX.1-Depth-dev"));
        let second = FLUX2_MARKS[0];
        assert!(name([3072, 128], second, false).ends_with("klein-4B"));
        assert!(name([4096, 128], second, false).ends_with("klein-9B"));
        assert!(name([6144, 128], second, true).ends_with("FLUX.2-dev"));
        assert!(name([3072, 64], CHROMA_MARKS[0], false).ends_with("Chroma1-HD"));
        let controlnet =
            file(&[("x_embedder.weight", [1, 1]), (FLUX1_MARKS[1], [1, 1]), (CONTROLNET_MARK, [1, 1])]);
        assert!(!(FLUX1_TRANSFORMER.recognizes)(&controlnet));
        assert!((FLUX1_TRANSFORMER.recognizes)(&file(&[(
            "model.diffusion_model.single_blocks.0.modulation.lin.weight",
            [1, 1]
        )])));
    }

    #[test]
    fn a_matrix_that_does_not_divide_into_its_parts_is_refused() {
        for (key, names, parts) in [
            ("double_blocks.0.img_attn.qkv.weight", &FLUX2, "three"),
            ("single_blocks.0.linear1.weight", &FLUX1, "seven"),
        ] {
            let error = transformer(&file(&[(key, [8, 1])]), names).unwrap_err().to_string();
            assert!(error.contains(key) && error.contains(parts), "{error}");
        }
        let split = transformer(&file(&[("single_blocks.0.linear1.weight", [14, 1])]), &FLUX1).unwrap();
        let rows = |layer: &str| {
            split.get(&format!("single_transformer_blocks.0.{layer}.weight")).unwrap().shape()[0]
        };
        assert_eq!(["attn.to_q", "attn.to_k", "attn.to_v", "proj_mlp"].map(rows), [2, 2, 2, 8]);
    }
}
