//! Z-Image against Python diffusers: its transformer, its text encoder, and its pipelines. Models are at most 1e-4 apart, results of
//! pipelines 1e-3.

mod adapters;
mod calls;
mod gguf;
mod loading;
mod models;
mod refusals;
mod tokenizer;

use std::path::{Path, PathBuf};

use crate::fixture::drawn::draw_weights;
use crate::fixture::fixtures;
use oxidiff::{AutoencoderKL, Config, Model, Pipeline, Qwen3Model, ZImagePipeline, ZImageTransformer2DModel};
use tempfile::TempDir;

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
    copy(&recorded("checkpoint"), folder.path());
    draw::<ZImageTransformer2DModel>("transformer", TRANSFORMER_SEED, folder.path());
    draw::<Qwen3Model>("text_encoder", TEXT_ENCODER_SEED, folder.path());
    draw::<AutoencoderKL>("vae", VAE_SEED, folder.path());
    folder
}

fn draw<M: Model>(part: &str, seed: u64, folder: &Path) {
    let part = folder.join(part);
    draw_weights::<M>(&Config::from_file(part.join("config.json")).unwrap(), seed, &part);
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        match entry.path().is_dir() {
            true => copy(&entry.path(), &target),
            false => {
                std::fs::copy(entry.path(), target).unwrap();
            }
        }
    }
}

fn text_to_image() -> ZImagePipeline {
    load::<ZImagePipeline>(checkpoint().path()).unwrap()
}

fn load<P: Pipeline>(folder: &Path) -> oxidiff::Result<P> {
    let mut pipeline = P::from_pretrained(folder.to_str().unwrap())?;
    pipeline.set_progress_bar(false);
    Ok(pipeline)
}

fn error<T>(result: oxidiff::Result<T>) -> String {
    match result {
        Ok(_) => panic!("should have failed"),
        Err(error) => error.to_string(),
    }
}

#[track_caller]
fn expect(refused: &str, words: &[&str]) {
    assert!(words.iter().all(|word| refused.contains(word)), "{refused}");
}
