//! Compares the latent upscaler with Python's, call by call.

use crate::fixture::compared_pipelines::{TOLERANCE, as_recorded, compare_timesteps, refused};
use crate::fixture::stable_diffusion_xl::{Call, calls, checkpoint};
use crate::fixture::{assert_close, fixtures, json};
use oxidiff::{
    AttentionSlice, AutoPipelineForImage2Image, Config, DDIMScheduler, Device, DiffusionPipeline,
    LatentUpscale, Model, Pipeline, Scheduler, StableDiffusionLatentUpscalePipeline, StableDiffusionPipeline,
    Tensor, UNet2DConditionInputs, UNet2DConditionModel,
};
use serde_json::{Map, Value};

#[test]
fn images_and_latents_are_enlarged_as_in_python() {
    // The model is not told the scheduler's timesteps, but the noise levels.
    compare_timesteps::<StableDiffusionLatentUpscalePipeline>("latent_upscale", 13, |step, scheduler| {
        scheduler.sigmas().unwrap()[step.index].ln() * 0.25
    });
}

#[test]
fn what_python_refuses_is_refused() {
    refused::<StableDiffusionLatentUpscalePipeline>("latent_upscale", 4);
}

fn pipeline() -> StableDiffusionLatentUpscalePipeline {
    let folder = checkpoint("upscale");
    let mut pipeline =
        StableDiffusionLatentUpscalePipeline::from_pretrained(folder.path().to_str().unwrap()).unwrap();
    pipeline.set_progress_bar(false);
    pipeline
}

fn default_call() -> Call {
    calls("latent_upscale").0.into_iter().find(|call| call.name == "default").unwrap()
}

fn arguments() -> LatentUpscale {
    default_call().request().try_into().unwrap()
}

#[test]
fn embeddings_stand_in_for_prompts() {
    let (_, recorded) = calls("latent_upscale");
    let [negative, positive]: [Tensor<3>; 2] =
        recorded.floats::<3>("default.prompt_embeds").chunk(2, 0).try_into().unwrap();
    let condition: Tensor<2> = recorded.floats("default.timestep_cond");
    let [_, width] = condition.dims();
    let [negative_pooled, pooled]: [Tensor<2>; 2] =
        condition.narrow(1, 128, width - 128).chunk(2, 0).try_into().unwrap();
    let given = LatentUpscale {
        prompt: Vec::new(),
        prompt_embeds: Some(positive.clone()),
        negative_prompt_embeds: Some(negative),
        pooled_prompt_embeds: Some(pooled.clone()),
        negative_pooled_prompt_embeds: Some(negative_pooled),
        ..arguments()
    };
    let mut pipeline = pipeline();
    let made = pipeline.call(given).unwrap();
    assert_close("embeds", as_recorded(made.images), recorded.floats("default.output"), TOLERANCE);

    let refused = |arguments, argument: &str| {
        let error = pipeline.clone().call(arguments).unwrap_err().to_string();
        assert!(error.contains(argument), "{error}");
    };
    let embeds =
        || LatentUpscale { prompt: Vec::new(), prompt_embeds: Some(positive.clone()), ..arguments() };
    refused(embeds(), "pooled_prompt_embeds");
    let pooled = || Some(pooled.clone());
    refused(LatentUpscale { pooled_prompt_embeds: pooled(), ..arguments() }, "prompt_embeds");
    refused(LatentUpscale { pooled_prompt_embeds: pooled(), ..embeds() }, "negative_prompt_embeds");
    let wide = Some(Tensor::zeros([1, 7], &Device::flex()));
    refused(
        LatentUpscale { pooled_prompt_embeds: wide, guidance_scale: 1.0, ..embeds() },
        "pooled_prompt_embeds",
    );
}

#[test]
fn attention_in_slices_is_the_same() {
    let mut pipeline = pipeline();
    let whole = as_recorded(pipeline.call(arguments()).unwrap().images);
    pipeline.enable_attention_slicing(AttentionSlice::One);
    let sliced = as_recorded(pipeline.call(arguments()).unwrap().images);
    assert_close("sliced", sliced, whole, 1e-4);
}

