//! Calls that are refused.

use oxidiff::{
    Argument, ControlNetConfig, ControlNetModel, DiffusionPipeline, EulerDiscreteScheduler, LoadOptions,
    Model, Pipeline, PipelineImageInput, Request, Scheduler, Tensor, ZImageControlNetInpaintPipeline,
    ZImageControlNetModel, ZImageControlNetPipeline, ZImageImg2ImgPipeline, ZImageInpaintPipeline,
    ZImageTextToImage,
};

use super::{error, expect, text_to_image};
use crate::fixture::pictures::{blob, picture, values};

fn request() -> Request {
    Request::new("a red apple").with("height", 32).with("width", 32).with("num_inference_steps", 2)
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
    expect(&refused(|call| call.with("num_inference_steps", 0)), &["`num_inference_steps`"]);
    expect(&refused(|call| call.with("guidance_scale", f64::NAN)), &["`guidance_scale`", "NaN"]);
    expect(&refused(|call| call.with("cfg_normalization", "much")), &["`cfg_normalization`"]);
    expect(&refused(|call| call.with("cfg_truncation", f64::INFINITY)), &["`cfg_truncation`"]);
    expect(&refused(|call| call.with("max_sequence_length", 0)), &["`max_sequence_length`"]);
    expect(&refused(|call| call.with("num_images_per_prompt", 0)), &["`num_images_per_prompt`"]);
    expect(&refused(|call| call.with("sigmas", vec![1.0, f64::NAN])), &["`sigmas`"]);
    expect(&refused(|call| call.with("latents", values([1, 4, 3, 4], 0.0))), &["`latents`", "[1, 4, 4, 4]"]);
    expect(&refused(|call| call.with("strength", 0.5)), &["`strength`"]);
    expect(
        &refused(|call| call.with("negative_prompt", vec!["a", "b"])),
        &["`negative_prompt`", "2 for 1 prompt"],
    );
    expect(&refused(|_| Request::default()), &["`prompt`"]);
    let embeds = || Argument::from(vec![values([1, 1, 5, 16], 0.0).reshape::<2, _>([5, 16])]);
    let with_embeds = |call: Request| {
        let embeds = Argument::from(vec![values([1, 1, 5, 16], 0.0).reshape::<2, _>([5, 16])]);
        call.with("prompt_embeds", embeds)
    };
    expect(&refused(with_embeds), &["`prompt`", "`prompt_embeds`"]);
    let mut other: DiffusionPipeline = pipeline.clone().into();
    let call = Request::default().with("prompt_embeds", embeds()).with("height", 32).with("width", 32);
    expect(&error(other.call(call)), &["`negative_prompt_embeds`"]);
    let wrong = Argument::from(vec![Tensor::<2>::zeros([5, 12], &oxidiff::Device::flex())]);
    let call = Request::default().with("prompt_embeds", wrong).with("height", 32).with("width", 32);
    expect(&error(other.call(call)), &["`prompt_embeds`", "[5, 12]", "16"]);
    // A prompt as long as the model has positions.
    let long = "a".repeat(300);
    let call = request().with("prompt", long).with("max_sequence_length", 256);
    expect(&error(other.call(call)), &["cap_feats", "positions"]);
}

#[test]
fn images_and_strengths_that_cannot_be_used_are_named() {
    let pipeline: DiffusionPipeline = text_to_image().into();
    let image = || picture("RGB", [32, 32]);
    let mut change = pipeline.to_class(ZImageImg2ImgPipeline::CLASS_NAME).unwrap();
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
    let latents = PipelineImageInput::Tensor(values([1, 4, 6, 6], -1.0));
    expect(&refused(request().with("image", latents)), &["`image`", "[1, 4, 6, 6]"]);
    let mut paint = pipeline.to_class(ZImageInpaintPipeline::CLASS_NAME).unwrap();
    paint.set_progress_bar(false);
    let mut refused = |call: Request| error(paint.call(call));
    expect(&refused(request().with("image", image())), &["image"]);
    let masks = vec![blob([32, 32, 0, 0, 9, 9]), blob([32, 32, 0, 0, 9, 9])];
    expect(&refused(request().with("image", image()).with("mask_image", masks)), &["`mask_image`", "got 2"]);
}

#[test]
fn schedulers_of_other_models_are_refused() {
    let mut pipeline = text_to_image();
    let euler = EulerDiscreteScheduler::from_config(pipeline.scheduler().config()).unwrap();
    pipeline.set_scheduler(euler);
    let arguments = ZImageTextToImage { height: Some(32), width: Some(32), ..ZImageTextToImage::new("a") };
    expect(&error(pipeline.call(arguments)), &["EulerDiscreteScheduler"]);
}

#[test]
fn controlnets_and_their_images_that_cannot_be_used_are_named() {
    use super::models::controlnet;
    let mut pipeline =
        ZImageControlNetPipeline::new((*text_to_image()).clone(), controlnet("first")).unwrap();
    pipeline.set_progress_bar(false);
    let inpainting = ZImageControlNetInpaintPipeline::new((*pipeline).clone(), controlnet("first"));
    expect(&error(inpainting), &["`controlnet`", "4 channels", "9"]);
    let mut pipeline: DiffusionPipeline = pipeline.into();
    let image = || picture("RGB", [32, 32]);
    let mut refused = |call: Request| error(pipeline.call(call));
    expect(&refused(request()), &["image"]);
    let scale = request().with("control_image", image()).with("controlnet_conditioning_scale", f64::NAN);
    expect(&refused(scale), &["`controlnet_conditioning_scale`"]);
    let two = vec![image(), image()];
    expect(&refused(request().with("control_image", two)), &["`control_image`", "got 2 for 1 prompt"]);
    expect(
        &refused(request().with("control_image", picture("RGBA", [32, 32]))),
        &["`control_image`", "4, 32, 32"],
    );
    let uneven = PipelineImageInput::Tensor(values([1, 3, 24, 32], -1.0));
    expect(&refused(request().with("control_image", uneven)), &["`height`", "24"]);
    // A ControlNet of another family.
    let folder = super::checkpoint();
    let name = folder.path().to_str().unwrap();
    let loaded = ZImageControlNetPipeline::from_pretrained(name);
    expect(&error(loaded), &["`controlnet`", "must be given"]);
    let other = ControlNetModel::init(&ControlNetConfig::default(), &oxidiff::Device::flex()).unwrap();
    let options = LoadOptions { controlnet: Some(other.into()), ..Default::default() };
    let loaded = ZImageControlNetPipeline::from_pretrained_with(name, &options);
    expect(&error(loaded), &["ControlNetModel", "ZImageControlNetModel"]);
    let options = LoadOptions { controlnet: Some(controlnet("layers").into()), ..Default::default() };
    let loaded = DiffusionPipeline::from_pretrained_with(name, &options).unwrap();
    assert_eq!(loaded.class_name(), "ZImageControlNetPipeline");
    // And saved with its ControlNet.
    let saved = tempfile::tempdir().unwrap();
    loaded.save_pretrained(saved.path()).unwrap();
    let again = DiffusionPipeline::from_pretrained(saved.path().to_str().unwrap()).unwrap();
    assert_eq!(again.class_name(), "ZImageControlNetPipeline");
    assert!(again.components().get::<ZImageControlNetModel>("controlnet").is_some());
}
