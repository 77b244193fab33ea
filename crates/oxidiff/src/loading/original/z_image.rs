//! The layouts of Z-Image's transformer in files of its own, as ComfyUI reads them, where query, key and value are one matrix, and of
//! its ControlNets, whose keys are those of diffusers.

use super::{Layout, OriginalModel, UNET, configs};
use crate::error::Result;
use crate::loading::config::Config;
use crate::loading::formats::state_dict::StateDict;

/// A tensor that only these models have, in both layouts.
const MARK: &str = "cap_pad_token";
/// One that only those have that look at images with SigLIP 2 (so400m).
const OMNI_MARK: &str = "siglip_pad_token";
const PAD_TOKENS: [&str; 3] = ["x_pad_token", MARK, OMNI_MARK];
const FUSED: &str = ".attention.qkv.weight";

pub(super) static LAYOUT: Layout = Layout {
    recognizes: |tensors| has(tensors, MARK),
    configs: |tensors| if has(tensors, OMNI_MARK) { &configs::Z_IMAGE_OMNI } else { &configs::Z_IMAGE },
    models: &[OriginalModel {
        class_name: "ZImageTransformer2DModel",
        subfolder: "transformer",
        convert: transformer,
    }],
};

/// Whether there is a tensor of this name, with or without ComfyUI's prefix.
fn has(tensors: &StateDict, name: &str) -> bool {
    tensors.keys().any(|key| key.strip_prefix(UNET).unwrap_or(key) == name)
}

/// A tensor that only the ControlNets have.
const CONTROL_MARK: &str = "control_all_x_embedder.2-1.weight";
/// One that only those of version 2 have.
const CONTROL_2_MARK: &str = "control_layers.14.adaLN_modulation.0.weight";
const CONTROL_REFINER: &str = "control_noise_refiner.";

pub(super) static CONTROLNET: Layout = Layout {
    recognizes: |tensors| tensors.contains(CONTROL_MARK),
    configs: |tensors| match tensors.contains(CONTROL_2_MARK) {
        false => &configs::Z_IMAGE_CONTROLNET_1,
        true if has_trained_refiner(tensors) => &configs::Z_IMAGE_CONTROLNET_2_1,
        true => &configs::Z_IMAGE_CONTROLNET_2_0,
    },
    models: &[OriginalModel {
        class_name: "ZImageControlNetModel",
        subfolder: "controlnet",
        convert: controlnet,
    }],
};

/// Files of version 2.0 also have a refiner, whose weights are zeros.
fn has_trained_refiner(tensors: &StateDict) -> bool {
    const FIRST: &str = "control_noise_refiner.0.before_proj.weight";
    let values = tensors.get(FIRST).and_then(|tensor| tensor.data(FIRST).ok());
    values.is_some_and(|values| values.iter::<f32>().any(|value| value != 0.0))
}

fn controlnet(tensors: &StateDict, config: &Config) -> Result<StateDict> {
    let shares_layers =
        config.get("add_control_noise_refiner").is_some_and(|refiner| refiner == "control_layers");
    Ok(tensors.rename(|key| (!shares_layers || !key.starts_with(CONTROL_REFINER)).then(|| key.to_owned())))
}

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
    // Converters to GGUF may leave out dimensions of 1.
    for key in PAD_TOKENS {
        let row = out.get(key).filter(|token| token.shape().len() == 1);
        if let Some(row) = row.and_then(|token| token.reshaped(&[1, token.len()])) {
            out.insert(key.to_owned(), row);
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

#[cfg(test)]
mod tests {
    use safetensors::tensor::{Dtype, TensorView};

    use super::*;

    /// A file of these tensors, each of one value.
    fn file(tensors: &[(&str, f32)]) -> StateDict {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.safetensors");
        let bytes: Vec<[u8; 4]> = tensors.iter().map(|(_, value)| value.to_le_bytes()).collect();
        let views = tensors.iter().zip(&bytes).map(|((key, _), bytes)| {
            ((*key).to_owned(), TensorView::new(Dtype::F32, vec![1, 1], bytes).unwrap())
        });
        std::fs::write(&path, safetensors::serialize(views, None).unwrap()).unwrap();
        StateDict::open(&path).unwrap()
    }

    #[test]
    fn the_version_of_a_controlnet_follows_from_its_tensors() {
        let name = |tensors: &[(&str, f32)]| {
            let file = file(tensors);
            assert!((CONTROLNET.recognizes)(&file) && !(LAYOUT.recognizes)(&file));
            (CONTROLNET.configs)(&file).name
        };
        let refiner = "control_noise_refiner.0.before_proj.weight";
        let first = [(CONTROL_MARK, 1.0)];
        let second = [(CONTROL_MARK, 1.0), (CONTROL_2_MARK, 1.0)];
        assert!(name(&first).ends_with("Union"));
        assert!(name(&second).ends_with("2.0"));
        assert!(name(&[second[0], second[1], (refiner, 0.0)]).ends_with("2.0"));
        assert!(name(&[second[0], second[1], (refiner, 0.5)]).ends_with("2.1"));
        assert!((LAYOUT.recognizes)(&file(&[("model.diffusion_model.cap_pad_token", 1.0)])));
    }

    #[test]
    fn a_transformer_that_looks_at_images_has_another_configuration() {
        let name = |tensors: &[(&str, f32)]| (LAYOUT.configs)(&file(tensors)).name;
        assert!(name(&[(MARK, 1.0)]).ends_with("Turbo"));
        let prefixed = "model.diffusion_model.siglip_pad_token";
        assert!(
            name(&[("model.diffusion_model.cap_pad_token", 1.0), (prefixed, 1.0)]).ends_with("Omni-Base")
        );
    }

    #[test]
    fn a_matrix_that_does_not_divide_into_three_is_refused() {
        let file = file(&[(MARK, 1.0), ("layers.0.attention.qkv.weight", 1.0)]);
        let error = transformer(&file, &Config::default()).unwrap_err().to_string();
        assert!(error.contains("layers.0.attention.qkv.weight") && error.contains("three"), "{error}");
    }
}
