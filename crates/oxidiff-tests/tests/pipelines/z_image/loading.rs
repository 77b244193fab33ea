//! Files: saving, other layouts, shards, and what is damaged.

use std::path::Path;

use oxidiff::{
    ControlNetModel, DType, DiffusionPipeline, Generator, Images, LoadOptions, Model, Pipeline, Qwen3Model,
    SingleFileOptions, Tensor, ZImageComponents, ZImageControlNetModel, ZImagePipeline, ZImageTextToImage,
    ZImageTransformer2DModel,
};
use safetensors::tensor::{SafeTensors, TensorView};
use serde_json::{Value, json};

use super::models::controlnet;
use super::{checkpoint, error, expect, load, recorded};
use crate::fixture;

fn image(pipeline: &mut ZImagePipeline) -> Tensor<4> {
    let arguments = ZImageTextToImage {
        height: Some(32),
        width: Some(48),
        num_inference_steps: 2,
        guidance_scale: 0.0,
        generator: Some(Generator::manual_seed(5).into()),
        output_type: oxidiff::OutputType::Array,
        ..ZImageTextToImage::new("a red apple")
    };
    match pipeline.call(arguments).unwrap().images {
        Images::Array(array) => array,
        _ => panic!("an array was asked for"),
    }
}

/// Rewrites a weights file: renames, splits or joins its tensors.
fn rewrite(file: &Path, to: &Path, rename: impl Fn(&str) -> Option<String>) {
    let bytes = std::fs::read(file).unwrap();
    let stored = SafeTensors::deserialize(&bytes).unwrap();
    let tensors = stored.tensors();
    let renamed = tensors.iter().filter_map(|(key, view)| Some((rename(key)?, view.clone())));
    let written = safetensors::serialize(renamed.collect::<Vec<_>>(), None).unwrap();
    std::fs::write(to, written).unwrap();
}

#[test]
fn a_saved_pipeline_makes_the_same_image() {
    let folder = checkpoint();
    let mut pipeline = load::<ZImagePipeline>(folder.path()).unwrap();
    let expected = image(&mut pipeline);
    let saved = tempfile::tempdir().unwrap();
    pipeline.save_pretrained(saved.path()).unwrap();
    let mut again = load::<ZImagePipeline>(saved.path()).unwrap();
    assert_eq!(fixture::difference(image(&mut again), expected), 0.0);
    // The files say what Python's say.
    for file in ["model_index.json", "transformer/config.json", "vae/config.json"] {
        let ours: Value = fixture::json(&saved.path().join(file));
        let theirs: Value = fixture::json(&recorded("checkpoint").join(file));
        for (field, value) in theirs.as_object().unwrap() {
            if !field.starts_with("_name") {
                assert_eq!(ours.get(field), Some(value), "{file}: {field}");
            }
        }
    }
    let ours: Value = fixture::json(&saved.path().join("text_encoder/config.json"));
    assert_eq!(ours["rope_parameters"], json!({"rope_type": "default", "rope_theta": 1e6}));
    assert!(saved.path().join("tokenizer/chat_template.jinja").is_file());
}

#[test]
fn the_text_encoder_may_be_part_of_a_causal_model_in_shards() {
    let folder = checkpoint();
    let expected = image(&mut load::<ZImagePipeline>(folder.path()).unwrap());
    let part = folder.path().join("text_encoder");
    let weights = part.join("model.safetensors");
    let names = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"];
    let is_first = |key: &str| key.starts_with("layers.0.") || key.starts_with("embed");
    for (name, first) in names.into_iter().zip([true, false]) {
        rewrite(&weights, &part.join(name), |key| (is_first(key) == first).then(|| format!("model.{key}")));
    }
    let bytes = std::fs::read(&weights).unwrap();
    let map: serde_json::Map<String, Value> = SafeTensors::deserialize(&bytes)
        .unwrap()
        .names()
        .into_iter()
        .map(|key| (format!("model.{key}"), names[usize::from(!is_first(key))].into()))
        .collect();
    let index = json!({"metadata": {}, "weight_map": map});
    std::fs::write(part.join("model.safetensors.index.json"), index.to_string()).unwrap();
    std::fs::remove_file(&weights).unwrap();
    let file = folder.path().join("model_index.json");
    let mut model_index: Value = fixture::json(&file);
    model_index["text_encoder"] = json!(["transformers", "Qwen3ForCausalLM"]);
    model_index["tokenizer"] = json!(["transformers", "Qwen2TokenizerFast"]);
    std::fs::write(&file, model_index.to_string()).unwrap();
    // As transformers before 5 wrote it.
    let config_file = part.join("config.json");
    let mut config: Value = fixture::json(&config_file);
    let fields = config.as_object_mut().unwrap();
    fields.remove("rope_parameters");
    fields.remove("layer_types");
    fields.insert("rope_theta".into(), 1_000_000.into());
    fields.insert("rope_scaling".into(), Value::Null);
    fields.insert("torch_dtype".into(), "bfloat16".into());
    fields.insert("architectures".into(), json!(["Qwen3ForCausalLM"]));
    std::fs::write(&config_file, config.to_string()).unwrap();
    let mut pipeline = load::<ZImagePipeline>(folder.path()).unwrap();
    assert_eq!(fixture::difference(image(&mut pipeline), expected), 0.0);
}

