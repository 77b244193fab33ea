//! A transformer whose weights are in the blocks of a GGUF file.

use std::collections::BTreeMap;
use std::path::Path;

use oxidiff::{
    FluxComponents, FluxInputs, FluxPipeline, FluxTransformer2DModel, LoraLoader, LoraOptions, Model,
    SingleFileOptions, Tensor,
};
use oxidiff_kernels::QuantisedFormat;

use super::adapters::latents;
use super::loading::original_transformer;
use super::{checkpoint, load, recorded};
use crate::fixture::gguf::{self, Plain};
use crate::fixture::pictures::values;

/// What blocks of 8 bits may change, relative to the length of the result: weights and activations of all layers are rounded, and random
/// layers do not shrink what earlier ones have changed.
const MOST: f32 = 2.5e-2;

fn distance<const D: usize>(found: Tensor<D>, expected: Tensor<D>) -> f32 {
    let norm = |x: Tensor<D>| x.square().sum().into_scalar::<f32>().sqrt();
    norm(found - expected.clone()) / norm(expected)
}

fn predict(model: &FluxTransformer2DModel) -> Tensor<3> {
    let places: Vec<[f32; 3]> = (0..40).map(|index| [0.0, (index / 8) as f32, (index % 8) as f32]).collect();
    let inputs = FluxInputs {
        hidden_states: values([1, 1, 40, 16], -1.2).reshape([1, 40, 16]),
        encoder_hidden_states: values([1, 1, 7, 24], -1.0).reshape([1, 7, 24]),
        pooled_projections: values([1, 1, 1, 12], -1.1).reshape([1, 12]),
        timestep: &[0.7],
        img_ids: &places,
        txt_ids: &[[0.0; 3]; 7],
        guidance: Some(&[3.5]),
    };
    model.forward(&inputs).unwrap()
}

fn from_gguf(folder: &Path, tensors: &BTreeMap<String, Plain>) -> FluxTransformer2DModel {
    let file = folder.join("transformer.gguf");
    gguf::write(tensors, QuantisedFormat::Q8_0, &file);
    let options = SingleFileOptions {
        config: Some(folder.to_str().unwrap().to_owned()),
        subfolder: Some("transformer".into()),
        ..Default::default()
    };
    FluxTransformer2DModel::from_single_file(file.to_str().unwrap(), &options).unwrap()
}

#[test]
fn blocks_predict_nearly_what_the_weights_do_in_both_layouts() {
    let folder = checkpoint();
    let dense = load::<FluxPipeline>(folder.path()).unwrap();
    let expected = predict(&dense.transformer);
    let weights = folder.path().join("transformer/diffusion_pytorch_model.safetensors");
    let blocks = from_gguf(folder.path(), &gguf::tensors(&weights));
    let made = predict(&blocks);
    let off = distance(made.clone(), expected);
    println!("{off:.2e}");
    assert!(off > 1e-4 && off <= MOST, "{off}");
    let original = original_transformer(folder.path(), "").into_iter().map(|(key, shape, bytes)| {
        let values = bytes.chunks_exact(4).map(|value| f32::from_le_bytes(value.try_into().unwrap()));
        (key, Plain { shape, values: values.collect() })
    });
    let same = from_gguf(folder.path(), &original.collect());
    assert_eq!(distance(predict(&same), made), 0.0);
}

#[test]
fn adapters_are_kept_beside_the_blocks() {
    let folder = checkpoint();
    let mut dense = load::<FluxPipeline>(folder.path()).unwrap();
    let weights = folder.path().join("transformer/diffusion_pytorch_model.safetensors");
    let transformer = from_gguf(folder.path(), &gguf::tensors(&weights));
    let mut blocks = FluxPipeline::new(FluxComponents { transformer, ..(*dense).clone() }).unwrap();
    let plain = latents(&mut dense);
    for pipeline in [&mut dense, &mut blocks] {
        oxidiff::Pipeline::set_progress_bar(pipeline, false);
        let options = LoraOptions { adapter_name: Some("adapter".into()), ..Default::default() };
        let file = recorded("lora/kohya.safetensors");
        pipeline.load_lora_weights(file.to_str().unwrap(), &options).unwrap();
    }
    let changed = latents(&mut dense);
    assert!(distance(changed.clone(), plain) > 0.1);
    let off = distance(latents(&mut blocks), changed);
    assert!(off <= 2.0 * MOST, "{off}");
}
