//! Files: saving, other layouts, quantised weights, and what is damaged.

use std::collections::BTreeMap;
use std::path::Path;

use oxidiff::{
    DType, DiffusionPipeline, Generator, Images, LoadOptions, Model, Pipeline, SD3Transformer2DModel,
    SingleFileOptions, StableDiffusion3Pipeline, StableDiffusion3TextToImage, T5EncoderModel, Tensor,
};
use oxidiff_kernels::QuantisedFormat;
use serde_json::Value;

use super::{checkpoint, error, expect, load, recorded};
use crate::fixture::gguf::{self, Plain};
use crate::fixture::{self, difference};

fn call() -> StableDiffusion3TextToImage {
    StableDiffusion3TextToImage {
        height: Some(32),
        width: Some(48),
        num_inference_steps: 2,
        generator: Some(Generator::manual_seed(5).into()),
        output_type: oxidiff::OutputType::Array,
        ..StableDiffusion3TextToImage::new("a red apple")
    }
}

fn image(pipeline: &mut StableDiffusion3Pipeline) -> Tensor<4> {
    match pipeline.call(call()).unwrap().images {
        Images::Array(array) => array,
        _ => panic!("an array was asked for"),
    }
}

#[test]
fn a_saved_pipeline_makes_the_same_image() {
    let folder = checkpoint();
    let mut pipeline = load::<StableDiffusion3Pipeline>(folder.path()).unwrap();
    let expected = image(&mut pipeline);
    let saved = tempfile::tempdir().unwrap();
    pipeline.save_pretrained(saved.path()).unwrap();
    let mut again = load::<StableDiffusion3Pipeline>(saved.path()).unwrap();
    assert_eq!(difference(image(&mut again), expected), 0.0);
    // The files say what Python's say.
    for file in
        ["model_index.json", "transformer/config.json", "vae/config.json", "text_encoder_3/config.json"]
    {
        let ours: Value = fixture::json(&saved.path().join(file));
        let theirs: Value = fixture::json(&recorded("checkpoint").join(file));
        for (field, value) in theirs.as_object().unwrap() {
            if !field.starts_with("_name") {
                assert_eq!(ours.get(field), Some(value), "{file}: {field}");
            }
        }
    }
}

#[test]
fn weights_in_half_precision_stay_so() {
    let folder = checkpoint();
    let name = folder.path().to_str().unwrap();
    let expected = image(&mut load::<StableDiffusion3Pipeline>(folder.path()).unwrap());
    for dtype in [DType::BF16, DType::F16] {
        let options = LoadOptions { dtype, ..Default::default() };
        let mut pipeline = StableDiffusion3Pipeline::from_pretrained_with(name, &options).unwrap();
        pipeline.set_progress_bar(false);
        assert_eq!(pipeline.transformer.dtype(), dtype);
        assert_eq!(pipeline.text_encoder_3.as_ref().unwrap().dtype(), dtype);
        let off = (image(&mut pipeline) - expected.clone()).abs().mean().into_scalar::<f32>();
        assert!(off < 0.05, "{off}");
    }
}

pub fn write(tensors: &BTreeMap<String, Plain>, file: &Path) {
    let bytes: Vec<Vec<u8>> = tensors
        .values()
        .map(|tensor| tensor.values.iter().flat_map(|value| value.to_le_bytes()).collect())
        .collect();
    let views = tensors.iter().zip(&bytes).map(|((key, tensor), bytes)| {
        let view = safetensors::tensor::TensorView::new(safetensors::Dtype::F32, tensor.shape.clone(), bytes);
        (key, view.unwrap())
    });
    std::fs::write(file, safetensors::serialize(views, None).unwrap()).unwrap();
}

fn weights(folder: &Path, part: &str) -> BTreeMap<String, Plain> {
    let name = if part.starts_with("text") { "model" } else { "diffusion_pytorch_model" };
    gguf::tensors(&folder.join(part).join(format!("{name}.safetensors")))
}

fn options(folder: &Path, subfolder: &str) -> SingleFileOptions {
    SingleFileOptions {
        config: Some(folder.to_str().unwrap().to_owned()),
        subfolder: Some(subfolder.to_owned()),
        ..Default::default()
    }
}

