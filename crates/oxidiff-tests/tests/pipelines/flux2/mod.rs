//! FLUX.2 and FLUX.2 klein against Python diffusers: transformer, autoencoder, text encoder, and pipelines. Models are at most 1e-4 apart, results
//! of pipelines 1e-3.

mod adapters;
mod calls;
mod dev;
mod gguf;
mod loading;
mod mistral;
mod models;
mod refusals;

use std::path::PathBuf;

use oxidiff::{AutoencoderKLFlux2, Flux2KleinPipeline, Flux2Transformer2DModel, Qwen3Model};
use tempfile::TempDir;

use crate::checkpoints::{copy_folder, draw_part, error, expect, load};
use crate::fixture::fixtures;

/// A file or folder of the recorded ones.
fn recorded(name: &str) -> PathBuf {
    fixtures().join("flux2").join(name)
}

/// A file or folder of those of FLUX.2-dev.
fn recorded_of_dev(name: &str) -> PathBuf {
    fixtures().join("flux2_dev").join(name)
}

/// The seeds of the scripts.
const TRANSFORMER_SEED: u64 = 1;
const TEXT_ENCODER_SEED: u64 = 2;
const VAE_SEED: u64 = 3;

/// The recorded checkpoint, with its weights, and with the tokenizer of the other family that reads prompts in the same way.
fn checkpoint() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    copy_folder(&recorded("checkpoint"), folder.path());
    copy_folder(&fixtures().join("z_image/checkpoint/tokenizer"), &folder.path().join("tokenizer"));
    draw_part::<Flux2Transformer2DModel>("transformer", TRANSFORMER_SEED, folder.path());
    draw_part::<Qwen3Model>("text_encoder", TEXT_ENCODER_SEED, folder.path());
    draw_part::<AutoencoderKLFlux2>("vae", VAE_SEED, folder.path());
    folder
}

fn klein() -> Flux2KleinPipeline {
    load::<Flux2KleinPipeline>(checkpoint().path()).unwrap()
}
