//! Compares ControlNets and the pipelines with them with Python diffusers: residuals are at most 1e-4 apart, images 1e-3.

mod calls;
mod loading;
mod models;
mod pipelines;
mod refusals;
mod single_file;
mod stable_diffusion_xl;

use std::path::{Path, PathBuf};

use oxidiff::{
    ControlNetModel, Model, Pipeline, StableDiffusionComponents, StableDiffusionPipeline,
    UNet2DConditionModel,
};
use serde_json::{Map, Value};

use crate::fixture::{fixtures, json};

/// A file or folder of the recorded ones.
fn recorded(name: &str) -> PathBuf {
    fixtures().join("controlnet").join(name)
}

fn load<M: Model>(folder: &Path) -> M {
    M::from_pretrained(folder.to_str().unwrap()).unwrap()
}

/// The ControlNet of a folder with other values in its configuration: those of `VARIANTS` in the script.
fn variant(name: &str, variant: &str) -> ControlNetModel {
    let folder = tempfile::tempdir().unwrap();
    for file in ["config.json", "diffusion_pytorch_model.safetensors"] {
        std::fs::copy(recorded(name).join(file), folder.path().join(file)).unwrap();
    }
    match variant {
        "plain" => {}
        "bgr" => change(folder.path(), "controlnet_conditioning_channel_order", "bgr".into()),
        "pooled" => change(folder.path(), "global_pool_conditions", true.into()),
        other => panic!("{other}"),
    }
    load(folder.path())
}

/// Changes a field of the configuration in a folder.
fn change(folder: &Path, field: &str, value: Value) {
    let file = folder.join("config.json");
    let mut config: Map<String, Value> = json(&file);
    config.insert(field.to_owned(), value);
    std::fs::write(file, Value::Object(config).to_string()).unwrap();
}

/// The parts of sd1 with a UNet that the ControlNets were made for.
fn components() -> StableDiffusionComponents {
    let sd1 = fixtures().join("pipelines/sd1");
    let sd1 = StableDiffusionPipeline::from_pretrained(sd1.to_str().unwrap()).unwrap();
    let unet: UNet2DConditionModel = load(&recorded("unet"));
    StableDiffusionComponents { unet, ..(*sd1).clone() }
}

fn error<T>(result: oxidiff::Result<T>) -> String {
    match result {
        Ok(_) => panic!("should have failed"),
        Err(error) => error.to_string(),
    }
}
