//! A pipeline that is made from another one's parts has no second copy of the weights. The test has its own process,
//! because it measures the memory of the whole process.

#![cfg(target_os = "linux")]

mod fixture;

use fixture::repository;
use oxidiff::{
    Pipeline, StableDiffusionImg2ImgPipeline, StableDiffusionInpaintPipeline, StableDiffusionPipeline,
    TextToImage,
};

/// The memory that the process uses, in bytes.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 1024
}

#[test]
fn weights_are_shared() {
    let folder = repository().join("models/emoji-diffusion");
    let before = resident();
    let mut text_to_image = StableDiffusionPipeline::from_pretrained(folder.to_str().unwrap()).unwrap();
    let mut another = StableDiffusionPipeline::from_pipe(&text_to_image).unwrap();
    let arguments = || TextToImage { num_inference_steps: 1, ..TextToImage::new("a red apple") };
    // The first call converts the weights, which are stored in half precision.
    text_to_image.call(arguments()).unwrap();
    let weights = resident() - before;
    assert!(weights > 20 << 20, "the weights take only {weights} bytes");

    let loaded = resident();
    another.call(arguments()).unwrap();
    let more = resident().saturating_sub(loaded);
    assert!(more < weights / 2, "{more} bytes more for a call of another pipeline");

    let loaded = resident();
    let copies: Vec<_> = (0..50)
        .map(|_| {
            let image_to_image = StableDiffusionImg2ImgPipeline::from_pipe(&text_to_image).unwrap();
            let inpaint = StableDiffusionInpaintPipeline::from_pipe(&image_to_image).unwrap();
            (image_to_image, inpaint)
        })
        .collect();
    let more = resident().saturating_sub(loaded);
    println!("{} pipelines of {weights} bytes take {more} bytes more", 2 * copies.len());
    assert!(more < 2 * weights, "{more} bytes more for {} pipelines of {weights} bytes", 2 * copies.len());
}
