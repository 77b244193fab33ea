//! The pipelines, seed for seed.

use oxidiff::image::DynamicImage;
use oxidiff::{
    Argument, ControlMode, ControlNetUnion, DiffusionPipeline, FollowedImages, Generator, Images, OutputType,
    Pipeline, PipelineImageInput, Request, StableDiffusionXLControlNetUnionImg2ImgPipeline,
    StableDiffusionXLControlNetUnionInpaintPipeline, StableDiffusionXLControlNetUnionPipeline,
    StableDiffusionXLControlNetUnionTextToImage, Tensor, scheduler_from_config,
};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{net, nets, recorded, xl};
use crate::fixture::pictures::{blob, picture, values};
use crate::fixture::stable_diffusion_xl::to_array;
use crate::fixture::{Recorded, assert_close, difference, every_third_pixel, json};

const TOLERANCE: f32 = 1e-3;

/// A call as the script writes it down.
#[derive(Clone, Debug, Deserialize)]
struct Call {
    scheduler: String,
    seed: Value,
    nets: Vec<String>,
    /// The sizes of the images of each condition.
    control: Option<Vec<Vec<[u32; 2]>>>,
    control_tensor: Option<[usize; 4]>,
    images: Option<Vec<[u32; 2]>>,
    mask: Option<[u32; 6]>,
    latents: Option<[usize; 4]>,
    padding_mask_crop: Option<usize>,
    /// Keyword arguments.
    #[serde(flatten)]
    others: Map<String, Value>,
}

/// Pictures of the given sizes; every second one is mirrored.
fn pictures(sizes: &[[u32; 2]]) -> Vec<DynamicImage> {
    let made = sizes.iter().map(|size| picture("RGB", *size)).enumerate();
    made.map(|(index, image)| if index % 2 == 1 { image.fliph() } else { image }).collect()
}

impl Call {
    fn controlnet(&self) -> ControlNetUnion {
        ControlNetUnion::of(self.nets.iter().map(|name| net(name)).collect()).unwrap()
    }