fn prefixed(tensors: BTreeMap<String, Plain>, prefix: &str) -> BTreeMap<String, Plain> {
    tensors.into_iter().map(|(key, tensor)| (format!("{prefix}{key}"), tensor)).collect()
}

/// Replaces the transformer's weights by those of another file.
fn with_transformer(folder: &Path, file: &Path) -> oxidiff::Result<Tensor<4>> {
    let weights = [("transformer".to_owned(), file.to_str().unwrap().to_owned())].into();
    let options = LoadOptions { weights, ..Default::default() };
    let mut pipeline = StableDiffusion3Pipeline::from_pretrained_with(folder.to_str().unwrap(), &options)?;
    pipeline.set_progress_bar(false);
    Ok(image(&mut pipeline))
}

#[test]
fn transformers_in_files_of_their_own_are_read() {
    let folder = checkpoint();
    let path = folder.path();
    let expected = image(&mut load::<StableDiffusion3Pipeline>(path).unwrap());
    let original = gguf::original_sd3(&weights(path, "transformer"));
    assert!(original.contains_key("joint_blocks.2.context_block.attn.qkv.weight"));
    let file = path.join("transformer.safetensors");
    for prefix in ["", "model.diffusion_model."] {
        write(&prefixed(original.clone(), prefix), &file);
        assert_eq!(difference(with_transformer(path, &file).unwrap(), expected.clone()), 0.0, "{prefix}");
    }
    // In the layout of diffusers, too.
    let own = path.join("transformer/diffusion_pytorch_model.safetensors");
    assert_eq!(difference(with_transformer(path, &own).unwrap(), expected), 0.0);
    let whole =
        StableDiffusion3Pipeline::from_single_file(file.to_str().unwrap(), &SingleFileOptions::default());
    expect(&error(whole), &["transformer.safetensors", "a transformer, not a whole checkpoint"]);

    let mut damaged = original.clone();
    damaged.remove("final_layer.linear.bias").unwrap();
    write(&damaged, &file);
    expect(&error(with_transformer(path, &file)), &["transformer.safetensors", "proj_out.bias"]);
    let mut damaged = original;
    let qkv = damaged.get_mut("joint_blocks.0.x_block.attn.qkv.bias").unwrap();
    qkv.values.pop();
    qkv.shape[0] -= 1;
    write(&damaged, &file);
    expect(&error(with_transformer(path, &file)), &["joint_blocks.0.x_block.attn.qkv.bias", "three"]);
}

/// The autoencoder as its authors name its layers: those of the decoder are counted from the image up.
fn original_autoencoder(tensors: &BTreeMap<String, Plain>) -> BTreeMap<String, Plain> {
    let mut renames: Vec<(String, String)> = [
        ("down_blocks.", "down."),
        (".resnets.", ".block."),
        (".downsamplers.0.conv.", ".downsample.conv."),
        (".upsamplers.0.conv.", ".upsample.conv."),
        ("conv_shortcut", "nin_shortcut"),
        ("mid_block.block.0.", "mid.block_1."),
        ("mid_block.block.1.", "mid.block_2."),
        ("mid_block.attentions.0.group_norm.", "mid.attn_1.norm."),
        ("mid_block.attentions.0.to_q.", "mid.attn_1.q."),
        ("mid_block.attentions.0.to_k.", "mid.attn_1.k."),
        ("mid_block.attentions.0.to_v.", "mid.attn_1.v."),
        ("mid_block.attentions.0.to_out.0.", "mid.attn_1.proj_out."),
        ("conv_norm_out.", "norm_out."),
    ]
    .map(|(from, to)| (from.to_owned(), to.to_owned()))
    .into();
    renames.extend((0..4).map(|number| (format!("up_blocks.{number}."), format!("up.{}.", 3 - number))));
    let renamed = tensors.iter().map(|(key, tensor)| {
        (renames.iter().fold(key.clone(), |key, (from, to)| key.replace(from, to)), tensor.clone())
    });
    renamed.collect()
}

