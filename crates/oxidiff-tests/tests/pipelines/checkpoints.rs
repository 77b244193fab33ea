//! Checkpoints of transformers, whose weights are drawn, and what they refuse.

use std::path::Path;

use oxidiff::{Config, Model, Pipeline};

use crate::fixture::drawn_weights::draw_weights;

/// Draws the weights of a part of a checkpoint.
pub fn draw_part<M: Model>(part: &str, seed: u64, folder: &Path) {
    let part = folder.join(part);
    draw_weights::<M>(&Config::from_file(part.join("config.json")).unwrap(), seed, &part);
}

pub fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        match entry.path().is_dir() {
            true => copy_folder(&entry.path(), &target),
            false => {
                std::fs::copy(entry.path(), target).unwrap();
            }
        }
    }
}

pub fn load<P: Pipeline>(folder: &Path) -> oxidiff::Result<P> {
    let mut pipeline = P::from_pretrained(folder.to_str().unwrap())?;
    pipeline.set_progress_bar(false);
    Ok(pipeline)
}

/// Lets a model compute as on an NVIDIA card: what the engine plans is computed on the CPU.
#[cfg(feature = "cuda")]
pub fn place_on_card<M: oxidiff::Model>(model: &mut M) {
    model.place_on_card(&oxidiff::interpreter()).unwrap();
}

/// Copies of models that compute as on an NVIDIA card.
#[cfg(feature = "cuda")]
pub fn on_card<M: oxidiff::Model>(models: &[M]) -> Vec<M> {
    let mut models = models.to_vec();
    models.iter_mut().for_each(place_on_card);
    models
}

pub fn error<T>(result: oxidiff::Result<T>) -> String {
    match result {
        Ok(_) => panic!("should have failed"),
        Err(error) => error.to_string(),
    }
}

#[track_caller]
pub fn expect(refused: &str, words: &[&str]) {
    assert!(words.iter().all(|word| refused.contains(word)), "{refused}");
}
