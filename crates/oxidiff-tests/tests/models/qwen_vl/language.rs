//! The language model, and what sees images for it.

use std::collections::{BTreeMap, BTreeSet};

use oxidiff::{
    Config, DType, Device, LoadOptions, Model, Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration,
    Qwen2_5_VLInputs, Qwen2_5_VLTextConfig, Qwen2VLImages, Qwen2VLProcessor, SingleFileOptions, Tensor,
};
use oxidiff_kernels::QuantisedFormat;
use safetensors::tensor::{Dtype, TensorView};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{Case, TOLERANCE, error, expect, pictures, prompts, recorded, values};
use crate::fixture::drawn::drawn;
use crate::fixture::gguf::{self, Plain};
use crate::fixture::{assert_close, difference, json};

const MODELS: [&str; 2] = ["shared", "sections"];

#[derive(Deserialize)]
struct Described {
    seed: u64,
    config: Map<String, Value>,
    names: BTreeSet<String>,
}

fn described(name: &str) -> Described {
    let mut all: BTreeMap<String, Described> = json(&recorded("language.json"));
    all.remove(name).unwrap()
}

fn model(name: &str) -> Qwen2_5_VLForConditionalGeneration {
    let Described { seed, config, .. } = described(name);
    drawn(&Config::from_json(&Value::Object(config).to_string()).unwrap(), seed)
}

fn images(case: &Case) -> Option<Qwen2VLImages> {
    let processor = Qwen2VLProcessor::from_pretrained(recorded("processor")).unwrap();
    (!case.images.is_empty()).then(|| processor.image_processor.patches(&pictures(&case.images)).unwrap())
}

fn inputs<'a>(case: &'a Case, images: Option<&'a Qwen2VLImages>) -> Qwen2_5_VLInputs<'a> {
    Qwen2_5_VLInputs {
        input_ids: &case.input_ids,
        attention_mask: Some(&case.attention_mask),
        images,
        mm_token_type_ids: None,
    }
}

/// What is recorded: zeros for hidden tokens.
fn shown(state: Tensor<3>, case: &Case) -> Tensor<3> {
    let dims @ [batch, tokens, _] = state.dims();
    let mask: Vec<f32> = case.attention_mask.iter().flatten().map(|value| *value as f32).collect();
    let mask = Tensor::<1>::from_floats(mask.as_slice(), &Device::flex()).reshape([batch, tokens, 1]);
    state.cast(DType::F32) * mask.expand(dims)
}

#[test]
fn texts_with_images_are_embedded_as_in_python() {
    compare_texts(|_| ());
}

#[cfg(feature = "cuda")]
#[test]
fn cards_embed_texts_with_images_as_python_does() {
    compare_texts(|model| model.place_on_card(&oxidiff::interpreter()).unwrap());
}

/// Compares the texts of models that `prepare` has changed.
fn compare_texts(prepare: impl Fn(&mut Qwen2_5_VLForConditionalGeneration)) {
    let expected = values();
    let mut compared = 0;
    for name in MODELS {
        let mut model = model(name);
        prepare(&mut model);
        for (number, case) in prompts().cases.iter().enumerate() {
            let key = |kind: &str| format!("{name}.{number}.{kind}");
            if !expected.has(&key("plain")) {
                continue;
            }
            compared += 1;
            let images = images(case);
            let plain = inputs(case, images.as_ref());
            let output = model.forward(&plain).unwrap();
            let last = shown(output.last_hidden_state, case);
            assert_close(&key("plain"), last.clone(), expected.floats(&key("plain")), TOLERANCE);
            if expected.has(&key("first")) {
                let first = shown(output.hidden_states[1].clone(), case);
                assert_close(&key("first"), first, expected.floats(&key("first")), TOLERANCE);
            }
            let Some(images) = &images else { continue };
            if expected.has(&key("seen")) {
                let seen = model.image_features(images).unwrap();
                assert_close(&key("seen"), seen, expected.floats(&key("seen")), TOLERANCE);
            }
            let spatial = Qwen2_5_VLInputs { mm_token_type_ids: Some(&case.mm_token_type_ids), ..plain };
            let placed = shown(model.last_hidden_state(&spatial).unwrap(), case);
            assert_close(&key("spatial"), placed.clone(), expected.floats(&key("spatial")), TOLERANCE);
            assert!(difference(placed, last) > 1e-3, "positions in rows and columns change the result");
        }
    }
    assert!(compared >= 12, "{compared}");
}

fn write_safetensors(tensors: &BTreeMap<String, Plain>, file: &std::path::Path) {
    let bytes = |tensor: &Plain| tensor.values.iter().flat_map(|value| value.to_le_bytes()).collect();
    let bytes: Vec<Vec<u8>> = tensors.values().map(bytes).collect();
    let views = tensors.iter().zip(&bytes).map(|((key, tensor), bytes)| {
        (key, TensorView::new(Dtype::F32, tensor.shape.clone(), bytes).unwrap())
    });
    std::fs::write(file, safetensors::serialize(views, None).unwrap()).unwrap();
}

