//! Lumina 2 against Python diffusers: its transformer and its pipeline. Models are at most 1e-4 apart, results of pipelines 1e-3.

mod adapters;
mod calls;
mod loading;
mod models;
mod refusals;

use std::path::PathBuf;

use oxidiff::{
    AutoencoderKL, Gemma2Model, Generator, Images, Lumina2Pipeline, Lumina2TextToImage,
    Lumina2Transformer2DModel, OutputType, Pipeline, Tensor,
};
use tempfile::TempDir;

use crate::checkpoints::{copy_folder, draw_part, error, expect, load};
use crate::fixture::fixtures;

/// A file or folder of the recorded ones.
fn recorded(name: &str) -> PathBuf {
    fixtures().join("lumina2").join(name)
}

/// The seeds of the script.
const TRANSFORMER_SEED: u64 = 1;
const TEXT_ENCODER_SEED: u64 = 2;
const VAE_SEED: u64 = 3;

/// The recorded checkpoint, with its weights and the tokenizer of Gemma 2.
fn checkpoint() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    copy_folder(&recorded("checkpoint"), folder.path());
    copy_folder(&fixtures().join("gemma2/tokenizer"), &folder.path().join("tokenizer"));
    draw_part::<Lumina2Transformer2DModel>("transformer", TRANSFORMER_SEED, folder.path());
    draw_part::<Gemma2Model>("text_encoder", TEXT_ENCODER_SEED, folder.path());
    draw_part::<AutoencoderKL>("vae", VAE_SEED, folder.path());
    folder
}

fn text_to_image() -> Lumina2Pipeline {
    load::<Lumina2Pipeline>(checkpoint().path()).unwrap()
}

/// The call for which the script records adapters.
fn call() -> Lumina2TextToImage {
    Lumina2TextToImage {
        height: Some(16),
        width: Some(48),
        num_inference_steps: 1,
        generator: Some(Generator::manual_seed(5).into()),
        output_type: OutputType::Latent,
        ..Lumina2TextToImage::new("a red apple")
    }
}

fn latents_of(pipeline: &mut Lumina2Pipeline, call: Lumina2TextToImage) -> Tensor<4> {
    match pipeline.call(call).unwrap().images {
        Images::Latent(latents) => latents,
        _ => panic!("latents were asked for"),
    }
}

/// The latents of that call.
fn latents(pipeline: &mut Lumina2Pipeline) -> Tensor<4> {
    latents_of(pipeline, call())
}
