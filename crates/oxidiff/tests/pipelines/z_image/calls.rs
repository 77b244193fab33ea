//! The pipelines, seed for seed.

use std::collections::BTreeMap;

use oxidiff::image::DynamicImage;
use oxidiff::{
    AUTO_PIPELINES, Argument, AutoPipeline, DiffusionPipeline, Generator, Images, Pipeline,
    PipelineImageInput, Request, Tensor, ZImageControlNetInpaintPipeline, ZImageControlNetPipeline,
    ZImageImg2ImgPipeline, ZImageInpaintPipeline, ZImagePipeline, scheduler_from_config,
};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::models::controlnet;
use super::{checkpoint, load, recorded};
use crate::fixture::pictures::{blob, picture, values};
use crate::fixture::{Recorded, difference, json, some_pixels};

const TOLERANCE: f32 = 1e-3;

/// A call as the script writes it down.
#[derive(Debug, Deserialize)]
struct Call {
    name: String,
    seed: Value,
    /// Changes to the scheduler's configuration.
    scheduler: Option<Map<String, Value>>,
    image: Option<Vec<(String, u32, u32)>>,
    mask: Option<Vec<[u32; 6]>>,
    tensor: Option<[usize; 4]>,
    /// The name of a ControlNet.
    controlnet: Option<String>,
    control_image: Option<Vec<(String, u32, u32)>>,
    control_tensor: Option<[usize; 4]>,
    /// Keyword arguments.
    #[serde(flatten)]
    others: Map<String, Value>,
}

impl Call {
    fn request(&self) -> Request {
        let generator = |seed: &Value| Generator::manual_seed(seed.as_u64().unwrap());
        let generators = match &self.seed {
            Value::Array(seeds) => seeds.iter().map(generator).collect::<Vec<_>>().into(),
            seed => generator(seed).into(),
        };
        let mut request = Request::default()
            .with("generator", Argument::Generator(generators))
            .with("output_type", "latent");
        if let Some(images) = &self.image {
            let made = images.iter().map(|(mode, width, height)| picture(mode, [*width, *height]));
            // Every second one is mirrored.
            let made =
                made.enumerate().map(|(index, image)| if index % 2 == 1 { image.fliph() } else { image });
            request.set("image", made.collect::<Vec<DynamicImage>>());
        }
        if let Some(shape) = self.tensor {
            request.set("image", PipelineImageInput::Tensor(values(shape, 0.0)));
        }
        if let Some(images) = &self.control_image {
            let made = images.iter().map(|(mode, width, height)| picture(mode, [*width, *height]));
            request.set("control_image", made.collect::<Vec<DynamicImage>>());
        }
        if let Some(shape) = self.control_tensor {
            request.set("control_image", PipelineImageInput::Tensor(values(shape, -1.0)));
        }
        if let Some(masks) = &self.mask {
            request.set("mask_image", masks.iter().map(|mask| blob(*mask)).collect::<Vec<DynamicImage>>());
        }
        for (name, value) in &self.others {
            if value.is_null() && name != "cfg_truncation" {
                continue;
            }
            let embeds = |low: f32| {
                let shapes: Vec<[usize; 2]> = serde_json::from_value(value.clone()).unwrap();
                let tensors = shapes.into_iter().map(|[tokens, features]| {
                    values([1, 1, tokens, features], low).reshape::<2, _>([tokens, features])
                });
                Argument::from(tensors.collect::<Vec<Tensor<2>>>())
            };
            let argument = match name.as_str() {
                "latents" => values(serde_json::from_value(value.clone()).unwrap(), -1.7).into(),
                "prompt_embeds" => embeds(-1.5),
                "negative_prompt_embeds" => embeds(-1.2),
                // Above 1 there is always guidance, as without a value.
                "cfg_truncation" if value.is_null() => Argument::Number(2.0),
                _ => plain(value),
            };
            request.set(name.clone(), argument);
        }
        request
    }
}

fn plain(value: &Value) -> Argument {
    match value {
        Value::Bool(flag) => (*flag).into(),
        Value::Number(number) => {
            number.as_u64().map_or_else(|| Argument::Number(number.as_f64().unwrap()), Argument::Integer)
        }
        Value::String(text) => text.clone().into(),
        Value::Array(items) => Argument::List(items.iter().map(plain).collect()),
        other => panic!("{other}"),
    }
}

