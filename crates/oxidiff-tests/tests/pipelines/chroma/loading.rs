//! Files: saving, the layout of the authors, and blocks of GGUF.

use std::collections::BTreeMap;
use std::path::Path;

use oxidiff::{
    ChromaComponents, ChromaInputs, ChromaPipeline, ChromaTransformer2DModel, DiffusionPipeline, Model,
    Pipeline, SingleFileOptions, Tensor,
};
use oxidiff_kernels::QuantisedFormat;
use safetensors::tensor::TensorView;
use serde_json::Value;

use super::{checkpoint, error, expect, latents, load, recorded};
use crate::fixture;
use crate::fixture::gguf::{self, Plain};
use crate::fixture::pictures::values;

/// What blocks of 8 bits may change, relative to the length of the result.
const MOST: f32 = 2.5e-2;
const WEIGHTS: &str = "transformer/diffusion_pytorch_model.safetensors";

#[test]
fn a_saved_pipeline_makes_the_same_image() {
    let folder = checkpoint();
    let mut pipeline = load::<ChromaPipeline>(folder.path()).unwrap();
    let expected = latents(&mut pipeline);
    let saved = tempfile::tempdir().unwrap();
    pipeline.save_pretrained(saved.path()).unwrap();
    let mut again = load::<ChromaPipeline>(saved.path()).unwrap();
    assert_eq!(fixture::difference(latents(&mut again), expected), 0.0);
    for file in ["model_index.json", "transformer/config.json"] {
        let ours: Value = fixture::json(&saved.path().join(file));
        let theirs: Value = fixture::json(&recorded("checkpoint").join(file));
        for (field, value) in theirs.as_object().unwrap() {
            assert!(ours.get(field) == Some(value) || field.starts_with("_name"), "{file}: {field}");
        }
    }
}

/// A name in diffusers, and that in the layout of the authors.
const OUTSIDE: [(&str, &str); 5] = [
    ("x_embedder", "img_in"),
    ("context_embedder", "txt_in"),
    ("proj_out", "final_layer.linear"),
    ("distilled_guidance_layer.in_proj", "distilled_guidance_layer.in_proj"),
    ("distilled_guidance_layer.out_proj", "distilled_guidance_layer.out_proj"),
];
const DOUBLE: [(&str, &str); 6] = [
    ("attn.to_out.0", "img_attn.proj"),
    ("attn.to_add_out", "txt_attn.proj"),
    ("ff.net.0.proj", "img_mlp.0"),
    ("ff.net.2", "img_mlp.2"),
    ("ff_context.net.0.proj", "txt_mlp.0"),
    ("ff_context.net.2", "txt_mlp.2"),
];
const NORMS: [(&str, &str); 7] = [
    ("transformer_blocks.N.attn.norm_q", "double_blocks.N.img_attn.norm.query_norm"),
    ("transformer_blocks.N.attn.norm_k", "double_blocks.N.img_attn.norm.key_norm"),
    ("transformer_blocks.N.attn.norm_added_q", "double_blocks.N.txt_attn.norm.query_norm"),
    ("transformer_blocks.N.attn.norm_added_k", "double_blocks.N.txt_attn.norm.key_norm"),
    ("single_transformer_blocks.N.attn.norm_q", "single_blocks.N.norm.query_norm"),
    ("single_transformer_blocks.N.attn.norm_k", "single_blocks.N.norm.key_norm"),
    ("distilled_guidance_layer.norms.N", "distilled_guidance_layer.norms.N"),
];
/// Layers that are rows of one matrix.
const JOINED: [(&[&str], &str); 3] = [
    (
        &[
            "transformer_blocks.N.attn.to_q",
            "transformer_blocks.N.attn.to_k",
            "transformer_blocks.N.attn.to_v",
        ],
        "double_blocks.N.img_attn.qkv",
    ),
    (
        &[
            "transformer_blocks.N.attn.add_q_proj",
            "transformer_blocks.N.attn.add_k_proj",
            "transformer_blocks.N.attn.add_v_proj",
        ],
        "double_blocks.N.txt_attn.qkv",
    ),
    (
        &[
            "single_transformer_blocks.N.attn.to_q",
            "single_transformer_blocks.N.attn.to_k",
            "single_transformer_blocks.N.attn.to_v",
            "single_transformer_blocks.N.proj_mlp",
        ],
        "single_blocks.N.linear1",
    ),
];

/// The transformer of a checkpoint in the layout of its authors.
fn original(tensors: &BTreeMap<String, Plain>) -> BTreeMap<String, Plain> {
    let mut left = tensors.clone();
    let mut out = BTreeMap::new();
    let mut take = |keys: &[String], name: String| {
        let mut parts = keys.iter().map(|key| left.remove(key).unwrap_or_else(|| panic!("no {key}")));
        let mut joined = parts.next().unwrap();
        for part in parts {
            joined.shape[0] += part.shape[0];
            joined.values.extend(part.values);
        }
        out.insert(name, joined);
    };
    for parameter in ["weight", "bias"] {
        for (key, name) in OUTSIDE {
            take(&[format!("{key}.{parameter}")], format!("{name}.{parameter}"));
        }
        for block in 0..2 {
            let at = |name: &str| format!("{}.{parameter}", name.replace('N', &block.to_string()));
            for (key, name) in DOUBLE {
                let (key, name) = (format!("transformer_blocks.N.{key}"), format!("double_blocks.N.{name}"));
                take(&[at(&key)], at(&name));
            }
            take(&[at("single_transformer_blocks.N.proj_out")], at("single_blocks.N.linear2"));
            for (own, name) in [("linear_1", "in_layer"), ("linear_2", "out_layer")] {
                let list = "distilled_guidance_layer.layers.N";
                take(&[at(&format!("{list}.{own}"))], at(&format!("{list}.{name}")));
            }
            for (keys, name) in JOINED {
                take(&keys.iter().map(|key| at(key)).collect::<Vec<_>>(), at(name));
            }
        }
    }
    for block in 0..2 {
        for (key, name) in NORMS {
            let at = |name: &str| name.replace('N', &block.to_string());
            take(&[format!("{}.weight", at(key))], format!("{}.scale", at(name)));
        }
    }
    assert!(left.is_empty(), "{:?}", left.keys());
    out
}

