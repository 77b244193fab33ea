//! Tokens and chat templates.

use std::path::Path;

use oxidiff::{ChatMessage, ChatOptions, Qwen2Tokenizer};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{copy_folder, error, expect, recorded};
use crate::fixture;

#[derive(Deserialize)]
struct Case {
    text: String,
    ids: Vec<u32>,
    message: String,
    without_thinking: String,
    /// Cut off or filled up to 24 tokens.
    padded: Vec<u32>,
    mask: Vec<u32>,
}

fn check(tokenizer: &Qwen2Tokenizer) {
    let cases: Vec<Case> = fixture::json(&recorded("tokens.json"));
    assert!(cases.len() >= 7);
    for case in cases {
        let options = |enable_thinking| ChatOptions { add_generation_prompt: true, enable_thinking };
        let text = |thinking| {
            let messages = [ChatMessage::user(&case.text)];
            tokenizer.apply_chat_template(&messages, options(Some(thinking))).unwrap()
        };
        assert_eq!(text(true), case.message);
        assert_eq!(text(false), case.without_thinking);
        assert_eq!(
            tokenizer.tokenize_unpadded(&case.text, 512).unwrap().input_ids,
            case.ids,
            "{}",
            case.text
        );
        let tokens = tokenizer.tokenize(&[&case.message], 24).unwrap();
        assert_eq!(tokens.input_ids, [case.padded], "{}", case.text);
        let is_full = case.mask.iter().all(|value| *value == 1);
        assert_eq!(tokens.attention_mask, [case.mask], "{}", case.text);
        assert_eq!(tokens.truncated[0].is_some(), is_full, "{}", case.text);
    }
}

#[test]
fn texts_are_tokenized_as_in_python() {
    let tokenizer = Qwen2Tokenizer::from_pretrained(recorded("checkpoint/tokenizer")).unwrap();
    check(&tokenizer);
    assert_eq!(tokenizer.vocab_size(), 323);
    // And after saving.
    let folder = tempfile::tempdir().unwrap();
    tokenizer.save_pretrained(folder.path()).unwrap();
    check(&Qwen2Tokenizer::from_pretrained(folder.path()).unwrap());
}

/// The tokenizer in the files that older checkpoints have: the vocabulary, the merges, and everything else in the configuration.
fn older(folder: &Path) {
    let from = recorded("checkpoint/tokenizer");
    let whole: Value = fixture::json(&from.join("tokenizer.json"));
    let mut config: Map<String, Value> = fixture::json(&from.join("tokenizer_config.json"));
    let template = std::fs::read_to_string(from.join("chat_template.jinja")).unwrap();
    let write = |name: &str, text: String| std::fs::write(folder.join(name), text).unwrap();
    write("vocab.json", whole["model"]["vocab"].to_string());
    let merges = whole["model"]["merges"].as_array().unwrap().iter().map(|merge| {
        let merge = merge.as_array().unwrap();
        format!("{} {}\n", merge[0].as_str().unwrap(), merge[1].as_str().unwrap())
    });
    write("merges.txt", format!("#version: 0.2\n{}", merges.collect::<String>()));
    let added = whole["added_tokens"].as_array().unwrap().iter().map(|token| {
        let fields = ["content", "lstrip", "normalized", "rstrip", "single_word", "special"];
        let token_fields = fields.map(|field| (field.to_owned(), token[field].clone()));
        (token["id"].to_string(), Value::Object(Map::from_iter(token_fields)))
    });
    config.insert("added_tokens_decoder".into(), Value::Object(added.collect()));
    config.insert("chat_template".into(), template.into());
    config.insert("tokenizer_class".into(), "Qwen2Tokenizer".into());
    write("tokenizer_config.json", Value::Object(config).to_string());
}

#[test]
fn a_vocabulary_with_merges_is_enough() {
    let folder = tempfile::tempdir().unwrap();
    older(folder.path());
    check(&Qwen2Tokenizer::from_pretrained(folder.path()).unwrap());
    // Several templates, of which one is the default.
    let file = folder.path().join("tokenizer_config.json");
    let mut config: Map<String, Value> = fixture::json(&file);
    let template = config["chat_template"].clone();
    let templates = json!([{"name": "tools", "template": "no"}, {"name": "default", "template": template}]);
    config.insert("chat_template".into(), templates);
    std::fs::write(&file, Value::Object(config).to_string()).unwrap();
    check(&Qwen2Tokenizer::from_pretrained(folder.path()).unwrap());
}

