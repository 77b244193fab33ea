//! Z-Image against Python diffusers: its transformer, its text encoder, and its pipelines. Models are at most 1e-4 apart, results of
//! pipelines 1e-3.

mod adapters;
mod calls;
mod gguf;
mod loading;
mod models;
mod omni;
mod omni_models;
mod refusals;
mod siglip2;
mod tokenizer;

use std::path::PathBuf;

use oxidiff::{AutoencoderKL, Qwen3Model, ZImagePipeline, ZImageTransformer2DModel};
use tempfile::TempDir;

use crate::checkpoints::{copy_folder, draw_part, error, expect, load};
use crate::fixture::fixtures;

/// A file or folder of the recorded ones.
fn recorded(name: &str) -> PathBuf {
    fixtures().join("z_image").join(name)
}

/// The seeds of the script.
const TRANSFORMER_SEED: u64 = 1;
const TEXT_ENCODER_SEED: u64 = 2;
const VAE_SEED: u64 = 3;

/// The recorded checkpoint, with its weights.
fn checkpoint() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    copy_folder(&recorded("checkpoint"), folder.path());
    draw_part::<ZImageTransformer2DModel>("transformer", TRANSFORMER_SEED, folder.path());
    draw_part::<Qwen3Model>("text_encoder", TEXT_ENCODER_SEED, folder.path());
    draw_part::<AutoencoderKL>("vae", VAE_SEED, folder.path());
    folder
}

fn text_to_image() -> ZImagePipeline {
    load::<ZImagePipeline>(checkpoint().path()).unwrap()
}
