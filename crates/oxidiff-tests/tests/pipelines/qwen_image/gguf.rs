//! A transformer whose weights are in the blocks of a GGUF file.

use std::collections::BTreeMap;
use std::path::Path;

use oxidiff::{
    LoraLoader, LoraOptions, Model, Pipeline, QwenImageComponents, QwenImageInputs, QwenImagePipeline,
    QwenImageTransformer2DModel, SingleFileOptions, Tensor,
};
use oxidiff_kernels::QuantisedFormat;

use super::adapters::latents;
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

fn predict(model: &QwenImageTransformer2DModel) -> Tensor<3> {
    let inputs = QwenImageInputs {
        hidden_states: values([1, 1, 40, 16], -1.2).reshape([1, 40, 16]),
        encoder_hidden_states: values([1, 1, 7, 16], -1.0).reshape([1, 7, 16]),
        encoder_hidden_states_mask: None,
        timestep: &[0.7],
        img_shapes: &[[1, 5, 8]],
        guidance: None,
        additional_t_cond: None,
    };
    model.forward(&inputs).unwrap()
}

fn from_gguf(folder: &Path, tensors: &BTreeMap<String, Plain>) -> QwenImageTransformer2DModel {
    let file = folder.join("transformer.gguf");
    gguf::write(tensors, QuantisedFormat::Q8_0, &file);
    let options = SingleFileOptions {
        config: Some(folder.to_str().unwrap().to_owned()),
        subfolder: Some("transformer".into()),
        ..Default::default()
    };
    QwenImageTransformer2DModel::from_single_file(file.to_str().unwrap(), &options).unwrap()
}

#[test]
fn blocks_predict_nearly_what_the_weights_do() {
    let folder = checkpoint();
    let dense = load::<QwenImagePipeline>(folder.path()).unwrap();
    let expected = predict(&dense.transformer);
    let weights = folder.path().join("transformer/diffusion_pytorch_model.safetensors");
    let blocks = from_gguf(folder.path(), &gguf::tensors(&weights));
    let off = distance(predict(&blocks), expected);
    println!("{off:.2e}");
    assert!(off > 1e-4 && off <= MOST, "{off}");
}

#[test]
fn adapters_are_kept_beside_the_blocks() {
    let folder = checkpoint();
    let mut dense = load::<QwenImagePipeline>(folder.path()).unwrap();
    let weights = folder.path().join("transformer/diffusion_pytorch_model.safetensors");
    let transformer = from_gguf(folder.path(), &gguf::tensors(&weights));
    let mut blocks = QwenImagePipeline::new(QwenImageComponents { transformer, ..(*dense).clone() }).unwrap();
    let plain = latents(&mut dense);
    for pipeline in [&mut dense, &mut blocks] {
        pipeline.set_progress_bar(false);
        let options = LoraOptions { adapter_name: Some("adapter".into()), ..Default::default() };
        let file = recorded("lora/kohya.safetensors");
        pipeline.load_lora_weights(file.to_str().unwrap(), &options).unwrap();
    }
    let changed = latents(&mut dense);
    assert!(distance(changed.clone(), plain) > 0.1);
    let off = distance(latents(&mut blocks), changed);
    assert!(off <= 2.0 * MOST, "{off}");
}