#[test]
fn weights_in_half_precision_stay_so() {
    let folder = checkpoint();
    let name = folder.path().to_str().unwrap();
    let expected = image(&mut load::<ZImagePipeline>(folder.path()).unwrap());
    let options = LoadOptions { dtype: DType::BF16, ..Default::default() };
    let mut pipeline = ZImagePipeline::from_pretrained_with(name, &options).unwrap();
    pipeline.set_progress_bar(false);
    assert_eq!(pipeline.transformer.dtype(), DType::BF16);
    assert_eq!(pipeline.text_encoder.dtype(), DType::BF16);
    let off = (image(&mut pipeline) - expected).abs().mean().into_scalar::<f32>();
    assert!(off < 0.05, "{off}");
}

/// The transformer in one file, as ComfyUI has it.
pub fn original(folder: &Path, prefix: &str) -> std::path::PathBuf {
    let bytes = std::fs::read(folder.join("transformer/diffusion_pytorch_model.safetensors")).unwrap();
    let stored = SafeTensors::deserialize(&bytes).unwrap();
    let mut out: Vec<(String, Vec<usize>, Vec<u8>)> = Vec::new();
    for (key, view) in stored.tensors() {
        if key.contains(".to_k.") || key.contains(".to_v.") {
            continue;
        }
        if let Some(block) = key.strip_suffix(".to_q.weight") {
            let parts = ["to_q", "to_k", "to_v"]
                .map(|name| stored.tensor(&format!("{block}.{name}.weight")).unwrap());
            let data = parts.iter().flat_map(|part| part.data().iter().copied()).collect();
            let [rows, columns] = [view.shape()[0], view.shape()[1]];
            out.push((format!("{prefix}{block}.qkv.weight"), vec![3 * rows, columns], data));
            continue;
        }
        let name = key
            .replace("all_final_layer.2-1.", "final_layer.")
            .replace("all_x_embedder.2-1.", "x_embedder.")
            .replace(".to_out.0.", ".out.")
            .replace(".norm_q.", ".q_norm.")
            .replace(".norm_k.", ".k_norm.");
        out.push((format!("{prefix}{name}"), view.shape().to_vec(), view.data().to_vec()));
    }
    out.push((format!("{prefix}norm_final.weight"), vec![1], 1.0f32.to_le_bytes().to_vec()));
    let views = out.iter().map(|(key, shape, data)| {
        (key.clone(), TensorView::new(safetensors::Dtype::F32, shape.clone(), data).unwrap())
    });
    let file = folder.join("z_image.safetensors");
    std::fs::write(&file, safetensors::serialize(views, None).unwrap()).unwrap();
    file
}

#[test]
fn a_transformer_may_be_a_single_file() {
    for prefix in ["", "model.diffusion_model."] {
        let folder = checkpoint();
        let mut pipeline = load::<ZImagePipeline>(folder.path()).unwrap();
        let expected = image(&mut pipeline);
        let file = original(folder.path(), prefix);
        let options = SingleFileOptions {
            config: Some(folder.path().to_str().unwrap().to_owned()),
            subfolder: Some("transformer".into()),
            ..Default::default()
        };
        let name = file.to_str().unwrap();
        let transformer = ZImageTransformer2DModel::from_single_file(name, &options).unwrap();
        let mut pipeline =
            ZImagePipeline::new(ZImageComponents { transformer, ..(*pipeline).clone() }).unwrap();
        pipeline.set_progress_bar(false);
        assert_eq!(fixture::difference(image(&mut pipeline), expected), 0.0);
        // The published configuration is that of a larger model.
        let published = ZImageTransformer2DModel::from_single_file(name, &SingleFileOptions::default());
        expect(&error(published), &["z_image.safetensors", "3840"]);
        let whole = DiffusionPipeline::from_single_file(name, &SingleFileOptions::default());
        expect(&error(whole), &["z_image.safetensors", "a transformer"]);
    }
}

