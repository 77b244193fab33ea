//! The text encoder and the tokenizer of FLUX.2-dev.

use std::collections::BTreeMap;
use std::path::Path;

use oxidiff::{
    ChatMessage, ChatOptions, Config, Device, Mistral3ForConditionalGeneration, Model, PixtralProcessor,
    Tensor,
};
use safetensors::tensor::{SafeTensors, TensorView};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{error, expect, recorded_of_dev};
use crate::fixture::drawn_weights::draw_weights;
use crate::fixture::{Recorded, assert_close, json};

const TOLERANCE: f32 = 1e-4;

#[derive(Deserialize)]
struct Described {
    seed: u64,
    config: Value,
}

fn described(name: &str) -> Described {
    json::<BTreeMap<String, Described>>(&recorded_of_dev("models.json")).remove(name).unwrap()
}

/// Writes a recorded encoder with the changed configuration, and returns what loading it gives.
fn load(
    folder: &Path,
    name: &str,
    change: impl Fn(&mut Value),
) -> oxidiff::Result<Mistral3ForConditionalGeneration> {
    let Described { seed, config } = described(name);
    let parse = |config: &Value| Config::from_json(&config.to_string()).unwrap();
    draw_weights::<Mistral3ForConditionalGeneration>(&parse(&config), seed, folder);
    let mut config = config;
    change(&mut config);
    std::fs::write(folder.join("config.json"), config.to_string()).unwrap();
    Mistral3ForConditionalGeneration::from_pretrained(folder.to_str().unwrap())
}

fn ids() -> Vec<Vec<u32>> {
    (0..3).map(|row| (0..9).map(|place| (7 * place + 3 * row) % 60).collect()).collect()
}

/// Padded on the left, on the right, and not at all.
fn mask() -> Vec<Vec<u32>> {
    vec![vec![0, 0, 0, 0, 1, 1, 1, 1, 1], vec![1, 1, 1, 1, 1, 1, 0, 0, 0], vec![1; 9]]
}

