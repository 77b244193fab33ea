//! Chroma against Python diffusers: its transformer and its pipelines. Models are at most 1e-4 apart, results of pipelines 1e-3.

mod adapters;
mod calls;
mod loading;
mod models;
mod refusals;

use std::path::PathBuf;

use oxidiff::{
    AutoencoderKL, ChromaPipeline, ChromaTextToImage, ChromaTransformer2DModel, Generator, Images,
    OutputType, Pipeline, T5EncoderModel, Tensor,
};
use tempfile::TempDir;

use crate::checkpoints::{copy_folder, draw_part, error, expect, load};
use crate::fixture::fixtures;

/// A file or folder of the recorded ones.
fn recorded(name: &str) -> PathBuf {
    fixtures().join("chroma").join(name)
}

/// The seeds of the script.
const TRANSFORMER_SEED: u64 = 1;
const TEXT_ENCODER_SEED: u64 = 2;
const VAE_SEED: u64 = 3;

/// The recorded checkpoint, with its weights and the tokenizer of T5.
fn checkpoint() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    copy_folder(&recorded("checkpoint"), folder.path());
    copy_folder(&fixtures().join("t5/tokenizer"), &folder.path().join("tokenizer"));
    draw_part::<ChromaTransformer2DModel>("transformer", TRANSFORMER_SEED, folder.path());
    draw_part::<T5EncoderModel>("text_encoder", TEXT_ENCODER_SEED, folder.path());
    draw_part::<AutoencoderKL>("vae", VAE_SEED, folder.path());
    folder
}

fn text_to_image() -> ChromaPipeline {
    load::<ChromaPipeline>(checkpoint().path()).unwrap()
}

/// The latents of the call for which the script records adapters.
fn latents(pipeline: &mut ChromaPipeline) -> Tensor<4> {
    let arguments = ChromaTextToImage {
        height: Some(16),
        width: Some(48),
        num_inference_steps: 1,
        max_sequence_length: 16,
        generator: Some(Generator::manual_seed(5).into()),
        output_type: OutputType::Latent,
        ..ChromaTextToImage::new("a red apple")
    };
    match pipeline.call(arguments).unwrap().images {
        Images::Latent(latents) => latents,
        _ => panic!("latents were asked for"),
    }
}
