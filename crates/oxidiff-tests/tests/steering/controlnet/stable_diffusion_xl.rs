//! The pipelines of Stable Diffusion XL, seed for seed.

use oxidiff::{
    AutoPipelineForImage2Image, AutoPipelineForInpainting, AutoPipelineForText2Image, Config, ControlNet,
    ControlNetModel, DiffusionPipeline, LoadOptions, Pipeline, StableDiffusionXLComponents,
    StableDiffusionXLControlNetImg2ImgPipeline, StableDiffusionXLControlNetInpaintPipeline,
    StableDiffusionXLControlNetPipeline, StableDiffusionXLPipeline,
};

use super::calls::Call;
use super::pipelines::{compare_calls, with_mask_channels};
use super::{components, error, recorded, variant};
use crate::fixture::{self, fixtures};

fn drawn(seed: u64) -> ControlNetModel {
    fixture::drawn::drawn(&Config::from_file(recorded("xl/config.json")).unwrap(), seed)
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