fn compare(name: &str, model: &Mistral3ForConditionalGeneration) {
    let expected = Recorded::open(&recorded_of_dev("models.safetensors"));
    for (kind, mask) in [("masked", Some(mask())), ("whole", None)] {
        let made = model.forward(&ids(), mask.as_deref()).unwrap();
        let states: Tensor<4> = Tensor::stack(made.hidden_states, 0);
        assert_close(
            &format!("{name} {kind}"),
            states,
            expected.floats(&format!("{name}.{kind}")),
            TOLERANCE,
        );
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
fn compare_texts(prepare: impl Fn(&mut Mistral3ForConditionalGeneration)) {
    for name in ["plain", "windowed", "narrow"] {
        let folder = tempfile::tempdir().unwrap();
        let mut model = load(folder.path(), name, |_| ()).unwrap();
        prepare(&mut model);
        compare(name, &model);
        let some = model.hidden_states(&ids(), None, &[1, 2]).unwrap();
        let all = model.forward(&ids(), None).unwrap().hidden_states;
        assert_close(name, some[1].clone(), all[2].clone(), 0.0);
    }
}

#[test]
fn theta_may_be_where_older_files_have_it() {
    let folder = tempfile::tempdir().unwrap();
    let model = load(folder.path(), "narrow", |config| {
        let text = config["text_config"].as_object_mut().unwrap();
        text.remove("rope_parameters");
        text.insert("rope_theta".into(), 500.0.into());
        text.insert("rope_scaling".into(), Value::Null);
    });
    compare("narrow", &model.unwrap());
}

#[test]
fn files_of_python_are_read_with_all_that_sees_images() {
    let folder = tempfile::tempdir().unwrap();
    load(folder.path(), "plain", |_| ()).unwrap();
    let file = folder.path().join("model.safetensors");
    let bytes = std::fs::read(&file).unwrap();
    let ours = SafeTensors::deserialize(&bytes).unwrap();
    let theirs: Vec<String> = json(&recorded_of_dev("keys.json"));
    let of_python =
        |key: &str| format!("language_model.model.{}", key.strip_prefix("model.language_model.").unwrap());
    let of_language_model = theirs.iter().filter(|key| key.starts_with("language_model."));
    for key in of_language_model {
        assert!(ours.names().iter().any(|ours| of_python(ours) == *key), "{key}");
    }
    let zeros = [0; 4];
    // The tokens and features of the configuration.
    let (scores, shape) = (vec![0; 4 * 60 * 16], vec![60, 16]);
    for [head, tower] in [["language_model.lm_head", ""], ["lm_head", "model."]] {
        let own = ours.tensors().into_iter().map(|(key, view)| match tower {
            "" => (of_python(&key), view),
            _ => (key, view),
        });
        let unused = theirs.iter().filter(|key| !key.starts_with("language_model."));
        let unused = unused.map(|key| format!("{tower}{key}"));
        let unused =
            unused.map(|key| (key, TensorView::new(safetensors::Dtype::F32, vec![1], &zeros).unwrap()));
        let scores = TensorView::new(safetensors::Dtype::F32, shape.clone(), &scores).unwrap();
        let unused = unused.chain([(format!("{head}.weight"), scores)]);
        let written = safetensors::serialize(own.chain(unused).collect::<Vec<_>>(), None).unwrap();
        std::fs::write(&file, written).unwrap();
        let name = folder.path().to_str().unwrap();
        compare("plain", &Mistral3ForConditionalGeneration::from_pretrained(name).unwrap());
    }
}

#[test]
fn configurations_that_are_not_supported_are_refused() {
    let refused = |field: &'static str, value: Value| {
        let folder = tempfile::tempdir().unwrap();
        error(load(folder.path(), "plain", |config| config["text_config"][field] = value.clone()))
    };
    let yarn = json!({"rope_type": "yarn", "rope_theta": 1e6, "factor": 4.0});
    for (field, value, words) in [
        ("rope_parameters", yarn, ["text_config.rope_parameters", "yarn"]),
        ("model_type", "ministral3".into(), ["text_config.model_type", "ministral3"]),
        ("sliding_window", 0.into(), ["text_config.sliding_window", "0"]),
        (
            "layer_types",
            json!(["sliding_attention", "full_attention", "full_attention"]),
            ["layer_types", "sliding"],
        ),
        ("num_key_value_heads", 3.into(), ["num_key_value_heads", "3"]),
        ("head_dim", 7.into(), ["head_dim", "7"]),
        ("hidden_size", 18.into(), ["embed_tokens", "18"]),
    ] {
        let refused = refused(field, value);
        expect(&refused, &words);
        expect(&refused, &["config"]);
    }
    let model = Mistral3ForConditionalGeneration::init(
        &serde_json::from_value(described("plain").config).unwrap(),
        &Device::flex(),
    );
    expect(&error(model.unwrap().forward(&[vec![60]], None)), &["60"]);
}

#[derive(Deserialize)]
struct Tokens {
    prompt: String,
    system: Option<String>,
    length: usize,
    text: Option<String>,
    ids: Vec<u32>,
    filling: usize,
}

#[test]
fn conversations_become_the_tokens_of_python() {
    let folder = recorded_of_dev("checkpoint/tokenizer");
    let loaded = PixtralProcessor::from_pretrained(&folder).unwrap();
    let saved = tempfile::tempdir().unwrap();
    loaded.save_pretrained(saved.path()).unwrap();
    for file in ["chat_template.jinja", "processor_config.json"] {
        let read = |folder: &Path| std::fs::read_to_string(folder.join(file)).unwrap();
        assert_eq!(read(saved.path()), read(&folder), "{file}");
    }
    let message = "You are an AI that reasons about image descriptions. You give structured responses focusing on object \
                   relationships, object\nattribution and actions without speculation.";
    for processor in [loaded, PixtralProcessor::from_pretrained(saved.path()).unwrap()] {
        let cases: Vec<Tokens> = json(&recorded_of_dev("tokens.json"));
        assert_eq!(cases.len(), 16);
        for case in cases {
            let prompt = case.prompt.replace("[IMG]", "");
            let system = case.system.unwrap_or_else(|| message.to_owned());
            let messages = [ChatMessage::of_parts("system", system), ChatMessage::of_parts("user", prompt)];
            let text = processor.apply_chat_template(&messages, ChatOptions::default()).unwrap();
            assert_eq!(case.text.unwrap_or_else(|| text.clone()), text);
            let made = processor.tokenize(&[text], case.length).unwrap();
            assert_eq!(made.input_ids[0], case.ids, "{}", case.prompt);
            let filling = made.attention_mask[0].iter().filter(|value| **value == 0).count();
            assert_eq!(filling, case.filling);
            assert_eq!(
                made.attention_mask[0].iter().position(|value| *value == 1),
                Some(filling),
                "on the left"
            );
        }
    }
}

#[test]
fn a_processor_without_its_files_is_refused() {
    let refused = |change: &dyn Fn(&Path)| {
        let folder = tempfile::tempdir().unwrap();
        crate::checkpoints::copy_folder(&recorded_of_dev("checkpoint/tokenizer"), folder.path());
        change(folder.path());
        let messages = [ChatMessage::user("a red apple")];
        let made = PixtralProcessor::from_pretrained(folder.path());
        error(made.and_then(|processor| processor.apply_chat_template(&messages, ChatOptions::default())))
    };
    let remove = |file: &'static str| move |folder: &Path| std::fs::remove_file(folder.join(file)).unwrap();
    expect(&refused(&remove("tokenizer.json")), &["tokenizer.json"]);
    expect(&refused(&remove("chat_template.jinja")), &["PixtralProcessor", "chat template"]);
    let set = |field: &'static str, value: Value| {
        move |folder: &Path| {
            let file = folder.join("tokenizer_config.json");
            let mut config: Value = json(&file);
            config[field] = value.clone();
            std::fs::write(&file, config.to_string()).unwrap();
        }
    };
    expect(&refused(&set("pad_token", Value::Null)), &["tokenizer_config.json", "pad_token"]);
    expect(&refused(&set("padding_side", "top".into())), &["padding_side", "top"]);
    expect(&refused(&set("tokenizer_class", "T5Tokenizer".into())), &["tokenizer_class", "T5Tokenizer"]);
}
