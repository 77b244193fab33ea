//! Low-rank adapters in the layouts of several trainers.

use std::collections::BTreeMap;
use std::path::Path;

use oxidiff::{
    Generator, Images, LoraLoader, LoraOptions, OutputType, Pipeline, StableDiffusion3Pipeline,
    StableDiffusion3TextToImage, Tensor,
};

use super::loading::write;
use super::{error, expect, recorded, text_to_image};
use crate::fixture::gguf::{self, Plain};
use crate::fixture::{Recorded, assert_close};

const TOLERANCE: f32 = 1e-3;

fn latents(pipeline: &mut StableDiffusion3Pipeline) -> Tensor<4> {
    let arguments = StableDiffusion3TextToImage {
        height: Some(16),
        width: Some(48),
        num_inference_steps: 2,
        generator: Some(Generator::manual_seed(5).into()),
        output_type: OutputType::Latent,
        ..StableDiffusion3TextToImage::new("a red apple")
    };
    match pipeline.call(arguments).unwrap().images {
        Images::Latent(latents) => latents,
        _ => panic!("latents were asked for"),
    }
}

fn load(pipeline: &mut StableDiffusion3Pipeline, file: &Path) -> oxidiff::Result<()> {
    let options = LoraOptions { adapter_name: Some("one".into()), ..Default::default() };
    pipeline.load_lora_weights(file.to_str().unwrap(), &options).map(|_| ())
}

#[track_caller]
fn compare(name: &str, made: Tensor<4>) {
    let expected: Tensor<4> = Recorded::open(&recorded("lora/outputs.safetensors")).floats(name);
    let scale = 1f32.max(expected.clone().abs().max().into_scalar());
    assert_close(name, made / scale, expected / scale, TOLERANCE);
}

#[test]
fn adapters_change_the_transformer_and_two_text_encoders_as_in_python() {
    let mut pipeline = text_to_image();
    let none = latents(&mut pipeline);
    compare("none", none.clone());
    load(&mut pipeline, &recorded("lora/diffusers.safetensors")).unwrap();
    compare("one", latents(&mut pipeline));
    pipeline.set_adapters(&[("one", 0.4)]).unwrap();
    compare("one_04", latents(&mut pipeline));
    pipeline.unload_lora_weights();
    assert_close("unloaded", latents(&mut pipeline), none, 0.0);
}

/// The layers of the transformer as its authors name them: query, key and value share one matrix, and where nothing is gated, the shift
/// comes before the scale.
fn original(tensors: &BTreeMap<String, Plain>, is_kohya: bool) -> BTreeMap<String, Plain> {
    // As weights, each half of a pair takes part in the renaming of a transformer.
    let half = |end: &str| {
        let own = tensors.iter().filter_map(|(key, tensor)| {
            let module = key.strip_prefix("transformer.")?.strip_suffix(end)?;
            Some((format!("{module}.weight"), tensor.clone()))
        });
        let mut own: BTreeMap<String, Plain> = own.collect();
        // Which blocks change the text.
        for block in [0, 1] {
            let key = format!("transformer_blocks.{block}.ff_context.net.2.weight");
            own.entry(key).or_insert(Plain { shape: vec![0, 1], values: vec![] });
        }
        gguf::original_sd3(&own)
    };
    let mut out = BTreeMap::new();
    for (end, name) in [(".lora_A.weight", "lora_down"), (".lora_B.weight", "lora_up")] {
        for (key, mut tensor) in half(end) {
            if tensor.values.is_empty() {
                continue;
            }
            let module = key.strip_suffix(".weight").unwrap();
            if name == "lora_down" {
                // All three have the same one, and nothing to swap.
                let columns = tensor.shape[1];
                if module.contains("adaLN_modulation") {
                    let half = tensor.values.len() / 2;
                    let is_swapped = module.starts_with("final") || module.contains(".2.context_block");
                    tensor.values.rotate_left(if is_swapped { half } else { 0 });
                }
                tensor.values.truncate(2 * columns);
                tensor.shape[0] = 2;
            }
            let key = match is_kohya {
                true => format!("lora_unet_{}.{name}.weight", module.replace('.', "_")),
                false => format!("diffusion_model.{module}.{name}.weight"),
            };
            out.insert(key, tensor);
        }
    }
    out
}

#[test]
fn names_of_the_authors_are_understood() {
    let tensors = gguf::tensors(&recorded("lora/diffusers.safetensors"));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("lora.safetensors");
    for is_kohya in [true, false] {
        let renamed = original(&tensors, is_kohya);
        assert!(renamed.keys().any(|key| key.contains("qkv")));
        write(&renamed, &file);
        let mut pipeline = text_to_image();
        load(&mut pipeline, &file).unwrap();
        compare("transformer", latents(&mut pipeline));
    }
    // The names of diffusers in kohya's layout.
    let flat: BTreeMap<String, Plain> = tensors
        .iter()
        .filter_map(|(key, tensor)| {
            let (module, end) = key.strip_prefix("transformer.")?.split_once(".lora_")?;
            let name = if end.starts_with('A') { "lora_down" } else { "lora_up" };
            Some((format!("lora_unet_{}.{name}.weight", module.replace('.', "_")), tensor.clone()))
        })
        .collect();
    write(&flat, &file);
    let mut pipeline = text_to_image();
    load(&mut pipeline, &file).unwrap();
    compare("transformer", latents(&mut pipeline));
}

#[test]
fn adapters_of_other_models_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("lora.safetensors");
    let matrix = |shape: [usize; 2]| Plain { shape: shape.to_vec(), values: vec![0.0; shape[0] * shape[1]] };
    let refused = |keys: [(&str, [usize; 2]); 2]| {
        write(&keys.map(|(key, shape)| (key.to_owned(), matrix(shape))).into(), &file);
        error(load(&mut text_to_image(), &file))
    };
    let unet = refused([
        ("unet.down_blocks.0.to_q.lora_A.weight", [2, 24]),
        ("unet.down_blocks.0.to_q.lora_B.weight", [24, 2]),
    ]);
    expect(&unet, &["transformer", "no tensor belongs"]);
    let short = refused([
        ("transformer.transformer_blocks.0.attn.to_q.lora_A.weight", [2, 12]),
        ("transformer.transformer_blocks.0.attn.to_q.lora_B.weight", [16, 2]),
    ]);
    expect(&short, &["transformer_blocks.0.attn.to_q", "[16, 16]"]);
}
