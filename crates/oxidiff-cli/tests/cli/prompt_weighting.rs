//! Weights in prompts, and text encoders into which no text fits.

use std::path::Path;

use serde_json::{Map, Value, json};

use crate::sandbox::{ROOT, Run, Sandbox, copy_folder};

/// The small Stable Diffusion XL of the fixtures, of which `change` replaces fields: file, field, value.
fn model(changes: &[(&str, &str, Value)]) -> Sandbox {
    let sandbox = Sandbox::new();
    let base = Path::new(ROOT).join("tests/fixtures/stable_diffusion_xl/base");
    copy_folder(&base, &sandbox.path("model"));
    for (file, field, value) in changes {
        let file = sandbox.path("model").join(file);
        let mut object: Map<String, Value> = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
        object.insert((*field).to_owned(), value.clone());
        std::fs::write(&file, serde_json::to_vec(&object).unwrap()).unwrap();
    }
    sandbox
}

fn generate(sandbox: &Sandbox, arguments: &[&str]) -> Run {
    let usual = ["generate", "--model", "model", "--steps", "1", "--seed", "0", "--output", "x.npy"];
    sandbox.run([&usual[..], arguments].concat())
}

fn image(sandbox: &Sandbox, arguments: &[&str]) -> Vec<u8> {
    generate(sandbox, arguments).succeeded();
    std::fs::read(sandbox.path("x.npy")).unwrap()
}

const SECOND_LENGTH: (&str, &str) = ("tokenizer_2/tokenizer_config.json", "model_max_length");

/// A value of a flag is `true` or `false`; the prompt is not.
#[test]
fn a_flag_leaves_the_prompt_alone() {
    let sandbox = model(&[]);
    let prompt = "a (red:1.3) apple";
    let weighted = image(&sandbox, &["--prompt-weighting", prompt]);
    assert!(weighted != image(&sandbox, &[prompt]));
    for arguments in [
        &["--prompt-weighting", "true", prompt][..],
        &["--prompt-weighting=true", prompt],
        &[prompt, "--prompt-weighting"],
        &["--prompt", prompt, "--prompt-weighting"],
    ] {
        assert!(weighted == image(&sandbox, arguments), "{arguments:?}");
    }
    let plain = image(&sandbox, &[prompt]);
    assert!(plain == image(&sandbox, &["--prompt-weighting", "false", prompt]));
    assert!(plain == image(&sandbox, &["--prompt-weighting=false", prompt]));
    generate(&sandbox, &["--prompt-weighting=yes", prompt]).failed_with(&["--prompt-weighting", "yes"]);
    // After two hyphens, `true` is a prompt.
    assert!(image(&sandbox, &["--prompt-weighting", "--", "true"]) == image(&sandbox, &["true"]));
}

#[test]
fn text_encoders_of_different_lengths_are_refused() {
    let (file, field) = SECOND_LENGTH;
    for length in [5, 20, 23] {
        let sandbox = model(&[(file, field, json!(length))]);
        for weighting in ["true", "false"] {
            generate(&sandbox, &["a red apple", "--prompt-weighting", weighting]).failed_with(&[
                "PROMPT",
                &length.to_string(),
                "24 and",
                "model_max_length",
            ]);
        }
    }
}

#[test]
fn text_encoders_without_room_for_a_text_are_refused() {
    let (file, field) = SECOND_LENGTH;
    for length in [0, 1] {
        let sandbox = model(&[(file, field, json!(length))]);
        generate(&sandbox, &["a dog"]).failed_with(&[&format!("model/{file}"), field, "no room"]);
    }
    let first = "tokenizer/tokenizer_config.json";
    let sandbox = model(&[(first, field, json!(2)), (file, field, json!(2))]);
    generate(&sandbox, &["a dog", "--prompt-weighting"])
        .failed_with(&["PROMPT", "`text_encoder` takes 2 tokens"]);
    generate(&sandbox, &["a dog"]).succeeded();
}

#[test]
fn a_weight_that_overflows_is_refused() {
    let sandbox = model(&[]);
    let prompt = format!("(a:{}) dog", "9".repeat(45));
    generate(&sandbox, &["--prompt-weighting", &prompt]).failed_with(&["PROMPT", "weights", "1e45"]);
}

/// Both text encoders cut the prompt, and each says so in one short line.
#[test]
fn the_part_of_a_prompt_that_is_cut_is_shown_in_short() {
    let sandbox = model(&[]);
    let said = generate(&sandbox, &[&"a dog ".repeat(200)]).succeeded().stderr;
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines.len(), 2, "{said}");
    assert!(lines[0].contains("`text_encoder`") && lines[1].contains("`text_encoder_2`"), "{said}");
    assert!(lines.iter().all(|line| line.len() < 240 && line.ends_with("...")), "{said}");
}
