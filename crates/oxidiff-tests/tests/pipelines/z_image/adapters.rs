//! Low-rank adapters in the layouts of several trainers.

use oxidiff::{
    Generator, Images, LoraLoader, LoraOptions, OutputType, Pipeline, Tensor, ZImagePipeline,
    ZImageTextToImage,
};

use super::{error, expect, recorded, text_to_image};
use crate::fixture::gguf::{Plain, tensors, write_safetensors};
use crate::fixture::{Recorded, assert_close, difference};

const TOLERANCE: f32 = 1e-3;

fn latents(pipeline: &mut ZImagePipeline) -> Tensor<4> {
    let arguments = ZImageTextToImage {
        height: Some(16),
        width: Some(48),
        num_inference_steps: 1,
        guidance_scale: 0.0,
        generator: Some(Generator::manual_seed(5).into()),
        output_type: OutputType::Latent,
        ..ZImageTextToImage::new("a red apple")
    };
    match pipeline.call(arguments).unwrap().images {
        Images::Latent(latents) => latents,
        _ => panic!("latents were asked for"),
    }
}

#[test]
fn adapters_change_the_transformer_as_in_python() {
    let expected = Recorded::open(&recorded("lora/outputs.safetensors"));
    let plain = text_to_image();
    let none = latents(&mut plain.clone());
    assert_close("none", none.clone(), expected.floats("none"), TOLERANCE);
    for name in ["diffusers", "prefixed", "default", "down_up", "kohya", "fused"] {
        let mut pipeline = plain.clone();
        let file = recorded(&format!("lora/{name}.safetensors"));
        let options = LoraOptions { adapter_name: Some(name.into()), ..Default::default() };
        pipeline.load_lora_weights(file.to_str().unwrap(), &options).unwrap();
        let changed = latents(&mut pipeline);
        let scale = 1f32.max(changed.clone().abs().max().into_scalar());
        assert_close(name, changed / scale, expected.floats::<4>(name) / scale, TOLERANCE);
        pipeline.set_adapters(&[(name, 0.4)]).unwrap();
        let weaker = latents(&mut pipeline);
        let weaker_name = format!("{name}_04");
        assert_close(&weaker_name, weaker / scale, expected.floats::<4>(&weaker_name) / scale, TOLERANCE);
        pipeline.unload_lora_weights();
        assert_close("unloaded", latents(&mut pipeline), none.clone(), 0.0);
    }
}

/// Layouts that differ from a recorded one by their names.
#[test]
fn names_of_other_trainers_are_known() {
    let plain = text_to_image();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("lora.safetensors");
    let changed = |file: &std::path::Path| {
        let mut pipeline = plain.clone();
        pipeline.load_lora_weights(file.to_str().unwrap(), &LoraOptions::default()).unwrap();
        latents(&mut pipeline)
    };
    let known = recorded("lora/diffusers.safetensors");
    let stored = tensors(&known);
    assert!(stored.keys().any(|key| key.contains(".attention.to_q.lora_A.weight")));
    let renamed = |rename: &dyn Fn(&str) -> String| {
        stored.iter().map(|(key, tensor)| (rename(key), tensor.clone())).collect()
    };
    let down_up = |key: &str| key.replace("lora_A", "lora.down").replace("lora_B", "lora.up");
    let dotted = renamed(&|key| {
        let key = down_up(key).replace("transformer.", "diffusion_model.");
        ["q", "k", "v"].into_iter().fold(key, |key, part| {
            key.replace(&format!(".attention.to_{part}."), &format!(".attention.to.{part}."))
        })
    });
    write_safetensors(&dotted, &file);
    assert_eq!(difference(changed(&file), changed(&known)), 0.0);
    // Without the name of a model, with an alpha that is each layer's rank.
    let mut bare: std::collections::BTreeMap<String, Plain> =
        renamed(&|key| key.trim_start_matches("transformer.").to_owned());
    for (key, down) in &stored {
        if let Some(module) = key.strip_suffix(".lora_A.weight") {
            let alpha = Plain { shape: Vec::new(), values: vec![down.shape[0] as f32] };
            bare.insert(format!("{}.alpha", module.trim_start_matches("transformer.")), alpha);
        }
    }
    write_safetensors(&bare, &file);
    assert_eq!(difference(changed(&file), changed(&known)), 0.0);
}

#[test]
fn adapters_of_other_models_are_refused() {
    let mut pipeline = text_to_image();
    let folder = tempfile::tempdir().unwrap();
    let mut load = |tensors: &[(&str, [usize; 2])]| {
        let file = folder.path().join("lora.safetensors");
        let data: Vec<(String, [usize; 2], Vec<u8>)> = tensors
            .iter()
            .map(|(key, shape)| ((*key).to_owned(), *shape, vec![0; 4 * shape[0] * shape[1]]))
            .collect();
        let views = data.iter().map(|(key, shape, data)| {
            (
                key.clone(),
                safetensors::tensor::TensorView::new(safetensors::Dtype::F32, shape.to_vec(), data).unwrap(),
            )
        });
        std::fs::write(&file, safetensors::serialize(views, None).unwrap()).unwrap();
        error(pipeline.load_lora_weights(file.to_str().unwrap(), &LoraOptions::default()))
    };
    let unet = [
        ("unet.down_blocks.0.to_q.lora_A.weight", [2, 24]),
        ("unet.down_blocks.0.to_q.lora_B.weight", [24, 2]),
    ];
    expect(&load(&unet), &["transformer", "no tensor belongs"]);
    let short = [
        ("transformer.layers.0.attention.to_q.lora_A.weight", [2, 20]),
        ("transformer.layers.0.attention.to_q.lora_B.weight", [24, 2]),
    ];
    expect(&load(&short), &["layers.0.attention.to_q", "[24, 24]"]);
    let fused = [
        ("diffusion_model.layers.0.attention.qkv.lora_A.weight", [2, 24]),
        ("diffusion_model.layers.0.attention.qkv.lora_B.weight", [48, 2]),
    ];
    expect(&load(&fused), &["layers.0.attention.qkv", "rows"]);
    let alone = [("transformer.layers.0.attention.to_q.lora_A.weight", [2, 24])];
    expect(&load(&alone), &["up (B) matrix"]);
}