#[test]
fn whole_checkpoints_in_one_file_are_read() {
    let folder = checkpoint();
    let path = folder.path();
    let mut pipeline = load::<StableDiffusion3Pipeline>(path).unwrap();
    let expected = image(&mut pipeline);
    let mut all = prefixed(gguf::original_sd3(&weights(path, "transformer")), "model.diffusion_model.");
    for (part, prefix) in [
        ("text_encoder", "text_encoders.clip_l.transformer."),
        ("text_encoder_2", "text_encoders.clip_g.transformer."),
        ("text_encoder_3", "text_encoders.t5xxl.transformer."),
    ] {
        all.extend(prefixed(weights(path, part), prefix));
    }
    all.extend(prefixed(original_autoencoder(&weights(path, "vae")), "first_stage_model."));
    let file = path.join("whole.safetensors");
    write(&all, &file);
    let config = Some(path.to_str().unwrap().to_owned());
    let options = SingleFileOptions { config, ..Default::default() };
    let name = file.to_str().unwrap();
    let mut made = StableDiffusion3Pipeline::from_single_file(name, &options).unwrap();
    made.set_progress_bar(false);
    assert_eq!(difference(image(&mut made), expected.clone()), 0.0);
    let mut dynamic = DiffusionPipeline::from_single_file(name, &options).unwrap();
    dynamic.set_progress_bar(false);
    assert_eq!(dynamic.class_name(), "StableDiffusion3Pipeline");

    // Without T5, the folder's third text encoder is missed.
    all.retain(|key, _| !key.contains("t5xxl"));
    write(&all, &file);
    let refused = StableDiffusion3Pipeline::from_single_file(name, &options);
    expect(&error(refused), &["whole.safetensors", "T5EncoderModel"]);
}

#[test]
fn quantised_weights_are_multiplied_in_their_blocks() {
    let folder = checkpoint();
    let path = folder.path();
    let expected = image(&mut load::<StableDiffusion3Pipeline>(path).unwrap());
    let (transformer, encoder) = (path.join("transformer.gguf"), path.join("t5.gguf"));
    gguf::write(&gguf::original_sd3(&weights(path, "transformer")), QuantisedFormat::Q8_0, &transformer);
    gguf::write(&gguf::t5_of_llama_cpp(&weights(path, "text_encoder_3")), QuantisedFormat::Q8_0, &encoder);
    let file = |file: &Path| file.to_str().unwrap().to_owned();
    let weights =
        [("transformer".to_owned(), file(&transformer)), ("text_encoder_3".to_owned(), file(&encoder))];
    // What a file replaces is not needed.
    std::fs::remove_file(path.join("text_encoder_3/model.safetensors")).unwrap();
    let load_options = LoadOptions { weights: weights.into(), ..Default::default() };
    let mut pipeline = StableDiffusion3Pipeline::from_pretrained_with(&file(path), &load_options).unwrap();
    pipeline.set_progress_bar(false);
    let off = (image(&mut pipeline) - expected).abs().mean().into_scalar::<f32>();
    assert!((1e-6..2e-2).contains(&off), "{off}");
    let encoder =
        T5EncoderModel::from_single_file(&file(&encoder), &options(path, "text_encoder_3")).unwrap();
    expect(&error(encoder.save_pretrained(path)), &["T5EncoderModel", "quantised"]);
    let wrong =
        SD3Transformer2DModel::from_single_file(&file(&path.join("t5.gguf")), &options(path, "transformer"));
    expect(&error(wrong), &["SD3Transformer2DModel", "t5.gguf"]);
}

#[test]
fn damaged_checkpoints_are_refused() {
    let folder = checkpoint();
    let file = folder.path().join("model_index.json");
    let index: Value = fixture::json(&file);
    let refused = |field: &str, value: Value| {
        let mut changed = index.clone();
        changed[field] = value;
        std::fs::write(&file, changed.to_string()).unwrap();
        error(load::<StableDiffusion3Pipeline>(folder.path()))
    };
    let t5 = serde_json::json!(["transformers", "CLIPTokenizer"]);
    expect(&refused("tokenizer_3", t5), &["tokenizer_3", "CLIPTokenizer", "T5Tokenizer"]);
    let flux = serde_json::json!(["diffusers", "Flux2Transformer2DModel"]);
    expect(&refused("transformer", flux), &["transformer", "Flux2Transformer2DModel"]);
    expect(&refused("tokenizer_3", serde_json::json!([null, null])), &["tokenizer_3", "text_encoder_3"]);
}
