//! The first text encoder and its tokenizer.

use std::collections::BTreeMap;
use std::path::Path;

use oxidiff::{
    AnyModel, BertModel, BertTokenizer, Config, DType, Device, LoadOptions, Model, Request, Tensor,
};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{described, error, expect, model, recorded};
use crate::fixture::gguf;
use crate::fixture::{Recorded, assert_close, difference, json};

const TOLERANCE: f32 = 1e-4;
const LENGTH: usize = 16;

#[derive(Deserialize)]
struct Case {
    changes: Map<String, Value>,
    texts: Vec<Text>,
}

#[derive(Deserialize)]
struct Text {
    text: String,
    ids: Vec<u32>,
    padded: Vec<u32>,
    mask: Vec<u32>,
}

/// A folder with one file of the tokenizer, and with changes to its configuration.
fn tokenizer(file: &str, changes: &Map<String, Value>) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let from = if file == "vocab.txt" { "checkpoint/tokenizer/vocab.txt" } else { file };
    std::fs::copy(recorded(from), folder.path().join(file)).unwrap();
    let mut config: Map<String, Value> = json(&recorded("checkpoint/tokenizer/tokenizer_config.json"));
    config.extend(changes.clone());
    std::fs::write(folder.path().join("tokenizer_config.json"), Value::Object(config).to_string()).unwrap();
    folder
}

#[test]
fn texts_are_split_as_in_python() {
    let cases: BTreeMap<String, Case> = json(&recorded("tokens.json"));
    assert!(cases.len() >= 5);
    for (name, Case { changes, texts }) in cases {
        for file in ["vocab.txt", "tokenizer.json"] {
            let folder = tokenizer(file, &changes);
            let first = BertTokenizer::from_pretrained(folder.path()).unwrap();
            let saved = tempfile::tempdir().unwrap();
            first.save_pretrained(saved.path()).unwrap();
            let again = BertTokenizer::from_pretrained(saved.path()).unwrap();
            assert_eq!(first.vocab_size(), again.vocab_size());
            for tokenizer in [&first, &again] {
                for Text { text, ids, padded, mask } in &texts {
                    let whole = tokenizer.tokenize(&[text], ids.len()).unwrap();
                    assert_eq!(whole.input_ids[0], *ids, "{name} {file}: {text:?}");
                    let made = tokenizer.tokenize(&[text], LENGTH).unwrap();
                    assert_eq!(made.input_ids[0], *padded, "{name} {file}: {text:?}");
                    assert_eq!(made.attention_mask[0], *mask, "{name} {file}: {text:?}");
                    assert_eq!(made.truncated[0].is_some(), ids.len() > LENGTH);
                }
            }
        }
    }
}

#[test]
fn tokens_become_text_again() {
    let folder = tokenizer("vocab.txt", &Map::new());
    let tokenizer = BertTokenizer::from_pretrained(folder.path()).unwrap();
    let tokens = tokenizer.tokenize(&["Unaffable cats, on the table"], 20).unwrap();
    assert_eq!(tokenizer.decode(&tokens.input_ids[0]), "unaffable cats, on the table");
}

#[test]
fn tokenizers_that_lack_something_are_refused() {
    let refused = |changes: Value, vocabulary: &str| {
        let folder = tokenizer("vocab.txt", changes.as_object().unwrap());
        if !vocabulary.is_empty() {
            std::fs::write(folder.path().join("vocab.txt"), vocabulary).unwrap();
        }
        error(BertTokenizer::from_pretrained(folder.path()))
    };
    expect(&refused(json!({}), "[PAD]\n[CLS]\n[SEP]\na\n"), &["vocab.txt", "[UNK]"]);
    expect(&refused(json!({}), "[PAD]\n[UNK]\n[SEP]\na\n"), &["vocab.txt", "[CLS]"]);
    expect(&refused(json!({}), "[CLS]\n[UNK]\n[SEP]\na\n"), &["pad_token", "[PAD]"]);
    expect(&refused(json!({"tokenizer_class": "CLIPTokenizer"}), ""), &["tokenizer_class", "BertTokenizer"]);
    expect(&refused(json!({"do_lower_case": "yes"}), ""), &["do_lower_case", "yes"]);
    let empty = tempfile::tempdir().unwrap();
    expect(&error(BertTokenizer::from_pretrained(empty.path())), &["tokenizer.json"]);
    let other = tempfile::tempdir().unwrap();
    let t5 = recorded("../t5/tokenizer/tokenizer.json");
    std::fs::copy(t5, other.path().join("tokenizer.json")).unwrap();
    expect(&error(BertTokenizer::from_pretrained(other.path())), &["tokenizer.json", "WordPiece"]);
    let folder = tokenizer("vocab.txt", &Map::new());
    let tokenizer = BertTokenizer::from_pretrained(folder.path()).unwrap();
    expect(&error(tokenizer.tokenize(&["a"], 1)), &["`max_length`", "1"]);
}

/// The tokens of two texts, as in the script.
fn texts() -> Vec<Vec<u32>> {
    [1, 2].map(|step| (0..9).map(|place| ((7 * place * step + 3 * step) % 60) as u32).collect()).to_vec()
}

fn mask() -> Vec<Vec<u32>> {
    let shown = |range: std::ops::Range<u32>| (0..9).map(|place| u32::from(range.contains(&place))).collect();
    vec![shown(0..5), shown(2..9)]
}

