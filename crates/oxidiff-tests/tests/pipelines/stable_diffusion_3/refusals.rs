//! Calls that are refused.

use oxidiff::{
    Config, DiffusionPipeline, EulerDiscreteScheduler, Model, Pipeline, PipelineImageInput, Request,
    SD3ControlNetModel, Scheduler, StableDiffusion3ControlNetPipeline, StableDiffusion3Img2ImgPipeline,
    StableDiffusion3InpaintPipeline, StableDiffusion3Pipeline, StableDiffusion3TextToImage, Tensor,
};

use super::models::{controlnet, transformer};
use super::{error, expect, text_to_image};
use crate::fixture::pictures::{blob, picture, values};

fn request() -> Request {
    Request::new("a red apple").with("height", 32).with("width", 32).with("num_inference_steps", 2)
}

fn embeds(shape: [usize; 3]) -> Tensor<3> {
    let [a, b, c] = shape;
    values([1, a, b, c], -1.0).reshape(shape)
}

fn pooled(prompts: usize, features: usize) -> Tensor<2> {
    values([1, 1, prompts, features], -1.0).reshape([prompts, features])
}

#[test]
fn arguments_that_cannot_be_used_are_named() {
    let pipeline = text_to_image();
    let refused = |change: fn(Request) -> Request| {
        let mut pipeline: DiffusionPipeline = pipeline.clone().into();
        error(pipeline.call(change(request())))
    };
    expect(&refused(|call| call.with("height", 40)), &["`height`", "multiple of 16", "40"]);
    expect(&refused(|call| call.with("width", 0)), &["`width`", "multiple of 16"]);
    expect(&refused(|call| call.with("width", 144)), &["hidden_states", "pos_embed_max_size"]);
    expect(&refused(|call| call.with("num_inference_steps", 0)), &["`num_inference_steps`"]);
    expect(&refused(|call| call.with("guidance_scale", f64::NAN)), &["`guidance_scale`", "NaN"]);
    expect(&refused(|call| call.with("mu", f64::INFINITY)), &["`mu`"]);
    expect(&refused(|call| call.with("max_sequence_length", 513)), &["`max_sequence_length`", "512"]);
    expect(&refused(|call| call.with("max_sequence_length", 0)), &["`max_sequence_length`"]);
    expect(&refused(|call| call.with("num_images_per_prompt", 0)), &["`num_images_per_prompt`"]);
    expect(&refused(|call| call.with("sigmas", vec![1.0, f64::NAN])), &["`sigmas`"]);
    expect(&refused(|call| call.with("clip_skip", 7)), &["`clip_skip`", "text_encoder"]);
    expect(
        &refused(|call| call.with("latents", values([1, 16, 3, 4], 0.0))),
        &["`latents`", "[1, 16, 4, 4]"],
    );
    expect(&refused(|call| call.with("strength", 0.5)), &["`strength`"]);
    expect(&refused(|call| call.with("ip_adapter_image", picture("RGB", [32, 32]))), &["ip_adapter_image"]);
    // No step of this short run would leave it out.
    expect(
        &refused(|call| call.with("skip_guidance_layers", vec![3])),
        &["`skip_guidance_layers`", "3 blocks"],
    );
    let scale = |call: Request| {
        call.with("skip_guidance_layers", vec![1]).with("skip_layer_guidance_scale", f64::NAN)
    };
    expect(&refused(scale), &["`skip_layer_guidance_scale`"]);
    expect(&refused(|call| call.with("prompt_3", vec!["a", "b"])), &["`prompt_3`", "2 for 1 prompt"]);
    expect(
        &refused(|call| call.with("negative_prompt_2", vec!["a", "b"])),
        &["`negative_prompt_2`", "2 for 1 prompt"],
    );
    expect(&refused(|_| Request::default()), &["`prompt`"]);
}

