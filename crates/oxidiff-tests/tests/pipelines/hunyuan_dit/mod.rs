//! HunyuanDiT against Python diffusers: its text encoder and tokenizer, its transformer, its ControlNet and its pipelines. Models are at
//! most 1e-4 apart, results of pipelines 1e-3.

mod calls;
mod loading;
mod models;
mod refusals;
mod texts;

use std::collections::BTreeMap;
use std::path::PathBuf;

use oxidiff::{
    AutoencoderKL, BertModel, Config, Generator, HunyuanDiT2DControlNetModel, HunyuanDiT2DModel,
    HunyuanDiTPipeline, HunyuanDiTTextToImage, Images, Model, OutputType, Pipeline, T5EncoderModel, Tensor,
};
use serde::Deserialize;
use serde_json::{Map, Value};
use tempfile::TempDir;

use crate::checkpoints::{copy_folder, draw_part, error, expect, load};
use crate::fixture::drawn::drawn;
use crate::fixture::{fixtures, json};

/// A file or folder of the recorded ones.
fn recorded(name: &str) -> PathBuf {
    fixtures().join("hunyuan_dit").join(name)
}

/// The seeds of the script.
const TRANSFORMER_SEED: u64 = 1;
const TEXT_ENCODER_SEED: u64 = 2;
const TEXT_ENCODER_2_SEED: u64 = 3;
const VAE_SEED: u64 = 4;

/// The recorded checkpoint, with its weights and the pieces of T5.
fn checkpoint() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    copy_folder(&recorded("checkpoint"), folder.path());
    let pieces = fixtures().join("t5/tokenizer/spiece.model");
    std::fs::copy(pieces, folder.path().join("tokenizer_2/spiece.model")).unwrap();
    draw_part::<HunyuanDiT2DModel>("transformer", TRANSFORMER_SEED, folder.path());
    draw_part::<BertModel>("text_encoder", TEXT_ENCODER_SEED, folder.path());
    draw_part::<T5EncoderModel>("text_encoder_2", TEXT_ENCODER_2_SEED, folder.path());
    draw_part::<AutoencoderKL>("vae", VAE_SEED, folder.path());
    folder
}

fn text_to_image() -> HunyuanDiTPipeline {
    load(checkpoint().path()).unwrap()
}

/// The seed and the configuration of a recorded model.
fn described(name: &str) -> (u64, Map<String, Value>) {
    #[derive(Deserialize)]
    struct Described {
        seed: u64,
        config: Map<String, Value>,
    }
    let mut all: BTreeMap<String, Described> = json(&recorded("models.json"));
    let Described { seed, config } = all.remove(name).unwrap();
    (seed, config)
}

/// A model of `models.json`.
fn model<M: Model>(name: &str) -> M {
    let (seed, config) = described(name);
    drawn(&Config::from_json(&Value::Object(config).to_string()).unwrap(), seed)
}

fn transformer(name: &str) -> HunyuanDiT2DModel {
    model(&format!("transformer.{name}"))
}

fn controlnet(name: &str) -> HunyuanDiT2DControlNetModel {
    model(&format!("controlnet.{name}"))
}

/// The arguments of a short call.
fn short_call() -> HunyuanDiTTextToImage {
    HunyuanDiTTextToImage {
        height: Some(16),
        width: Some(48),
        num_inference_steps: 1,
        generator: Some(Generator::manual_seed(5).into()),
        output_type: OutputType::Latent,
        use_resolution_binning: false,
        ..HunyuanDiTTextToImage::new("a red apple")
    }
}

/// The latents of a short call.
fn latents(pipeline: &mut HunyuanDiTPipeline) -> Tensor<4> {
    match pipeline.call(short_call()).unwrap().images {
        Images::Latent(latents) => latents,
        _ => panic!("latents were asked for"),
    }
}
