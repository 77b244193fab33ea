//! The encoder of T5 and its tokenizer.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use oxidiff::{
    AnyModel, Config, DType, Device, LoadOptions, Model, Request, SingleFileOptions, T5Config,
    T5EncoderModel, T5Tokenizer, Tensor,
};
use oxidiff_kernels::QuantisedFormat;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::fixture::drawn::drawn;
use crate::fixture::gguf::{self, Plain};
use crate::fixture::{Recorded, assert_close, difference, fixtures, json};

const TOLERANCE: f32 = 1e-4;
const MODELS: [&str; 5] = ["gated", "plain", "buckets", "wide", "wide_plain"];

fn recorded(name: &str) -> PathBuf {
    fixtures().join("t5").join(name)
}

fn outputs() -> Recorded {
    Recorded::open(&recorded("models.safetensors"))
}

fn config(name: &str) -> (u64, Config) {
    #[derive(Deserialize)]
    struct Described {
        seed: u64,
        config: Map<String, Value>,
    }
    let mut all: BTreeMap<String, Described> = json(&recorded("models.json"));
    let Described { seed, config } = all.remove(name).unwrap();
    (seed, Config::from_json(&Value::Object(config).to_string()).unwrap())
}

fn model(name: &str) -> T5EncoderModel {
    let (seed, config) = config(name);
    drawn(&config, seed)
}

/// The tokens of two texts, as in the script.
fn texts(count: usize) -> Vec<Vec<u32>> {
    let text = |step| (0..count).map(|place| ((7 * place * step + 3 * step) % 320) as u32).collect();
    vec![text(1), text(2)]
}

fn mask() -> Vec<Vec<u32>> {
    let shown = |range: std::ops::Range<u32>| (0..9).map(|place| u32::from(range.contains(&place))).collect();
    vec![shown(0..5), shown(2..9)]
}

fn embed(model: &T5EncoderModel) -> Tensor<3> {
    model.forward(&texts(9), None).unwrap().last_hidden_state
}

fn error<T: std::fmt::Debug>(result: oxidiff::Result<T>) -> String {
    result.unwrap_err().to_string()
}

#[track_caller]
fn expect(message: &str, parts: &[&str]) {
    for part in parts {
        assert!(message.contains(part), "no `{part}` in: {message}");
    }
}

#[test]
fn texts_are_embedded_as_in_python() {
    compare_texts(|_| ());
}

#[cfg(feature = "cuda")]
#[test]
fn cards_embed_texts_as_python_does() {
    compare_texts(|model| model.place_on_card(&oxidiff::interpreter()).unwrap());
}

/// Compares the texts of models that `prepare` has changed.
fn compare_texts(prepare: impl Fn(&mut T5EncoderModel)) {
    let expected = outputs();
    for name in MODELS {
        let mut model = model(name);
        prepare(&mut model);
        assert_close(name, embed(&model), expected.floats(name), TOLERANCE);
        let masked = model.forward(&texts(9), Some(&mask())).unwrap().last_hidden_state;
        let key = format!("{name}.masked");
        assert_close(&key, masked, expected.floats(&key), TOLERANCE);
        let all = vec![vec![1; 9]; 2];
        let shown = model.forward(&texts(9), Some(&all)).unwrap().last_hidden_state;
        assert_eq!(difference(shown, embed(&model)), 0.0, "a mask that hides nothing");
    }
    for name in ["gated", "buckets"] {
        let mut model = model(name);
        prepare(&mut model);
        let long = model.forward(&texts(170)[..1], None).unwrap().last_hidden_state;
        let tenth = Tensor::cat((0..17).map(|place| long.clone().narrow(1, 10 * place, 1)).collect(), 1);
        let key = format!("{name}.long");
        assert_close(&key, tenth, expected.floats(&key), TOLERANCE);
    }
}

