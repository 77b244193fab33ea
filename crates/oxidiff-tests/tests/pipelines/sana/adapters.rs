//! Low-rank adapters.

use std::path::Path;

use oxidiff::{LoraLoader, LoraOptions, Pipeline, SanaPipeline};

use super::{error, expect, latents, recorded, text_to_image};
use crate::fixture::{Recorded, assert_close};

const TOLERANCE: f32 = 1e-3;

fn with_lora(plain: &SanaPipeline, file: &Path) -> oxidiff::Result<SanaPipeline> {
    let mut pipeline = plain.clone();
    pipeline.set_progress_bar(false);
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
    let mut pipeline = with_lora(&plain, &recorded("lora/diffusers.safetensors")).unwrap();
    let changed = latents(&mut pipeline);
    let scale = 1f32.max(changed.clone().abs().max().into_scalar());
    assert_close("diffusers", changed / scale, expected.floats::<4>("diffusers") / scale, TOLERANCE);
    pipeline.set_adapters(&[("adapter", 0.4)]).unwrap();
    let weaker = latents(&mut pipeline);
    assert_close("diffusers_04", weaker / scale, expected.floats::<4>("diffusers_04") / scale, TOLERANCE);
    pipeline.unload_lora_weights();
    assert_close("unloaded", latents(&mut pipeline), none, 0.0);
}

#[test]
fn a_file_without_layers_is_refused() {
    let nothing_fits = recorded("lora/outputs.safetensors");
    expect(&error(with_lora(&text_to_image(), &nothing_fits)), &["outputs.safetensors"]);
}
