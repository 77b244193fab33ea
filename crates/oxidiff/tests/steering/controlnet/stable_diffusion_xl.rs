//! The pipelines of Stable Diffusion XL, seed for seed.

use std::collections::BTreeMap;

use oxidiff::{
    AutoPipelineForImage2Image, AutoPipelineForInpainting, AutoPipelineForText2Image, ControlNet,
    ControlNetModel, DType, Device, DiffusionPipeline, Generator, LoadOptions, Model, Pipeline,
    StableDiffusionXLComponents, StableDiffusionXLControlNetImg2ImgPipeline,
    StableDiffusionXLControlNetInpaintPipeline, StableDiffusionXLControlNetPipeline,
    StableDiffusionXLPipeline, Tensor,
};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};

use super::calls::Call;
use super::pipelines::{compare_calls, with_mask_channels};
use super::{components, error, load, recorded, variant};
use crate::fixture::fixtures;

/// A ControlNet with the weights that the script draws, from one generator in the order of their names.
fn drawn(seed: u64) -> ControlNetModel {
    let config = oxidiff::Config::from_file(recorded("xl/config.json")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    ControlNetModel::from_config(&config, &Device::flex()).unwrap().save_pretrained(folder.path()).unwrap();
    let file = folder.path().join("diffusion_pytorch_model.safetensors");
    let bytes = std::fs::read(&file).unwrap();
    let stored = SafeTensors::deserialize(&bytes).unwrap();
    let shapes: BTreeMap<String, Vec<usize>> =
        stored.tensors().into_iter().map(|(key, tensor)| (key, tensor.shape().to_vec())).collect();
    let mut generator = Generator::manual_seed(seed);
    let weights: Vec<(String, Vec<usize>, Vec<u8>)> = shapes
        .into_iter()
        .map(|(key, shape)| {
            let noise: Tensor<1> = generator.randn([shape.iter().product()], DType::F32, &Device::flex());
            let scale = (1.0 / (shape[1..].iter().product::<usize>() as f64).sqrt()) as f32;
            let value = |noise: f32| match (shape.len(), key.ends_with(".weight")) {
                (1, true) => 1.0 + 0.2 * noise,
                (1, false) => 0.2 * noise,
                _ => noise * scale,
            };
            let bytes =
                noise.into_data().iter::<f32>().flat_map(|noise| value(noise).to_le_bytes()).collect();
            (key, shape, bytes)
        })
        .collect();
    let views = weights
        .iter()
        .map(|(key, shape, bytes)| (key.clone(), TensorView::new(Dtype::F32, shape.clone(), bytes).unwrap()));
    let written = safetensors::serialize(views, None).unwrap();
    std::fs::write(&file, written).unwrap();
    load(folder.path())
}

fn controlnet(call: &Call) -> ControlNet {
    let net = |name: &String| drawn(name.strip_prefix("xl_").unwrap().parse().unwrap());
    ControlNet::of(call.names().iter().map(net).collect()).unwrap()
}

fn base() -> StableDiffusionXLPipeline {
    let folder = fixtures().join("stable_diffusion_xl/base");
    StableDiffusionXLPipeline::from_pretrained(folder.to_str().unwrap()).unwrap()
}

#[test]
fn images_follow_others_as_in_python() {
    let parts: StableDiffusionXLComponents = (*base()).clone();
    compare_calls("xl_text2img", "xl_calls.safetensors", |call| {
        Ok(StableDiffusionXLControlNetPipeline::new(parts.clone(), controlnet(call))?.into())
    });
}

#[test]
fn images_become_others_that_follow_a_third_as_in_python() {
    let parts: StableDiffusionXLComponents = (*base()).clone();
    compare_calls("xl_img2img", "xl_calls.safetensors", |call| {
        Ok(StableDiffusionXLControlNetImg2ImgPipeline::new(parts.clone(), controlnet(call))?.into())
    });
}

#[test]
fn masked_parts_follow_others_as_in_python() {
    let parts: StableDiffusionXLComponents = (*base()).clone();
    let masked = with_mask_channels(&parts.unet);
    compare_calls("xl_inpaint", "xl_calls.safetensors", |call| {
        let mut parts = parts.clone();
        if call.unet9 {
            parts.unet = masked.clone();
        }
        Ok(StableDiffusionXLControlNetInpaintPipeline::new(parts, controlnet(call))?.into())
    });
}

#[test]
fn pipelines_are_loaded_saved_and_made_from_each_other() {
    let folder = fixtures().join("stable_diffusion_xl/base");
    let options = LoadOptions { controlnet: Some(drawn(1).into()), ..LoadOptions::default() };
    let name = folder.to_str().unwrap();
    let pipeline = DiffusionPipeline::from_pretrained_with(name, &options).unwrap();
    assert_eq!(pipeline.class_name(), "StableDiffusionXLControlNetPipeline");
    assert!(pipeline.takes("denoising_end") && !pipeline.takes("guidance_rescale"));
    let change = AutoPipelineForImage2Image::from_pipe(&pipeline).unwrap();
    assert_eq!(change.class_name(), "StableDiffusionXLControlNetImg2ImgPipeline");
    let saved = tempfile::tempdir().unwrap();
    change.save_pretrained(saved.path()).unwrap();
    let loaded = DiffusionPipeline::from_pretrained(saved.path().to_str().unwrap()).unwrap();
    assert_eq!(loaded.class_name(), change.class_name());
    let inpaint = AutoPipelineForInpainting::from_pipe(&loaded).unwrap();
    assert_eq!(inpaint.class_name(), "StableDiffusionXLControlNetInpaintPipeline");
    let text = AutoPipelineForText2Image::from_pipe(&loaded).unwrap();
    assert_eq!(text.class_name(), pipeline.class_name());

    // A ControlNet of Stable Diffusion 1.5 on XL, and the other way round.
    let refused = error(DiffusionPipeline::from(base()).with_controlnet(variant("controlnet", "plain")));
    for word in ["ControlNetModel", "UNet2DConditionModel", "`cross_attention_dim`", "24", "28"] {
        assert!(refused.contains(word), "{refused}");
    }
    let refused = error(oxidiff::StableDiffusionControlNetPipeline::new(components(), drawn(1)));
    assert!(refused.contains("`cross_attention_dim`"), "{refused}");
}
