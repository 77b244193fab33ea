//! Compares pipelines with image inputs with Python diffusers, seed for seed: images are at most 1e-3 apart.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::{Arc, Mutex};

use burn::tensor::Int;
use oxidiff::image::DynamicImage;
use oxidiff::{
    AutoPipelineForImage2Image, AutoPipelineForInpainting, AutoPipelineForText2Image, DDIMScheduler,
    DDPMScheduler, DPTForDepthEstimation, DPTImageProcessor, DepthToImage, Device, DiffusionPipeline,
    Generator, Generators, ImageProcessor, ImageToImage, Images, Inpaint, InstructPix2Pix, Model, OutputType,
    Pipeline, PipelineArguments, PipelineImageInput, Scheduler, StableDiffusionComponents,
    StableDiffusionDepth2ImgPipeline, StableDiffusionImg2ImgPipeline, StableDiffusionInpaintPipeline,
    StableDiffusionInstructPix2PixPipeline, StableDiffusionPipeline, StableDiffusionUpscalePipeline,
    StepCallback, Tensor, TextToImage, UNet2DConditionModel, Upscale, scheduler_from_config,
};
use serde::Deserialize;

use crate::fixture::pictures::{blob, picture, values};
use crate::fixture::{Recorded, assert_close, fixtures, json, repository};

