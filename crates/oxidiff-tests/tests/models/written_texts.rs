//! Texts that language models write, token by token as transformers writes them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use oxidiff::{
    Config, DType, Device, Generation, Generator, LoadOptions, Mistral3ForConditionalGeneration, Model,
    Qwen2_5_VLForConditionalGeneration, Qwen2_5_VLInputs, Qwen2VLImages, Result, SingleFileOptions, Tensor,
    TextStep,
};
use oxidiff_kernels::QuantisedFormat;
use serde::Deserialize;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::fixture::drawn::draw_head;
use crate::fixture::drawn_weights::draw_weights;
use crate::fixture::gguf;
use crate::fixture::pictures::values;
use crate::fixture::{Recorded, assert_close, fixtures, json};

const TOLERANCE: f32 = 1e-4;
/// The seed of what gives scores to tokens.
const HEAD_SEED: u64 = 70;
/// The most tokens of a call of the script.
const MOST: usize = 12;

type Ids = Vec<Vec<u32>>;

#[derive(Clone, Deserialize)]
struct Case {
    name: String,
    model: String,
    seed: u64,
    /// `generation_config.json`.
    said: Value,
    input_ids: Ids,
    attention_mask: Ids,
    mm_token_type_ids: Ids,
    image_grid_thw: Vec<[usize; 3]>,
    drawn_with: u64,
    temperature: Option<f64>,
    written: Ids,
}

#[derive(Deserialize)]
struct Cases {
    configs: BTreeMap<String, Value>,
    cases: Vec<Case>,
}

fn folder() -> PathBuf {
    fixtures().join("written_texts")
}

fn cases() -> Cases {
    json(&folder().join("cases.json"))
}

/// The case of this name, and its configuration.
fn case(name: &str) -> (Case, Value) {
    let Cases { configs, cases } = cases();
    let case = cases.into_iter().find(|case| case.name == name).unwrap();
    let config = configs[&case.model].clone();
    (case, config)
}

/// The model of a case.
fn checkpoint(case: &Case, config: &Value) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("config.json"), config.to_string()).unwrap();
    let parsed = Config::from_json(&config.to_string()).unwrap();
    match case.model.contains("qwen") {
        true => draw_weights::<Qwen2_5_VLForConditionalGeneration>(&parsed, case.seed, folder.path()),
        false => draw_weights::<Mistral3ForConditionalGeneration>(&parsed, case.seed, folder.path()),
    }
    if config["tie_word_embeddings"] == false {
        draw_head(folder.path(), HEAD_SEED);
    }
    say(folder.path(), &case.said);
    folder
}

fn say(folder: &Path, said: &Value) {
    std::fs::write(folder.join("generation_config.json"), said.to_string()).unwrap();
}

fn images(case: &Case) -> Option<Qwen2VLImages> {
    let patches: usize = case.image_grid_thw.iter().map(|grid| grid.iter().product::<usize>()).sum();
    let pixels = || values([1, 1, patches, 1176], -0.8).reshape::<2, _>([patches, 1176]);
    (patches > 0)
        .then(|| Qwen2VLImages { pixel_values: pixels(), image_grid_thw: case.image_grid_thw.clone() })
}

/// What follows the texts of a case, with the scores of some tokens in each step.
fn write(case: &Case, folder: &Path, most: usize, dtype: DType) -> Result<(Ids, Vec<f32>, usize)> {
    let options = LoadOptions { dtype, ..Default::default() };
    let (mut scores, mut steps) = (Vec::new(), 0);
    let mut keep = |step: TextStep<'_>| {
        steps += 1;
        assert_eq!(step.done, steps);
        let tokens = step.scores.len() / case.input_ids.len();
        let each = if tokens > 100 { 40 } else { 8 };
        let rows = step.scores.chunks_exact(tokens);
        scores.extend(rows.flat_map(|row| row.iter().step_by(each).copied()));
        Ok(())
    };
    let mut generator = Generator::manual_seed(case.drawn_with);
    let generation = Generation {
        max_new_tokens: most,
        temperature: case.temperature,
        generator: &mut generator,
        progress: &mut keep,
    };
    let name = folder.to_str().unwrap();
    let (ids, mask) = (&case.input_ids, Some(case.attention_mask.as_slice()));
    let written = if case.model.contains("qwen") {
        let images = images(case);
        let inputs = Qwen2_5_VLInputs {
            input_ids: ids,
            attention_mask: mask,
            images: images.as_ref(),
            mm_token_type_ids: Some(&case.mm_token_type_ids),
        };
        Qwen2_5_VLForConditionalGeneration::from_pretrained_with(name, &options)?
            .generate(&inputs, generation)
    } else {
        Mistral3ForConditionalGeneration::from_pretrained_with(name, &options)?
            .generate(ids, mask, generation)
    };
    Ok((written?, scores, steps))
}

