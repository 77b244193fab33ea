//! Files: saving, other layouts, and what is damaged.

use std::path::Path;

use oxidiff::{
    AutoencoderKL, AutoencoderKLConfig, DiffusionPipeline, Flux2KleinComponents, Flux2KleinPipeline,
    Flux2KleinTextToImage, Flux2Transformer2DModel, Generator, Images, Model, Pipeline, Qwen3Model, Tensor,
};
use serde_json::{Value, json};

use super::{checkpoint, error, expect, load, recorded};
use crate::fixture;

fn image(pipeline: &mut Flux2KleinPipeline) -> Tensor<4> {
    let arguments = Flux2KleinTextToImage {
        height: Some(32),
        width: Some(48),
        num_inference_steps: 2,
        guidance_scale: 1.0,
        generator: Some(Generator::manual_seed(5).into()),
        output_type: oxidiff::OutputType::Array,
        ..Flux2KleinTextToImage::new("a red apple")
    };
    match pipeline.call(arguments).unwrap().images {
        Images::Array(array) => array,
        _ => panic!("an array was asked for"),
    }
}

#[test]
fn a_saved_pipeline_makes_the_same_image() {
    let folder = checkpoint();
    let mut pipeline = load::<Flux2KleinPipeline>(folder.path()).unwrap();
    let expected = image(&mut pipeline);
    let saved = tempfile::tempdir().unwrap();
    pipeline.save_pretrained(saved.path()).unwrap();
    let mut again = load::<Flux2KleinPipeline>(saved.path()).unwrap();
    assert_eq!(fixture::difference(image(&mut again), expected), 0.0);
    // The files say what Python's say; the text encoder is saved without the layer that predicts tokens.
    for file in ["model_index.json", "transformer/config.json", "vae/config.json"] {
        let ours: Value = fixture::json(&saved.path().join(file));
        let theirs: Value = fixture::json(&recorded("checkpoint").join(file));
        for (field, value) in theirs.as_object().unwrap() {
            let equal = match (ours.get(field).and_then(Value::as_f64), value.as_f64()) {
                (Some(ours), Some(theirs)) => ours == theirs,
                _ => ours.get(field) == Some(value),
            };
            assert!(equal || field.starts_with("_name") || field == "text_encoder", "{file}: {field}");
        }
    }
}

#[test]
fn what_is_missing_or_does_not_fit_is_named() {
    let refused = |change: &dyn Fn(&Path)| {
        let folder = checkpoint();
        change(folder.path());
        error(load::<Flux2KleinPipeline>(folder.path()))
    };
    let set = |file: &'static str, field: &'static str, value: Value| {
        move |folder: &Path| {
            let file = folder.join(file);
            let mut config: Value = fixture::json(&file);
            config[field] = value.clone();
            std::fs::write(&file, config.to_string()).unwrap();
        }
    };
    let weights = "transformer/diffusion_pytorch_model.safetensors";
    let remove = |folder: &Path| std::fs::remove_file(folder.join(weights)).unwrap();
    expect(&refused(&remove), &["transformer", "diffusion_pytorch_model.safetensors"]);
    let truncate = |folder: &Path| {
        let bytes = std::fs::read(folder.join(weights)).unwrap();
        std::fs::write(folder.join(weights), &bytes[..bytes.len() / 2]).unwrap();
    };
    expect(&refused(&truncate), &["transformer", "diffusion_pytorch_model.safetensors"]);
    let transformer = "transformer/config.json";
    expect(
        &refused(&set(transformer, "num_single_layers", 3.into())),
        &["single_transformer_blocks.2", "missing"],
    );
    expect(&refused(&set(transformer, "guidance_embeds", true.into())), &["guidance_embedder", "missing"]);
    expect(&refused(&set(transformer, "mlp_ratio", 2.into())), &["linear_in", "[192, 32]", "[128, 32]"]);
    expect(&refused(&set("vae/config.json", "patch_size", json!([1, 1]))), &["bn.running_mean", "[4]"]);
    expect(&refused(&set("model_index.json", "is_distilled", 1.into())), &["is_distilled", "true or false"]);
    let class =
        set("model_index.json", "text_encoder", json!(["transformers", "Mistral3ForConditionalGeneration"]));
    expect(&refused(&class), &["text_encoder", "Mistral3ForConditionalGeneration"]);
    let folder = checkpoint();
    set("model_index.json", "_class_name", "Flux2Pipeline".into())(folder.path());
    let whole = DiffusionPipeline::from_pretrained(folder.path().to_str().unwrap());
    expect(&error(whole), &["Flux2Pipeline", "Flux2KleinPipeline"]);

    // Parts that do not fit each other.
    let pipeline = load::<Flux2KleinPipeline>(checkpoint().path()).unwrap();
    let device = oxidiff::Device::flex();
    let mut config = pipeline.text_encoder.config().clone();
    config.hidden_size = 20;
    let text_encoder = Qwen3Model::init(&config, &device).unwrap();
    let other = Flux2KleinComponents { text_encoder, ..(*pipeline).clone() };
    expect(&error(Flux2KleinPipeline::new(other)), &["joint_attention_dim", "48", "20"]);
    let mut config = pipeline.transformer.config().clone();
    config.in_channels = 8;
    let transformer = Flux2Transformer2DModel::init(&config, &device).unwrap();
    let other = Flux2KleinComponents { transformer, ..(*pipeline).clone() };
    expect(&error(Flux2KleinPipeline::new(other)), &["in_channels", "8", "16"]);
    let mut config = pipeline.transformer.config().clone();
    config.out_channels = Some(4);
    let transformer = Flux2Transformer2DModel::init(&config, &device).unwrap();
    let other = Flux2KleinComponents { transformer, ..(*pipeline).clone() };
    expect(&error(Flux2KleinPipeline::new(other)), &["out_channels", "4", "16"]);
    let config = AutoencoderKLConfig { latent_channels: 4, ..Default::default() };
    let vae = AutoencoderKL::init(&config, &device).unwrap().into();
    let other = Flux2KleinComponents { vae, ..(*pipeline).clone() };
    expect(&error(Flux2KleinPipeline::new(other)), &["vae", "AutoencoderKL", "statistics"]);
}