fn compare<P: Pipeline>(file: &str, least: usize) {
    let calls: Vec<Call> = json(&recorded(&format!("{file}.json")));
    assert!(calls.len() >= least);
    let expected = Recorded::open(&recorded("calls.safetensors"));
    let folder = checkpoint();
    let plain = load::<ZImagePipeline>(folder.path()).unwrap();
    let mut failed = Vec::new();
    for call in calls {
        let mut pipeline: DiffusionPipeline = plain.clone().into();
        pipeline = match &call.controlnet {
            Some(name) => {
                let task = match P::CLASS_NAME {
                    ZImageControlNetPipeline::CLASS_NAME => AUTO_PIPELINES[0],
                    _ => AutoPipeline::find("AutoPipelineForInpainting").unwrap(),
                };
                task.from_pipe_with_controlnet(&pipeline, controlnet(name)).unwrap()
            }
            None => pipeline.to_class(P::CLASS_NAME).unwrap(),
        };
        assert_eq!(pipeline.class_name(), P::CLASS_NAME);
        pipeline.set_progress_bar(false);
        if let Some(changes) = &call.scheduler {
            let mut config = pipeline.scheduler().config().clone();
            for (field, value) in changes {
                config = config.with(field, value.clone());
            }
            let class_name = config.class_name().unwrap().to_owned();
            pipeline.set_scheduler(scheduler_from_config(&class_name, &config).unwrap());
        }
        let made = match pipeline.call(call.request()) {
            Ok(made) => match made.images {
                Images::Latent(latents) => latents,
                Images::Array(array) => some_pixels(array, 8),
                Images::Image(_) => panic!("no images were asked for"),
            },
            Err(error) => {
                failed.push(format!("{}: {error}", call.name));
                continue;
            }
        };
        let theirs: Tensor<4> = expected.floats(&format!("{file}.{}", call.name));
        if made.dims() != theirs.dims() {
            failed.push(format!("{}: {:?} instead of {:?}", call.name, made.dims(), theirs.dims()));
            continue;
        }
        let off = difference(made, theirs);
        println!("{file} {}: {off:.2e}", call.name);
        if off.is_nan() || off > TOLERANCE {
            failed.push(format!("{}: off by {off}", call.name));
        }
    }
    assert!(failed.is_empty(), "{file}:\n{}", failed.join("\n"));
}

#[test]
fn text_becomes_the_image_that_python_makes() {
    compare::<ZImagePipeline>("text2img", 16);
}

#[test]
fn images_are_changed_as_in_python() {
    compare::<ZImageImg2ImgPipeline>("img2img", 9);
}

#[test]
fn images_are_inpainted_as_in_python() {
    compare::<ZImageInpaintPipeline>("inpaint", 7);
}

#[test]
fn images_follow_others_as_in_python() {
    compare::<ZImageControlNetPipeline>("control", 4);
}

#[test]
fn images_are_inpainted_and_follow_others_as_in_python() {
    compare::<ZImageControlNetInpaintPipeline>("control_inpaint", 3);
}

#[test]
fn one_pipeline_becomes_another_with_the_same_weights() {
    use oxidiff::{AutoPipelineForImage2Image, AutoPipelineForInpainting, AutoPipelineForText2Image};
    let folder = checkpoint();
    let name = folder.path().to_str().unwrap();
    let pipeline = AutoPipelineForText2Image::from_pretrained(name).unwrap();
    assert_eq!(pipeline.class_name(), "ZImagePipeline");
    let other = AutoPipelineForImage2Image::from_pipe(&pipeline).unwrap();
    assert_eq!(other.class_name(), "ZImageImg2ImgPipeline");
    let other = AutoPipelineForInpainting::from_pipe(&other).unwrap();
    assert_eq!(other.class_name(), "ZImageInpaintPipeline");
    let parts: BTreeMap<&str, String> =
        other.components().iter().map(|(name, part)| (name, part.class().1)).collect();
    let classes = [
        ("scheduler", "FlowMatchEulerDiscreteScheduler"),
        ("text_encoder", "Qwen3Model"),
        ("tokenizer", "Qwen2Tokenizer"),
        ("transformer", "ZImageTransformer2DModel"),
        ("vae", "AutoencoderKL"),
    ];
    assert_eq!(parts, classes.map(|(name, class)| (name, class.to_owned())).into());
}