#[test]
fn what_does_not_fit_is_refused() {
    let mut pipeline = pipeline();
    let own = pipeline.scheduler.config().clone();
    let ddim = DDIMScheduler::from_config(&own.with("prediction_type", "sample"));
    pipeline.set_scheduler(ddim.unwrap());
    let error = pipeline.call(arguments()).unwrap_err().to_string();
    assert!(error.contains("DDIMScheduler"), "{error}");

    let sd1 = StableDiffusionPipeline::from_pretrained(fixtures().join("pipelines/sd1").to_str().unwrap());
    let error = StableDiffusionLatentUpscalePipeline::from_pipe(&sd1.unwrap()).unwrap_err().to_string();
    assert!(error.contains("in_channels"), "{error}");

    let folder = checkpoint("upscale");
    let config = folder.path().join("unet/config.json");
    let mut fields: Map<String, Value> = json(&config);
    fields.remove("time_cond_proj_dim");
    std::fs::write(&config, Value::Object(fields).to_string()).unwrap();
    let error = StableDiffusionLatentUpscalePipeline::from_pretrained(folder.path().to_str().unwrap());
    let error = error.unwrap_err().to_string();
    assert!(error.contains("time_cond_proj_dim"), "{error}");
}

#[test]
fn the_class_is_found_by_its_name_and_in_no_auto_pipeline() {
    let folder = checkpoint("upscale");
    let pipeline = DiffusionPipeline::from_pretrained(folder.path().to_str().unwrap()).unwrap();
    assert_eq!(pipeline.class_name(), "StableDiffusionLatentUpscalePipeline");
    assert!(!pipeline.takes("num_images_per_prompt") && !pipeline.takes("height"));
    assert!(AutoPipelineForImage2Image::from_pipe(&pipeline).is_err());
    let saved = tempfile::tempdir().unwrap();
    pipeline.save_pretrained(saved.path()).unwrap();
    let again = DiffusionPipeline::from_pretrained(saved.path().to_str().unwrap()).unwrap();
    assert_eq!(again.class_name(), "StableDiffusionLatentUpscalePipeline");
}

#[test]
fn k_blocks_that_do_not_fit_are_refused() {
    let folder = checkpoint("upscale");
    let good: Map<String, Value> = json(&folder.path().join("unet/config.json"));
    let unet = |changes: Value| {
        let mut fields = good.clone();
        fields.extend(changes.as_object().unwrap().clone());
        let config = Config::from_json(&Value::Object(fields).to_string()).unwrap();
        UNet2DConditionModel::from_config(&config, &Device::flex())
    };
    unet(serde_json::json!({})).unwrap();
    // Norms of their own do not need a number of groups, and do not mind one.
    unet(serde_json::json!({"norm_num_groups": 16, "mid_block_type": "UNetMidBlock2DCrossAttn"})).unwrap();
    for (changes, field) in [
        (
            serde_json::json!({"down_block_types": ["DownBlock2D", "KDownBlock2D", "KDownBlock2D"]}),
            "down_block_types",
        ),
        (serde_json::json!({"up_block_types": ["UpBlock2D", "UpBlock2D", "UpBlock2D"]}), "down_block_types"),
        // The first up block begins without a skip because its channels are as many as the time embedding is long.
        (serde_json::json!({"time_embedding_dim": 128}), "up_block_types[0]"),
        (serde_json::json!({"block_out_channels": [32, 64, 16]}), "block_out_channels"),
        (serde_json::json!({"attention_head_dim": 65}), "attention_head_dim"),
        (serde_json::json!({"attention_head_dim": 0}), "attention_head_dim"),
        (serde_json::json!({"norm_num_groups": 5}), "norm_num_groups"),
    ] {
        let error = unet(changes.clone()).unwrap_err().to_string();
        assert!(error.contains(field), "{changes}: {error}");
    }

    let model = unet(serde_json::json!({})).unwrap();
    let device = Device::flex();
    for [height, width] in [[6, 8], [4, 8], [8, 10]] {
        let sample = Tensor::zeros([1, 8, height, width], &device);
        let text = Tensor::zeros([1, 3, 24], &device);
        let error = model.forward_with(sample, &[0.0], text, UNet2DConditionInputs::default()).unwrap_err();
        assert!(error.to_string().contains("multiples of 4"), "{error}");
    }
}
