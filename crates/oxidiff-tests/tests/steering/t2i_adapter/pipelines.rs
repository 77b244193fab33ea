//! The pipelines, seed for seed.

use oxidiff::image::DynamicImage;
use oxidiff::{
    AdapterTextToImage, Argument, DiffusionPipeline, FollowedImages, Generator, OutputType, Pipeline,
    PipelineImageInput, Request, StableDiffusionAdapterPipeline, StableDiffusionXLAdapterPipeline,
    StableDiffusionXLAdapterTextToImage, T2IAdapters, Tensor, scheduler_from_config,
};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{adapter, recorded, sd1, xl};
use crate::fixture::pictures::{picture, values};
use crate::fixture::{Recorded, assert_close, difference, every_third_pixel, json};

const TOLERANCE: f32 = 1e-3;

/// A call as the script writes it down.
#[derive(Clone, Debug, Deserialize)]
pub struct Call {
    scheduler: String,
    seed: Value,
    adapters: Vec<String>,
    /// Mode and size of the images of each adapter.
    images: Option<Vec<Vec<(String, u32, u32)>>>,
    tensor: Option<[usize; 4]>,
    /// Keyword arguments.
    #[serde(flatten)]
    others: Map<String, Value>,
}

impl Call {
    fn adapters(&self) -> T2IAdapters {
        T2IAdapters::of(self.adapters.iter().map(|name| adapter(name)).collect()).unwrap()
    }

    fn images(&self) -> FollowedImages {
        let Some(images) = &self.images else { return values(self.tensor.unwrap(), 0.0).into() };
        let each = images.iter().map(|of_one| {
            let made = of_one.iter().map(|(mode, width, height)| picture(mode, [*width, *height]));
            // Every second one is mirrored.
            let made =
                made.enumerate().map(|(index, image)| if index % 2 == 1 { image.fliph() } else { image });
            made.collect::<Vec<DynamicImage>>()
        });
        let each: Vec<Vec<DynamicImage>> = each.collect();
        match each.as_slice() {
            [one] => one.clone().into(),
            several if several.iter().all(|images| images.len() == 1) => several.concat().into(),
            several => {
                several.iter().map(|images| images.clone().into()).collect::<Vec<PipelineImageInput>>().into()
            }
        }
    }

    /// The arguments of the call, by name.
    fn request(&self) -> Request {
        let generator = |seed: &Value| Generator::manual_seed(seed.as_u64().unwrap());
        let generators = match &self.seed {
            Value::Array(seeds) => seeds.iter().map(generator).collect::<Vec<_>>().into(),
            seed => generator(seed).into(),
        };
        let mut request = Request::default()
            .with("image", self.images())
            .with("generator", Argument::Generator(generators))
            .with("output_type", OutputType::Array);
        for (name, value) in &self.others {
            let shape = || serde_json::from_value::<Vec<usize>>(value.clone()).unwrap();
            let embeds = |low: f32| {
                let tensor: Tensor<3> = values([1, shape()[0], shape()[1], shape()[2]], low).squeeze_dim(0);
                Argument::from(tensor)
            };
            let argument = match name.as_str() {
                "latents" => values(shape().try_into().unwrap(), -1.7).into(),
                "prompt_embeds" => embeds(-1.5),
                "negative_prompt_embeds" => embeds(-1.2),
                _ => plain(value),
            };
            request.set(name.clone(), argument);
        }
        request
    }
}

fn plain(value: &Value) -> Argument {
    match value {
        Value::Number(value) => value.as_f64().unwrap().into(),
        Value::String(value) => value.as_str().into(),
        Value::Array(items) => Argument::List(items.iter().map(plain).collect()),
        other => panic!("{other}"),
    }
}

