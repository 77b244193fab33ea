//! Files: saving, the layout of the authors, and blocks of GGUF.

use std::collections::BTreeMap;
use std::path::Path;

use oxidiff::{
    DiffusionPipeline, Lumina2Components, Lumina2Pipeline, Lumina2Transformer2DModel, Model, Pipeline,
    SingleFileOptions,
};
use oxidiff_kernels::QuantisedFormat;
use serde_json::Value;

use super::{checkpoint, error, expect, latents, load, recorded};
use crate::fixture;
use crate::fixture::gguf::{self, Plain, write_safetensors};

const WEIGHTS: &str = "transformer/diffusion_pytorch_model.safetensors";

#[test]
fn a_saved_pipeline_makes_the_same_image() {
    let folder = checkpoint();
    let mut pipeline = load::<Lumina2Pipeline>(folder.path()).unwrap();
    let expected = latents(&mut pipeline);
    let saved = tempfile::tempdir().unwrap();
    pipeline.save_pretrained(saved.path()).unwrap();
    let mut again = load::<Lumina2Pipeline>(saved.path()).unwrap();
    assert_eq!(fixture::difference(latents(&mut again), expected), 0.0);
    for file in ["model_index.json", "transformer/config.json"] {
        let ours: Value = fixture::json(&saved.path().join(file));
        let theirs: Value = fixture::json(&recorded("checkpoint").join(file));
        for (field, value) in theirs.as_object().unwrap() {
            assert!(ours.get(field) == Some(value) || field.starts_with("_name"), "{file}: {field}");
        }
    }
}

/// The text encoder may be the model that also predicts the next token, and the tokenizer have the name of earlier versions.
#[test]
fn other_names_of_the_classes_are_known() {
    let folder = checkpoint();
    let mut pipeline = load::<Lumina2Pipeline>(folder.path()).unwrap();
    let file = folder.path().join("model_index.json");
    let mut index: Value = fixture::json(&file);
    index["_class_name"] = "Lumina2Text2ImgPipeline".into();
    index["text_encoder"][1] = "Gemma2ForCausalLM".into();
    index["tokenizer"][1] = "GemmaTokenizerFast".into();
    std::fs::write(&file, index.to_string()).unwrap();
    let mut other = load::<Lumina2Pipeline>(folder.path()).unwrap();
    assert_eq!(fixture::difference(latents(&mut other), latents(&mut pipeline)), 0.0);
    assert!(other.to_string().starts_with("Lumina2Pipeline"), "{other}");
}

/// Parts of names in diffusers, and those in the layout of the authors.
const RENAMES: [(&str, &str); 13] = [
    ("time_caption_embed.caption_embedder.", "cap_embedder."),
    ("time_caption_embed.timestep_embedder.linear_1.", "t_embedder.mlp.0."),
    ("time_caption_embed.timestep_embedder.linear_2.", "t_embedder.mlp.2."),
    ("norm_out.linear_1.", "final_layer.adaLN_modulation.1."),
    ("norm_out.linear_2.", "final_layer.linear."),
    (".attn.to_out.0.", ".attention.out."),
    (".attn.norm_q.", ".attention.q_norm."),
    (".attn.norm_k.", ".attention.k_norm."),
    (".attn.", ".attention."),
    (".feed_forward.linear_", ".feed_forward.w"),
    (".norm1.linear.", ".adaLN_modulation.1."),
    (".norm1.norm.", ".attention_norm1."),
    (".norm2.", ".attention_norm2."),
];

/// The transformer of a checkpoint in the layout of its authors.
fn original(tensors: &BTreeMap<String, Plain>, prefix: &str) -> BTreeMap<String, Plain> {
    let mut out = BTreeMap::new();
    for (key, tensor) in tensors {
        if [".to_k.", ".to_v."].iter().any(|part| key.contains(part)) {
            continue;
        }
        let mut tensor = tensor.clone();
        if key.contains(".to_q.") {
            for part in [".to_k.", ".to_v."] {
                let part = &tensors[&key.replace(".to_q.", part)];
                tensor.shape[0] += part.shape[0];
                tensor.values.extend(&part.values);
            }
        }
        let name = RENAMES.iter().fold(key.clone(), |name, (from, to)| name.replace(from, to));
        // The blocks without a modulation have a plain norm.
        let name = name.replace(".to_q.", ".qkv.").replace(".norm1.", ".attention_norm1.");
        out.insert(format!("{prefix}{name}"), tensor);
    }
    out.insert(format!("{prefix}norm_final.weight"), Plain { shape: vec![24], values: vec![1.0; 24] });
    out
}

