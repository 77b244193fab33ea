//! Compares the images that ControlNets follow with those of Python.

use std::path::PathBuf;

use oxidiff::image::{DynamicImage, GenericImageView, GrayImage, RgbImage};
use oxidiff::{ControlPreprocessor, DPTImageProcessor, ImageProcessor, ImageSize, LoadOptions, canny};
use safetensors::SafeTensors;
use serde::Deserialize;

use crate::fixture::pictures::picture;
use crate::fixture::{fixtures, json};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    picture: String,
    mode: String,
    size: [u32; 2],
    thresholds: [f64; 2],
}

fn recorded(name: &str) -> PathBuf {
    fixtures().join("control_preprocessors").join(name)
}

/// Rings, as the script draws them.
fn rings(mode: &str, [width, height]: [u32; 2]) -> DynamicImage {
    let value = |x: u32, y: u32, channel: i64| {
        let (x, y, width, height) = (i64::from(x), i64::from(y), i64::from(width), i64::from(height));
        let distance = (x * 2 - width + channel * 9).pow(2) + (y * 2 - height - channel * 5).pow(2);
        let bright = distance / 9 * (channel + 2) % 256;
        (bright / (1 + (x + y) / 24 % 3)) as u8
    };
    match mode {
        "L" => GrayImage::from_fn(width, height, |x, y| [value(x, y, 0)].into()).into(),
        _ => RgbImage::from_fn(width, height, |x, y| [0, 1, 2].map(|channel| value(x, y, channel)).into())
            .into(),
    }
}

#[test]
fn edges_are_those_of_opencv() {
    let cases: Vec<Case> = json(&recorded("canny.json"));
    let file = std::fs::read(recorded("canny.safetensors")).unwrap();
    let file = SafeTensors::deserialize(&file).unwrap();
    assert!(cases.len() > 50, "{} cases", cases.len());
    for (number, case) in cases.iter().enumerate() {
        let image = match case.picture.as_str() {
            "picture" => picture(&case.mode, case.size),
            _ => rings(&case.mode, case.size),
        };
        let edges = canny(&image, case.thresholds[0], case.thresholds[1]);
        let packed = file.tensor(&format!("canny.{number}")).unwrap();
        let bit = |at: usize| packed.data()[at / 8] >> (7 - at % 8) & 1;
        let expected: Vec<u8> = (0..edges.len()).map(|at| 255 * bit(at)).collect();
        assert_eq!(edges.into_raw(), expected, "case {number}");
    }
}

#[test]
fn depth_is_that_of_transformers() {
    let folder = tempfile::tempdir().unwrap();
    for file in ["config.json", "model.safetensors"] {
        std::fs::copy(fixtures().join("vision/depth/add").join(file), folder.path().join(file)).unwrap();
    }
    let mut config = DPTImageProcessor::default_config();
    config.size = Some(ImageSize { height: Some(32), width: Some(32), ..Default::default() });
    DPTImageProcessor::new(config).unwrap().save_pretrained(folder.path()).unwrap();

    let preprocessor: ControlPreprocessor = format!("depth:{}", folder.path().display()).parse().unwrap();
    let loaded = preprocessor.load(&LoadOptions::default()).unwrap();
    let depth = loaded.apply(&picture("RGB", [45, 37])).unwrap().to_rgb8();
    let file = std::fs::read(recorded("depth.safetensors")).unwrap();
    let expected = SafeTensors::deserialize(&file).unwrap();
    let expected = expected.tensor("depth").unwrap();
    assert_eq!(expected.shape(), [37, 45]);
    let differing =
        depth.pixels().zip(expected.data()).filter(|(pixel, expected)| pixel.0 != [**expected; 3]);
    // Values are cut off, not rounded, so the last bit of a float can decide.
    let far_off = differing.clone().any(|(pixel, expected)| pixel.0[0].abs_diff(*expected) > 1);
    assert!(!far_off && differing.count() < 17, "more than one pixel in a hundred");
}

#[test]
fn pictures_are_inverted_and_resized() {
    let apply = |name: &str, image: &DynamicImage| {
        let preprocessor: ControlPreprocessor = name.parse().unwrap();
        preprocessor.load(&LoadOptions::default()).unwrap().apply(image)
    };
    let image = picture("RGB", [70, 130]);
    let inverted = apply("invert", &image).unwrap();
    assert_eq!(
        inverted.to_rgb8().get_pixel(3, 5).0,
        image.to_rgb8().get_pixel(3, 5).0.map(|byte| 255 - byte)
    );
    assert_eq!(apply("invert", &inverted).unwrap(), image);
    assert_eq!(apply("tile", &image).unwrap().dimensions(), (64, 128));
    assert_eq!(apply("tile:256", &image).unwrap().dimensions(), (256, 448));
    assert_eq!(apply("canny:0,0", &image).unwrap().dimensions(), (70, 130));
    assert_ne!(apply("canny:300,700", &image).unwrap(), apply("canny", &image).unwrap());
    let message = apply("tile", &picture("RGB", [20, 20])).unwrap_err().to_string();
    assert!(message.contains("multiples of 64"), "{message}");
}

#[test]
fn names_and_options_that_do_not_exist() {
    for (name, expected) in [
        ("edges", "there is no `edges`"),
        ("canny:1", "two thresholds"),
        ("canny:1,x", "two thresholds"),
        ("canny:1,2,3", "two thresholds"),
        ("canny:1,inf", "two thresholds"),
        ("tile:0", "number of pixels"),
        ("invert:1", "no options"),
        ("depth", "needs a model"),
        ("depth:", "needs a model"),
    ] {
        let message = name.parse::<ControlPreprocessor>().unwrap_err().to_string();
        assert!(message.contains(expected), "{name}: {message}");
    }
    let missing: ControlPreprocessor = "depth:./missing".parse().unwrap();
    assert!(missing.load(&LoadOptions::default()).is_err());
}
