//! A family of pipelines that the command line does not know, registered by a test.

#[path = "../../../oxidiff-tests/tests/pipelines/new_family/plain_colour.rs"]
mod plain_colour;

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use oxidiff::{Task, register_pipeline};
use plain_colour::{PlainColourPipeline, write_checkpoint};

fn run(words: &[&str]) -> anyhow::Result<ExitCode> {
    let words: Vec<OsString> =
        std::iter::once("oxidiff").chain(words.iter().copied()).map(Into::into).collect();
    oxidiff_cli::run(&words)
}

fn pixel(file: &Path) -> [u8; 3] {
    oxidiff::load_image(file).unwrap().to_rgb8().get_pixel(0, 0).0
}

#[test]
fn the_command_line_knows_a_registered_family() {
    register_pipeline::<PlainColourPipeline>("plain-colour", Task::TextToImage);
    let folder = tempfile::tempdir().unwrap();
    write_checkpoint(folder.path());
    let model = folder.path().to_str().unwrap();
    let output = folder.path().join("made.png");
    let made = output.to_str().unwrap();

    run(&["inspect", model]).unwrap();
    run(&["generate", "grey", "--model", model, "--output", made]).unwrap();
    assert_eq!(pixel(&output), [200; 3]);
    let keywords = ["--brightness", "0.5", "--mirrored"];
    let words = [&["generate", "grey", "--model", model, "--output", made], &keywords[..]].concat();
    run(&words).unwrap();
    assert_eq!(pixel(&output), [155; 3]);

    let words = ["generate", "grey", "--model", model, "--output", made, "--brightness", "high"];
    assert_eq!(run(&words).unwrap_err().to_string(), "--brightness: must be a number, not `high`");
    let words = ["generate", "grey", "--model", model, "--output", made, "--clip-skip", "1"];
    assert_eq!(run(&words).unwrap_err().to_string(), "--clip-skip: PlainColourPipeline does not take it");

    let help = oxidiff_cli::command().find_subcommand("generate").unwrap().clone().render_help().to_string();
    assert!(help.contains("--brightness") && help.contains("How bright the colour is"), "{help}");
}