/// Without what Python fills up texts with that have ended.
fn until_the_end(case: &Case) -> Ids {
    let ends = match &case.said["eos_token_id"] {
        Value::Array(ends) => ends.clone(),
        one => vec![one.clone()],
    };
    let is_end = |token: &u32| ends.iter().any(|end| *end == *token);
    let texts = case.written.iter().map(|text| {
        let end = text.iter().position(is_end).map_or(text.len(), |end| end + 1);
        text[..end].to_vec()
    });
    texts.collect()
}

#[test]
fn texts_are_those_of_python() {
    let Cases { configs, cases } = cases();
    let recorded = Recorded::open(&folder().join("scores.safetensors"));
    assert_eq!(cases.len(), 20);
    for case in cases {
        let folder = checkpoint(&case, &configs[&case.model]);
        let (written, scores, steps) = write(&case, folder.path(), MOST, DType::F32).unwrap();
        assert_eq!(written, until_the_end(&case), "{}", case.name);
        assert_eq!(steps, case.written[0].len(), "{}", case.name);
        let expected: Tensor<3> = recorded.floats(&case.name);
        let scores = Tensor::<1>::from_floats(scores.as_slice(), &Device::flex()).reshape(expected.dims());
        assert_close(&case.name, scores, expected, TOLERANCE);
    }
}

#[test]
fn a_saved_model_writes_the_same() {
    for name in ["qwen.drawn", "mistral.drawn"] {
        let (case, config) = case(name);
        let folder = checkpoint(&case, &config);
        let (path, saved) = (folder.path().to_str().unwrap(), tempfile::tempdir().unwrap());
        match case.model.contains("qwen") {
            true => Qwen2_5_VLForConditionalGeneration::from_pretrained(path)
                .unwrap()
                .save_pretrained(saved.path()),
            false => {
                Mistral3ForConditionalGeneration::from_pretrained(path).unwrap().save_pretrained(saved.path())
            }
        }
        .unwrap();
        let (written, ..) = write(&case, saved.path(), MOST, DType::F32).unwrap();
        assert_eq!(written, until_the_end(&case), "{name}");
    }
}

#[test]
fn as_many_tokens_are_written_as_are_asked_for() {
    let (case, config) = case("qwen.greedy");
    let folder = checkpoint(&case, &config);
    for most in [1, 5] {
        let (written, _, steps) = write(&case, folder.path(), most, DType::F32).unwrap();
        assert_eq!((written[0].as_slice(), steps), (&case.written[0][..most], most));
    }
    // In half the precision: the first tokens are the same.
    let (written, ..) = write(&case, folder.path(), 2, DType::BF16).unwrap();
    assert_eq!(written[0], case.written[0][..2]);
}

#[test]
fn llama_cpp_files_score_tokens_nearly_the_same() {
    let (case, mut config) = case("qwen.greedy");
    // Rows of a whole block.
    for field in ["hidden_size", "intermediate_size"] {
        config["text_config"][field] = 32.into();
    }
    config["text_config"]["rope_parameters"]["mrope_section"] = json!([2, 1, 1]);
    config["vision_config"]["out_hidden_size"] = 32.into();
    let folder = checkpoint(&case, &config);
    let (_, expected, _) = write(&case, folder.path(), 1, DType::F32).unwrap();
    let stored = gguf::tensors(&folder.path().join("model.safetensors"));
    let of_language_model = stored.iter().filter_map(|(key, tensor)| {
        Some((key.strip_prefix("model.language_model.")?.to_owned(), tensor.clone()))
    });
    let mut tensors = gguf::of_llama_cpp(&of_language_model.collect());
    tensors.insert("output.weight".into(), stored["lm_head.weight"].clone());
    let file = folder.path().join("model.gguf");
    gguf::write(&tensors, QuantisedFormat::Q8_0, &file);
    let config = Some(folder.path().to_str().unwrap().to_owned());
    let options = SingleFileOptions { config, ..Default::default() };
    let model =
        Qwen2_5_VLForConditionalGeneration::from_single_file(file.to_str().unwrap(), &options).unwrap();
    let inputs = Qwen2_5_VLInputs { input_ids: &case.input_ids, ..Default::default() };
    let mut scores: Vec<f32> = Vec::new();
    let generation = Generation {
        max_new_tokens: 1,
        temperature: None,
        generator: &mut Generator::manual_seed(0),
        progress: &mut |step| {
            scores.extend(step.scores.iter().step_by(40));
            Ok(())
        },
    };
    model.generate(&inputs, generation).unwrap();
    let norm = |values: &[f32]| values.iter().map(|value| value * value).sum::<f32>().sqrt();
    let off: Vec<f32> = scores.iter().zip(&expected).map(|(ours, theirs)| ours - theirs).collect();
    let distance = norm(&off) / norm(&expected);
    assert!((1e-5..3e-2).contains(&distance), "{distance}");
}

