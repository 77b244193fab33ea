//! Low-rank adapters in the layouts of several trainers.

use std::path::Path;

use oxidiff::{LoraLoader, LoraOptions, Lumina2Pipeline, Pipeline};

use super::{error, expect, latents, recorded, text_to_image};
use crate::fixture::{Recorded, assert_close};

const TOLERANCE: f32 = 1e-3;

fn with_lora(plain: &Lumina2Pipeline, file: &Path) -> oxidiff::Result<Lumina2Pipeline> {
    let mut pipeline = plain.clone();
    pipeline.set_progress_bar(false);
    let options = LoraOptions { adapter_name: Some("adapter".into()), ..Default::default() };
    pipeline.load_lora_weights(file.to_str().unwrap(), &options)?;
    Ok(pipeline)
}

/// kohya's file has the layers of ComfyUI's.
#[test]
fn adapters_change_the_transformer_as_in_python() {
    let expected = Recorded::open(&recorded("lora/outputs.safetensors"));
    let plain = text_to_image();
    let none = latents(&mut plain.clone());
    assert_close("none", none.clone(), expected.floats("none"), TOLERANCE);
    for (name, like) in [("diffusers", "diffusers"), ("comfy", "comfy"), ("kohya", "comfy")] {
        let mut pipeline = with_lora(&plain, &recorded(&format!("lora/{name}.safetensors"))).unwrap();
        let changed = latents(&mut pipeline);
        let scale = 1f32.max(changed.clone().abs().max().into_scalar());
        assert_close(name, changed / scale, expected.floats::<4>(like) / scale, TOLERANCE);
        pipeline.set_adapters(&[("adapter", 0.4)]).unwrap();
        let weaker = latents(&mut pipeline);
        let expected = expected.floats::<4>(&format!("{like}_04"));
        assert_close(&format!("{name} 0.4"), weaker / scale, expected / scale, TOLERANCE);
        pipeline.unload_lora_weights();
        assert_close("unloaded", latents(&mut pipeline), none.clone(), 0.0);
    }
    expect(&error(with_lora(&plain, &recorded("lora/outputs.safetensors"))), &["outputs.safetensors"]);
}
