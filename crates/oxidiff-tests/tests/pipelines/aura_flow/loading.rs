//! Files: saving, the layout of the authors, and blocks of GGUF.

use std::collections::BTreeMap;
use std::path::Path;

use oxidiff::{
    AuraFlowComponents, AuraFlowPipeline, AuraFlowTransformer2DModel, DiffusionPipeline, Model, Pipeline,
    SingleFileOptions,
};
use oxidiff_kernels::QuantisedFormat;
use serde_json::Value;

use super::{checkpoint, error, expect, latents, load, recorded};
use crate::fixture;
use crate::fixture::gguf::{self, Plain};

/// What blocks of 8 bits may change, relative to the length of the result.
const MOST: f32 = 2.5e-2;
const WEIGHTS: &str = "transformer/diffusion_pytorch_model.safetensors";

#[test]
fn a_saved_pipeline_makes_the_same_image() {
    let folder = checkpoint();
    let mut pipeline = load::<AuraFlowPipeline>(folder.path()).unwrap();
    let expected = latents(&mut pipeline);
    let saved = tempfile::tempdir().unwrap();
    pipeline.save_pretrained(saved.path()).unwrap();
    let mut again = load::<AuraFlowPipeline>(saved.path()).unwrap();
    assert_eq!(fixture::difference(latents(&mut again), expected), 0.0);
    for file in ["model_index.json", "transformer/config.json", "text_encoder/config.json"] {
        let ours: Value = fixture::json(&saved.path().join(file));
        let theirs: Value = fixture::json(&recorded("checkpoint").join(file));
        for (field, value) in theirs.as_object().unwrap() {
            assert!(ours.get(field) == Some(value) || field.starts_with("_name"), "{file}: {field}");
        }
    }
}

/// The beginning of a name in diffusers, and that in the layout of the authors.
const OUTSIDE: [(&str, &str); 8] = [
    ("time_step_proj.linear_1", "t_embedder.mlp.0"),
    ("time_step_proj.linear_2", "t_embedder.mlp.2"),
    ("context_embedder", "cond_seq_linear"),
    ("pos_embed.proj", "init_x_linear"),
    ("pos_embed.pos_embed", "positional_encoding"),
    ("proj_out", "final_linear"),
    ("norm_out.linear", "modF.1"),
    ("register_tokens", "register_tokens"),
];
const DOUBLE: [(&str, &str); 16] = [
    ("norm1.linear", "modX.1"),
    ("norm1_context.linear", "modC.1"),
    ("attn.to_q", "attn.w2q"),
    ("attn.to_k", "attn.w2k"),
    ("attn.to_v", "attn.w2v"),
    ("attn.to_out.0", "attn.w2o"),
    ("attn.add_q_proj", "attn.w1q"),
    ("attn.add_k_proj", "attn.w1k"),
    ("attn.add_v_proj", "attn.w1v"),
    ("attn.to_add_out", "attn.w1o"),
    ("ff.linear_1", "mlpX.c_fc1"),
    ("ff.linear_2", "mlpX.c_fc2"),
    ("ff.out_projection", "mlpX.c_proj"),
    ("ff_context.linear_1", "mlpC.c_fc1"),
    ("ff_context.linear_2", "mlpC.c_fc2"),
    ("ff_context.out_projection", "mlpC.c_proj"),
];
const SINGLE: [(&str, &str); 8] = [
    ("norm1.linear", "modCX.1"),
    ("attn.to_q", "attn.w1q"),
    ("attn.to_k", "attn.w1k"),
    ("attn.to_v", "attn.w1v"),
    ("attn.to_out.0", "attn.w1o"),
    ("ff.linear_1", "mlp.c_fc1"),
    ("ff.linear_2", "mlp.c_fc2"),
    ("ff.out_projection", "mlp.c_proj"),
];

fn renamed(names: &[(&str, &str)], rest: &str) -> String {
    let begins =
        |name: &str| rest.strip_prefix(name).is_some_and(|end| end.is_empty() || end.starts_with('.'));
    let (name, original) = names.iter().find(|(name, _)| begins(name)).unwrap_or_else(|| panic!("{rest}"));
    rest.replacen(name, original, 1)
}