fn write(file: &Path, tensors: &BTreeMap<String, Plain>, prefix: &str) {
    let data: Vec<(String, Vec<usize>, Vec<u8>)> = tensors
        .iter()
        .map(|(key, tensor)| {
            let bytes = tensor.values.iter().flat_map(|value| value.to_le_bytes()).collect();
            (format!("{prefix}{key}"), tensor.shape.clone(), bytes)
        })
        .collect();
    let views = data.iter().map(|(key, shape, data)| {
        (key.clone(), TensorView::new(safetensors::Dtype::F32, shape.clone(), data).unwrap())
    });
    std::fs::write(file, safetensors::serialize(views, None).unwrap()).unwrap();
}

/// Reads a file with the configuration of a checkpoint.
fn from_file(file: &Path, folder: &Path) -> oxidiff::Result<ChromaTransformer2DModel> {
    let options = SingleFileOptions {
        config: Some(folder.to_str().unwrap().to_owned()),
        subfolder: Some("transformer".into()),
        ..Default::default()
    };
    ChromaTransformer2DModel::from_single_file(file.to_str().unwrap(), &options)
}

#[test]
fn a_transformer_may_be_a_single_file() {
    let folder = checkpoint();
    let mut pipeline = load::<ChromaPipeline>(folder.path()).unwrap();
    let expected = latents(&mut pipeline);
    let file = folder.path().join("chroma.safetensors");
    let made = || {
        let transformer = from_file(&file, folder.path()).unwrap();
        let components = ChromaComponents { transformer, ..(*pipeline).clone() };
        let mut pipeline = ChromaPipeline::new(components).unwrap();
        pipeline.set_progress_bar(false);
        latents(&mut pipeline)
    };
    let tensors = gguf::tensors(&folder.path().join(WEIGHTS));
    for prefix in ["", "model.diffusion_model."] {
        write(&file, &original(&tensors), prefix);
        assert_eq!(fixture::difference(made(), expected.clone()), 0.0);
        // The published configuration is that of a larger model.
        let name = file.to_str().unwrap();
        let published = ChromaTransformer2DModel::from_single_file(name, &SingleFileOptions::default());
        let message = error(published);
        expect(&message, &["chroma.safetensors"]);
        assert!(["3072", "5120"].iter().any(|size| message.contains(size)), "{message}");
        let whole = DiffusionPipeline::from_single_file(name, &SingleFileOptions::default());
        expect(&error(whole), &["chroma.safetensors", "a transformer"]);
        let mut broken = original(&tensors);
        let matrix = broken.get_mut("single_blocks.1.linear1.weight").unwrap();
        matrix.shape[0] -= 1;
        matrix.values.truncate(matrix.shape.iter().product());
        write(&file, &broken, prefix);
        let refused = from_file(&file, folder.path());
        expect(&error(refused), &["single_blocks.1.linear1.weight", "seven"]);
    }
    // A file may have the names of diffusers, too.
    write(&file, &tensors, "");
    assert_eq!(fixture::difference(made(), expected), 0.0);
}

fn predict(model: &ChromaTransformer2DModel) -> Tensor<3> {
    let places: Vec<[f32; 3]> = (0..40).map(|index| [0.0, (index / 8) as f32, (index % 8) as f32]).collect();
    let inputs = ChromaInputs {
        hidden_states: values([1, 1, 40, 16], -1.2).reshape([1, 40, 16]),
        encoder_hidden_states: values([1, 1, 7, 24], -1.0).reshape([1, 7, 24]),
        timestep: &[0.7],
        img_ids: &places,
        txt_ids: &[[0.0; 3]; 7],
        attention_mask: None,
    };
    model.forward(&inputs).unwrap()
}

fn distance(found: Tensor<3>, expected: Tensor<3>) -> f32 {
    let norm = |x: Tensor<3>| x.square().sum().into_scalar::<f32>().sqrt();
    norm(found - expected.clone()) / norm(expected)
}

#[test]
fn blocks_of_8_bits_predict_nearly_what_the_weights_do() {
    let folder = checkpoint();
    let dense = load::<ChromaPipeline>(folder.path()).unwrap();
    let expected = predict(&dense.transformer);
    let tensors = gguf::tensors(&folder.path().join(WEIGHTS));
    let file = folder.path().join("chroma.gguf");
    let from_blocks = |tensors: &BTreeMap<String, Plain>| {
        gguf::write(tensors, QuantisedFormat::Q8_0, &file);
        predict(&from_file(&file, folder.path()).unwrap())
    };
    let made = from_blocks(&tensors);
    let off = distance(made.clone(), expected);
    println!("{off:.2e}");
    assert!(off > 1e-4 && off <= MOST, "{off}");
    assert_eq!(distance(from_blocks(&original(&tensors)), made), 0.0);
}
