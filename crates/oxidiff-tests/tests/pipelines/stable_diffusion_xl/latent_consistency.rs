//! Compares the pipelines of latent consistency models with Python's, call by call.

use crate::fixture::compared_pipelines::{TOLERANCE, as_recorded, compare, refused};
use crate::fixture::stable_diffusion_xl::{calls, checkpoint};
use crate::fixture::{assert_close, fixtures, json};
use oxidiff::{
    AutoPipelineForImage2Image, AutoPipelineForInpainting, AutoPipelineForText2Image, DDIMScheduler,
    DiffusionPipeline, LatentConsistency, LatentConsistencyModelImg2ImgPipeline,
    LatentConsistencyModelPipeline, Pipeline, Request, Scheduler, StableDiffusionPipeline, TCDScheduler,
};
use serde_json::Value;

#[test]
fn text_becomes_the_image_that_python_makes() {
    compare::<LatentConsistencyModelPipeline>("lcm", 11);
}

#[test]
fn images_are_changed_as_in_python() {
    compare::<LatentConsistencyModelImg2ImgPipeline>("lcm_img2img", 10);
}

#[test]
fn what_python_refuses_is_refused() {
    refused::<LatentConsistencyModelPipeline>("lcm", 2);
    refused::<LatentConsistencyModelImg2ImgPipeline>("lcm_img2img", 2);
}

fn pipeline() -> LatentConsistencyModelPipeline {
    let folder = checkpoint("lcm");
    let mut pipeline =
        LatentConsistencyModelPipeline::from_pretrained(folder.path().to_str().unwrap()).unwrap();
    pipeline.set_progress_bar(false);
    pipeline
}

fn small() -> LatentConsistency {
    LatentConsistency {
        height: Some(16),
        width: Some(16),
        num_inference_steps: 2,
        ..LatentConsistency::new("cat")
    }
}

#[test]
fn embeddings_stand_in_for_a_prompt() {
    let (calls, recorded) = calls("lcm");
    let call = calls.iter().find(|call| call.name == "default").unwrap();
    let mut request = call.request();
    request.remove("prompt");
    request.set("prompt_embeds", recorded.floats::<3>("default.prompt_embeds"));
    let made = DiffusionPipeline::from(pipeline()).call(request).unwrap();
    assert_close("embeds", as_recorded(made.images), recorded.floats("default.output"), TOLERANCE);
}

#[test]
fn only_schedulers_of_distilled_models_are_taken() {
    let mut pipeline = pipeline();
    let own = pipeline.scheduler.config().clone();
    pipeline.set_scheduler(DDIMScheduler::from_config(&own).unwrap());
    let error = pipeline.call(small()).unwrap_err().to_string();
    assert!(error.contains("DDIMScheduler") && error.contains("original_inference_steps"), "{error}");
    pipeline.set_scheduler(TCDScheduler::from_config(&own).unwrap());
    pipeline.call(small()).unwrap();
}

#[test]
fn a_model_must_be_told_the_guidance_scale() {
    let sd1 = StableDiffusionPipeline::from_pretrained(fixtures().join("pipelines/sd1").to_str().unwrap());
    let sd1 = sd1.unwrap();
    let error = LatentConsistencyModelPipeline::from_pipe(&sd1).unwrap_err().to_string();
    assert!(error.contains("time_cond_proj_dim"), "{error}");
    // One that was replaced since.
    let mut pipeline = pipeline();
    pipeline.unet = sd1.unet.clone();
    let error = pipeline.call(small()).unwrap_err().to_string();
    assert!(error.contains("time_cond_proj_dim"), "{error}");
}

#[test]
fn a_call_takes_no_negative_prompt() {
    let mut pipeline = DiffusionPipeline::from(pipeline());
    for argument in ["negative_prompt", "eta", "sigmas"] {
        assert!(!pipeline.takes(argument));
    }
    let error = pipeline.call(Request::new("cat").with("negative_prompt", "dog")).unwrap_err().to_string();
    assert!(error.contains("negative_prompt"), "{error}");
}

#[test]
fn the_auto_pipelines_know_the_family() {
    let folder = checkpoint("lcm");
    let name = folder.path().to_str().unwrap();
    let text_to_image = AutoPipelineForText2Image::from_pretrained(name).unwrap();
    assert_eq!(text_to_image.class_name(), "LatentConsistencyModelPipeline");
    let image_to_image = AutoPipelineForImage2Image::from_pipe(&text_to_image).unwrap();
    assert_eq!(image_to_image.class_name(), "LatentConsistencyModelImg2ImgPipeline");
    let error = AutoPipelineForInpainting::from_pipe(&text_to_image).unwrap_err().to_string();
    assert!(error.contains("LatentConsistencyModelPipeline"), "{error}");
    assert!(AutoPipelineForInpainting::from_pretrained(name).is_err());

    let saved = tempfile::tempdir().unwrap();
    image_to_image.save_pretrained(saved.path()).unwrap();
    let index: Value = json(&saved.path().join("model_index.json"));
    assert_eq!(index["_class_name"], "LatentConsistencyModelImg2ImgPipeline");
    assert_eq!(index["scheduler"][1], "LCMScheduler");
    assert_eq!(index["safety_checker"], serde_json::json!([null, null]));
    let again = DiffusionPipeline::from_pretrained(saved.path().to_str().unwrap()).unwrap();
    assert_eq!(again.class_name(), "LatentConsistencyModelImg2ImgPipeline");
}