/// The transformer of a checkpoint in the layout of its authors.
fn original(tensors: &BTreeMap<String, Plain>) -> BTreeMap<String, Plain> {
    let mut out = BTreeMap::new();
    for (key, tensor) in tensors {
        let mut tensor = tensor.clone();
        let block = |start: &str| key.strip_prefix(start).and_then(|rest| rest.split_once('.'));
        let name = if let Some((number, rest)) = block("joint_transformer_blocks.") {
            format!("double_layers.{number}.{}", renamed(&DOUBLE, rest))
        } else if let Some((number, rest)) = block("single_transformer_blocks.") {
            format!("single_layers.{number}.{}", renamed(&SINGLE, rest))
        } else {
            renamed(&OUTSIDE, key)
        };
        if name == "modF.1.weight" {
            let half = tensor.values.len() / 2;
            tensor.values.rotate_left(half);
        }
        out.insert(name, tensor);
    }
    out
}

/// Reads a file with the configuration of a checkpoint.
fn from_file(file: &Path, folder: &Path) -> oxidiff::Result<AuraFlowTransformer2DModel> {
    let options = SingleFileOptions {
        config: Some(folder.to_str().unwrap().to_owned()),
        subfolder: Some("transformer".into()),
        ..Default::default()
    };
    AuraFlowTransformer2DModel::from_single_file(file.to_str().unwrap(), &options)
}

fn with_prefix(tensors: BTreeMap<String, Plain>, prefix: &str) -> BTreeMap<String, Plain> {
    tensors.into_iter().map(|(key, tensor)| (format!("{prefix}{key}"), tensor)).collect()
}

#[test]
fn a_transformer_may_be_a_single_file() {
    let folder = checkpoint();
    let mut pipeline = load::<AuraFlowPipeline>(folder.path()).unwrap();
    let expected = latents(&mut pipeline);
    let file = folder.path().join("aura_flow.safetensors");
    let made = || {
        let transformer = from_file(&file, folder.path()).unwrap();
        let components = AuraFlowComponents { transformer, ..(*pipeline).clone() };
        let mut pipeline = AuraFlowPipeline::new(components).unwrap();
        pipeline.set_progress_bar(false);
        latents(&mut pipeline)
    };
    let tensors = gguf::tensors(&folder.path().join(WEIGHTS));
    for prefix in ["", "model.", "model.diffusion_model."] {
        gguf::write_safetensors(&with_prefix(original(&tensors), prefix), &file);
        assert_eq!(fixture::difference(made(), expected.clone()), 0.0);
        // The published configuration is that of a larger model.
        let name = file.to_str().unwrap();
        let published = AuraFlowTransformer2DModel::from_single_file(name, &SingleFileOptions::default());
        expect(&error(published), &["aura_flow.safetensors"]);
        let whole = DiffusionPipeline::from_single_file(name, &SingleFileOptions::default());
        expect(&error(whole), &["aura_flow.safetensors", "a transformer"]);
    }
    let mut broken = original(&tensors);
    let matrix = broken.get_mut("modF.1.weight").unwrap();
    matrix.shape[0] -= 1;
    matrix.values.truncate(matrix.shape.iter().product());
    gguf::write_safetensors(&broken, &file);
    expect(&error(from_file(&file, folder.path())), &["modF.1.weight", "two"]);
    // A file may have the names of diffusers, too.
    gguf::write_safetensors(&tensors, &file);
    assert_eq!(fixture::difference(made(), expected), 0.0);
}

#[test]
fn blocks_of_8_bits_predict_nearly_what_the_weights_do() {
    let folder = checkpoint();
    let mut pipeline = load::<AuraFlowPipeline>(folder.path()).unwrap();
    let expected = latents(&mut pipeline);
    let tensors = gguf::tensors(&folder.path().join(WEIGHTS));
    let file = folder.path().join("aura_flow.gguf");
    let mut from_blocks = |tensors: &BTreeMap<String, Plain>| {
        gguf::write(tensors, QuantisedFormat::Q8_0, &file);
        pipeline.transformer = from_file(&file, folder.path()).unwrap();
        latents(&mut pipeline)
    };
    let made = from_blocks(&original(&tensors));
    let norm = |x: oxidiff::Tensor<4>| x.square().sum().into_scalar::<f32>().sqrt();
    let off = norm(made.clone() - expected.clone()) / norm(expected);
    println!("{off:.2e}");
    assert!(off > 1e-5 && off <= MOST, "{off}");
    assert_eq!(fixture::difference(from_blocks(&tensors), made), 0.0);
}
