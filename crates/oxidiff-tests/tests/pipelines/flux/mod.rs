//! FLUX.1 against Python diffusers: its transformer, its ControlNet, and its pipelines. Models are at most 1e-4 apart, results of
//! pipelines 1e-3.

mod adapters;
mod calls;
mod gguf;
mod ip_adapters;
mod loading;
mod models;
mod redux;
mod refusals;

use std::path::{Path, PathBuf};

use oxidiff::{AutoencoderKL, CLIPTextModel, FluxPipeline, FluxTransformer2DModel, T5EncoderModel};
use tempfile::TempDir;

use crate::checkpoints::{copy_folder, draw_part, error, expect, load};
use crate::fixture::fixtures;

/// A file or folder of the recorded ones.
fn recorded(name: &str) -> PathBuf {
    fixtures().join("flux").join(name)
}

/// The seeds of the script.
const TRANSFORMER_SEED: u64 = 1;
const TEXT_ENCODER_SEED: u64 = 2;
const TEXT_ENCODER_2_SEED: u64 = 3;
const VAE_SEED: u64 = 4;

/// The tokenizers of other families, which the script uses, too.
fn copy_tokenizers(folder: &Path) {
    copy_folder(&fixtures().join("stable_diffusion_xl/base/tokenizer"), &folder.join("tokenizer"));
    copy_folder(&fixtures().join("t5/tokenizer"), &folder.join("tokenizer_2"));
}

/// The recorded checkpoint, with its weights and tokenizers.
fn checkpoint() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    copy_folder(&recorded("checkpoint"), folder.path());
    copy_tokenizers(folder.path());
    draw_part::<FluxTransformer2DModel>("transformer", TRANSFORMER_SEED, folder.path());
    draw_part::<CLIPTextModel>("text_encoder", TEXT_ENCODER_SEED, folder.path());
    draw_part::<T5EncoderModel>("text_encoder_2", TEXT_ENCODER_2_SEED, folder.path());
    draw_part::<AutoencoderKL>("vae", VAE_SEED, folder.path());
    folder
}

fn text_to_image() -> FluxPipeline {
    load::<FluxPipeline>(checkpoint().path()).unwrap()
}
