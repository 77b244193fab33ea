//! Compares learned words with Python diffusers.

use std::fs;
use std::path::PathBuf;

use oxidiff::{
    Error, Generator, Generators, OutputType, Pipeline, StableDiffusionPipeline, TextToImage,
    TextualInversionLoader, TextualInversionOptions,
};
use safetensors::serialize_to_file;
use safetensors::tensor::{Dtype, TensorView};

use crate::fixture::{Recorded, assert_close, every_third_pixel, fixtures, json};

fn folder() -> PathBuf {
    fixtures().join("formats/textual_inversion")
}

fn file(name: &str) -> String {
    folder().join(name).to_str().unwrap().to_owned()
}

fn pipeline() -> StableDiffusionPipeline {
    let mut pipeline =
        StableDiffusionPipeline::from_pretrained(fixtures().join("pipelines/sd1").to_str().unwrap()).unwrap();
    pipeline.set_progress_bar(false);
    pipeline
}

fn called(token: &str) -> TextualInversionOptions {
    TextualInversionOptions { token: Some(token.into()), ..Default::default() }
}

fn with_all_words() -> StableDiffusionPipeline {
    let mut pipeline = pipeline();
    let folder = folder();
    pipeline.load_textual_inversion(folder.to_str().unwrap(), &TextualInversionOptions::default()).unwrap();
    pipeline.load_textual_inversion(&file("style.safetensors"), &TextualInversionOptions::default()).unwrap();
    pipeline.load_textual_inversion(&file("a1111.pt"), &called("Mine")).unwrap();
    pipeline
}

#[derive(serde::Deserialize)]
struct Recording {
    prompts: Vec<String>,
    converted: Vec<String>,
}

#[test]
fn words_become_the_vectors_that_python_reads() {
    let mut pipeline = with_all_words();
    let recorded = Recorded::open(&folder().join("outputs.safetensors"));
    let Recording { prompts, converted } = json(&folder().join("prompts.json"));
    for (index, (prompt, expected)) in prompts.iter().zip(&converted).enumerate() {
        let text = pipeline.tokenizer.maybe_convert_prompt(prompt);
        assert_eq!(text, *expected);
        let ids = pipeline.tokenizer.tokenize(&[text], 24).unwrap().input_ids;
        assert_eq!(ids, recorded.integers(&format!("{index}.ids")), "{prompt}");
        let embedded = pipeline.text_encoder.forward(&ids, None).unwrap().last_hidden_state;
        assert_close(prompt, embedded, recorded.floats(&format!("{index}.text")), 1e-4);
    }
    let arguments = TextToImage {
        negative_prompt: vec!["dog".into()],
        num_inference_steps: 2,
        height: Some(48),
        width: Some(64),
        generator: Some(Generators::One(Generator::manual_seed(4))),
        output_type: OutputType::Array,
        ..TextToImage::new(prompts[0].clone())
    };
    let image = pipeline.call(arguments).unwrap().images.into_tensor().unwrap();
    assert_close("image", every_third_pixel(image), recorded.floats("image"), 1e-3);
}

/// Other programs use other names for the vectors in `string_to_param`, or save a bare tensor.
#[test]
fn words_from_other_programs_load_the_same() {
    let mut expected = pipeline();
    let options = TextualInversionOptions::default();
    expected.load_textual_inversion(folder().to_str().unwrap(), &options).unwrap();
    expected.load_textual_inversion(&file("a1111.pt"), &options).unwrap();
    let word = TextualInversionOptions { token: Some("<apple-toy>".into()), ..Default::default() };
    let mut pipeline = pipeline();
    for file_name in ["bare.pt", "bare_parameter.pt"] {
        let error = pipeline
            .load_textual_inversion(&file(file_name), &TextualInversionOptions::default())
            .unwrap_err();
        assert!(matches!(error, Error::InvalidArgument { argument: "token", .. }), "{error}");
    }
    pipeline.load_textual_inversion(&file("bare.pt"), &word).unwrap();
    pipeline.load_textual_inversion(&file("bare_parameter.pt"), &called("<other>")).unwrap();
    pipeline.load_textual_inversion(&file("a1111_named.pt"), &TextualInversionOptions::default()).unwrap();
    let embed = |pipeline: &StableDiffusionPipeline, prompt: &str| {
        let text = pipeline.tokenizer.maybe_convert_prompt(prompt);
        let ids = pipeline.tokenizer.tokenize(&[text], 24).unwrap().input_ids;
        pipeline.text_encoder.forward(&ids, None).unwrap().last_hidden_state
    };
    let expected = embed(&expected, "a <apple-toy> of mystyle");
    assert_close("bare tensor", embed(&pipeline, "a <apple-toy> of mystyle"), expected.clone(), 0.0);
    assert_close("bare parameter", embed(&pipeline, "a <other> of mystyle"), expected, 0.0);
}

