//! Texts with images become the inputs of the model.

use std::path::Path;

use oxidiff::{ImageProcessor, ImageProcessorConfig, Qwen2VLImageProcessor, Qwen2VLProcessor, Tensor};
use serde_json::{Value, json};

use super::{Case, TOLERANCE, error, expect, picture, pictures, prompts, recorded, values};
use crate::fixture::{assert_close, json};

/// A processor whose texts are filled up on this side.
fn processor(side: &str) -> (tempfile::TempDir, Qwen2VLProcessor) {
    let folder = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(recorded("processor")).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), folder.path().join(entry.file_name())).unwrap();
    }
    let file = folder.path().join("tokenizer_config.json");
    let mut config: Value = json(&file);
    config["padding_side"] = side.into();
    std::fs::write(&file, config.to_string()).unwrap();
    let processor = Qwen2VLProcessor::from_pretrained(folder.path()).unwrap();
    (folder, processor)
}

/// Every `step`th row.
fn rows(x: &Tensor<2>, step: usize) -> Tensor<2> {
    let [count, width] = x.dims();
    let row = |index| x.clone().slice([index..index + 1, 0..width]);
    Tensor::cat((0..count).step_by(step).map(row).collect(), 0)
}

fn check(processor: &Qwen2VLProcessor, number: usize, case: &Case) {
    let made = processor.process(&case.texts, &pictures(&case.images)).unwrap();
    assert_eq!(made.input_ids, case.input_ids, "case {number}");
    assert_eq!(made.attention_mask, case.attention_mask, "case {number}");
    assert_eq!(made.mm_token_type_ids, case.mm_token_type_ids, "case {number}");
    assert_eq!(made.images.is_some(), !case.images.is_empty());
    let Some(images) = made.images else { return };
    assert_eq!(images.image_grid_thw, case.grids, "case {number}");
    if case.side == "right" {
        let key = format!("pixels.{number}");
        assert_close(&key, rows(&images.pixel_values, 3), values().floats(&key), 1e-5);
    }
}

#[test]
fn texts_and_images_are_processed_as_in_python() {
    let [right, left] = ["right", "left"].map(processor);
    let cases = prompts().cases;
    assert_eq!(cases.len(), 10);
    let saved = tempfile::tempdir().unwrap();
    right.1.save_pretrained(saved.path()).unwrap();
    let again = Qwen2VLProcessor::from_pretrained(saved.path()).unwrap();
    for (number, case) in cases.iter().enumerate() {
        if case.side == "left" {
            check(&left.1, number, case);
        } else {
            check(&right.1, number, case);
            check(&again, number, case);
        }
    }
}

#[test]
fn the_published_sizes_of_patches_are_cut_as_in_python() {
    let config: ImageProcessorConfig = {
        let mut config = Qwen2VLImageProcessor::default_config();
        config.other.insert("min_pixels".into(), 3136.into());
        config.other.insert("max_pixels".into(), (28 * 28 * 12).into());
        config
    };
    let images = Qwen2VLImageProcessor::new(config).unwrap();
    let images = images.patches(&[picture("large"), picture("wide")]).unwrap();
    assert_eq!(images.image_grid_thw, prompts().published);
    let some = rows(&rows(&images.pixel_values, 7).transpose(), 5).transpose();
    assert_close("pixels", some, values().floats("pixels.published"), TOLERANCE);
}

#[test]
fn wrong_inputs_and_files_are_refused() {
    let (folder, processor) = processor("right");
    let refused = |text: &str, names: &[&str]| {
        let images: Vec<_> = names.iter().map(|name| picture(name)).collect();
        error(processor.process(&[text], &images))
    };
    expect(&refused("<|image_pad|>", &[]), &["images", "0 are given", "1 `<|image_pad|>`"]);
    expect(&refused("a", &["wide"]), &["1 are given", "0 `<|image_pad|>`"]);
    expect(&error(processor.process(&[] as &[&str], &[])), &["texts"]);
    let line = oxidiff::image::DynamicImage::new_rgb8(2010, 10);
    expect(&error(processor.process(&["<|image_pad|>"], &[line])), &["10x2010", "200"]);
    expect(&error(processor.image_processor.patches(&[])), &["images"]);

    let file = folder.path().join("processor_config.json");
    let whole: Value = json(&file);
    let load = |path: &Path, config: &Value| {
        std::fs::write(path, config.to_string()).unwrap();
        Qwen2VLProcessor::from_pretrained(folder.path()).map(|_| ())
    };
    let mut broken = whole.clone();
    broken["image_processor"] = Value::Null;
    expect(&error(load(&file, &broken)), &["processor_config.json", "image_processor"]);
    broken = whole.clone();
    broken["image_processor"]["patch_size"] = 0.into();
    expect(&error(load(&file, &broken)), &["processor_config.json", "patch_size"]);
    broken["image_processor"]["patch_size"] = json!("large");
    expect(&error(load(&file, &broken)), &["processor_config.json", "patch_size"]);
    broken = whole.clone();
    broken["image_processor"]["size"] = json!({"shortest_edge": 10, "longest_edge": 5});
    expect(&error(load(&file, &broken)), &["processor_config.json", "size"]);
    // The older file counts before the newer one.
    load(&file, &whole).unwrap();
    let older = folder.path().join("preprocessor_config.json");
    load(&older, &json!({"min_pixels": 100, "max_pixels": 2000})).unwrap();
    expect(&error(load(&older, &json!({"min_pixels": -1}))), &["preprocessor_config.json", "min_pixels"]);
    std::fs::remove_file(&older).unwrap();
    std::fs::remove_file(&file).unwrap();
    expect(&error(Qwen2VLProcessor::from_pretrained(folder.path())), &["preprocessor_config.json"]);
}