#[test]
fn a_controlnet_may_be_a_published_file() {
    for name in ["first", "layers", "refiner"] {
        let folder = tempfile::tempdir().unwrap();
        let net = controlnet(name);
        net.save_pretrained(folder.path().join("controlnet")).unwrap();
        let file = folder.path().join("controlnet/diffusion_pytorch_model.safetensors");
        let published = folder.path().join("published.safetensors");
        // Files of version 2.0 have a refiner that is not used.
        let mut tensors: Vec<(String, Vec<usize>, Vec<u8>)> = Vec::new();
        let bytes = std::fs::read(&file).unwrap();
        for (key, view) in SafeTensors::deserialize(&bytes).unwrap().tensors() {
            tensors.push((key, view.shape().to_vec(), view.data().to_vec()));
        }
        if name == "layers" {
            tensors.push(("control_noise_refiner.0.before_proj.weight".into(), vec![1, 1], vec![0; 4]));
        }
        let views = tensors.iter().map(|(key, shape, data)| {
            (key.clone(), TensorView::new(safetensors::Dtype::F32, shape.clone(), data).unwrap())
        });
        std::fs::write(&published, safetensors::serialize(views, None).unwrap()).unwrap();
        let options = SingleFileOptions {
            config: Some(folder.path().to_str().unwrap().to_owned()),
            subfolder: Some("controlnet".into()),
            ..Default::default()
        };
        let published = published.to_str().unwrap();
        let loaded = ZImageControlNetModel::from_single_file(published, &options).unwrap();
        assert_eq!(loaded.config(), net.config());
        let saved = folder.path().join("again");
        loaded.save_pretrained(&saved).unwrap();
        assert_eq!(
            std::fs::read(saved.join("diffusion_pytorch_model.safetensors")).unwrap(),
            bytes,
            "{name}"
        );
        let whole = DiffusionPipeline::from_single_file(published, &SingleFileOptions::default());
        expect(&error(whole), &["published.safetensors", "a ControlNet"]);
        let of_unet = ControlNetModel::from_single_file(published, &SingleFileOptions::default());
        expect(&error(of_unet), &["_class_name", "ZImageControlNetModel"]);
    }
}

#[test]
fn what_is_missing_or_does_not_fit_is_named() {
    let refused = |change: &dyn Fn(&Path)| {
        let folder = checkpoint();
        change(folder.path());
        error(load::<ZImagePipeline>(folder.path()))
    };
    let remove = |file: &'static str| move |folder: &Path| std::fs::remove_file(folder.join(file)).unwrap();
    let set = |file: &'static str, field: &'static str, value: Value| {
        move |folder: &Path| {
            let file = folder.join(file);
            let mut config: Value = fixture::json(&file);
            config[field] = value.clone();
            std::fs::write(&file, config.to_string()).unwrap();
        }
    };
    let weights = "diffusion_pytorch_model.safetensors";
    expect(&refused(&remove("transformer/diffusion_pytorch_model.safetensors")), &["transformer", weights]);
    expect(&refused(&remove("text_encoder/model.safetensors")), &["text_encoder", "model.safetensors"]);
    expect(&refused(&remove("tokenizer/tokenizer.json")), &["tokenizer", "vocab.json"]);
    expect(&refused(&remove("scheduler/scheduler_config.json")), &["scheduler_config.json"]);
    let truncate = |folder: &Path| {
        let file = folder.join("transformer").join(weights);
        let bytes = std::fs::read(&file).unwrap();
        std::fs::write(&file, &bytes[..bytes.len() / 2]).unwrap();
    };
    expect(&refused(&truncate), &["transformer", weights]);
    let lose = |folder: &Path| {
        let file = folder.join("transformer").join(weights);
        rewrite(&file, &file, |key| (key != "layers.1.attention.norm_q.weight").then(|| key.to_owned()));
    };
    expect(&refused(&lose), &["layers.1.attention.norm_q.weight", "is missing"]);
    let transformer = "transformer/config.json";
    expect(&refused(&set(transformer, "dim", 48.into())), &["axes_dims"]);
    expect(&refused(&set(transformer, "cap_feat_dim", 12.into())), &["cap_embedder", "12"]);
    expect(&refused(&set(transformer, "n_heads", 0.into())), &["transformer", "n_heads"]);
    expect(&refused(&set("text_encoder/config.json", "hidden_size", 12.into())), &["text_encoder", "12"]);
    let classes = |part: &'static str, class: &'static str| {
        set("model_index.json", part, json!(["transformers", class]))
    };
    expect(&refused(&classes("text_encoder", "T5EncoderModel")), &["text_encoder", "T5EncoderModel"]);
    expect(&refused(&classes("tokenizer", "T5Tokenizer")), &["tokenizer", "T5Tokenizer"]);

    // Parts that do not fit each other.
    let small = checkpoint();
    let pipeline = load::<ZImagePipeline>(small.path()).unwrap();
    let mut config = pipeline.text_encoder.config().clone();
    config.hidden_size = 20;
    let text_encoder = Qwen3Model::init(&config, &oxidiff::Device::flex()).unwrap();
    let other = ZImageComponents { text_encoder, ..(*pipeline).clone() };
    expect(&error(ZImagePipeline::new(other)), &["cap_feat_dim", "16", "20"]);
    let mut config = pipeline.transformer.config().clone();
    config.in_channels = 8;
    let transformer = ZImageTransformer2DModel::init(&config, &oxidiff::Device::flex()).unwrap();
    let other = ZImageComponents { transformer, ..(*pipeline).clone() };
    expect(&error(ZImagePipeline::new(other)), &["in_channels", "8", "4"]);
    let mut config = pipeline.transformer.config().clone();
    config.all_patch_size = vec![4];
    let transformer = ZImageTransformer2DModel::init(&config, &oxidiff::Device::flex()).unwrap();
    let other = ZImageComponents { transformer, ..(*pipeline).clone() };
    expect(&error(ZImagePipeline::new(other)), &["all_patch_size"]);
}
