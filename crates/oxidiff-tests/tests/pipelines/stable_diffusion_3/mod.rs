//! Stable Diffusion 3 against Python diffusers: its transformer, its ControlNet, and its pipelines. Models are at most 1e-4 apart, results
//! of pipelines 1e-3.

mod adapters;
mod calls;
mod ip_adapters;
mod loading;
mod models;
mod perturbed;
mod refusals;

use std::path::PathBuf;

use oxidiff::{
    AutoencoderKL, CLIPTextModelWithProjection, SD3Transformer2DModel, StableDiffusion3Pipeline,
    T5EncoderModel,
};
use tempfile::TempDir;

use crate::checkpoints::{copy_folder, draw_part, error, expect, load};
use crate::fixture::fixtures;

/// A file or folder of the recorded ones.
fn recorded(name: &str) -> PathBuf {
    fixtures().join("stable_diffusion_3").join(name)
}

/// The recorded checkpoint, with its tokenizers and its weights, whose seeds are those of the script.
fn checkpoint() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    copy_folder(&recorded("checkpoint"), path);
    for tokenizer in ["tokenizer", "tokenizer_2"] {
        copy_folder(&fixtures().join("stable_diffusion_xl/base").join(tokenizer), &path.join(tokenizer));
    }
    copy_folder(&fixtures().join("t5/tokenizer"), &path.join("tokenizer_3"));
    draw_part::<SD3Transformer2DModel>("transformer", 1, path);
    draw_part::<CLIPTextModelWithProjection>("text_encoder", 2, path);
    draw_part::<CLIPTextModelWithProjection>("text_encoder_2", 3, path);
    draw_part::<T5EncoderModel>("text_encoder_3", 4, path);
    draw_part::<AutoencoderKL>("vae", 5, path);
    folder
}

fn text_to_image() -> StableDiffusion3Pipeline {
    load::<StableDiffusion3Pipeline>(checkpoint().path()).unwrap()
}