/// The sums of `f16` models are kept in `f32`: the second layer here makes numbers far beyond the range of `f16`.
#[test]
fn smaller_types_stay_close_and_do_not_overflow() {
    let expected: Tensor<3> = outputs().floats("gated");
    let (seed, config) = config("gated");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    let model: T5EncoderModel = drawn(&config, seed);
    model.save_pretrained(folder.path()).unwrap();
    let load = |dtype| {
        let options = LoadOptions { dtype, ..Default::default() };
        let model = T5EncoderModel::from_pretrained_with(path, &options).unwrap();
        assert_eq!(model.dtype(), dtype);
        let made = embed(&model);
        assert_eq!(made.dtype(), dtype);
        made.cast(DType::F32)
    };
    assert_close("f16", load(DType::F16), expected.clone(), 2e-2);
    assert_close("bf16", load(DType::BF16), expected, 1e-1);

    let file = folder.path().join("model.safetensors");
    let mut tensors = gguf::tensors(&file);
    let wo = tensors.get_mut("encoder.block.0.layer.1.DenseReluDense.wo.weight").unwrap();
    wo.values.iter_mut().for_each(|value| *value *= 6e4);
    write_safetensors(&tensors, &file);
    let wide = embed(&T5EncoderModel::from_pretrained(path).unwrap());
    assert_close("f16 beyond its range", load(DType::F16), wide, 2e-2);
}