/// In a text with two images.
fn embed(model: &Qwen2_5_VLForConditionalGeneration) -> Tensor<3> {
    let case = &prompts().cases[6];
    shown(model.last_hidden_state(&inputs(case, images(case).as_ref())).unwrap(), case)
}

/// In a text without images.
fn embed_text(model: &Qwen2_5_VLForConditionalGeneration) -> Tensor<3> {
    let case = &prompts().cases[2];
    shown(model.last_hidden_state(&inputs(case, None)).unwrap(), case)
}

#[test]
fn checkpoints_of_each_layout_are_read() {
    let model = model("shared");
    let expected = embed(&model);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    model.save_pretrained(path).unwrap();
    let file = folder.path().join("model.safetensors");
    let mut tensors = gguf::tensors(&file);
    // As before transformers 4.52, and as Python still writes it: other names. Then, the configuration had the fields of the
    // language model, too.
    let config = model.config().clone();
    let text = config.text_config.clone().unwrap();
    let shape = vec![text.vocab_size, text.hidden_size];
    let head = Plain { values: vec![f32::NAN; shape.iter().product()], shape };
    tensors.insert("lm_head.weight".into(), head);
    let old = |key: &str| match key.strip_prefix("model.language_model.") {
        Some(rest) => format!("model.{rest}"),
        None => key.strip_prefix("model.").unwrap_or(key).to_owned(),
    };
    let renamed: BTreeMap<String, Plain> =
        tensors.iter().map(|(key, tensor)| (old(key), tensor.clone())).collect();
    let names: BTreeSet<String> = renamed.keys().cloned().collect();
    assert_eq!(names, described("shared").names, "the names that Python writes");
    write_safetensors(&renamed, &file);
    let load = || Qwen2_5_VLForConditionalGeneration::from_pretrained(path).unwrap();
    assert_eq!(difference(embed(&load()), expected.clone()), 0.0);
    let mut flat = serde_json::to_value(&config).unwrap();
    let fields = flat.as_object_mut().unwrap();
    fields.remove("text_config");
    for (field, value) in serde_json::to_value(&text).unwrap().as_object().unwrap() {
        if field != "model_type" {
            fields.insert(field.clone(), value.clone());
        }
    }
    let mut rope = fields.remove("rope_parameters").unwrap();
    fields.insert("rope_theta".into(), rope.as_object_mut().unwrap().remove("rope_theta").unwrap());
    rope["type"] = "mrope".into();
    rope.as_object_mut().unwrap().remove("rope_type");
    fields.insert("rope_scaling".into(), rope);
    std::fs::write(folder.path().join("config.json"), flat.to_string()).unwrap();
    assert_eq!(difference(embed(&load()), expected.clone()), 0.0);

    // From single files, in either layout, and without what sees images.
    let options = SingleFileOptions { config: Some(path.to_owned()), ..Default::default() };
    let single = folder.path().join("single.safetensors");
    for tensors in [&tensors, &renamed] {
        write_safetensors(tensors, &single);
        let loaded =
            Qwen2_5_VLForConditionalGeneration::from_single_file(single.to_str().unwrap(), &options).unwrap();
        assert_eq!(difference(embed(&loaded), expected.clone()), 0.0);
    }
    let blind: BTreeMap<String, Plain> =
        renamed.into_iter().filter(|(key, _)| !key.starts_with("visual.")).collect();
    write_safetensors(&blind, &file);
    let loaded = load();
    assert!(model.has_vision() && !loaded.has_vision());
    assert_eq!(difference(embed_text(&loaded), embed_text(&model)), 0.0);
    let case = &prompts().cases[4];
    let images = images(case);
    let refused = error(loaded.forward(&inputs(case, images.as_ref())));
    expect(&refused, &["images", "language model only"]);
    // A part of what sees images is not enough.
    let mut part = blind.clone();
    part.insert("visual.merger.ln_q.weight".into(), Plain { shape: vec![32], values: vec![1.0; 32] });
    write_safetensors(&part, &file);
    expect(
        &error(Qwen2_5_VLForConditionalGeneration::from_pretrained(path)),
        &["model.safetensors", "model.visual."],
    );
}

#[test]
fn smaller_types_stay_close() {
    let model = model("shared");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    model.save_pretrained(path).unwrap();
    let expected = embed(&model);
    for (dtype, tolerance) in [(DType::F16, 4e-2), (DType::BF16, 0.3)] {
        let options = LoadOptions { dtype, ..Default::default() };
        let loaded = Qwen2_5_VLForConditionalGeneration::from_pretrained_with(path, &options).unwrap();
        assert_eq!(loaded.dtype(), dtype);
        assert_close(&format!("{dtype:?}"), embed(&loaded), expected.clone(), tolerance);
    }
}

