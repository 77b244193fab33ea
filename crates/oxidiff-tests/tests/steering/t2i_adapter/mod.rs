//! Compares T2I-Adapters and the pipelines with them with Python diffusers: features are at most 1e-4 apart, images 1e-3.

mod loading;
mod models;
mod pipelines;
mod refusals;

use std::collections::BTreeMap;
use std::path::PathBuf;

use oxidiff::{
    Config, Model, Pipeline, StableDiffusionComponents, StableDiffusionPipeline, StableDiffusionXLComponents,
    StableDiffusionXLPipeline, T2IAdapter,
};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::fixture::drawn::drawn;
use crate::fixture::{fixtures, json};

/// A file or folder of the recorded ones.
fn recorded(name: &str) -> PathBuf {
    fixtures().join("t2i_adapter").join(name)
}

#[derive(Deserialize)]
struct Described {
    seed: u64,
    config: Map<String, Value>,
}

/// A model of `configs.json`.
fn described<M: Model>(name: &str) -> M {
    let mut all: BTreeMap<String, Described> = json(&recorded("configs.json"));
    let Described { seed, config } = all.remove(name).unwrap_or_else(|| panic!("no {name}"));
    let config = Config::from_json(&Value::Object(config).to_string()).unwrap();
    drawn(&config, seed)
}

/// The adapter of a folder, or one whose weights are drawn.
fn adapter(name: &str) -> T2IAdapter {
    let folder = recorded(name);
    if folder.is_dir() {
        T2IAdapter::from_pretrained(folder.to_str().unwrap()).unwrap()
    } else {
        described(name)
    }
}

fn sd1() -> StableDiffusionComponents {
    let folder = fixtures().join("pipelines/sd1");
    (*StableDiffusionPipeline::from_pretrained(folder.to_str().unwrap()).unwrap()).clone()
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
