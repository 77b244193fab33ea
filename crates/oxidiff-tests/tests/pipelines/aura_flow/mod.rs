//! AuraFlow against Python diffusers: its transformer, its text encoder and its pipeline. Models are at most 1e-4 apart, results of the
//! pipeline 1e-3.

mod calls;
mod loading;
mod models;
mod refusals;
mod tokens;

use std::path::PathBuf;

use oxidiff::{
    AuraFlowPipeline, AuraFlowTextToImage, AuraFlowTransformer2DModel, AutoencoderKL, Generator, Images,
    OutputType, Pipeline, Tensor, UMT5EncoderModel,
};
use tempfile::TempDir;

use crate::checkpoints::{copy_folder, draw_part, error, expect, load};
use crate::fixture::fixtures;

/// A file or folder of the recorded ones.
fn recorded(name: &str) -> PathBuf {
    fixtures().join("aura_flow").join(name)
}

/// The seeds of the script.
const TRANSFORMER_SEED: u64 = 1;
const TEXT_ENCODER_SEED: u64 = 2;
const VAE_SEED: u64 = 3;

/// The recorded checkpoint with its weights.
fn checkpoint() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    copy_folder(&recorded("checkpoint"), folder.path());
    draw_part::<AuraFlowTransformer2DModel>("transformer", TRANSFORMER_SEED, folder.path());
    draw_part::<UMT5EncoderModel>("text_encoder", TEXT_ENCODER_SEED, folder.path());
    draw_part::<AutoencoderKL>("vae", VAE_SEED, folder.path());
    folder
}

fn text_to_image() -> AuraFlowPipeline {
    load::<AuraFlowPipeline>(checkpoint().path()).unwrap()
}

/// The call for which the script records adapters.
fn short(prompt: &str) -> AuraFlowTextToImage {
    AuraFlowTextToImage {
        height: Some(48),
        width: Some(32),
        num_inference_steps: 1,
        max_sequence_length: 16,
        generator: Some(Generator::manual_seed(5).into()),
        output_type: OutputType::Latent,
        ..AuraFlowTextToImage::new(prompt)
    }
}

fn latents(pipeline: &mut AuraFlowPipeline) -> Tensor<4> {
    match pipeline.call(short("a red apple")).unwrap().images {
        Images::Latent(latents) => latents,
        _ => panic!("latents were asked for"),
    }
}
