//! Low-rank adapters in the layouts of several trainers.

use std::path::Path;

use oxidiff::{
    FluxPipeline, FluxTextToImage, Generator, Images, LoraLoader, LoraOptions, Model, OutputType, Pipeline,
    Tensor,
};
use safetensors::tensor::TensorView;

use super::{error, expect, recorded, text_to_image};
use crate::fixture::gguf::{Plain, tensors, write_safetensors};
use crate::fixture::{Recorded, assert_close, difference};

const TOLERANCE: f32 = 1e-3;

pub fn latents(pipeline: &mut FluxPipeline) -> Tensor<4> {
    let arguments = FluxTextToImage {
        height: Some(16),
        width: Some(48),
        num_inference_steps: 1,
        max_sequence_length: 16,
        generator: Some(Generator::manual_seed(5).into()),
        output_type: OutputType::Latent,
        ..FluxTextToImage::new("a red apple")
    };
    match pipeline.call(arguments).unwrap().images {
        Images::Latent(latents) => latents,
        _ => panic!("latents were asked for"),
    }
}

fn with_lora(plain: &FluxPipeline, file: &Path) -> oxidiff::Result<FluxPipeline> {
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
    for name in ["diffusers", "kohya", "comfy", "xlabs"] {
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
fn write(file: &Path, tensors: &[(String, [usize; 2], Vec<f32>)]) {
    let data: Vec<Vec<u8>> = tensors
        .iter()
        .map(|(_, _, values)| values.iter().flat_map(|value| value.to_le_bytes()).collect())
        .collect();
    let views = tensors.iter().zip(&data).map(|((key, shape, _), data)| {
        (key.clone(), TensorView::new(safetensors::Dtype::F32, shape.to_vec(), data).unwrap())
    });
    std::fs::write(file, safetensors::serialize(views, None).unwrap()).unwrap();
}

/// ComfyUI writes the changes to CLIP beside those of the transformer, and trainers changed biases.
#[test]
fn what_stands_beside_the_transformer_is_read_or_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let (file, known) = (folder.path().join("lora.safetensors"), recorded("lora/comfy.safetensors"));
    let plain = text_to_image();
    let expected = latents(&mut with_lora(&plain, &known).unwrap());
    let with = |others: Vec<(String, [usize; 2])>| {
        let mut all = tensors(&known);
        assert!(all.keys().any(|key| key.contains("double_blocks")));
        for (key, shape) in others {
            let values = (0..shape[0] * shape[1]).map(|index| (index % 7) as f32 / 3.0 - 1.0);
            all.insert(key, Plain { shape: shape.into(), values: values.collect() });
        }
        write_safetensors(&all, &file);
        with_lora(&plain, &file).unwrap()
    };
    let mut biased = with(vec![("lora_unet_double_blocks_0_img_attn_proj.diff_b".into(), [1, 16])]);
    assert_eq!(difference(latents(&mut biased), expected), 0.0);

    let query = "text_model.encoder.layers.0.self_attn.q_proj";
    let width = plain.text_encoder.as_ref().unwrap().config().hidden_size;
    let matrices = |model: &str, down: &str, up: &str| {
        vec![(format!("{model}{query}.{down}"), [2, width]), (format!("{model}{query}.{up}"), [width, 2])]
    };
    let comfy = "text_encoders.clip_l.transformer.";
    let comfy = with(matrices(comfy, "lora_down.weight", "lora_up.weight"));
    let diffusers = with(matrices("text_encoder.", "lora_A.weight", "lora_B.weight"));
    for pipeline in [&comfy, &diffusers] {
        let adapters = pipeline.get_list_adapters();
        assert!(adapters.contains(&("text_encoder", vec!["adapter"])), "{adapters:?}");
    }
    let [comfy, diffusers] = [comfy, diffusers].map(|mut pipeline| latents(&mut pipeline));
    assert_eq!(difference(comfy, diffusers), 0.0);
}

/// In their authors' layout, one matrix makes queries, keys, values and the input of the feed-forward.
#[test]
fn one_layer_stands_for_four() {
    let folder = tempfile::tempdir().unwrap();
    let (theirs, ours) = (folder.path().join("theirs.safetensors"), folder.path().join("ours.safetensors"));
    let values = |count: usize| (0..count).map(|index| (index % 11) as f32 / 5.0 - 1.0);
    let down = || values(32).collect::<Vec<f32>>();
    let up: Vec<f32> = values(7 * 32).collect();
    let plain = text_to_image();
    let mut rows = up.chunks(32);
    let mut own = Vec::new();
    for (layer, count) in [("attn.to_q", 1), ("attn.to_k", 1), ("attn.to_v", 1), ("proj_mlp", 4)] {
        let module = format!("transformer.single_transformer_blocks.1.{layer}");
        own.push((format!("{module}.lora_A.weight"), [1, 32], down()));
        let rows: Vec<f32> = rows.by_ref().take(count).flatten().copied().collect();
        own.push((format!("{module}.lora_B.weight"), [32 * count, 1], rows));
    }
    write(&ours, &own);
    let expected = latents(&mut with_lora(&plain, &ours).unwrap());
    assert!(difference(expected.clone(), latents(&mut plain.clone())) > 0.02);
    for (module, names) in [
        ("lora_unet_single_blocks_1_linear1", ["lora_down", "lora_up"]),
        ("base_model.model.single_blocks.1.linear1", ["lora_A", "lora_B"]),
    ] {
        let [first, second] = names.map(|name| format!("{module}.{name}.weight"));
        write(&theirs, &[(first, [1, 32], down()), (second, [7 * 32, 1], up.clone())]);
        let changed = latents(&mut with_lora(&plain, &theirs).unwrap());
        assert_eq!(difference(changed, expected.clone()), 0.0, "{module}");
    }
    let [first, second] =
        ["A", "B"].map(|name| format!("base_model.model.single_blocks.1.linear1.lora_{name}.weight"));
    write(&theirs, &[(first, [1, 32], down()), (second, [3 * 32, 1], up[..3 * 32].to_vec())]);
    expect(&error(with_lora(&plain, &theirs)), &["single_transformer_blocks.1.qkv_mlp", "rows"]);
}

/// Python forgets them.
#[test]
fn layers_outside_of_blocks_are_changed_in_kohyas_layout_too() {
    let folder = tempfile::tempdir().unwrap();
    let (theirs, ours) = (folder.path().join("theirs.safetensors"), folder.path().join("ours.safetensors"));
    let values = |count: usize| (0..count).map(|index| (index % 11) as f32 / 5.0 - 1.0).collect::<Vec<f32>>();
    let (mut kohya, mut diffusers) = (Vec::new(), Vec::new());
    for (original, module, [rows, columns]) in [
        ("img_in", "x_embedder", [32, 16]),
        ("txt_in", "context_embedder", [32, 24]),
        ("vector_in_in_layer", "time_text_embed.text_embedder.linear_1", [32, 12]),
        ("guidance_in_out_layer", "time_text_embed.guidance_embedder.linear_2", [32, 32]),
        ("final_layer_linear", "proj_out", [16, 32]),
        ("final_layer_adaLN_modulation_1", "norm_out.linear", [64, 32]),
    ] {
        let (down, up) = (values(columns), values(rows));
        let half = rows / 2;
        // The shift comes first in the layout of the authors.
        let swapped = match module {
            "norm_out.linear" => [&up[half..], &up[..half]].concat(),
            _ => up.clone(),
        };
        kohya.push((format!("lora_unet_{original}.lora_down.weight"), [1, columns], down.clone()));
        kohya.push((format!("lora_unet_{original}.lora_up.weight"), [rows, 1], swapped));
        kohya.push((format!("lora_unet_{original}.alpha"), [1, 1], vec![0.5]));
        let halved: Vec<f32> = down.iter().map(|value| value / 2.0).collect();
        diffusers.push((format!("transformer.{module}.lora_A.weight"), [1, columns], halved));
        diffusers.push((format!("transformer.{module}.lora_B.weight"), [rows, 1], up));
    }
    write(&theirs, &kohya);
    write(&ours, &diffusers);
    let plain = text_to_image();
    let changed = latents(&mut with_lora(&plain, &theirs).unwrap());
    assert!(difference(changed.clone(), latents(&mut plain.clone())) > 0.02);
    let scale = 1f32.max(changed.clone().abs().max().into_scalar());
    let expected = latents(&mut with_lora(&plain, &ours).unwrap());
    assert_close("outside", changed / scale, expected / scale, 1e-5);
}

#[test]
fn adapters_change_the_text_encoder_too() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("lora.safetensors");
    let values = |count: usize| (0..count).map(|index| (index % 7) as f32 - 3.0).collect::<Vec<f32>>();
    let module = "lora_te1_text_model_encoder_layers_0_self_attn_q_proj";
    write(
        &file,
        &[
            (format!("{module}.lora_down.weight"), [1, 12], values(12)),
            (format!("{module}.lora_up.weight"), [12, 1], values(12)),
        ],
    );
    let plain = text_to_image();
    let changed = latents(&mut with_lora(&plain, &file).unwrap());
    assert!(difference(changed, latents(&mut plain.clone())) > 1e-4);
}

