//! Qwen-Image against Python diffusers: its transformer, its ControlNet, and its pipelines. Models are at most 1e-4 apart, results of
//! pipelines 1e-3.

mod adapters;
mod calls;
mod editing;
mod gguf;
mod layered;
mod loading;
mod models;
mod refusals;

use std::path::PathBuf;

use oxidiff::{
    AutoencoderKLQwenImage, Qwen2_5_VLForConditionalGeneration, QwenImagePipeline,
    QwenImageTransformer2DModel,
};
use tempfile::TempDir;

use crate::checkpoints::{copy_folder, draw_part, error, expect, load};
use crate::fixture::fixtures;

/// A file or folder of the recorded ones.
fn recorded(name: &str) -> PathBuf {
    fixtures().join("qwen_image").join(name)
}

/// The seeds of the script.
const TRANSFORMER_SEED: u64 = 1;
const TEXT_ENCODER_SEED: u64 = 2;
const VAE_SEED: u64 = 3;

/// The recorded checkpoint, with its weights.
fn checkpoint() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    copy_folder(&recorded("checkpoint"), folder.path());
    draw_part::<QwenImageTransformer2DModel>("transformer", TRANSFORMER_SEED, folder.path());
    draw_part::<Qwen2_5_VLForConditionalGeneration>("text_encoder", TEXT_ENCODER_SEED, folder.path());
    draw_part::<AutoencoderKLQwenImage>("vae", VAE_SEED, folder.path());
    folder
}

/// The recorded checkpoint of a pipeline that edits, with its weights.
fn editing_checkpoint() -> TempDir {
    let folder = checkpoint();
    copy_folder(&recorded("editing"), folder.path());
    copy_folder(&recorded("checkpoint/tokenizer"), &folder.path().join("processor"));
    folder
}

fn text_to_image() -> QwenImagePipeline {
    load::<QwenImagePipeline>(checkpoint().path()).unwrap()
}
