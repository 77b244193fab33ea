//! The tokenizer of Llama.

use oxidiff::LlamaTokenizer;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{error, expect, recorded};
use crate::checkpoints::copy_folder;
use crate::fixture;

#[derive(Deserialize)]
struct Tokens {
    options: Map<String, Value>,
    text: String,
    input_ids: Vec<u32>,
    attention_mask: Vec<u32>,
}

/// The recorded tokenizer with these fields of its configuration changed.
fn changed(options: &Map<String, Value>) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    copy_folder(&recorded("checkpoint/tokenizer"), folder.path());
    let file = folder.path().join("tokenizer_config.json");
    let mut config: Map<String, Value> = fixture::json(&file);
    for (field, value) in options {
        match value {
            Value::Null => config.remove(field),
            value => config.insert(field.clone(), value.clone()),
        };
    }
    std::fs::write(&file, Value::Object(config).to_string()).unwrap();
    folder
}

#[test]
fn texts_become_the_tokens_of_python() {
    let cases: Vec<Tokens> = fixture::json(&recorded("tokens.json"));
    assert!(cases.len() >= 30);
    for case in cases {
        let tokenizer = LlamaTokenizer::from_pretrained(changed(&case.options).path()).unwrap();
        let made = tokenizer.tokenize(&[&case.text], 24).unwrap();
        let what = format!("{:?} {:?}", case.options, case.text);
        assert_eq!(made.input_ids[0], case.input_ids, "{what}");
        assert_eq!(made.attention_mask[0], case.attention_mask, "{what}");
    }
}

#[test]
fn a_saved_tokenizer_is_the_same() {
    let tokenizer = LlamaTokenizer::from_pretrained(recorded("checkpoint/tokenizer")).unwrap();
    let saved = tempfile::tempdir().unwrap();
    tokenizer.save_pretrained(saved.path()).unwrap();
    let again = LlamaTokenizer::from_pretrained(saved.path()).unwrap();
    let text = ["two cats and a dog 🦀"];
    assert_eq!(
        again.tokenize(&text, 24).unwrap().input_ids,
        tokenizer.tokenize(&text, 24).unwrap().input_ids
    );
    assert_eq!(again.vocab_size(), 391);
}

#[test]
fn texts_are_filled_up_at_the_left_unless_the_configuration_says_otherwise() {
    let folder = changed(&Map::from_iter([("padding_side".to_owned(), Value::Null)]));
    let tokenizer = LlamaTokenizer::from_pretrained(folder.path()).unwrap();
    let made = tokenizer.tokenize(&["a dog"], 24).unwrap();
    assert_eq!((made.attention_mask[0][0], made.attention_mask[0][23]), (0, 1));
}

#[test]
fn what_is_missing_is_named() {
    let refused = |field: &str, value: Value| {
        let folder = changed(&Map::from_iter([(field.to_owned(), value)]));
        error(LlamaTokenizer::from_pretrained(folder.path()))
    };
    expect(&refused("pad_token", Value::Null), &["pad_token", "missing"]);
    expect(&refused("pad_token", json!("<fill>")), &["pad_token", "<fill>"]);
    expect(&refused("tokenizer_class", json!("GemmaTokenizer")), &["tokenizer_class", "GemmaTokenizer"]);
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("tokenizer.model"), b"").unwrap();
    expect(&error(LlamaTokenizer::from_pretrained(folder.path())), &["tokenizer.model", "tokenizer.json"]);
}