#[test]
fn adapters_of_other_models_are_refused() {
    let plain = text_to_image();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("lora.safetensors");
    let load = |tensors: &[(&str, [usize; 2])]| {
        let zeros = |shape: &[usize; 2]| vec![0.0; shape[0] * shape[1]];
        let tensors: Vec<_> =
            tensors.iter().map(|(key, shape)| ((*key).to_owned(), *shape, zeros(shape))).collect();
        write(&file, &tensors);
        error(with_lora(&plain, &file))
    };
    let unet =
        [("unet.mid_block.to_q.lora_A.weight", [2, 24]), ("unet.mid_block.to_q.lora_B.weight", [24, 2])];
    expect(&load(&unet), &["transformer", "no tensor belongs"]);
    let short = [
        ("diffusion_model.double_blocks.0.img_mlp.0.lora_A.weight", [2, 20]),
        ("diffusion_model.double_blocks.0.img_mlp.0.lora_B.weight", [128, 2]),
    ];
    expect(&load(&short), &["transformer_blocks.0.ff.net.0.proj", "[128, 32]"]);
    let biased = [
        ("img_in.lora_A.weight", [2, 16]),
        ("img_in.lora_B.weight", [32, 2]),
        ("img_in.lora_B.bias", [1, 32]),
    ];
    expect(&load(&biased), &["lora.safetensors", "bias"]);
}
