//! Fields of a checkpoint's files that mean nothing: the error names the file and the field.

use std::path::Path;

use safetensors::SafeTensors;
use safetensors::tensor::TensorView;
use serde_json::{Value, json};

use crate::bad_input::Damaged;
use crate::sandbox::{ROOT, copy_folder};

const INDEX: &str = "model_index.json";
const TOKENIZER: &str = "tokenizer/tokenizer_config.json";
const UNET: &str = "unet/config.json";

/// Requires that a value of a field is refused with an error that names the file and the field, and has these words.
#[track_caller]
fn refused(file: &str, field: &str, value: Value, words: &[&str]) {
    let model = Damaged::new();
    model.set_json(file, json!({field: value}));
    model.refused(&[&[&*format!("model/{file}"), &*format!("`{field}`")], words].concat());
}

/// A safety checker that cannot be read must not be left out.
#[test]
fn entries_of_the_index_that_name_no_class() {
    for value in [json!("x"), json!(true), json!(3), json!({}), json!(["diffusers"]), json!([1, 2])] {
        refused(INDEX, "safety_checker", value.clone(), &["a library and a class"]);
        refused(INDEX, "feature_extractor", value.clone(), &["a library and a class"]);
        refused(INDEX, "unet", value, &["a library and a class"]);
    }
    refused(INDEX, "scheduler", json!(["diffusers", "NoSuch"]), &["NoSuch", "EulerDiscreteScheduler"]);
    refused(INDEX, "tokenizer", json!(["transformers", "T5Tokenizer"]), &["T5Tokenizer", "CLIPTokenizer"]);
}

#[test]
fn fields_of_the_tokenizer() {
    for length in [json!("x"), json!(-1), json!(1.5), json!(0), json!(1), json!([77])] {
        refused(TOKENIZER, "model_max_length", length, &[]);
    }
    for token in [json!(3), json!([]), json!({"content": 3}), json!({"content": null})] {
        refused(TOKENIZER, "pad_token", token, &["a token"]);
    }
    for class_name in [json!("T5Tokenizer"), json!(7)] {
        refused(TOKENIZER, "tokenizer_class", class_name, &["CLIPTokenizer"]);
    }
    let model = Damaged::new();
    model.set_json(TOKENIZER, json!({"model_max_length": 1e30, "tokenizer_class": null}));
    let generate = ["generate", "red apple", "--steps", "1", "--model", "model"];
    assert_eq!(model.sandbox.run(generate).succeeded().stderr, "");
}

#[test]
fn messages_say_what_is_allowed() {
    refused(UNET, "layers_per_block", json!("two"), &["a number or a list of numbers"]);
    refused(UNET, "in_channels", json!("4"), &["expected a whole number"]);
    refused(UNET, "norm_eps", json!("small"), &["expected a number"]);
    refused(UNET, "flip_sin_to_cos", json!("yes"), &["expected true or false"]);
    refused(UNET, "norm_num_groups", json!(null), &["cannot be null"]);
    refused(UNET, "dual_cross_attention", json!(true), &["not supported"]);
    let size = Damaged::new();
    size.set_json(UNET, json!({"sample_size": 0}));
    size.refused(&["model/unet/config.json", "`sample_size`", "0 pixels"]);
    let generate =
        ["generate", "red apple", "--steps", "1", "--model", "model", "--height", "64", "--width", "64"];
    size.sandbox.run(generate).succeeded();
}

#[test]
fn text_that_is_not_plain_utf_8() {
    let model = Damaged::new();
    for (start, word) in [(&b"\xef\xbb\xbf{}"[..], "BOM"), (b"\xff\xfe{\0}\0", "UTF-16")] {
        std::fs::write(model.path(UNET), start).unwrap();
        model.refused(&["model/unet/config.json", word]);
    }
}

/// As in Python, what is stored in vain is a warning.
#[test]
fn what_a_file_holds_in_vain() {
    let model = Damaged::new();
    let generate = |words: &[&str]| {
        let run = model.sandbox.run(["generate", "red apple", "--steps", "1", "--model", "model"]);
        let said = run.succeeded().stderr;
        let lines = said.lines().count();
        assert_eq!(lines, usize::from(!words.is_empty()), "{said}");
        assert!(words.iter().all(|word| said.contains(word)), "{said}");
    };
    generate(&[]);
    let weights = model.path("vae/diffusion_pytorch_model.safetensors");
    let contents = std::fs::read(&weights).unwrap();
    let tensors = SafeTensors::deserialize(&contents).unwrap();
    let mut views: Vec<(String, TensorView<'_>)> =
        tensors.iter().map(|(name, view)| (name.to_owned(), view)).collect();
    let (_, any) = views[0].clone();
    views.push(("embeddings.position_ids".to_owned(), any.clone()));
    std::fs::write(&weights, safetensors::serialize(views.clone(), None).unwrap()).unwrap();
    generate(&[]);
    views.extend((1..=7).map(|number| (format!("stray.{number}"), any.clone())));
    std::fs::write(&weights, safetensors::serialize(views, None).unwrap()).unwrap();
    generate(&["WARN", "model/vae/", "7 tensors", "`stray.1`", "2 more"]);
    std::fs::write(&weights, &contents).unwrap();

    model.set_json("vae/config.json", json!({"latents_mean": [0.5, 0.5, 0.5, 0.5]}));
    generate(&["WARN", "`latents_mean`", "`latents_std`"]);
}

#[test]
fn parts_that_are_missing_are_named() {
    let model = Damaged::new();
    std::fs::remove_dir_all(model.sandbox.path("model")).unwrap();
    let base = Path::new(ROOT).join("tests/fixtures/stable_diffusion_xl/base");
    copy_folder(&base, &model.sandbox.path("model"));
    let index = std::fs::read(model.path(INDEX)).unwrap();
    let mut index: Value = serde_json::from_slice(&index).unwrap();
    for part in ["text_encoder_2", "tokenizer_2"] {
        index[part] = json!([null, null]);
    }
    std::fs::write(model.path(INDEX), index.to_string()).unwrap();
    model.refused(&["`pooled_prompt_embeds`", "`text_encoder_2`"]);
}