fn embed(model: &BertModel) -> Tensor<3> {
    model.forward(&texts(), None).unwrap().last_hidden_state
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
fn compare_texts(prepare: impl Fn(&mut BertModel)) {
    let expected = Recorded::open(&recorded("models.safetensors"));
    for name in ["bert.plain", "bert.tanh"] {
        let mut model: BertModel = model(name);
        prepare(&mut model);
        assert_close(name, embed(&model), expected.floats(name), TOLERANCE);
        let masked = model.forward(&texts(), Some(&mask())).unwrap();
        let (key, pooled) = (format!("{name}.masked"), format!("{name}.pooled"));
        assert_close(&key, masked.last_hidden_state, expected.floats(&key), TOLERANCE);
        assert_close(&pooled, masked.pooler_output, expected.floats(&pooled), TOLERANCE);
        let all = vec![vec![1; 9]; 2];
        let shown = model.forward(&texts(), Some(&all)).unwrap().last_hidden_state;
        assert_eq!(difference(shown, embed(&model)), 0.0, "a mask that hides nothing");
    }
}

#[test]
fn smaller_types_stay_close_and_old_names_are_known() {
    let model: BertModel = model("bert.plain");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    model.save_pretrained(folder.path()).unwrap();
    for (dtype, most) in [(DType::F16, 2e-2), (DType::BF16, 1e-1)] {
        let options = LoadOptions { dtype, ..Default::default() };
        let smaller = BertModel::from_pretrained_with(path, &options).unwrap();
        assert_close(&format!("{dtype:?}"), embed(&smaller).cast(DType::F32), embed(&model), most);
    }
    let file = folder.path().join("model.safetensors");
    let tensors = gguf::tensors(&file);
    assert!(tensors.contains_key("encoder.layer.1.attention.self.query.weight"));
    assert!(tensors.contains_key("encoder.layer.1.attention.output.LayerNorm.bias"));
    let old = tensors.into_iter().map(|(key, tensor)| {
        let key = key.replace("LayerNorm.weight", "LayerNorm.gamma");
        (key.replace("LayerNorm.bias", "LayerNorm.beta"), tensor)
    });
    write(&old.collect(), &file);
    assert_eq!(difference(embed(&BertModel::from_pretrained(path).unwrap()), embed(&model)), 0.0);
}

fn write(tensors: &BTreeMap<String, gguf::Plain>, file: &Path) {
    let bytes: Vec<(&String, &gguf::Plain, Vec<u8>)> = tensors
        .iter()
        .map(|(key, tensor)| {
            (key, tensor, tensor.values.iter().flat_map(|value| value.to_le_bytes()).collect())
        })
        .collect();
    let views = bytes.iter().map(|(key, tensor, bytes)| {
        let view = safetensors::tensor::TensorView::new(safetensors::Dtype::F32, tensor.shape.clone(), bytes);
        (key.as_str(), view.unwrap())
    });
    std::fs::write(file, safetensors::serialize(views, None).unwrap()).unwrap();
}

#[test]
fn a_call_by_name_is_the_same() {
    let model: BertModel = model("bert.plain");
    let expected = model.forward(&texts(), Some(&mask())).unwrap();
    let rows = |rows: Vec<Vec<u32>>| {
        json!(rows).as_array().unwrap().iter().map(|row| row.as_array().unwrap().len()).sum::<usize>()
    };
    assert_eq!(rows(texts()), 18);
    let lists = |rows: Vec<Vec<u32>>| {
        let row = |row: Vec<u32>| row.into_iter().map(|id| id as usize).collect::<Vec<usize>>().into();
        oxidiff::Argument::List(rows.into_iter().map(row).collect())
    };
    let request = Request::default().with("input_ids", lists(texts())).with("attention_mask", lists(mask()));
    let made = AnyModel::from(model).call(request).unwrap();
    let names: Vec<&str> = made.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, ["last_hidden_state", "pooler_output"]);
    let hidden = made[0].1.clone().to_rank::<3>("last_hidden_state").unwrap();
    assert_close("by name", hidden, expected.last_hidden_state, 0.0);
}

#[test]
fn what_the_model_cannot_embed_is_refused() {
    let model: BertModel = model("bert.plain");
    let refused = |ids: &[Vec<u32>], mask: Option<&[Vec<u32>]>| error(model.forward(ids, mask));
    expect(&refused(&[vec![1; 81]], None), &["`input_ids`", "81", "80"]);
    expect(&refused(&[vec![60]], None), &["`input_ids`", "60"]);
    expect(&refused(&texts(), Some(&[vec![1; 9]])), &["`attention_mask`"]);
    expect(&refused(&texts(), Some(&[vec![1; 9], vec![0; 9]])), &["`attention_mask`", "text 1"]);
    for (field, value, words) in [
        ("num_attention_heads", json!(3), &["num_attention_heads", "3", "16"][..]),
        ("is_decoder", json!(true), &["is_decoder"]),
        ("position_embedding_type", json!("relative_key"), &["position_embedding_type", "relative_key"]),
        ("hidden_act", json!("sine"), &["hidden_act", "sine"]),
        ("vocab_size", json!(0), &["vocab_size"]),
        ("num_hidden_layers", json!(5000), &["num_hidden_layers", "1024"]),
    ] {
        let mut config = Value::Object(described("bert.plain").1);
        config[field] = value;
        let config = Config::from_json(&config.to_string()).unwrap();
        expect(&error(BertModel::from_config(&config, &Device::flex())), words);
    }
}
