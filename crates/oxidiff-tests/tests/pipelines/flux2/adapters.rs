//! Low-rank adapters in the layouts of several trainers.

use std::path::Path;

use oxidiff::{
    Flux2KleinPipeline, Flux2KleinTextToImage, Generator, Images, LoraLoader, LoraOptions, OutputType,
    Pipeline, Tensor,
};
use safetensors::tensor::TensorView;

use super::{error, expect, klein, recorded};
use crate::fixture::{Recorded, assert_close, difference};

const TOLERANCE: f32 = 1e-3;

pub fn latents(pipeline: &mut Flux2KleinPipeline) -> Tensor<4> {
    let arguments = Flux2KleinTextToImage {
        height: Some(16),
        width: Some(48),
        num_inference_steps: 1,
        guidance_scale: 1.0,
        generator: Some(Generator::manual_seed(5).into()),
        output_type: OutputType::Latent,
        ..Flux2KleinTextToImage::new("a red apple")
    };
    match pipeline.call(arguments).unwrap().images {
        Images::Latent(latents) => latents,
        _ => panic!("latents were asked for"),
    }
}

fn with_lora(plain: &Flux2KleinPipeline, file: &Path) -> oxidiff::Result<Flux2KleinPipeline> {
    let mut pipeline = plain.clone();
    let options = LoraOptions { adapter_name: Some("adapter".into()), ..Default::default() };
    pipeline.load_lora_weights(file.to_str().unwrap(), &options)?;
    Ok(pipeline)
}

#[test]
fn adapters_change_the_transformer_as_in_python() {
    let expected = Recorded::open(&recorded("lora/outputs.safetensors"));
    let plain = klein();
    let none = latents(&mut plain.clone());
    assert_close("none", none.clone(), expected.floats("none"), TOLERANCE);
    for name in ["diffusers", "peft", "renamed", "original", "kohya"] {
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

/// Writes matrices of a LoRA.
fn write(file: &Path, tensors: &[(&str, [usize; 2], Vec<f32>)]) {
    let data: Vec<Vec<u8>> = tensors
        .iter()
        .map(|(_, _, values)| values.iter().flat_map(|value| value.to_le_bytes()).collect())
        .collect();
    let views = tensors.iter().zip(&data).map(|((key, shape, _), data)| {
        ((*key).to_owned(), TensorView::new(safetensors::Dtype::F32, shape.to_vec(), data).unwrap())
    });
    std::fs::write(file, safetensors::serialize(views, None).unwrap()).unwrap();
}

#[test]
fn shift_and_scale_of_the_last_layer_change_places() {
    let folder = tempfile::tempdir().unwrap();
    let (theirs, ours) = (folder.path().join("theirs.safetensors"), folder.path().join("ours.safetensors"));
    let down = || (0..32).map(|index| (index % 5) as f32 - 1.5).collect::<Vec<f32>>();
    let shift = || (0..32).map(|index| (index % 7) as f32 - 2.5);
    let scale = || (0..32).map(|index| (index % 3) as f32 - 0.5);
    let original = "diffusion_model.final_layer.adaLN_modulation.1";
    write(
        &theirs,
        &[
            (&format!("{original}.lora_A.weight"), [1, 32], down()),
            (&format!("{original}.lora_B.weight"), [64, 1], shift().chain(scale()).collect()),
        ],
    );
    let diffusers = "transformer.norm_out.linear";
    write(
        &ours,
        &[
            (&format!("{diffusers}.lora_A.weight"), [1, 32], down()),
            (&format!("{diffusers}.lora_B.weight"), [64, 1], scale().chain(shift()).collect()),
        ],
    );
    let plain = klein();
    let changed = latents(&mut with_lora(&plain, &theirs).unwrap());
    assert_eq!(difference(changed.clone(), latents(&mut with_lora(&plain, &ours).unwrap())), 0.0);
    assert!(difference(changed, latents(&mut plain.clone())) > 0.02);
}

#[test]
fn adapters_of_other_models_are_refused() {
    let plain = klein();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("lora.safetensors");
    let load = |tensors: &[(&str, [usize; 2])]| {
        let zeros = |shape: &[usize; 2]| vec![0.0; shape[0] * shape[1]];
        let tensors: Vec<_> = tensors.iter().map(|(key, shape)| (*key, *shape, zeros(shape))).collect();
        write(&file, &tensors);
        error(with_lora(&plain, &file))
    };
    let unet =
        [("unet.mid_block.to_q.lora_A.weight", [2, 24]), ("unet.mid_block.to_q.lora_B.weight", [24, 2])];
    expect(&load(&unet), &["transformer", "no tensor belongs"]);
    let short = [
        ("diffusion_model.double_blocks.0.img_mlp.0.lora_A.weight", [2, 20]),
        ("diffusion_model.double_blocks.0.img_mlp.0.lora_B.weight", [192, 2]),
    ];
    expect(&load(&short), &["transformer_blocks.0.ff.linear_in", "[192, 32]"]);
    let fused = [
        ("diffusion_model.double_blocks.0.txt_attn.qkv.lora_A.weight", [2, 32]),
        ("diffusion_model.double_blocks.0.txt_attn.qkv.lora_B.weight", [64, 2]),
    ];
    expect(&load(&fused), &["transformer_blocks.0.attn.added_qkv", "rows"]);
    let alone = [("transformer.x_embedder.lora_A.weight", [2, 16])];
    expect(&load(&alone), &["up (B) matrix"]);
}
