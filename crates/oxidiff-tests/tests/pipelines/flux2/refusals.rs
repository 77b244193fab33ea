//! Calls that are refused.

use oxidiff::{
    DiffusionPipeline, EulerDiscreteScheduler, Flux2KleinInpaintPipeline, Flux2KleinKVPipeline,
    Flux2KleinTextToImage, Pipeline, PipelineImageInput, Request, Scheduler,
};

use super::{error, expect, klein};
use crate::fixture::pictures::{blob, picture, values};

fn request() -> Request {
    Request::new("a red apple").with("height", 32).with("width", 32).with("num_inference_steps", 2)
}

#[test]
fn arguments_that_cannot_be_used_are_named() {
    let pipeline: DiffusionPipeline = klein().into();
    let refused = |change: fn(Request) -> Request| {
        let mut pipeline = pipeline.clone();
        error(pipeline.call(change(request())))
    };
    expect(&refused(|call| call.with("height", 15)), &["`height`", "16", "15"]);
    expect(&refused(|call| call.with("width", 0)), &["`width`", "16"]);
    expect(&refused(|call| call.with("num_inference_steps", 0)), &["`num_inference_steps`"]);
    expect(&refused(|call| call.with("guidance_scale", f64::NAN)), &["`guidance_scale`", "NaN"]);
    expect(&refused(|call| call.with("max_sequence_length", 0)), &["`max_sequence_length`"]);
    expect(&refused(|call| call.with("max_sequence_length", 513)), &["512"]);
    expect(&refused(|call| call.with("num_images_per_prompt", 0)), &["`num_images_per_prompt`"]);
    expect(&refused(|call| call.with("sigmas", vec![1.0, f64::NAN])), &["`sigmas`"]);
    expect(&refused(|call| call.with("latents", values([1, 4, 4, 4], 0.0))), &["`latents`", "[1, 16, 2, 2]"]);
    expect(&refused(|call| call.with("negative_prompt", "a cat")), &["`negative_prompt`"]);
    expect(&refused(|call| call.with("strength", 0.5)), &["`strength`"]);
    expect(&refused(|_| Request::default()), &["`prompt`"]);
    let layers = |layers: Vec<usize>| request().with("text_encoder_out_layers", layers);
    let mut other = pipeline.clone();
    expect(&error(other.call(layers(vec![9, 18, 29]))), &["`text_encoder_out_layers`", "29", "28"]);
    expect(&error(other.call(layers(vec![9, 18]))), &["`text_encoder_out_layers`", "3 numbers"]);
    let embeds = |features: usize| values([1, 1, 5, features], 0.0).reshape::<3, _>([1, 5, features]);
    expect(&error(other.call(request().with("prompt_embeds", embeds(48)))), &["`prompt`", "`prompt_embeds`"]);
    let call = Request::default().with("prompt_embeds", embeds(40)).with("height", 32).with("width", 32);
    expect(&error(other.call(call)), &["`prompt_embeds`", "[1, 5, 40]", "48"]);
    let negative = values([1, 2, 5, 48], 0.0).reshape::<3, _>([2, 5, 48]);
    let call = request().with("negative_prompt_embeds", negative);
    expect(&error(other.call(call)), &["`negative_prompt_embeds`", "got 2 for 1 prompt"]);
}

#[test]
fn images_that_cannot_be_used_are_named() {
    let pipeline: DiffusionPipeline = klein().into();
    let mut edit = pipeline.clone();
    edit.set_progress_bar(false);
    let mut refused = |image: PipelineImageInput| error(edit.call(request().with("image", image)));
    expect(&refused(picture("RGB", [63, 100]).into()), &["`image`", "63x100", "64"]);
    expect(&refused(picture("RGB", [64, 520]).into()), &["`image`", "64x520", "8"]);
    expect(&refused(values([1, 3, 64, 64], 0.0).into()), &["`image`", "tensors"]);
    expect(&refused(Vec::new().into()), &["`image`", "no images"]);
    let mut kv = pipeline.to_class(Flux2KleinKVPipeline::CLASS_NAME).unwrap();
    expect(&error(kv.call(request().with("image", picture("RGB", [63, 100])))), &["`image`", "63x100"]);
    expect(&error(kv.call(request().with("guidance_scale", 4.0))), &["`guidance_scale`"]);

    let mut paint = pipeline.to_class(Flux2KleinInpaintPipeline::CLASS_NAME).unwrap();
    paint.set_progress_bar(false);
    let image = || picture("RGB", [32, 32]);
    let call = || Request::new("a red apple").with("num_inference_steps", 2);
    let painted = || call().with("image", image()).with("mask_image", blob([32, 32, 0, 0, 9, 9]));
    let mut refused = |call: Request| error(paint.call(call));
    expect(&refused(call()), &["image"]);
    expect(&refused(call().with("image", image())), &["image"]);
    expect(&refused(painted().with("strength", 1.5)), &["`strength`", "1.5"]);
    expect(&refused(painted().with("strength", 0.0)), &["`strength`", "less than one step"]);
    let masks = vec![blob([32, 32, 0, 0, 9, 9]), blob([32, 32, 0, 0, 9, 9])];
    expect(&refused(painted().with("mask_image", masks)), &["`mask_image`", "got 2"]);
    let three = vec![image(), image(), image()];
    expect(&refused(painted().with("image", three)), &["`image`", "got 3"]);
    expect(&refused(painted().with("image_reference", picture("RGB", [8, 40]))), &["`image_reference`", "8"]);
    let none = PipelineImageInput::Images(Vec::new());
    expect(&refused(painted().with("image_reference", none)), &["`image_reference`", "no images"]);
}

#[test]
fn schedulers_of_other_models_are_refused() {
    let mut pipeline = klein();
    let euler = EulerDiscreteScheduler::from_config(pipeline.scheduler().config()).unwrap();
    pipeline.set_scheduler(euler);
    let arguments =
        Flux2KleinTextToImage { height: Some(32), width: Some(32), ..Flux2KleinTextToImage::new("a") };
    expect(&error(pipeline.call(arguments)), &["EulerDiscreteScheduler"]);
}