/// Makes the recorded calls with the pipeline that `new` makes of the adapters of a call.
fn compare(name: &str, new: impl Fn(T2IAdapters) -> oxidiff::Result<DiffusionPipeline>) {
    let calls: Vec<Call> = json(&recorded(&format!("{name}.json")));
    let outputs = Recorded::open(&recorded("calls.safetensors"));
    assert!(calls.len() >= 12);
    for (index, call) in calls.into_iter().enumerate() {
        let what = format!("{name} call {index}");
        let mut pipeline = new(call.adapters()).unwrap_or_else(|error| panic!("{what}: {error}"));
        pipeline.set_progress_bar(false);
        let own = pipeline.scheduler().config();
        pipeline.set_scheduler(scheduler_from_config(&call.scheduler, own).unwrap());
        let made = pipeline.call(call.request()).unwrap_or_else(|error| panic!("{what}: {error}"));
        let made = every_third_pixel(made.images.into_tensor().unwrap());
        assert_close(&what, made, outputs.floats(&format!("{name}.{index}")), TOLERANCE);
    }
}

#[test]
fn images_follow_others_as_in_python() {
    let parts = sd1();
    compare("text2img", |adapters| Ok(StableDiffusionAdapterPipeline::new(parts.clone(), adapters)?.into()));
}

#[test]
fn images_of_xl_follow_others_as_in_python() {
    let parts = xl();
    compare("xl", |adapters| Ok(StableDiffusionXLAdapterPipeline::new(parts.clone(), adapters)?.into()));
}

/// With typed arguments.
#[test]
fn the_scale_and_the_factor_say_how_much_an_image_counts() {
    let mut pipeline = StableDiffusionAdapterPipeline::new(sd1(), adapter("full")).unwrap();
    pipeline.set_progress_bar(false);
    let mut make = |image: DynamicImage, scale: f64| {
        let arguments = AdapterTextToImage {
            adapter_conditioning_scale: scale.into(),
            num_inference_steps: 2,
            generator: Some(Generator::manual_seed(1).into()),
            output_type: OutputType::Array,
            ..AdapterTextToImage::new("dog", image)
        };
        pipeline.call(arguments).unwrap().images.into_tensor().unwrap()
    };
    let (one, other) = (picture("RGB", [32, 32]), picture("RGB", [32, 32]).fliph());
    let followed = make(one.clone(), 1.0);
    assert!(difference(followed.clone(), make(other.clone(), 1.0)) > 1e-2);
    let free = make(one, 0.0);
    assert_close("scale 0", free.clone(), make(other, 0.0), 0.0);
    assert!(difference(free, followed) > 1e-2);

    let mut pipeline = StableDiffusionXLAdapterPipeline::new(xl(), adapter("xl")).unwrap();
    pipeline.set_progress_bar(false);
    let mut make = |scale: f64, factor: f64| {
        let arguments = StableDiffusionXLAdapterTextToImage {
            adapter_conditioning_scale: scale.into(),
            adapter_conditioning_factor: factor,
            num_inference_steps: 2,
            generator: Some(Generator::manual_seed(1).into()),
            output_type: OutputType::Array,
            ..StableDiffusionXLAdapterTextToImage::new("dog", picture("RGB", [32, 32]))
        };
        pipeline.call(arguments).unwrap().images.into_tensor().unwrap()
    };
    let (none, half, all) = (make(0.0, 1.0), make(1.0, 0.5), make(1.0, 1.0));
    assert_close("no step", make(1.0, 0.4), none.clone(), 0.0);
    assert_close("no step", make(1.0, -1.0), none.clone(), 0.0);
    assert!(difference(half.clone(), none) > 1e-3);
    assert!(difference(half, all) > 1e-3);
}

/// An adapter with one channel takes pictures in grey, one with three in colour.
#[test]
fn pictures_get_the_channels_of_the_adapter() {
    for (name, given, same) in [("full_grey", "RGB", "L"), ("full", "L", "RGB")] {
        let mut pipeline = StableDiffusionAdapterPipeline::new(sd1(), adapter(name)).unwrap();
        pipeline.set_progress_bar(false);
        let mut make = |image: DynamicImage| {
            let arguments = AdapterTextToImage {
                num_inference_steps: 1,
                generator: Some(Generator::manual_seed(1).into()),
                output_type: OutputType::Array,
                ..AdapterTextToImage::new("dog", image)
            };
            pipeline.call(arguments).unwrap().images.into_tensor().unwrap()
        };
        let grey = picture("L", [32, 32]);
        let colour = DynamicImage::from(grey.to_rgb8());
        let of = |mode: &str| if mode == "L" { grey.clone() } else { colour.clone() };
        assert_close(name, make(of(given)), make(of(same)), 0.0);
    }
}
