//! Files: saving, and checkpoints of early versions of diffusers.

use std::path::Path;

use oxidiff::{AnyModel, LoadOptions, Model, Pipeline, PixArtAlphaPipeline, PixArtTransformer2DModel};
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use serde_json::{Value, json};

use super::{checkpoint, latents, load, recorded};
use crate::fixture;

const WEIGHTS: &str = "transformer/diffusion_pytorch_model.safetensors";

#[test]
fn a_saved_pipeline_makes_the_same_image() {
    let folder = checkpoint();
    let mut pipeline = load::<PixArtAlphaPipeline>(folder.path()).unwrap();
    let expected = latents(&mut pipeline);
    let saved = tempfile::tempdir().unwrap();
    pipeline.save_pretrained(saved.path()).unwrap();
    let mut again = load::<PixArtAlphaPipeline>(saved.path()).unwrap();
    assert_eq!(fixture::difference(latents(&mut again), expected), 0.0);
    for file in ["model_index.json", "transformer/config.json"] {
        let ours: Value = fixture::json(&saved.path().join(file));
        let theirs: Value = fixture::json(&recorded("checkpoint").join(file));
        for (field, value) in theirs.as_object().unwrap() {
            assert!(ours.get(field) == Some(value) || field.starts_with("_name"), "{file}: {field}");
        }
    }
}

/// The checkpoint as the first uploads are: with another class, more fields, and tensors that are no longer used.
fn make_old(folder: &Path) {
    let change = |file: &str, change: &dyn Fn(&mut Value)| {
        let file = folder.join(file);
        let mut config: Value = fixture::json(&file);
        change(&mut config);
        std::fs::write(&file, config.to_string()).unwrap();
    };
    change("model_index.json", &|index| index["transformer"] = json!(["diffusers", "Transformer2DModel"]));
    change("transformer/config.json", &|config| {
        config["_class_name"] = json!("Transformer2DModel");
        config.as_object_mut().unwrap().remove("use_additional_conditions");
        config.as_object_mut().unwrap().remove("interpolation_scale");
        for (field, value) in [
            ("double_self_attention", json!(false)),
            ("only_cross_attention", json!(false)),
            ("num_vector_embeds", Value::Null),
            ("use_linear_projection", json!(false)),
        ] {
            config[field] = value;
        }
    });
    let bytes = std::fs::read(folder.join(WEIGHTS)).unwrap();
    let stored = SafeTensors::deserialize(&bytes).unwrap();
    let mut views = stored.tensors();
    let zeros = vec![0; 4 * 120 * 24];
    let unused = TensorView::new(Dtype::F32, vec![120, 24], &zeros).unwrap();
    views.push(("caption_projection.y_embedding".to_owned(), unused));
    let written = safetensors::serialize(views, None).unwrap();
    std::fs::write(folder.join(WEIGHTS), written).unwrap();
}

#[test]
fn checkpoints_of_early_versions_are_read() {
    let folder = checkpoint();
    let expected = latents(&mut load::<PixArtAlphaPipeline>(folder.path()).unwrap());
    make_old(folder.path());
    let mut pipeline = load::<PixArtAlphaPipeline>(folder.path()).unwrap();
    assert_eq!(fixture::difference(latents(&mut pipeline), expected), 0.0);
    let transformer = folder.path().join("transformer");
    let name = transformer.to_str().unwrap();
    let model = PixArtTransformer2DModel::from_pretrained(name).unwrap();
    assert!(model.config().other.contains_key("num_vector_embeds"));
    AnyModel::from_pretrained("PixArtTransformer2DModel", name, &LoadOptions::default()).unwrap();
    // It is saved under its own name.
    let saved = tempfile::tempdir().unwrap();
    pipeline.save_pretrained(saved.path()).unwrap();
    let index: Value = fixture::json(&saved.path().join("model_index.json"));
    assert_eq!(index["transformer"], json!(["diffusers", "PixArtTransformer2DModel"]));
}

#[test]
fn half_precision_stays_close() {
    let folder = checkpoint();
    let mut pipeline = load::<PixArtAlphaPipeline>(folder.path()).unwrap();
    let expected = latents(&mut pipeline);
    pipeline.transformer = pipeline.transformer.cast(oxidiff::DType::BF16);
    let scale: f32 = expected.clone().abs().max().into_scalar();
    let off = fixture::difference(latents(&mut pipeline), expected) / scale;
    assert!(off > 0.0 && off < 0.1, "{off}");
}
