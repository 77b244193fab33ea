//! Gemma 2 as a text encoder, and its tokenizer.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use oxidiff::{
    AnyModel, Config, DType, Device, Gemma2Config, Gemma2Model, GemmaTokenizer, LoadOptions, Model, Request,
    SingleFileOptions, Tensor,
};
use oxidiff_kernels::QuantisedFormat;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tempfile::TempDir;

use crate::fixture::drawn::drawn;
use crate::fixture::gguf::{self, Plain, write_safetensors};
use crate::fixture::{Recorded, assert_close, difference, fixtures, json};

const TOLERANCE: f32 = 1e-4;
const MODELS: [&str; 2] = ["plain", "other"];

#[derive(Deserialize)]
struct Call {
    input_ids: Vec<Vec<u32>>,
    attention_mask: Option<Vec<Vec<u32>>>,
}

#[derive(Deserialize)]
struct Described {
    seed: u64,
    config: Map<String, Value>,
    /// The names of llama.cpp.
    llama_cpp: BTreeMap<String, String>,
    /// The names in the model that also predicts the next token.
    names: BTreeSet<String>,
    calls: Vec<Call>,
}

fn recorded(name: &str) -> PathBuf {
    fixtures().join("gemma2").join(name)
}

fn described(name: &str) -> Described {
    let mut all: BTreeMap<String, Described> = json(&recorded("language.json"));
    all.remove(name).unwrap()
}

fn model(name: &str) -> Gemma2Model {
    let Described { seed, config, .. } = described(name);
    drawn(&Config::from_json(&Value::Object(config).to_string()).unwrap(), seed)
}