#[test]
fn damaged_files_are_refused() {
    let changed = |file: &str, text: &str| {
        let folder = tempfile::tempdir().unwrap();
        copy_folder(&recorded("checkpoint/tokenizer"), folder.path());
        std::fs::write(folder.path().join(file), text).unwrap();
        Qwen2Tokenizer::from_pretrained(folder.path())
    };
    expect(&error(changed("tokenizer.json", "{}")), &["tokenizer.json"]);
    expect(&error(changed("tokenizer_config.json", "[1]")), &["tokenizer_config.json", "JSON object"]);
    let class = r#"{"tokenizer_class": "T5Tokenizer"}"#;
    expect(&error(changed("tokenizer_config.json", class)), &["tokenizer_class", "T5Tokenizer"]);
    let side = r#"{"padding_side": "top"}"#;
    expect(&error(changed("tokenizer_config.json", side)), &["padding_side", "top"]);
    let pad = r#"{"pad_token": "<none>"}"#;
    expect(&error(changed("tokenizer_config.json", pad)), &["pad_token", "<none>"]);
    let broken = changed("chat_template.jinja", "{% for %}").unwrap();
    let render = |tokenizer: &Qwen2Tokenizer| {
        tokenizer.apply_chat_template(&[ChatMessage::user("a")], ChatOptions::default())
    };
    expect(&error(render(&broken)), &["chat_template.jinja"]);

    let folder = tempfile::tempdir().unwrap();
    expect(&error(Qwen2Tokenizer::from_pretrained(folder.path())), &["vocab.json", "not found"]);
    older(folder.path());
    let file = folder.path().join("tokenizer_config.json");
    let config: Map<String, Value> = fixture::json(&file);
    let mut other = config.clone();
    other["added_tokens_decoder"]["400"] = json!({"content": "<new>", "special": true});
    std::fs::write(&file, Value::Object(other).to_string()).unwrap();
    expect(&error(Qwen2Tokenizer::from_pretrained(folder.path())), &["<new>", "400", "323"]);
    let mut other = config;
    other.remove("chat_template");
    std::fs::write(&file, Value::Object(other).to_string()).unwrap();
    let tokenizer = Qwen2Tokenizer::from_pretrained(folder.path()).unwrap();
    expect(&error(render(&tokenizer)), &["no chat template"]);
    expect(&error(tokenizer.tokenize(&["a"], 0)), &["max_length"]);
    std::fs::write(folder.path().join("merges.txt"), "ab").unwrap();
    expect(&error(Qwen2Tokenizer::from_pretrained(folder.path())), &["merges.txt", "line 1"]);
}

#[test]
fn texts_are_filled_up_and_cut_off_on_the_side_of_the_configuration() {
    let folder = tempfile::tempdir().unwrap();
    copy_folder(&recorded("checkpoint/tokenizer"), folder.path());
    let file = folder.path().join("tokenizer_config.json");
    let mut config: Map<String, Value> = fixture::json(&file);
    config.insert("padding_side".into(), "left".into());
    config.insert("truncation_side".into(), "left".into());
    std::fs::write(&file, Value::Object(config).to_string()).unwrap();
    let tokenizer = Qwen2Tokenizer::from_pretrained(folder.path()).unwrap();
    let plain = Qwen2Tokenizer::from_pretrained(recorded("checkpoint/tokenizer")).unwrap();
    let ids = plain.tokenize_unpadded("a red apple", 512).unwrap().input_ids;
    let short = tokenizer.tokenize(&["a red apple"], 8).unwrap();
    assert_eq!(short.input_ids[0][2..], ids);
    assert_eq!(short.attention_mask[0], [0, 0, 1, 1, 1, 1, 1, 1]);
    assert_eq!(tokenizer.tokenize_unpadded("a red apple", 2).unwrap().input_ids, ids[4..]);
}