#[test]
fn gguf_files_of_the_language_model_are_read() {
    let model = model("shared");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    model.save_pretrained(path).unwrap();
    let tensors: BTreeMap<String, Plain> = gguf::tensors(&folder.path().join("model.safetensors"))
        .into_iter()
        .filter_map(|(key, tensor)| Some((key.strip_prefix("model.language_model.")?.to_owned(), tensor)))
        .collect();
    let file = folder.path().join("language_model.gguf");
    gguf::write(&gguf::of_llama_cpp(&tensors), QuantisedFormat::Q8_0, &file);
    let options = SingleFileOptions { config: Some(path.to_owned()), ..Default::default() };
    let quantised =
        Qwen2_5_VLForConditionalGeneration::from_single_file(file.to_str().unwrap(), &options).unwrap();
    assert!(!quantised.has_vision());
    let norm = |x: Tensor<3>| x.square().sum().into_scalar::<f32>().sqrt();
    let expected = embed_text(&model);
    let distance = norm(embed_text(&quantised) - expected.clone()) / norm(expected);
    println!("Q8_0: {distance:.2e}");
    assert!((1e-5..2e-2).contains(&distance), "{distance}");
}

#[test]
fn wrong_configurations_and_inputs_are_refused() {
    let model = model("shared");
    let init = |config: &Qwen2_5_VLConfig| Qwen2_5_VLForConditionalGeneration::init(config, &Device::flex());
    let changed = |change: &dyn Fn(&mut Qwen2_5_VLConfig)| {
        let mut config = model.config().clone();
        change(&mut config);
        error(init(&config))
    };
    let text = |change: fn(&mut Qwen2_5_VLTextConfig)| {
        changed(&|config| change(config.text_config.as_mut().unwrap()))
    };
    expect(&text(|config| config.num_attention_heads = 3), &["num_attention_heads"]);
    expect(&text(|config| config.num_key_value_heads = Some(3)), &["num_key_value_heads"]);
    expect(&text(|config| config.layer_types = Some(vec!["sliding_attention".into(); 2])), &["layer_types"]);
    let sections = text(|config| {
        let rope = config.rope_parameters.as_mut().unwrap();
        rope.insert("mrope_section".into(), serde_json::json!([1, 1]));
    });
    expect(&sections, &["rope_parameters", "[1, 1]", "4 pairs"]);
    let yarn = text(|config| {
        config.rope_parameters.as_mut().unwrap().insert("rope_type".into(), "yarn".into());
    });
    expect(&yarn, &["rope_parameters", "yarn"]);
    expect(
        &changed(&|config| config.vision_config.as_mut().unwrap().out_hidden_size = 8),
        &["vision_config.out_hidden_size"],
    );
    expect(
        &changed(&|config| config.vision_config.as_mut().unwrap().window_size = 3),
        &["vision_config.window_size"],
    );
    expect(
        &changed(&|config| config.vision_config.as_mut().unwrap().num_heads = 5),
        &["vision_config.num_heads"],
    );

    let case = &prompts().cases[6];
    let images = images(case).unwrap();
    let whole = inputs(case, Some(&images));
    let refused = |inputs: Qwen2_5_VLInputs| error(model.forward(&inputs));
    let other = &prompts().cases[4];
    let fewer = Qwen2_5_VLInputs { input_ids: &other.input_ids, attention_mask: None, ..whole };
    expect(&refused(fewer), &["input_ids", "tokens of images"]);
    let grids = Qwen2VLImages { image_grid_thw: vec![[1, 3, 4]], ..images.clone() };
    expect(&refused(Qwen2_5_VLInputs { images: Some(&grids), ..whole }), &["image_grid_thw", "[1, 3, 4]"]);
    let grids = Qwen2VLImages { image_grid_thw: vec![[1, 2, 2]], ..images.clone() };
    expect(&refused(Qwen2_5_VLInputs { images: Some(&grids), ..whole }), &["pixel_values"]);
    let types = vec![vec![0; 3]];
    expect(&refused(Qwen2_5_VLInputs { mm_token_type_ids: Some(&types), ..whole }), &["mm_token_type_ids"]);
    let none = vec![vec![0; case.input_ids[0].len()]; case.input_ids.len()];
    let fewer = Qwen2_5_VLInputs { mm_token_type_ids: Some(&none), ..whole };
    expect(&refused(fewer), &["mm_token_type_ids", "fewer images"]);
    expect(&refused(Qwen2_5_VLInputs { input_ids: &[vec![70_000]], ..Default::default() }), &["token 70000"]);
    expect(&refused(Qwen2_5_VLInputs::default()), &["input_ids"]);
}