#[test]
fn embeddings_that_cannot_be_used_are_named() {
    let pipeline = text_to_image();
    let refused = |change: fn(Request) -> Request| {
        let mut pipeline: DiffusionPipeline = pipeline.clone().into();
        let call = Request::default().with("height", 32).with("width", 32).with("num_inference_steps", 1);
        error(pipeline.call(change(call)))
    };
    expect(&refused(|call| call.with("prompt_embeds", embeds([1, 5, 32]))), &["`pooled_prompt_embeds`"]);
    let both = |call: Request| {
        call.with("prompt_embeds", embeds([1, 5, 32])).with("pooled_prompt_embeds", pooled(1, 24))
    };
    let unlike = refused(|call| {
        call.with("prompt_embeds", embeds([1, 5, 32])).with("pooled_prompt_embeds", pooled(2, 24))
    });
    expect(&unlike, &["`pooled_prompt_embeds`", "got 2"]);
    let features = refused(|call| {
        call.with("prompt_embeds", embeds([1, 5, 30])).with("pooled_prompt_embeds", pooled(1, 24))
    });
    expect(&features, &["`prompt_embeds`", "30 features", "32"]);
    let features = refused(|call| {
        call.with("prompt_embeds", embeds([1, 5, 32])).with("pooled_prompt_embeds", pooled(1, 20))
    });
    expect(&features, &["`pooled_prompt_embeds`", "20 features", "24"]);
    let texts = refused(|call| {
        call.with("prompt_embeds", embeds([1, 5, 32]))
            .with("pooled_prompt_embeds", pooled(1, 24))
            .with("prompt_2", "a")
    });
    expect(&texts, &["`prompt_2`", "`prompt_embeds`"]);
    // The negative prompt is embedded, which gives another number of tokens.
    let mut pipeline: DiffusionPipeline = pipeline.clone().into();
    let call = both(Request::default().with("height", 32).with("width", 32));
    expect(&error(pipeline.call(call)), &["`negative_prompt_embeds`", "[1, 5, 32]"]);
}

#[test]
fn without_clip_a_call_takes_embeddings() {
    let mut pipeline = text_to_image();
    pipeline.text_encoder_2 = None;
    let call = || StableDiffusion3TextToImage {
        height: Some(32),
        width: Some(32),
        num_inference_steps: 1,
        guidance_scale: 1.0,
        ..Default::default()
    };
    let texts = StableDiffusion3TextToImage { prompt: vec!["a".into()], ..call() };
    expect(&error(pipeline.call(texts)), &["`prompt`", "text_encoder_2", "prompt_embeds"]);
    let given = StableDiffusion3TextToImage {
        prompt_embeds: Some(embeds([1, 5, 32])),
        pooled_prompt_embeds: Some(pooled(1, 24)),
        ..call()
    };
    pipeline.call(given).unwrap();
}

#[test]
fn images_and_strengths_that_cannot_be_used_are_named() {
    let pipeline: DiffusionPipeline = text_to_image().into();
    let image = || picture("RGB", [32, 32]);
    let mut change = pipeline.to_class(StableDiffusion3Img2ImgPipeline::CLASS_NAME).unwrap();
    change.set_progress_bar(false);
    let mut refused = |call: Request| error(change.call(call));
    expect(&refused(request()), &["image"]);
    expect(&refused(request().with("image", image()).with("strength", 1.5)), &["`strength`", "1.5"]);
    expect(
        &refused(request().with("image", image()).with("strength", 0.0)),
        &["`strength`", "less than one step"],
    );
    expect(&refused(request().with("image", picture("RGBA", [32, 32]))), &["`image`", "alpha"]);
    let three = vec![image(), image(), image()];
    expect(&refused(request().with("image", three)), &["`image`", "got 3"]);
    let mut paint = pipeline.to_class(StableDiffusion3InpaintPipeline::CLASS_NAME).unwrap();
    paint.set_progress_bar(false);
    let mut refused = |call: Request| error(paint.call(call));
    expect(&refused(request().with("image", image())), &["image"]);
    let masks = vec![blob([32, 32, 0, 0, 9, 9]), blob([32, 32, 0, 0, 9, 9])];
    expect(&refused(request().with("image", image()).with("mask_image", masks)), &["`mask_image`", "got 2"]);
    let latents = PipelineImageInput::Tensor(values([1, 16, 6, 6], -1.0));
    let mask = blob([32, 32, 0, 0, 9, 9]);
    let call = request().with("image", latents).with("mask_image", vec![mask]);
    expect(&refused(call), &["`image`", "[1, 16, 6, 6]"]);
}