/// Of the texts that are filled up on the right.
fn embed(model: &Gemma2Model) -> Tensor<3> {
    let Call { input_ids, attention_mask } = &described("plain").calls[1];
    model.forward(input_ids, attention_mask.as_deref()).unwrap().last_hidden_state.cast(DType::F32)
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
fn compare_texts(prepare: impl Fn(&mut Gemma2Model)) {
    let expected = Recorded::open(&recorded("values.safetensors"));
    for name in MODELS {
        let mut model = model(name);
        prepare(&mut model);
        let layers = model.config().num_hidden_layers;
        for (number, Call { input_ids, attention_mask }) in described(name).calls.iter().enumerate() {
            let key = |what: &str| format!("{name}.{number}.{what}");
            let mask = attention_mask.as_deref();
            let output = model.forward(input_ids, mask).unwrap();
            assert_eq!(output.hidden_states.len(), layers + 1);
            // Those of the tokens that fill up a text, too.
            let last = output.last_hidden_state;
            assert_close(&key("last"), last, expected.floats(&key("last")), TOLERANCE);
            let before = output.hidden_states[layers - 1].clone();
            assert_close(&key("before"), before.clone(), expected.floats(&key("before")), TOLERANCE);
            if mask.is_none() {
                let embedded = output.hidden_states[0].clone();
                assert_close(&key("embedded"), embedded, expected.floats(&key("embedded")), TOLERANCE);
            }
            let alone = model.hidden_states(input_ids, mask, &[layers - 1]).unwrap().remove(0);
            assert_eq!(difference(alone, before), 0.0);
        }
    }
}

#[test]
fn models_are_called_by_name() {
    let model = model("plain");
    let (folder, _) = saved(&model);
    let class = Gemma2Model::CLASS_NAME;
    let any = AnyModel::from_pretrained(class, &path(folder.path()), &LoadOptions::default()).unwrap();
    let ids: Vec<Vec<usize>> = vec![vec![2, 5, 7, 11]];
    let output = any.call(Request::default().with("input_ids", ids)).unwrap();
    let (name, state) = output.into_iter().next().unwrap();
    assert_eq!(name, "last_hidden_state");
    assert_eq!(state.shape(), [1, 4, 32]);
}

fn saved(model: &Gemma2Model) -> (TempDir, BTreeMap<String, Plain>) {
    let folder = tempfile::tempdir().unwrap();
    model.save_pretrained(folder.path()).unwrap();
    let tensors = gguf::tensors(&folder.path().join("model.safetensors"));
    (folder, tensors)
}

fn path(folder: &Path) -> String {
    folder.to_str().unwrap().to_owned()
}

#[test]
fn checkpoints_of_each_layout_are_read() {
    let model = model("plain");
    let expected = embed(&model);
    let (folder, tensors) = saved(&model);
    let config: serde_json::Value = json(&folder.path().join("config.json"));
    assert!(config["query_pre_attn_scalar"].is_u64(), "transformers takes whole numbers only");
    let load = || Gemma2Model::from_pretrained(&path(folder.path())).unwrap();
    assert_eq!(difference(embed(&load()), expected.clone()), 0.0);
    // The model that also predicts the next token, with the configuration of an earlier transformers.
    let mut whole: BTreeMap<String, Plain> =
        tensors.iter().map(|(key, tensor)| (format!("model.{key}"), tensor.clone())).collect();
    whole.insert("lm_head.weight".into(), tensors["embed_tokens.weight"].clone());
    assert_eq!(whole.keys().cloned().collect::<BTreeSet<_>>(), described("plain").names);
    write_safetensors(&whole, &folder.path().join("model.safetensors"));
    let mut config = described("plain").config;
    for field in ["rope_parameters", "layer_types", "use_bidirectional_attention"] {
        config.remove(field);
    }
    config.insert("architectures".into(), json!(["Gemma2ForCausalLM"]));
    config.insert("rope_theta".into(), json!(10000.0));
    config.insert("hidden_act".into(), json!("gelu_pytorch_tanh"));
    std::fs::write(folder.path().join("config.json"), Value::Object(config).to_string()).unwrap();
    assert_eq!(difference(embed(&load()), expected.clone()), 0.0);
    // A single file, with and without the level of that model.
    let options = SingleFileOptions { config: Some(path(folder.path())), ..Default::default() };
    let single = folder.path().join("gemma.safetensors");
    for tensors in [&tensors, &whole] {
        write_safetensors(tensors, &single);
        let loaded = Gemma2Model::from_single_file(&path(&single), &options).unwrap();
        assert_eq!(difference(embed(&loaded), expected.clone()), 0.0);
    }
}

#[test]
fn gguf_files_of_llama_cpp_are_read() {
    let model = model("plain");
    let (folder, tensors) = saved(&model);
    let names = described("plain").llama_cpp;
    assert_eq!(names.len(), tensors.len());
    let of_llama_cpp = tensors.into_iter().map(|(key, mut tensor)| {
        if key.ends_with("norm.weight") {
            tensor.values.iter_mut().for_each(|value| *value += 1.0);
        }
        (names[&key].clone(), tensor)
    });
    let of_llama_cpp: BTreeMap<String, Plain> = of_llama_cpp.collect();
    let options = SingleFileOptions { config: Some(path(folder.path())), ..Default::default() };
    let file = folder.path().join("gemma.gguf");
    gguf::write(&of_llama_cpp, QuantisedFormat::Q8_0, &file);
    let loaded = Gemma2Model::from_single_file(&path(&file), &options).unwrap();
    let expected = embed(&model);
    let norm = |x: Tensor<3>| x.square().sum().into_scalar::<f32>().sqrt();
    let distance = norm(embed(&loaded) - expected.clone()) / norm(expected);
    println!("Q8_0: {distance:.2e}");
    assert!((1e-5..3e-2).contains(&distance), "{distance}");
}

#[test]
fn smaller_types_stay_close() {
    let model = model("plain");
    let (folder, _) = saved(&model);
    let expected = embed(&model);
    for (dtype, tolerance) in [(DType::F16, 5e-2), (DType::BF16, 0.4)] {
        let options = LoadOptions { dtype, ..Default::default() };
        let loaded = Gemma2Model::from_pretrained_with(&path(folder.path()), &options).unwrap();
        assert_eq!(loaded.dtype(), dtype);
        assert_close(&format!("{dtype:?}"), embed(&loaded), expected.clone(), tolerance);
    }
}

#[test]
fn wrong_configurations_and_inputs_are_refused() {
    let changed = |field: &str, value: Value| {
        let mut config = described("plain").config;
        config.insert(field.to_owned(), value);
        let config = Config::from_json(&Value::Object(config).to_string()).unwrap();
        error(Gemma2Model::from_config(&config, &Device::flex()))
    };
    expect(&changed("num_key_value_heads", json!(3)), &["num_key_value_heads"]);
    expect(&changed("head_dim", json!(5)), &["head_dim"]);
    expect(&changed("hidden_size", json!(0)), &["hidden_size"]);
    expect(&changed("num_hidden_layers", json!(5)), &["layer_types", "4 values"]);
    expect(&changed("layer_types", json!(vec!["chunked_attention"; 4])), &["layer_types", "chunked"]);
    expect(&changed("sliding_window", Value::Null), &["sliding_window"]);
    expect(&changed("attn_logit_softcapping", json!(-1.0)), &["attn_logit_softcapping", "-1"]);
    expect(&changed("query_pre_attn_scalar", json!(0)), &["query_pre_attn_scalar"]);
    expect(&changed("use_bidirectional_attention", json!(true)), &["use_bidirectional_attention"]);
    expect(&changed("rope_parameters", json!({"rope_type": "yarn"})), &["rope_parameters", "yarn"]);
    expect(&changed("hidden_activation", json!("gleu")), &["hidden_activation"]);

    let model = model("plain");
    let forward = |ids: &[Vec<u32>], mask: Option<&[Vec<u32>]>| error(model.forward(ids, mask));
    expect(&forward(&[vec![2; 65]], None), &["65 tokens", "64"]);
    expect(&forward(&[vec![2, 360]], None), &["token 360"]);
    expect(&forward(&[vec![2, 5]], Some(&[vec![1]])), &["attention_mask"]);
    expect(&error(model.hidden_states(&[vec![2]], None, &[5])), &["numbers"]);
    let default = Gemma2Config::default();
    assert_eq!((default.sliding_window, default.attn_logit_softcapping), (Some(4096), Some(50.0)));
}

#[derive(Deserialize)]
struct Padded {
    ids: Vec<u32>,
    mask: Vec<u32>,
}

#[derive(Deserialize)]
struct Tokens {
    text: String,
    ids: Vec<u32>,
    /// Cut off or filled up to 12 tokens.
    left: Padded,
    right: Padded,
}

fn check(tokenizer: &GemmaTokenizer) {
    let cases: Vec<Tokens> = json(&recorded("tokens.json"));
    assert!(cases.len() >= 9);
    for Tokens { text, ids, left, right } in cases {
        assert_eq!(tokenizer.tokenize_unpadded(&text).unwrap(), ids, "{text:?}");
        for (side, padded) in [("left", left), ("right", right)] {
            let sided = tokenizer.clone().with_padding_side(side).unwrap();
            let tokens = sided.tokenize(&[&text], 12).unwrap();
            assert_eq!(tokens.input_ids, [padded.ids], "{text:?} {side}");
            assert_eq!(tokens.attention_mask, [padded.mask], "{text:?} {side}");
            assert_eq!(tokens.truncated[0].is_some(), ids.len() > 12, "{text:?}");
        }
    }
}

fn with_files(files: &[&str]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for file in files {
        std::fs::copy(recorded("tokenizer").join(file), folder.path().join(file)).unwrap();
    }
    folder
}

#[test]
fn texts_are_tokenized_as_in_python() {
    for files in [&["tokenizer.json", "tokenizer_config.json"][..], &["tokenizer.json"], &["tokenizer.model"]]
    {
        let folder = with_files(files);
        let tokenizer = GemmaTokenizer::from_pretrained(folder.path()).unwrap();
        check(&tokenizer);
        let first = |tokenizer: &GemmaTokenizer| tokenizer.tokenize(&["a"], 4).unwrap().attention_mask;
        assert_eq!(first(&tokenizer), [[0, 0, 1, 1]], "on the left unless the configuration says otherwise");
        // And after saving.
        let saved = tempfile::tempdir().unwrap();
        let right = tokenizer.clone().with_padding_side("right").unwrap();
        right.save_pretrained(saved.path()).unwrap();
        let again = GemmaTokenizer::from_pretrained(saved.path()).unwrap();
        check(&again);
        assert_eq!(first(&again), [[1, 1, 0, 0]]);
        assert_eq!(again.vocab_size(), tokenizer.vocab_size());
        assert_eq!(again.decode(&again.tokenize_unpadded("Zürich 猫").unwrap()), "Zürich 猫");
    }
}

#[test]
fn the_configuration_says_what_begins_and_ends_a_text() {
    let folder = with_files(&["tokenizer.model"]);
    let write = |config: Value| {
        std::fs::write(folder.path().join("tokenizer_config.json"), config.to_string()).unwrap();
        GemmaTokenizer::from_pretrained(folder.path())
    };
    let ids = |config: Value| write(config).unwrap().tokenize_unpadded("a red").unwrap();
    let plain = ids(json!({"tokenizer_class": "GemmaTokenizerFast", "add_bos_token": false}));
    let with = |first: &[u32], last: &[u32]| [first, &plain, last].concat();
    assert_eq!(ids(json!({"add_bos_token": true})), with(&[2], &[]));
    assert_eq!(ids(json!({"add_bos_token": true, "add_eos_token": true})), with(&[2], &[1]));
    assert_eq!(ids(json!({"add_bos_token": false, "add_eos_token": true})), with(&[], &[1]));
    // As older checkpoints describe their tokens.
    let described = json!({"content": "▁▁", "special": false, "normalized": false});
    let tokenizer = write(json!({"added_tokens_decoder": {"8": described}})).unwrap();
    check(&tokenizer);
    let wrong = json!({"added_tokens_decoder": {"3": described}});
    expect(&error(write(wrong)), &["▁▁", "should be 3"]);
    expect(&error(write(json!({"add_bos_token": 1}))), &["tokenizer_config.json", "add_bos_token"]);
    expect(&error(write(json!({"bos_token": "<none>"}))), &["add_bos_token", "<none>"]);
    expect(&error(write(json!({"pad_token": "<none>"}))), &["pad_token", "<none>"]);
    expect(&error(write(json!({"unk_token": "<none>"}))), &["tokenizer.model", "<none>"]);
    expect(&error(write(json!({"padding_side": "top"}))), &["padding_side", "top"]);
    expect(&error(write(json!({"tokenizer_class": "T5Tokenizer"}))), &["GemmaTokenizer", "T5Tokenizer"]);
    let tokenizer = write(json!({})).unwrap();
    expect(&error(tokenizer.tokenize(&["a"], 0)), &["max_length"]);
    expect(&error(tokenizer.with_padding_side("top")), &["padding_side", "top"]);
}

#[test]
fn damaged_files_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    expect(&error(GemmaTokenizer::from_pretrained(folder.path())), &["tokenizer.json", "not found"]);
    let whole = std::fs::read(recorded("tokenizer/tokenizer.model")).unwrap();
    let load = |bytes: &[u8]| {
        std::fs::write(folder.path().join("tokenizer.model"), bytes).unwrap();
        GemmaTokenizer::from_pretrained(folder.path())
    };
    expect(&error(load(b"")), &["tokenizer.model", "empty"]);
    let unigram = std::fs::read(fixtures().join("t5/tokenizer/spiece.model")).unwrap();
    expect(&error(load(&unigram)), &["tokenizer.model", "model_type", "bpe"]);
    let mut refused = 0;
    for place in (0..whole.len()).step_by(3) {
        let mut bytes = whole.clone();
        bytes[place] ^= 0xA5;
        match load(&bytes) {
            Ok(tokenizer) => drop(tokenizer.tokenize(&["a ﬁne™ line… Ａ\t①"], 20)),
            Err(_) => refused += 1,
        }
    }
    assert!(refused > 100, "{refused}");
}