#[test]
fn a_pipeline_with_learned_words_is_saved_with_them() {
    let pipeline = with_all_words();
    let saved = tempfile::tempdir().unwrap();
    pipeline.save_pretrained(saved.path()).unwrap();
    let again = StableDiffusionPipeline::from_pretrained(saved.path().to_str().unwrap()).unwrap();
    let prompt = "a <apple-toy> in <style> style";
    let embed = |pipeline: &StableDiffusionPipeline| {
        let text = pipeline.tokenizer.maybe_convert_prompt(prompt);
        let ids = pipeline.tokenizer.tokenize(&[text], 24).unwrap().input_ids;
        pipeline.text_encoder.forward(&ids, None).unwrap().last_hidden_state
    };
    assert_close("saved", embed(&again), embed(&pipeline), 0.0);
}

#[test]
fn a_word_must_be_new() {
    let mut pipeline = with_all_words();
    for token in ["<apple-toy>", "<style>", "<style>_2", "red</w>", "Mine"] {
        let error = pipeline.load_textual_inversion(&file("style.safetensors"), &called(token)).unwrap_err();
        assert!(matches!(error, Error::InvalidArgument { argument: "token", .. }), "{token}: {error}");
    }
    let error = pipeline.load_textual_inversion(&file("style.safetensors"), &called(" ")).unwrap_err();
    assert!(matches!(error, Error::InvalidArgument { argument: "token", .. }), "{error}");
}

fn error_of(tensors: &[(&str, &[usize])]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("word.safetensors");
    let data =
        vec![0; 4 * tensors.iter().map(|(_, shape)| shape.iter().product::<usize>()).max().unwrap_or(0)];
    let views = tensors.iter().map(|(key, shape)| {
        let bytes = &data[..4 * shape.iter().product::<usize>()];
        (*key, TensorView::new(Dtype::F32, shape.to_vec(), bytes).unwrap())
    });
    serialize_to_file(views, None, &file).unwrap();
    let error =
        pipeline().load_textual_inversion(file.to_str().unwrap(), &TextualInversionOptions::default());
    let error = error.unwrap_err().to_string();
    assert!(error.contains("word.safetensors"), "{error}");
    error
}

#[test]
fn files_without_a_learned_word_are_refused() {
    for shape in [&[23][..], &[2, 23], &[0, 24], &[1, 1, 24], &[]] {
        assert!(error_of(&[("<word>", shape)]).contains("shape"));
    }
    assert!(error_of(&[]).contains("no learned word"));
    assert!(error_of(&[("clip_l", &[2, 24]), ("clip_g", &[2, 24])]).contains("no learned word"));
    let two = [("string_to_param.*", &[2, 24][..]), ("string_to_param.b", &[2, 24])];
    assert!(error_of(&two).contains("string_to_param.b"));
    assert!(error_of(&[("string_to_param.*", &[2, 24])]).contains("token"));

    let mut pipeline = pipeline();
    let options = TextualInversionOptions::default();
    let empty = tempfile::tempdir().unwrap();
    let error = pipeline.load_textual_inversion(empty.path().to_str().unwrap(), &options).unwrap_err();
    assert!(matches!(error, Error::MissingFile { .. }), "{error}");
    let broken = empty.path().join("broken.pt");
    fs::write(&broken, &fs::read(file("a1111.pt")).unwrap()[..1000]).unwrap();
    let error = pipeline.load_textual_inversion(broken.to_str().unwrap(), &options).unwrap_err();
    assert!(error.to_string().contains("broken.pt"), "{error}");
}

#[test]
fn a_damaged_bare_tensor_is_an_error_or_a_word() {
    let pipeline = pipeline();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("damaged.pt");
    let load = |contents: &[u8]| {
        fs::write(&path, contents).unwrap();
        let mut pipeline = pipeline.clone();
        pipeline.load_textual_inversion(path.to_str().unwrap(), &called("<word>"))
    };
    let whole = fs::read(file("bare.pt")).unwrap();
    for length in (0..whole.len()).step_by(13) {
        let error = load(&whole[..length]).unwrap_err().to_string();
        assert!(error.contains("damaged.pt"), "{error}");
    }
    // The changed byte may belong to an element; what counts is that there is no panic.
    for place in (0..whole.len()).step_by(7) {
        let mut changed = whole.clone();
        changed[place] ^= 0x41;
        if let Err(error) = load(&changed) {
            assert!(!error.to_string().is_empty());
        }
    }
}