const TOLERANCE: f32 = 1e-3;

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Call {
    scheduler: Option<String>,
    prompt: Vec<String>,
    negative_prompt: Vec<String>,
    num_inference_steps: usize,
    seed: Seed,
    images: Option<Vec<[u32; 2]>>,
    tensor: Option<[usize; 4]>,
    low: f32,
    array: Option<[usize; 4]>,
    masks: Vec<[u32; 6]>,
    mask_tensor: Option<[usize; 4]>,
    masked_latents: Option<[usize; 4]>,
    latents: Option<[usize; 4]>,
    depth_map: Option<[usize; 3]>,
    padding_mask_crop: Option<usize>,
    strength: Option<f64>,
    guidance_scale: Option<f64>,
    image_guidance_scale: Option<f64>,
    noise_level: Option<usize>,
    height: Option<usize>,
    width: Option<usize>,
    num_images_per_prompt: Option<usize>,
    clip_skip: Option<usize>,
    eta: Option<f64>,
    sigmas: Option<Vec<f32>>,
    timesteps: Option<Vec<f32>>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
enum Seed {
    One(u64),
    PerItem(Vec<u64>),
}

impl Default for Seed {
    fn default() -> Self {
        Self::One(0)
    }
}

impl Call {
    fn generator(&self) -> Generators {
        match &self.seed {
            Seed::One(seed) => Generator::manual_seed(*seed).into(),
            Seed::PerItem(seeds) => {
                seeds.iter().map(|seed| Generator::manual_seed(*seed)).collect::<Vec<_>>().into()
            }
        }
    }

    fn image(&self) -> PipelineImageInput {
        if let Some(sizes) = &self.images {
            return pictures(sizes).into();
        }
        match (self.tensor, self.array) {
            (Some(shape), _) => values(shape, self.low).into(),
            (None, shape) => PipelineImageInput::Array(values(shape.unwrap(), self.low)),
        }
    }

    fn mask(&self) -> PipelineImageInput {
        match self.mask_tensor {
            Some(shape) => values(shape, 0.0).into(),
            None => self.masks.iter().map(|mask| blob(*mask)).collect::<Vec<_>>().into(),
        }
    }
}

/// Pictures of the given sizes; every second one is mirrored, so that they differ.
fn pictures(sizes: &[[u32; 2]]) -> Vec<DynamicImage> {
    let made = sizes.iter().map(|size| picture("RGB", *size)).enumerate();
    made.map(|(index, image)| if index % 2 == 1 { image.fliph() } else { image }).collect()
}

/// The arguments that all calls share, for a call of type `$arguments`.
macro_rules! arguments {
    ($arguments:ident, $call:expr, $callback:expr, { $($own:tt)* }) => {{
        let (call, default): (&Call, $arguments) = ($call, $arguments::default());
        $arguments {
            prompt: call.prompt.clone(),
            negative_prompt: call.negative_prompt.clone(),
            num_inference_steps: call.num_inference_steps,
            guidance_scale: call.guidance_scale.unwrap_or(default.guidance_scale),
            num_images_per_prompt: call.num_images_per_prompt.unwrap_or(1),
            eta: call.eta.unwrap_or(0.0),
            clip_skip: call.clip_skip,
            generator: Some(call.generator()),
            output_type: OutputType::Array,
            callback_on_step_end: Some($callback),
            $($own)*
            ..default
        }
    }};
}

fn image_to_image(call: &Call, callback: StepCallback) -> PipelineArguments {
    arguments!(ImageToImage, call, callback, {
        image: call.image(),
        strength: call.strength.unwrap_or(0.8),
        timesteps: call.timesteps.clone(),
        sigmas: call.sigmas.clone(),
    })
    .into()
}

fn depth_to_image(call: &Call, callback: StepCallback) -> PipelineArguments {
    arguments!(DepthToImage, call, callback, {
        image: call.image(),
        depth_map: call.depth_map.map(|[n, h, w]| values([1, n, h, w], 0.0).squeeze_dim(0)),
        strength: call.strength.unwrap_or(0.8),
    })
    .into()
}

fn inpaint(call: &Call, callback: StepCallback) -> PipelineArguments {
    let mut arguments = arguments!(Inpaint, call, callback, {
        image: call.image(),
        mask_image: call.mask(),
        masked_image_latents: call.masked_latents.map(|shape| values(shape, -1.5)),
        latents: call.latents.map(|shape| values(shape, -1.7)),
        height: call.height,
        width: call.width,
        padding_mask_crop: call.padding_mask_crop,
        strength: call.strength.unwrap_or(1.0),
    });
    if arguments.padding_mask_crop.is_some() {
        arguments.output_type = OutputType::Image;
    }
    arguments.into()
}

fn upscale(call: &Call, callback: StepCallback) -> PipelineArguments {
    arguments!(Upscale, call, callback, {
        image: call.image(),
        noise_level: call.noise_level.unwrap_or(20),
        latents: call.latents.map(|shape| values(shape, -1.7)),
    })
    .into()
}

fn edit(call: &Call, callback: StepCallback) -> PipelineArguments {
    arguments!(InstructPix2Pix, call, callback, {
        image: call.image(),
        image_guidance_scale: call.image_guidance_scale.unwrap_or(1.5),
        latents: call.latents.map(|shape| values(shape, -1.7)),
    })
    .into()
}

/// The recorded pixels of images `[batch, height, width, channels]`.
fn every_fourth_pixel(image: Tensor<4>) -> Tensor<4> {
    let [_, height, width, _] = image.dims();
    let every_fourth = |size: usize| {
        let indices: Vec<i64> = (0..size as i64).step_by(4).collect();
        Tensor::<1, Int>::from_data(indices.as_slice(), &Device::flex())
    };
    image.select(1, every_fourth(height)).select(2, every_fourth(width))
}

/// The images as they are recorded: the bytes of pictures are divided by 255.
fn to_array(images: Images) -> Tensor<4> {
    let Images::Image(images) = images else { return images.into_tensor().unwrap() };
    let arrays = images.iter().map(|image| {
        let values: Vec<f32> =
            image.as_rgb8().unwrap().as_raw().iter().map(|byte| f32::from(*byte) / 255.0).collect();
        let shape = [1, image.height() as usize, image.width() as usize, 3];
        Tensor::<1>::from_floats(values.as_slice(), &Device::flex()).reshape(shape)
    });
    Tensor::cat(arrays.collect(), 0)
}

fn check(
    name: &str,
    pipeline: impl Into<DiffusionPipeline>,
    arguments: fn(&Call, StepCallback) -> PipelineArguments,
) {
    let mut pipeline = pipeline.into();
    pipeline.set_progress_bar(false);
    let own = pipeline.scheduler().clone_box();
    let folder = fixtures().join("image_to_image");
    let calls: Vec<Call> = json(&folder.join(format!("{name}.json")));
    let outputs = Recorded::open(&folder.join(format!("{name}.safetensors")));
    assert!(calls.len() >= 3);

    for (index, call) in calls.into_iter().enumerate() {
        pipeline.set_scheduler(match &call.scheduler {
            Some(class_name) => scheduler_from_config(class_name, own.config()).unwrap(),
            None => own.clone(),
        });
        let what = format!("{name} call {index} {:?}", call.scheduler);
        let steps: Arc<Mutex<Vec<Tensor<4>>>> = Arc::default();
        let seen = steps.clone();
        let callback: StepCallback = Box::new(move |step| {
            seen.lock().unwrap().push(step.latents.clone());
            ControlFlow::Continue(step.latents)
        });
        let made =
            pipeline.call(arguments(&call, callback)).unwrap_or_else(|error| panic!("{what}: {error}"));

        let steps = steps.lock().unwrap();
        let latents = outputs.floats::<5>(&format!("{index}.latents"));
        let scale = latents.clone().abs().max().into_scalar::<f32>().max(1.0);
        let ends = Tensor::stack(vec![steps[0].clone(), steps[steps.len() - 1].clone()], 0);
        assert_close(&format!("{what}, latents"), ends, latents, TOLERANCE * scale);
        // If bytes are recorded, one may be rounded the other way.
        let tolerance = if call.padding_mask_crop.is_some() { 1.0 / 255.0 + 1e-6 } else { TOLERANCE };
        let image = every_fourth_pixel(to_array(made.images));
        assert_close(&what, image, outputs.floats(&format!("{index}.image")), tolerance);
    }
}

fn sd1() -> StableDiffusionPipeline {
    load(&fixtures().join("pipelines/sd1"))
}

fn load<P: Pipeline>(folder: &Path) -> P {
    let mut pipeline = P::from_pretrained(folder.to_str().unwrap()).unwrap();
    pipeline.set_progress_bar(false);
    pipeline
}

/// The parts of sd1 with a UNet that takes further channels.
fn with_unet(name: &str) -> StableDiffusionComponents {
    let folder = fixtures().join("image_to_image").join(name);
    let unet = UNet2DConditionModel::from_pretrained(folder.to_str().unwrap()).unwrap();
    StableDiffusionComponents { unet, ..(*sd1()).clone() }
}

fn low_res_scheduler() -> DDPMScheduler {
    let folder = fixtures().join("image_to_image/low_res_scheduler");
    DDPMScheduler::from_pretrained(folder.to_str().unwrap()).unwrap()
}

#[test]
fn images_become_other_images_as_in_python() {
    check("img2img", StableDiffusionImg2ImgPipeline::from_pipe(&sd1()).unwrap(), image_to_image);
}

#[test]
fn the_embedded_model_changes_images_as_in_python() {
    let folder = repository().join("models/emoji-diffusion");
    check("embedded", load::<StableDiffusionImg2ImgPipeline>(&folder), image_to_image);
}

#[test]
fn masked_parts_are_repainted_as_in_python() {
    check("inpaint", StableDiffusionInpaintPipeline::from_pipe(&sd1()).unwrap(), inpaint);
}

#[test]
fn a_model_that_takes_the_mask_inpaints_as_in_python() {
    check("inpaint9", StableDiffusionInpaintPipeline::new(with_unet("unet9")).unwrap(), inpaint);
}

fn depth_pipeline() -> StableDiffusionDepth2ImgPipeline {
    let folder = fixtures().join("image_to_image");
    let estimator = DPTForDepthEstimation::from_pretrained(folder.join("depth_estimator").to_str().unwrap());
    let processor = DPTImageProcessor::from_pretrained(folder.join("feature_extractor").to_str().unwrap());
    StableDiffusionDepth2ImgPipeline::new(with_unet("unet5"), estimator.unwrap(), processor.unwrap()).unwrap()
}

#[test]
fn images_keep_their_depth_as_in_python() {
    check("depth2img", depth_pipeline(), depth_to_image);
}

#[test]
fn a_depth_pipeline_is_saved_with_its_estimator() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    let saved = depth_pipeline();
    saved.save_pretrained(path).unwrap();
    let loaded = DiffusionPipeline::from_pretrained(path).unwrap();
    assert_eq!(loaded.class_name(), "StableDiffusionDepth2ImgPipeline");
    let names: Vec<_> = loaded.components().into_iter().map(|(name, part)| (name, part.class().1)).collect();
    assert_eq!(names[5], ("depth_estimator", "DPTForDepthEstimation".to_owned()));
    assert_eq!(names[6], ("feature_extractor", "DPTImageProcessor".to_owned()));
    check("depth2img", loaded, depth_to_image);

    let again = StableDiffusionDepth2ImgPipeline::from_pipe(&saved).unwrap();
    assert_eq!(again.to_string(), saved.to_string());
    let refused = error(StableDiffusionDepth2ImgPipeline::from_pipe(&sd1()));
    assert!(refused.contains("has no `depth_estimator`"), "{refused}");
}