    /// The images to follow; those of every second condition are upside down.
    fn control(&self) -> FollowedImages {
        let Some(sizes) = &self.control else { return values(self.control_tensor.unwrap(), 0.0).into() };
        let each = sizes.iter().enumerate().map(|(index, sizes)| {
            let images = pictures(sizes).into_iter();
            images.map(|image| if index % 2 == 1 { image.rotate180() } else { image }).collect::<Vec<_>>()
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
            .with("control_image", self.control())
            .with("generator", Argument::Generator(generators));
        request.set(
            "output_type",
            if self.padding_mask_crop.is_some() { OutputType::Image } else { OutputType::Array },
        );
        if let Some(sizes) = &self.images {
            request.set("image", pictures(sizes));
        }
        if let Some(mask) = self.mask {
            request.set("mask_image", blob(mask));
        }
        if let Some(pixels) = self.padding_mask_crop {
            request.set("padding_mask_crop", pixels);
        }
        if let Some(shape) = self.latents {
            request.set("latents", values(shape, -1.7));
        }
        for (name, value) in &self.others {
            request.set(name.clone(), plain(value));
        }
        request
    }
}

fn plain(value: &Value) -> Argument {
    match value {
        Value::Bool(value) => (*value).into(),
        Value::Number(value) => value.as_f64().unwrap().into(),
        Value::String(value) => value.as_str().into(),
        Value::Array(items) => Argument::List(items.iter().map(plain).collect()),
        other => panic!("{other}"),
    }
}

/// Makes the recorded calls with the pipeline that `new` makes of the ControlNets of a call.
fn compare(name: &str, least: usize, new: impl Fn(ControlNetUnion) -> oxidiff::Result<DiffusionPipeline>) {
    let calls: Vec<Call> = json(&recorded(&format!("{name}.json")));
    let outputs = Recorded::open(&recorded("calls.safetensors"));
    assert!(calls.len() >= least);
    for (index, call) in calls.into_iter().enumerate() {
        let what = format!("{name} call {index}");
        let mut pipeline = new(call.controlnet()).unwrap_or_else(|error| panic!("{what}: {error}"));
        pipeline.set_progress_bar(false);
        let own = pipeline.scheduler().config();
        pipeline.set_scheduler(scheduler_from_config(&call.scheduler, own).unwrap());
        let made = pipeline.call(call.request()).unwrap_or_else(|error| panic!("{what}: {error}"));
        // If bytes are recorded, one may be rounded the other way.
        let tolerance = if call.padding_mask_crop.is_some() { 1.0 / 255.0 + 1e-6 } else { TOLERANCE };
        let made = match made.images {
            Images::Image(images) => to_array(&images),
            other => other.into_tensor().unwrap(),
        };
        let made = every_third_pixel(made);
        assert_close(&what, made, outputs.floats(&format!("{name}.{index}")), tolerance);
    }
}

#[test]
fn images_follow_others_of_several_types_as_in_python() {
    let parts = xl();
    compare("text2img", 16, |nets| {
        Ok(StableDiffusionXLControlNetUnionPipeline::new(parts.clone(), nets)?.into())
    });
}

#[test]
fn images_become_others_as_in_python() {
    let parts = xl();
    compare("img2img", 5, |nets| {
        Ok(StableDiffusionXLControlNetUnionImg2ImgPipeline::new(parts.clone(), nets)?.into())
    });
}

#[test]
fn masked_parts_follow_others_as_in_python() {
    let parts = xl();
    compare("inpaint", 6, |nets| {
        Ok(StableDiffusionXLControlNetUnionInpaintPipeline::new(parts.clone(), nets)?.into())
    });
}

fn make(
    pipeline: &mut StableDiffusionXLControlNetUnionPipeline,
    control: impl Into<FollowedImages>,
    mode: impl Into<ControlMode>,
) -> Tensor<4> {
    pipeline.set_progress_bar(false);
    let arguments = StableDiffusionXLControlNetUnionTextToImage {
        num_inference_steps: 2,
        generator: Some(Generator::manual_seed(1).into()),
        output_type: OutputType::Array,
        ..StableDiffusionXLControlNetUnionTextToImage::new("dog", control, mode)
    };
    pipeline.call(arguments).unwrap().images.into_tensor().unwrap()
}

/// Python's pipelines take one type for each of several ControlNets, though they document lists.
#[test]
fn each_of_several_controlnets_may_have_several_types() {
    let [one, other, third] = [0, 1, 2].map(|turns| {
        let image = picture("RGB", [32, 32]);
        if turns == 0 {
            image
        } else if turns == 1 {
            image.fliph()
        } else {
            image.rotate180()
        }
    });
    let mut both =
        StableDiffusionXLControlNetUnionPipeline::new(xl(), nets(&["union_1", "union_2"])).unwrap();
    let rows: Vec<PipelineImageInput> = vec![vec![one.clone(), other.clone()].into(), third.clone().into()];
    let nested = make(&mut both, rows, vec![vec![0, 3], vec![7]]);
    // The same images in one list.
    let flat = make(&mut both, vec![one.clone(), other.clone(), third.clone()], vec![vec![0, 3], vec![7]]);
    assert_close("nested", nested.clone(), flat, 0.0);
    let fewer = make(&mut both, vec![one.clone(), third], vec![0, 7]);
    assert!(difference(nested, fewer) > 1e-3);

    // A list of one for one ControlNet, and the types count.
    let mut alone = StableDiffusionXLControlNetUnionPipeline::new(xl(), net("union_1")).unwrap();
    let pair = vec![one.clone(), other.clone()];
    let first = make(&mut alone, pair.clone(), vec![0, 3]);
    assert_close("list", make(&mut alone, pair.clone(), vec![vec![0, 3]]), first.clone(), 0.0);
    assert!(difference(make(&mut alone, pair, vec![0, 1]), first) > 1e-3);
    let zero = make(&mut alone, one.clone(), 0);
    assert!(difference(zero.clone(), make(&mut alone, one.clone(), 5)) > 1e-3);
    assert_close("one", make(&mut alone, one, vec![0]), zero, 0.0);
}