#[test]
fn parts_that_do_not_fit_are_refused() {
    let mut components = (*text_to_image()).clone();
    components.transformer = transformer("inpaint");
    expect(&error(StableDiffusion3Pipeline::new(components.clone())), &["in_channels", "33", "16"]);
    StableDiffusion3InpaintPipeline::new(components.clone()).unwrap();
    components.transformer = transformer("patches");
    expect(&error(StableDiffusion3InpaintPipeline::new(components)), &["in_channels", "4", "16"]);
    let mut components = (*text_to_image()).clone();
    components.text_encoder_2 = components.text_encoder.clone();
    expect(&error(StableDiffusion3Pipeline::new(components)), &["pooled_projection_dim", "24", "20"]);
    let mut components = (*text_to_image()).clone();
    components.tokenizer_3 = None;
    expect(&error(StableDiffusion3Pipeline::new(components)), &["tokenizer_3", "text_encoder_3"]);

    let mut pipeline = text_to_image();
    let euler = EulerDiscreteScheduler::from_config(pipeline.scheduler().config()).unwrap();
    pipeline.set_scheduler(euler);
    let arguments = StableDiffusion3TextToImage {
        height: Some(32),
        width: Some(32),
        ..StableDiffusion3TextToImage::new("a")
    };
    expect(&error(pipeline.call(arguments)), &["EulerDiscreteScheduler"]);
}

#[test]
fn controlnets_and_their_images_that_cannot_be_used_are_named() {
    let components = || (*text_to_image()).clone();
    let mut pipeline = StableDiffusion3ControlNetPipeline::new(components(), controlnet("plain")).unwrap();
    pipeline.set_progress_bar(false);
    let mut pipeline: DiffusionPipeline = pipeline.into();
    let image = || picture("RGB", [32, 32]);
    let mut refused = |call: Request| error(pipeline.call(call));
    expect(&refused(request()), &["control_image"]);
    let scale = request().with("control_image", image()).with("controlnet_conditioning_scale", f64::NAN);
    expect(&refused(scale), &["`controlnet_conditioning_scale`"]);
    let start = request().with("control_image", image()).with("control_guidance_start", 1.0);
    expect(&refused(start), &["`control_guidance_start`"]);
    let two = vec![image(), image()];
    expect(&refused(request().with("control_image", two)), &["`control_image`", "got 2 for 1 prompt"]);
    expect(&refused(request().with("control_image", picture("RGBA", [32, 32]))), &["`control_image`"]);
    let uneven = PipelineImageInput::Tensor(values([1, 3, 24, 32], -1.0));
    expect(&refused(request().with("control_image", uneven)), &["`height`", "24"]);
    expect(&refused(request().with("control_image", image()).with("mu", 0.5)), &["`mu`"]);
    // One that also takes a mask.
    let mut masked: DiffusionPipeline =
        StableDiffusion3ControlNetPipeline::new(components(), controlnet("masked")).unwrap().into();
    masked.set_progress_bar(false);
    let refused = error(masked.call(request().with("control_image", image())));
    expect(&refused, &["`controlnet`", "17 channels", "16"]);
    let mut parts = components();
    parts.transformer = transformer("plain");
    let wide = SD3ControlNetModel::from_config(
        &Config::from_json(
            r#"{"num_layers": 1, "sample_size": 8, "pooled_projection_dim": 24, "joint_attention_dim": 32}"#,
        )
        .unwrap(),
        &oxidiff::Device::flex(),
    );
    let refused = StableDiffusion3ControlNetPipeline::new(parts, wide.unwrap());
    expect(&error(refused), &["`controlnet`", "1152", "16"]);
    let folder = super::checkpoint();
    let loaded = StableDiffusion3ControlNetPipeline::from_pretrained(folder.path().to_str().unwrap());
    expect(&error(loaded), &["`controlnet`", "must be given"]);
}
