//! Compares ControlNets for several types of images, and the pipelines with them, with Python diffusers: residuals are at most
//! 1e-4 apart, images 1e-3.

mod loading;
mod models;
mod pipelines;
mod refusals;

use std::collections::BTreeMap;
use std::path::PathBuf;

use oxidiff::{
    Config, ControlNetUnion, ControlNetUnionModel, Pipeline, StableDiffusionXLComponents,
    StableDiffusionXLPipeline,
};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::fixture::drawn::drawn;
use crate::fixture::{fixtures, json};

/// A file or folder of the recorded ones.
fn recorded(name: &str) -> PathBuf {
    fixtures().join("controlnet_union").join(name)
}

#[derive(Deserialize)]
struct Described {
    seed: u64,
    config: Map<String, Value>,
}

/// A model of `configs.json`.
fn net(name: &str) -> ControlNetUnionModel {
    let mut all: BTreeMap<String, Described> = json(&recorded("configs.json"));
    let Described { seed, config } = all.remove(name).unwrap_or_else(|| panic!("no {name}"));
    drawn(&Config::from_json(&Value::Object(config).to_string()).unwrap(), seed)
}

fn nets(names: &[&str]) -> ControlNetUnion {
    ControlNetUnion::of(names.iter().map(|name| net(name)).collect()).unwrap()
}

fn xl() -> StableDiffusionXLComponents {
    let folder = fixtures().join("stable_diffusion_xl/base");
    (*StableDiffusionXLPipeline::from_pretrained(folder.to_str().unwrap()).unwrap()).clone()
}

fn error<T>(result: oxidiff::Result<T>) -> String {
    match result {
        Ok(_) => panic!("should have failed"),
        Err(error) => error.to_string(),
    }
}

#[track_caller]
fn expect(refused: &str, words: &[&str]) {
    assert!(words.iter().all(|word| refused.contains(word)), "{refused}");
}
