//! Qwen2.5-VL, its processor, and the autoencoder of Qwen-Image.

mod autoencoder;
mod language;
mod processor;

use std::path::PathBuf;

use oxidiff::image::{DynamicImage, Rgb, RgbImage};
use serde::Deserialize;

use crate::fixture::{Recorded, fixtures, json};

const TOLERANCE: f32 = 1e-4;

fn recorded(name: &str) -> PathBuf {
    fixtures().join("qwen_vl").join(name)
}

fn values() -> Recorded {
    Recorded::open(&recorded("values.safetensors"))
}

/// Texts and images, and what the processor of Python makes of them.
#[derive(Deserialize)]
struct Case {
    texts: Vec<String>,
    images: Vec<String>,
    side: String,
    input_ids: Vec<Vec<u32>>,
    attention_mask: Vec<Vec<u32>>,
    mm_token_type_ids: Vec<Vec<u32>>,
    grids: Vec<[usize; 3]>,
}

#[derive(Deserialize)]
struct Prompts {
    cases: Vec<Case>,
    published: Vec<[usize; 3]>,
}

fn prompts() -> Prompts {
    json(&recorded("prompts.json"))
}

/// An image, as in the script.
fn picture(name: &str) -> DynamicImage {
    let (height, width) = match name {
        "wide" => (25, 43),
        "high" => (37, 16),
        "square" => (24, 24),
        "tiny" => (5, 7),
        "large" => (70, 61),
        other => panic!("no picture {other}"),
    };
    let value = |row: u32, column: u32, channel: u32| {
        (row * 37 + column * 11 + channel * 73 + row * column * 5) as u8
    };
    let pixel = |column, row| Rgb([0, 1, 2].map(|channel| value(row, column, channel)));
    RgbImage::from_fn(width, height, pixel).into()
}

fn pictures(names: &[String]) -> Vec<DynamicImage> {
    names.iter().map(|name| picture(name)).collect()
}

fn error<T>(result: oxidiff::Result<T>) -> String {
    result.err().expect("an error").to_string()
}

#[track_caller]
fn expect(message: &str, parts: &[&str]) {
    for part in parts {
        assert!(message.contains(part), "no `{part}` in: {message}");
    }
}