#[test]
fn older_checkpoints_say_in_their_configuration_what_ends_a_text() {
    let (case, mut config) = case("qwen.ended_by_one");
    config["eos_token_id"] = case.said["eos_token_id"].clone();
    let folder = checkpoint(&case, &config);
    std::fs::remove_file(folder.path().join("generation_config.json")).unwrap();
    let (written, ..) = write(&case, folder.path(), MOST, DType::F32).unwrap();
    assert_eq!(written, case.written);
}

#[test]
fn what_cannot_be_followed_is_refused() {
    let (case, config) = case("qwen.greedy");
    let folder = checkpoint(&case, &config);
    let refused = |said: Value, words: &[&str]| {
        say(folder.path(), &said);
        let error = write(&case, folder.path(), MOST, DType::F32).unwrap_err().to_string();
        for word in words.iter().chain(&["generation_config.json"]) {
            assert!(error.contains(word), "{error}");
        }
    };
    refused(json!({"do_sample": "yes"}), &["do_sample", "yes"]);
    refused(json!({"do_sample": true, "temperature": 0.0}), &["temperature", "0"]);
    refused(json!({"do_sample": true, "temperature": -1}), &["temperature", "-1"]);
    refused(json!({"do_sample": true, "top_p": 1.5}), &["top_p", "1.5"]);
    refused(json!({"do_sample": true, "top_k": -3}), &["top_k", "-3"]);
    refused(json!({"do_sample": true, "top_k": 2.5}), &["top_k", "2.5"]);
    refused(json!({"do_sample": true, "min_p": 2}), &["min_p", "2"]);
    refused(json!({"do_sample": true, "typical_p": 0.5}), &["typical_p", "0.5", "not supported"]);
    refused(json!({"repetition_penalty": 0.0}), &["repetition_penalty", "0"]);
    refused(json!({"eos_token_id": "end"}), &["eos_token_id", "end"]);
    for (field, value) in [
        ("num_beams", json!(4)),
        ("no_repeat_ngram_size", json!(2)),
        ("bad_words_ids", json!([[1]])),
        ("min_new_tokens", json!(3)),
        ("suppress_tokens", json!([1])),
        ("stop_strings", json!(["."])),
    ] {
        refused(json!({field: value}), &[field, "not supported"]);
    }
    std::fs::write(folder.path().join("generation_config.json"), "{").unwrap();
    let error = write(&case, folder.path(), MOST, DType::F32).unwrap_err().to_string();
    assert!(error.contains("generation_config.json"), "{error}");
    // What changes nothing is no reason to refuse.
    let idle = json!({"num_beams": 1, "typical_p": 0.5, "max_length": 7, "attn_implementation": "sdpa",
                      "early_stopping": true, "_from_model_config": true, "suppress_tokens": null, "min_length": 0});
    say(folder.path(), &idle);
    assert_eq!(write(&case, folder.path(), 3, DType::F32).unwrap().0[0], case.written[0][..3]);
}

#[test]
fn texts_need_something_that_scores_tokens() {
    let (case, config) = case("qwen.greedy");
    let folder = checkpoint(&case, &config);
    let parsed = Config::from_json(&config.to_string()).unwrap();
    draw_weights::<Qwen2_5_VLForConditionalGeneration>(&parsed, case.seed, folder.path());
    let error = write(&case, folder.path(), MOST, DType::F32).unwrap_err().to_string();
    for word in ["lm_head.weight", "tie_word_embeddings", "Qwen2_5_VLForConditionalGeneration"] {
        assert!(error.contains(word), "{error}");
    }
    let mut right = case;
    right.attention_mask[0][8] = 0;
    let error = write(&right, folder.path(), MOST, DType::F32).unwrap_err().to_string();
    assert!(error.contains("attention_mask") && error.contains("left"), "{error}");
}