fn write_safetensors(tensors: &BTreeMap<String, Plain>, file: &Path) {
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

#[test]
fn other_names_of_the_embedding_and_further_tensors_are_read() {
    let expected = embed(&model("plain"));
    let folder = tempfile::tempdir().unwrap();
    model("plain").save_pretrained(folder.path()).unwrap();
    let file = folder.path().join("model.safetensors");
    let mut tensors = gguf::tensors(&file);
    let shared = tensors.remove("shared.weight").unwrap();
    tensors.insert("encoder.embed_tokens.weight".into(), shared.clone());
    write_safetensors(&tensors, &file);
    let load = || T5EncoderModel::from_pretrained(folder.path().to_str().unwrap()).unwrap();
    assert_eq!(difference(embed(&load()), expected.clone()), 0.0);
    tensors.insert("shared.weight".into(), shared);
    write_safetensors(&tensors, &file);
    assert_eq!(difference(embed(&load()), expected), 0.0);
}

#[test]
fn any_model_calls_it() {
    let folder = tempfile::tempdir().unwrap();
    model("gated").save_pretrained(folder.path()).unwrap();
    let path = folder.path().to_str().unwrap();
    let any = AnyModel::from_pretrained(T5EncoderModel::CLASS_NAME, path, &LoadOptions::default()).unwrap();
    let ids: Vec<Vec<usize>> =
        texts(9).iter().map(|row| row.iter().map(|id| *id as usize).collect()).collect();
    let output = any.call(Request::default().with("input_ids", ids)).unwrap();
    let (name, state) = output.into_iter().next().unwrap();
    assert_eq!(name, "last_hidden_state");
    assert_eq!(state.shape(), [2, 9, 16]);
}

#[test]
fn gguf_files_are_multiplied_in_their_blocks() {
    for name in ["wide", "wide_plain"] {
        let folder = tempfile::tempdir().unwrap();
        model(name).save_pretrained(folder.path()).unwrap();
        let file = folder.path().join("model.safetensors");
        let mut tensors = gguf::tensors(&file);
        // T5 does not scale its scores: those of random weights are so large that rounding decides which token counts.
        for (_, query) in tensors.iter_mut().filter(|(key, _)| key.ends_with("SelfAttention.q.weight")) {
            query.values.iter_mut().for_each(|value| *value /= 32.0);
        }
        write_safetensors(&tensors, &file);
        let model = T5EncoderModel::from_pretrained(folder.path().to_str().unwrap()).unwrap();
        let file = folder.path().join("encoder.gguf");
        gguf::write(&gguf::t5_of_llama_cpp(&tensors), QuantisedFormat::Q8_0, &file);
        let config = Some(folder.path().to_str().unwrap().to_owned());
        let options = SingleFileOptions { config, ..Default::default() };
        let quantised = T5EncoderModel::from_single_file(file.to_str().unwrap(), &options).unwrap();
        let norm = |x: Tensor<3>| x.square().sum().into_scalar::<f32>().sqrt();
        let expected = embed(&model);
        let distance = norm(embed(&quantised) - expected.clone()) / norm(expected);
        println!("{name}: {distance:.2e}");
        assert!((1e-5..2e-2).contains(&distance), "{name}: {distance}");
        expect(&error(quantised.save_pretrained(folder.path())), &["T5EncoderModel", "quantised"]);
    }
}

#[test]
fn wrong_configurations_and_inputs_are_refused() {
    let small = T5Config { d_model: 8, d_ff: 8, num_layers: 1, vocab_size: 9, ..Default::default() };
    let init = |config: T5Config| T5EncoderModel::init(&config, &Device::flex());
    let changed = |change: fn(&mut T5Config)| {
        let mut config = small.clone();
        change(&mut config);
        error(init(config))
    };
    expect(&changed(|config| config.feed_forward_proj = "gated-sine".into()), &["feed_forward_proj", "sine"]);
    expect(&changed(|config| config.num_heads = 0), &["num_heads"]);
    let few = changed(|config| config.relative_attention_num_buckets = 2);
    expect(&few, &["relative_attention_num_buckets"]);
    let near = changed(|config| config.relative_attention_max_distance = 8);
    expect(&near, &["relative_attention_max_distance"]);
    let decoder = changed(|config| {
        config.other.insert("is_decoder".into(), true.into());
    });
    expect(&decoder, &["is_decoder"]);
    expect(&changed(|config| config.model_type = "umt5".into()), &["model_type", "umt5"]);
    let model = init(small).unwrap();
    expect(&error(model.forward(&[vec![9]], None)), &["token 9", "knows 9"]);
    expect(&error(model.forward(&[], None)), &["input_ids"]);
    expect(&error(model.forward(&[vec![1, 2]], Some(&[vec![1]]))), &["attention_mask"]);
    expect(&error(model.forward(&[vec![1, 2]], Some(&[vec![0, 0]]))), &["attention_mask", "text 0"]);
}

#[derive(Deserialize)]
struct Case {
    text: String,
    ids: Vec<u32>,
    /// Cut off or filled up to 16 tokens.
    padded: Vec<u32>,
    mask: Vec<u32>,
    decoded: String,
}

fn check(tokenizer: &T5Tokenizer) {
    let cases: Vec<Case> = json(&recorded("tokens.json"));
    assert!(cases.len() >= 15);
    for Case { text, ids, padded, mask, decoded } in cases {
        let whole = tokenizer.tokenize(&[&text], ids.len()).unwrap();
        assert_eq!(whole.input_ids, std::slice::from_ref(&ids), "{text:?}");
        assert_eq!(whole.truncated, [None], "{text:?}");
        let cut = tokenizer.tokenize(&[&text], 16).unwrap();
        assert_eq!((&cut.input_ids[0], &cut.attention_mask[0]), (&padded, &mask), "{text:?}");
        assert_eq!(cut.truncated[0].is_some(), ids.len() > 16, "{text:?}");
        assert_eq!(tokenizer.decode(&ids), decoded, "{text:?}");
    }
}

/// A folder with some of the tokenizer's files.
fn with_files(files: &[&str]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for file in files {
        std::fs::copy(recorded("tokenizer").join(file), folder.path().join(file)).unwrap();
    }
    folder
}

#[test]
fn texts_are_tokenized_as_in_python() {
    for files in [&["tokenizer.json", "tokenizer_config.json"][..], &["tokenizer.json"], &["spiece.model"]] {
        let folder = with_files(files);
        let tokenizer = T5Tokenizer::from_pretrained(folder.path()).unwrap();
        check(&tokenizer);
        // And after saving.
        let saved = tempfile::tempdir().unwrap();
        tokenizer.save_pretrained(saved.path()).unwrap();
        let again = T5Tokenizer::from_pretrained(saved.path()).unwrap();
        check(&again);
        assert_eq!(again.vocab_size(), tokenizer.vocab_size());
    }
}

#[test]
fn the_configuration_says_where_texts_are_filled_up_and_how_many_extra_ids_there_are() {
    let folder = with_files(&["spiece.model"]);
    let write = |config: Value| {
        std::fs::write(folder.path().join("tokenizer_config.json"), config.to_string()).unwrap();
        T5Tokenizer::from_pretrained(folder.path())
    };
    let plain = write(json!({"tokenizer_class": "T5Tokenizer"})).unwrap();
    let few = write(json!({"extra_ids": 2, "padding_side": "left", "truncation_side": "left"})).unwrap();
    assert_eq!(plain.vocab_size() - few.vocab_size(), 98);
    let ids = |tokenizer: &T5Tokenizer, length| {
        tokenizer.tokenize(&["a red apple"], length).unwrap().input_ids.remove(0)
    };
    let whole = ids(&plain, 40);
    let count = whole.iter().position(|id| *id == 0).unwrap();
    assert_eq!(ids(&few, 40)[40 - count..], whole[..count]);
    assert_eq!(ids(&few, 3), whole[count - 3..count]);
    assert_eq!(ids(&plain, 1), [1]);
    expect(&error(plain.tokenize(&["a"], 0)), &["max_length"]);

    // As older checkpoints describe their tokens.
    let described = json!({"content": "<extra_id_0>", "special": true, "lstrip": true, "normalized": false});
    let id = plain.vocab_size() - 1;
    let stripping = write(json!({"added_tokens_decoder": {id.to_string(): described}})).unwrap();
    let found = |tokenizer: &T5Tokenizer| tokenizer.tokenize(&["a <extra_id_0>"], 9).unwrap().input_ids;
    assert_eq!(found(&stripping), found(&plain), "spaces before it are no tokens in either case");
    let wrong = json!({"added_tokens_decoder": {"3": described}});
    expect(&error(write(wrong)), &["<extra_id_0>", "should be 3"]);
    expect(&error(write(json!({"extra_ids": -1}))), &["tokenizer_config.json", "extra_ids"]);
    expect(&error(write(json!({"pad_token": "<none>"}))), &["pad_token", "<none>"]);
    expect(&error(write(json!({"eos_token": "<none>"}))), &["spiece.model", "<none>"]);
    expect(&error(write(json!({"tokenizer_class": "CLIPTokenizer"}))), &["T5Tokenizer", "CLIPTokenizer"]);
}

#[test]
fn damaged_files_are_refused() {
    let whole = std::fs::read(recorded("tokenizer/spiece.model")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    expect(&error(T5Tokenizer::from_pretrained(folder.path())), &["tokenizer.json", "not found"]);
    let load = |bytes: &[u8]| {
        std::fs::write(folder.path().join("spiece.model"), bytes).unwrap();
        T5Tokenizer::from_pretrained(folder.path())
    };
    expect(&error(load(b"")), &["spiece.model", "empty"]);
    expect(&error(load(&whole[..whole.len() - 5])), &["spiece.model"]);
    // No change of a byte makes it look outside of the map.
    let texts = ["a ﬁne™ line… Ａ\t①", "\u{ff}\u{7ff}\u{ffff}\u{10ffff}"];
    let mut refused = 0;
    for place in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[place] ^= 0xA5;
        match load(&bytes) {
            Ok(tokenizer) => drop(tokenizer.tokenize(&texts, 20)),
            Err(error) => {
                expect(&error.to_string(), &["spiece.model"]);
                refused += 1;
            }
        }
    }
    assert!(refused > 100, "{refused}");

    let folder = with_files(&["tokenizer.json"]);
    let file = folder.path().join("tokenizer.json");
    let mut tokenizer: Value = json(&file);
    tokenizer["normalizer"]["precompiled_charsmap"] = json!("BAAAAP////8=");
    std::fs::write(&file, tokenizer.to_string()).unwrap();
    expect(&error(T5Tokenizer::from_pretrained(folder.path())), &["tokenizer.json", "precompiled_charsmap"]);
}