#[test]
fn unusable_depth_is_refused() {
    let mut pipeline = depth_pipeline();
    let good = || DepthToImage::new("dog", picture("RGB", [16, 16]));
    let flat = DepthToImage { depth_map: Some(Tensor::ones([1, 8, 8], &Device::flex())), ..good() };
    assert!(error(pipeline.call(flat)).contains("`depth_map`: is the same everywhere"));
    let none = DepthToImage { depth_map: Some(Tensor::ones([0, 8, 8], &Device::flex())), ..good() };
    assert!(error(pipeline.call(none)).contains("`depth_map`: has shape [0, 8, 8]"));
    let two = values([1, 2, 8, 8], 0.0).squeeze_dim(0);
    let two = DepthToImage { depth_map: Some(two), ..good() };
    assert!(error(pipeline.call(two)).contains("`depth_map`: got 2"));
    assert!(error(pipeline.call(DepthToImage::new("dog", values([1, 4, 8, 8], 0.0)))).contains("is latents"));
    assert!(
        error(pipeline.call(DepthToImage::new("dog", Vec::new()))).contains("`image`: there are no images")
    );
    assert!(error(pipeline.call(DepthToImage { strength: 2.0, ..good() })).contains("`strength`"));
}

#[test]
fn images_are_edited_as_in_python() {
    let pipeline = StableDiffusionInstructPix2PixPipeline::new(with_unet("unet8")).unwrap();
    check("instruct_pix2pix", pipeline, edit);
}

