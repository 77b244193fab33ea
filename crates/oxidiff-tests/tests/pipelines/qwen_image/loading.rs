//! Files: saving, other layouts, and what is damaged.

use std::path::Path;

use oxidiff::{
    DiffusionPipeline, Model, Pipeline, QwenImageComponents, QwenImagePipeline, QwenImageTransformer2DModel,
    SingleFileOptions,
};
use safetensors::tensor::{SafeTensors, TensorView};
use serde_json::Value;

use super::adapters::latents;
use super::models::transformer;
use super::{checkpoint, error, expect, load, recorded};
use crate::fixture;

#[test]
fn a_saved_pipeline_makes_the_same_image() {
    let folder = checkpoint();
    let mut pipeline = load::<QwenImagePipeline>(folder.path()).unwrap();
    let expected = latents(&mut pipeline);
    let saved = tempfile::tempdir().unwrap();
    pipeline.save_pretrained(saved.path()).unwrap();
    let mut again = load::<QwenImagePipeline>(saved.path()).unwrap();
    assert_eq!(fixture::difference(latents(&mut again), expected), 0.0);
    // The files say what Python's say.
    for file in ["model_index.json", "transformer/config.json", "vae/config.json"] {
        let ours: Value = fixture::json(&saved.path().join(file));
        let theirs: Value = fixture::json(&recorded("checkpoint").join(file));
        for (field, value) in theirs.as_object().unwrap() {
            let equal = match (ours.get(field).and_then(Value::as_f64), value.as_f64()) {
                (Some(ours), Some(theirs)) => ours == theirs,
                _ => ours.get(field) == Some(value),
            };
            assert!(equal || field.starts_with("_name"), "{file}: {field}");
        }
    }
}

/// Writes the weights of a folder into a file, under keys with a prefix, and another tensor.
fn write(folder: &Path, file: &Path, prefix: &str, further: Option<&str>) {
    let bytes = std::fs::read(folder.join("diffusion_pytorch_model.safetensors")).unwrap();
    let stored = SafeTensors::deserialize(&bytes).unwrap();
    let mut views: Vec<(String, TensorView<'_>)> =
        stored.tensors().into_iter().map(|(key, view)| (format!("{prefix}{key}"), view)).collect();
    if let Some(key) = further {
        let empty = TensorView::new(safetensors::Dtype::F32, vec![0], &[]).unwrap();
        views.push((format!("{prefix}{key}"), empty));
    }
    std::fs::write(file, safetensors::serialize(views, None).unwrap()).unwrap();
}

#[test]
fn a_transformer_may_be_a_single_file() {
    let folder = checkpoint();
    let mut pipeline = load::<QwenImagePipeline>(folder.path()).unwrap();
    let expected = latents(&mut pipeline);
    let file = folder.path().join("qwen_image.safetensors");
    let name = file.to_str().unwrap();
    let options = SingleFileOptions {
        config: Some(folder.path().to_str().unwrap().to_owned()),
        subfolder: Some("transformer".into()),
        ..Default::default()
    };
    for prefix in ["", "model.diffusion_model."] {
        write(&folder.path().join("transformer"), &file, prefix, Some("__index_timestep_zero__"));
        let transformer = QwenImageTransformer2DModel::from_single_file(name, &options).unwrap();
        let components = QwenImageComponents { transformer, ..(*pipeline).clone() };
        let mut other = QwenImagePipeline::new(components).unwrap();
        other.set_progress_bar(false);
        assert_eq!(fixture::difference(latents(&mut other), expected.clone()), 0.0);
        // The published configuration is that of a larger model.
        let published = QwenImageTransformer2DModel::from_single_file(name, &SingleFileOptions::default());
        expect(&error(published), &["qwen_image.safetensors", "3072"]);
        let whole = DiffusionPipeline::from_single_file(name, &SingleFileOptions::default());
        expect(&error(whole), &["qwen_image.safetensors", "a transformer"]);
    }
    // Files whose keys tell them apart.
    let published = |key: Option<&str>, name: &str| {
        let saved = tempfile::tempdir().unwrap();
        transformer(name).save_pretrained(saved.path()).unwrap();
        write(saved.path(), &file, "model.diffusion_model.", key);
        let options = SingleFileOptions::default();
        error(QwenImageTransformer2DModel::from_single_file(file.to_str().unwrap(), &options))
    };
    expect(&published(Some("__index_timestep_zero__"), "clean_references"), &["3072"]);
    expect(&published(None, "layered"), &["3072"]);
}

#[test]
fn a_saved_transformer_is_loaded_in_half_precision() {
    let folder = checkpoint();
    let options = oxidiff::LoadOptions { dtype: oxidiff::DType::BF16, ..Default::default() };
    let name = folder.path().to_str().unwrap();
    let mut pipeline = QwenImagePipeline::from_pretrained_with(name, &options).unwrap();
    pipeline.set_progress_bar(false);
    assert_eq!(pipeline.transformer.dtype(), oxidiff::DType::BF16);
    let made = latents(&mut pipeline);
    let expected = latents(&mut load::<QwenImagePipeline>(folder.path()).unwrap());
    let scale = expected.clone().abs().max().into_scalar::<f32>();
    assert!(fixture::difference(made / scale, expected / scale) < 0.1);
}