/// Reads a file with the configuration of a checkpoint.
fn from_file(file: &Path, folder: &Path) -> oxidiff::Result<Lumina2Transformer2DModel> {
    let options = SingleFileOptions {
        config: Some(folder.to_str().unwrap().to_owned()),
        subfolder: Some("transformer".into()),
        ..Default::default()
    };
    Lumina2Transformer2DModel::from_single_file(file.to_str().unwrap(), &options)
}

#[test]
fn a_transformer_may_be_a_single_file() {
    let folder = checkpoint();
    let mut pipeline = load::<Lumina2Pipeline>(folder.path()).unwrap();
    let expected = latents(&mut pipeline);
    let file = folder.path().join("lumina2.safetensors");
    let name = file.to_str().unwrap();
    let made = || {
        let transformer = from_file(&file, folder.path()).unwrap();
        let components = Lumina2Components { transformer, ..(*pipeline).clone() };
        let mut pipeline = Lumina2Pipeline::new(components).unwrap();
        pipeline.set_progress_bar(false);
        latents(&mut pipeline)
    };
    let tensors = gguf::tensors(&folder.path().join(WEIGHTS));
    for prefix in ["", "model.diffusion_model."] {
        let mut whole = original(&tensors, prefix);
        if !prefix.is_empty() {
            // As in ComfyUI's files with all parts.
            let part = Plain { shape: vec![1], values: vec![f32::NAN] };
            whole.insert("text_encoders.gemma2_2b.transformer.model.norm.weight".into(), part);
        }
        write_safetensors(&whole, &file);
        assert_eq!(fixture::difference(made(), expected.clone()), 0.0);
        // The published configuration is that of a larger model.
        let published = Lumina2Transformer2DModel::from_single_file(name, &SingleFileOptions::default());
        expect(&error(published), &["lumina2.safetensors", "2304"]);
        let matrix = whole.get_mut(&format!("{prefix}layers.1.attention.qkv.weight")).unwrap();
        matrix.shape[0] -= 1;
        matrix.values.truncate(matrix.shape.iter().product());
        write_safetensors(&whole, &file);
        let refused = from_file(&file, folder.path());
        expect(&error(refused), &["layers.1.attention.qkv.weight", "query, key and value"]);
    }
    // A file may have the names of diffusers, too.
    write_safetensors(&tensors, &file);
    assert_eq!(fixture::difference(made(), expected), 0.0);
    let whole = DiffusionPipeline::from_single_file(name, &SingleFileOptions::default());
    expect(&error(whole), &["lumina2.safetensors", "a transformer"]);
}

#[test]
fn blocks_of_8_bits_predict_nearly_what_the_weights_do() {
    let folder = checkpoint();
    let mut pipeline = load::<Lumina2Pipeline>(folder.path()).unwrap();
    let expected = latents(&mut pipeline);
    let tensors = gguf::tensors(&folder.path().join(WEIGHTS));
    let file = folder.path().join("lumina2.gguf");
    let from_blocks = |tensors: &BTreeMap<String, Plain>| {
        gguf::write(tensors, QuantisedFormat::Q8_0, &file);
        let transformer = from_file(&file, folder.path()).unwrap();
        let components = Lumina2Components { transformer, ..(*pipeline).clone() };
        let mut pipeline = Lumina2Pipeline::new(components).unwrap();
        pipeline.set_progress_bar(false);
        latents(&mut pipeline)
    };
    let made = from_blocks(&original(&tensors, ""));
    let off = fixture::difference(made.clone(), expected);
    println!("{off:.2e}");
    assert!(off > 1e-5 && off <= 0.1, "{off}");
    assert_eq!(fixture::difference(from_blocks(&tensors), made), 0.0);
}
