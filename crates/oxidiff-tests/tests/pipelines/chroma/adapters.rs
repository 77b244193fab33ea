//! Low-rank adapters in the layouts of several trainers.

use std::path::Path;

use oxidiff::{ChromaPipeline, LoraLoader, LoraOptions, Pipeline};

use super::{checkpoint, error, expect, latents, load, recorded, text_to_image};
use crate::fixture::{Recorded, assert_close};

const TOLERANCE: f32 = 1e-3;

fn with_lora(plain: &ChromaPipeline, file: &Path) -> oxidiff::Result<ChromaPipeline> {
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
    for name in ["diffusers", "kohya", "comfy"] {
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

/// Layers that FLUX.1 has and Chroma has not are left out, with a warning, as in Python.
#[test]
fn of_an_adapter_for_another_model_what_fits_counts() {
    let folder = checkpoint();
    let plain = load::<ChromaPipeline>(folder.path()).unwrap();
    let file = recorded("../flux/lora/diffusers.safetensors");
    let mut changed = with_lora(&plain, &file).unwrap();
    let difference = (latents(&mut changed) - latents(&mut plain.clone())).abs().max();
    assert!(difference.into_scalar::<f32>() > 0.0);
    let nothing_fits = recorded("lora/outputs.safetensors");
    expect(&error(with_lora(&plain, &nothing_fits)), &["outputs.safetensors"]);
}
