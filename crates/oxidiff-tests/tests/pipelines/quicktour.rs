//! The sections of the quicktour in `examples/quicktour`, on small models.

#[path = "../../../oxidiff/examples/quicktour/denoising_loop.rs"]
mod denoising_loop;
#[path = "../../../oxidiff/examples/quicktour/models.rs"]
mod models;
#[path = "../../../oxidiff/examples/quicktour/pipeline.rs"]
mod pipeline;
#[path = "../../../oxidiff/examples/quicktour/schedulers.rs"]
mod schedulers;
#[path = "../../../oxidiff/examples/quicktour/swapping_schedulers.rs"]
mod swapping_schedulers;

use std::path::Path;

use oxidiff::{
    DDPMPipeline, DType, Device, Generator, Generators, OutputType, Pipeline, Tensor, Unconditional,
};
use tempfile::TempDir;

use crate::fixture::{assert_close, beside_the_index, difference, fixtures, repository};

/// A small pipeline with its model and scheduler next to the index, like `google/ddpm-cat-256`.
fn small_ddpm() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    beside_the_index(&fixtures().join("unconditional/pipelines/ddpm"), folder.path());
    folder
}

fn emoji() -> String {
    repository().join("models/emoji-diffusion").to_str().unwrap().to_owned()
}

fn files(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_pipeline_makes_an_image() {
    let output = tempfile::tempdir().unwrap();
    pipeline::run(&emoji(), output.path()).unwrap();
    let image = oxidiff::image::open(output.path().join("image_of_squirrel_painting.png")).unwrap();
    assert_eq!((image.width(), image.height()), (128, 128));
}

#[test]
fn swapped_schedulers_make_other_images_of_the_same_subject() {
    let output = tempfile::tempdir().unwrap();
    swapping_schedulers::run(&emoji(), output.path()).unwrap();
    assert_eq!(files(output.path()), ["euler_discrete.png", "own_scheduler.png"]);
    let bytes = |name| std::fs::read(output.path().join(name)).unwrap();
    assert_ne!(bytes("euler_discrete.png"), bytes("own_scheduler.png"));
}

#[test]
fn a_model_predicts_noise_and_a_scheduler_removes_it() {
    let folder = small_ddpm();
    let path = folder.path().to_str().unwrap();
    let [noisy, residual] = models::run(path).unwrap();
    assert_eq!(residual.dims(), [1, 3, 8, 8]);
    assert!(difference(noisy.clone(), residual) > 0.1);
    let less_noisy = schedulers::run(path).unwrap();
    assert_eq!(less_noisy.dims(), noisy.dims());
    let largest = |sample: Tensor<4>| sample.abs().max().into_scalar::<f32>();
    let (after, before) = (largest(less_noisy), largest(noisy));
    assert!(after < before && after > 0.5, "{before} to {after}");
}

#[test]
fn the_loop_by_hand_makes_the_image_of_the_pipeline() {
    let folder = small_ddpm();
    let path = folder.path().to_str().unwrap();
    let output = tempfile::tempdir().unwrap();
    let by_hand: Tensor<4> = denoising_loop::run(path, output.path()).unwrap();
    let expected: Vec<String> = (1..=20).map(|step| format!("step_{:04}.png", 50 * step)).collect();
    assert_eq!(files(output.path()), expected);

    let mut pipeline = DDPMPipeline::from_pretrained(path).unwrap();
    pipeline.set_progress_bar(false);
    let arguments = Unconditional {
        generator: Some(Generator::manual_seed(0).into()),
        output_type: OutputType::Array,
        ..Default::default()
    };
    let made = pipeline.call(arguments).unwrap().images.into_tensor().unwrap();
    let values = (by_hand * 0.5 + 0.5).clamp(0.0, 1.0).permute([0, 2, 3, 1]);
    assert_close("by hand", values, made, 0.0);
    // It started from this noise.
    let noise = Generators::One(Generator::manual_seed(0)).randn([1, 3, 8, 8], DType::F32, &Device::flex());
    assert_close("noise", models::run(path).unwrap()[0].clone(), noise.unwrap(), 0.0);
}
