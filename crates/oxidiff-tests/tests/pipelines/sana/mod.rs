//! Sana and SANA-Sprint against Python diffusers: the models and the pipelines. Models are at most 1e-4 apart, results of pipelines 1e-3.

mod adapters;
mod autoencoder;
mod calls;
mod loading;
mod models;
mod perturbed;
mod refusals;

use std::collections::BTreeMap;
use std::path::PathBuf;

use oxidiff::{
    AutoencoderDC, Config, Gemma2Model, Generator, Images, Model, OutputType, Pipeline, SanaControlNetModel,
    SanaPipeline, SanaTextToImage, SanaTransformer2DModel, Tensor,
};
use serde::Deserialize;
use serde_json::{Map, Value};
use tempfile::TempDir;

use crate::checkpoints::{copy_folder, draw_part, error, expect, load};
use crate::fixture::drawn::drawn;
use crate::fixture::{fixtures, json};

/// A file or folder of the recorded ones.
fn recorded(name: &str) -> PathBuf {
    fixtures().join("sana").join(name)
}

/// The seeds of the script.
const TRANSFORMER_SEED: u64 = 1;
const TEXT_ENCODER_SEED: u64 = 2;
const VAE_SEED: u64 = 3;
const CONTROLNET_SEED: u64 = 4;

/// The recorded checkpoint, with its weights and the tokenizer of Gemma.
fn checkpoint() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    copy_folder(&recorded("checkpoint"), folder.path());
    copy_folder(&fixtures().join("gemma2/tokenizer"), &folder.path().join("tokenizer"));
    draw_part::<SanaTransformer2DModel>("transformer", TRANSFORMER_SEED, folder.path());
    draw_part::<Gemma2Model>("text_encoder", TEXT_ENCODER_SEED, folder.path());
    draw_part::<AutoencoderDC>("vae", VAE_SEED, folder.path());
    folder
}

fn text_to_image() -> SanaPipeline {
    load::<SanaPipeline>(checkpoint().path()).unwrap()
}

/// The ControlNet of the script's calls.
fn controlnet() -> SanaControlNetModel {
    drawn(&Config::from_file(recorded("controlnet/config.json")).unwrap(), CONTROLNET_SEED)
}

#[derive(Deserialize)]
struct Described {
    seed: u64,
    config: Map<String, Value>,
}

/// A model of `models.json`.
fn model<M: Model>(name: &str) -> M {
    let mut all: BTreeMap<String, Described> = json(&recorded("models.json"));
    let Described { seed, config } = all.remove(name).unwrap();
    drawn(&Config::from_json(&Value::Object(config).to_string()).unwrap(), seed)
}

/// The arguments of the call for which the script records adapters.
fn short() -> SanaTextToImage {
    SanaTextToImage {
        height: 128,
        width: 96,
        num_inference_steps: 1,
        max_sequence_length: 16,
        complex_human_instruction: vec!["Given a user prompt, a table".into(), "User Prompt: ".into()],
        use_resolution_binning: false,
        generator: Some(Generator::manual_seed(5).into()),
        output_type: OutputType::Latent,
        ..SanaTextToImage::new("a red apple")
    }
}

/// The latents of that call.
fn latents(pipeline: &mut SanaPipeline) -> Tensor<4> {
    match pipeline.call(short()).unwrap().images {
        Images::Latent(latents) => latents,
        _ => panic!("latents were asked for"),
    }
}
