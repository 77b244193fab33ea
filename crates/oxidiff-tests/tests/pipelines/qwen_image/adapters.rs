//! Low-rank adapters in the layouts of several trainers.

use std::path::Path;

use oxidiff::{
    Generator, Images, LoraLoader, LoraOptions, OutputType, Pipeline, QwenImagePipeline,
    QwenImageTextToImage, Tensor,
};

use super::{error, expect, recorded, text_to_image};
use crate::fixture::{Recorded, assert_close};

const TOLERANCE: f32 = 1e-3;

pub fn latents(pipeline: &mut QwenImagePipeline) -> Tensor<4> {
    let arguments = QwenImageTextToImage {
        height: Some(16),
        width: Some(48),
        num_inference_steps: 2,
        generator: Some(Generator::manual_seed(5).into()),
        output_type: OutputType::Latent,
        ..QwenImageTextToImage::new("a red apple")
    };
    match pipeline.call(arguments).unwrap().images {
        Images::Latent(latents) => latents,
        _ => panic!("latents were asked for"),
    }
}

fn with_lora(plain: &QwenImagePipeline, file: &Path) -> oxidiff::Result<QwenImagePipeline> {
    let mut pipeline = plain.clone();
    let options = LoraOptions { adapter_name: Some("adapter".into()), ..Default::default() };
    pipeline.load_lora_weights(file.to_str().unwrap(), &options)?;
    Ok(pipeline)
}

#[test]
fn adapters_change_the_transformer_as_in_python() {
    let expected = Recorded::open(&recorded("lora/outputs.safetensors"));
    let plain = text_to_image();
    let none = latents(&mut plain.clone());
    assert_close("none", none.clone(), expected.floats("none"), TOLERANCE);
    for name in ["diffusers", "peft", "kohya", "comfy", "comfy_peft"] {
        let mut pipeline = with_lora(&plain, &recorded(&format!("lora/{name}.safetensors"))).unwrap();
        let changed = latents(&mut pipeline);
        let scale = 1f32.max(changed.clone().abs().max().into_scalar());
        assert_close(name, changed / scale, expected.floats::<4>(name) / scale, TOLERANCE);
        pipeline.set_adapters(&[("adapter", 0.4)]).unwrap();
        let weaker_name = format!("{name}_04");
        let weaker = latents(&mut pipeline);
        assert_close(&weaker_name, weaker / scale, expected.floats::<4>(&weaker_name) / scale, TOLERANCE);
        pipeline.unload_lora_weights();
        assert_close("unloaded", latents(&mut pipeline), none.clone(), 0.0);
    }
}

#[test]
fn adapters_of_other_models_are_refused() {
    let flux = crate::fixture::fixtures().join("flux/lora/kohya.safetensors");
    expect(&error(with_lora(&text_to_image(), &flux)), &["transformer", "no tensor belongs"]);
}