#[test]
fn images_are_enlarged_as_in_python() {
    let pipeline = StableDiffusionUpscalePipeline::new(with_unet("unet7"), low_res_scheduler()).unwrap();
    check("upscale", pipeline, upscale);
}

fn error<T>(result: oxidiff::Result<T>) -> String {
    match result {
        Ok(_) => panic!("should have failed"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn pipelines_are_made_from_each_other() {
    let text_to_image = sd1();
    let image_to_image = StableDiffusionImg2ImgPipeline::from_pipe(&text_to_image).unwrap();
    let inpaint = StableDiffusionInpaintPipeline::from_pipe(&image_to_image).unwrap();
    let mut again = StableDiffusionPipeline::from_pipe(&inpaint).unwrap();
    again.set_progress_bar(false);
    assert!(image_to_image.to_string().starts_with("StableDiffusionImg2ImgPipeline {"));
    assert!(inpaint.to_string().contains(r#""_class_name": "StableDiffusionInpaintPipeline""#));
    assert_eq!(again.to_string(), text_to_image.to_string());

    let arguments = || TextToImage {
        num_inference_steps: 2,
        generator: Some(Generator::manual_seed(1).into()),
        output_type: OutputType::Array,
        ..TextToImage::new("dog")
    };
    let image = |mut pipeline: StableDiffusionPipeline| {
        pipeline.call(arguments()).unwrap().images.into_tensor().unwrap()
    };
    assert_close("the same pipeline", image(again), image(text_to_image), 0.0);
}

#[test]
fn the_task_chooses_the_class() {
    let folder = fixtures().join("pipelines/sd1");
    let folder = folder.to_str().unwrap();
    let edit = AutoPipelineForImage2Image::from_pretrained(folder).unwrap();
    assert_eq!(edit.class_name(), "StableDiffusionImg2ImgPipeline");
    let inpaint = AutoPipelineForInpainting::from_pipe(&edit).unwrap();
    assert_eq!(inpaint.class_name(), "StableDiffusionInpaintPipeline");
    let plain = AutoPipelineForText2Image::from_pipe(&inpaint).unwrap();
    assert_eq!(plain.class_name(), "StableDiffusionPipeline");
    assert_eq!(plain.to_string(), DiffusionPipeline::from_pretrained(folder).unwrap().to_string());

    let other = StableDiffusionInstructPix2PixPipeline::new(with_unet("unet8")).unwrap().into();
    let refused = error(AutoPipelineForImage2Image::from_pipe(&other));
    assert!(refused.contains("StableDiffusionInstructPix2PixPipeline"), "{refused}");
    assert!(refused.contains("StableDiffusionPipeline"), "{refused}");
}

#[test]
fn a_saved_pipeline_is_loaded_by_its_class() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    let saved = StableDiffusionInpaintPipeline::new(with_unet("unet9")).unwrap();
    saved.save_pretrained(path).unwrap();
    let mut loaded = DiffusionPipeline::from_pretrained(path).unwrap();
    assert_eq!(loaded.class_name(), "StableDiffusionInpaintPipeline");
    let refused = error(loaded.call(TextToImage::new("a text alone")));
    assert!(refused.contains("text to image with a StableDiffusionInpaintPipeline"), "{refused}");
    check("inpaint9", loaded, inpaint);

    // A UNet that takes more than latents does not fit a pipeline that has nothing to add.
    for refused in [
        error(AutoPipelineForText2Image::from_pretrained(path)),
        error(StableDiffusionImg2ImgPipeline::from_pretrained(path)),
        error(StableDiffusionInstructPix2PixPipeline::from_pipe(&saved)),
    ] {
        assert!(refused.contains("`in_channels`: is 9"), "{refused}");
    }
}

#[test]
fn the_upscaler_is_saved_with_all_of_its_parts() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    StableDiffusionUpscalePipeline::new(with_unet("unet7"), low_res_scheduler())
        .unwrap()
        .save_pretrained(path)
        .unwrap();
    let python = fixtures().join("image_to_image/upscale_model_index.json");
    std::fs::copy(&python, folder.path().join("model_index.json")).unwrap();
    let mut loaded = load::<StableDiffusionUpscalePipeline>(folder.path());
    let names: Vec<_> = loaded.components().into_iter().map(|(name, _)| name).collect();
    assert!(names.contains(&"low_res_scheduler"), "{names:?}");
    assert!(loaded.components().get::<Box<dyn Scheduler>>("low_res_scheduler").is_some());

    let again = tempfile::tempdir().unwrap();
    loaded.save_pretrained(again.path()).unwrap();
    let index: serde_json::Value = json(&again.path().join("model_index.json"));
    assert_eq!(index, json::<serde_json::Value>(&python));

    let too_much = Upscale { noise_level: 251, ..Upscale::new("dog", picture("RGB", [16, 16])) };
    assert!(error(loaded.call(too_much)).contains("`noise_level`: must be at most 250"));
    check("upscale", loaded, upscale);
}

#[test]
fn images_that_do_not_fit_are_refused() {
    let mut pipeline = StableDiffusionImg2ImgPipeline::from_pipe(&sd1()).unwrap();
    pipeline.set_progress_bar(false);
    let mut refuse = |image: PipelineImageInput, change: fn(&mut ImageToImage)| {
        let mut arguments = ImageToImage { num_inference_steps: 4, ..ImageToImage::new("dog", image) };
        change(&mut arguments);
        error(pipeline.call(arguments))
    };
    let good = || PipelineImageInput::from(picture("RGB", [16, 16]));
    let unchanged = |_: &mut ImageToImage| {};

    assert!(refuse(Vec::new().into(), unchanged).contains("`image`: there are no images"));
    assert!(refuse(picture("RGBA", [16, 16]).into(), unchanged).contains("alpha"));
    assert!(refuse(picture("L", [16, 16]).into(), unchanged).contains("1 channels"));
    assert!(refuse(picture("RGB", [7, 16]).into(), unchanged).contains("smaller than 8x8"));
    assert!(refuse(pictures(&[[16, 16]; 2]).into(), unchanged).contains("got 2"));
    assert!(
        refuse(pictures(&[[16, 16]; 2]).into(), |a| a.prompt = vec!["dog".into(); 3]).contains("3 images")
    );
    for strength in [-0.1, 1.1, f64::NAN] {
        let arguments = ImageToImage { strength, ..ImageToImage::new("dog", good()) };
        let mut pipeline = StableDiffusionImg2ImgPipeline::from_pipe(&sd1()).unwrap();
        assert!(error(pipeline.call(arguments)).contains("`strength`"));
    }
    assert!(refuse(good(), |a| a.prompt.clear()).contains("`prompt`"));
    let mut plain = StableDiffusionImg2ImgPipeline::from_pipe(&sd1()).unwrap();
    plain.set_scheduler(DDIMScheduler::from_config(plain.scheduler().config()).unwrap());
    let little = ImageToImage { num_inference_steps: 4, strength: 0.2, ..ImageToImage::new("dog", good()) };
    assert!(error(plain.call(little)).contains("less than one step"));
    let three = || Generators::from((0..3).map(Generator::manual_seed).collect::<Vec<_>>());
    let arguments = ImageToImage { generator: Some(three()), ..ImageToImage::new("dog", good()) };
    let mut pipeline = StableDiffusionImg2ImgPipeline::from_pipe(&sd1()).unwrap();
    assert!(error(pipeline.call(arguments)).contains("3 generators"));
}

#[test]
fn masks_that_do_not_fit_are_refused() {
    let mut pipeline = StableDiffusionInpaintPipeline::from_pipe(&sd1()).unwrap();
    pipeline.set_progress_bar(false);
    let mut refuse = |change: fn(&mut Inpaint)| {
        let (image, mask) = (picture("RGB", [32, 32]), blob([32, 32, 4, 4, 20, 20]));
        let mut arguments = Inpaint { num_inference_steps: 2, ..Inpaint::new("dog", image, mask) };
        (arguments.height, arguments.width) = (Some(32), Some(32));
        change(&mut arguments);
        error(pipeline.call(arguments))
    };
    let expect = |refused: String, words: &[&str]| {
        assert!(words.iter().all(|word| refused.contains(word)), "{refused}");
    };

    expect(refuse(|a| a.mask_image = Vec::new().into()), &["`image`: there are no images"]);
    expect(refuse(|a| a.mask_image = values([1, 3, 32, 32], 0.0).into()), &["`mask_image`", "3 channels"]);
    let two_masks = |a: &mut Inpaint| a.mask_image = vec![blob([32, 32, 0, 0, 9, 9]); 2].into();
    expect(refuse(two_masks), &["`mask_image`", "got 2"]);
    expect(refuse(|a| a.height = Some(36)), &["`height`", "multiple of 8"]);
    expect(refuse(|a| a.strength = 0.3), &["`strength`", "less than one step"]);
    expect(refuse(|a| a.latents = Some(values([1, 4, 5, 4], 0.0))), &["`latents`", "[1, 4, 4, 4]"]);
    expect(refuse(|a| a.image = values([1, 4, 5, 4], 0.0).into()), &["`image`", "[1, 4, 4, 4]"]);

    expect(
        refuse(|a| (a.padding_mask_crop, a.output_type) = (Some(4), OutputType::Array)),
        &["`output_type`"],
    );
    expect(
        refuse(|a| (a.padding_mask_crop, a.mask_image) = (Some(4), blob([32, 32, 0, 0, 0, 0]).into())),
        &["`mask_image`", "black everywhere"],
    );
    expect(
        refuse(|a| (a.padding_mask_crop, a.mask_image) = (Some(4), blob([30, 32, 0, 0, 9, 9]).into())),
        &["`mask_image`", "30x32"],
    );
    expect(
        refuse(|a| (a.padding_mask_crop, a.image) = (Some(4), values([1, 3, 32, 32], 0.0).into())),
        &["`image`", "padding_mask_crop"],
    );

    let mut given_mask = StableDiffusionInpaintPipeline::new(with_unet("unet9")).unwrap();
    let arguments = Inpaint {
        masked_image_latents: Some(values([1, 4, 8, 8], 0.0)),
        num_inference_steps: 2,
        ..Inpaint::new("dog", picture("RGB", [32, 32]), blob([32, 32, 4, 4, 20, 20]))
    };
    let arguments = Inpaint { height: Some(32), width: Some(32), ..arguments };
    expect(error(given_mask.call(arguments)), &["`masked_image_latents`", "[1, 4, 4, 4]"]);
}

#[test]
fn invalid_images_to_enlarge_or_edit_are_refused() {
    let mut pipeline = StableDiffusionUpscalePipeline::new(with_unet("unet7"), low_res_scheduler()).unwrap();
    let refused = error(pipeline.call(Upscale::new("dog", values([1, 4, 8, 8], 0.0))));
    assert!(refused.contains("4 channels, the model takes 3"), "{refused}");
    let two = Upscale { prompt: vec!["dog".into(); 2], ..Upscale::new("", picture("RGB", [16, 16])) };
    assert!(error(pipeline.call(two)).contains("got 1 for 2 prompts"));
    let refused = error(StableDiffusionUpscalePipeline::from_pipe(&sd1()));
    assert!(refused.contains("low_res_scheduler"), "{refused}");

    let mut pipeline = StableDiffusionInstructPix2PixPipeline::new(with_unet("unet8")).unwrap();
    let good = || InstructPix2Pix::new("dog", picture("RGB", [16, 16]));
    let nan = InstructPix2Pix { image_guidance_scale: f64::NAN, ..good() };
    assert!(error(pipeline.call(nan)).contains("`image_guidance_scale`"));
    let latents = InstructPix2Pix { latents: Some(values([1, 4, 8, 8], 0.0)), ..good() };
    assert!(error(pipeline.call(latents)).contains("[1, 4, 2, 2]"));
    let refused = error(StableDiffusionInstructPix2PixPipeline::from_pipe(&sd1()));
    assert!(refused.contains("`in_channels`: is 4"), "{refused}");
}
