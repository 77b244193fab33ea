//! Compares pictures that are made with FreeU with those of Python.

use oxidiff::{DiffusionPipeline, FreeU, Generator, Images, OutputType, Request};
use serde::Deserialize;

use crate::fixture::{Recorded, assert_close, every_third_pixel, fixtures, json};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Call {
    checkpoint: String,
    freeu: Option<[f64; 4]>,
    height: usize,
    width: usize,
}

fn request(call: &Call, seed: u64) -> Request {
    Request::new("a red apple")
        .with("num_inference_steps", 3)
        .with("height", call.height)
        .with("width", call.width)
        .with("generator", Generator::manual_seed(seed))
        .with("output_type", OutputType::Array)
}

#[test]
fn pictures_are_those_of_python() {
    let calls: Vec<Call> = json(&fixtures().join("freeu/calls.json"));
    let expected = Recorded::open(&fixtures().join("freeu/calls.safetensors"));
    for (number, call) in calls.iter().enumerate() {
        let folder = fixtures().join(&call.checkpoint);
        let mut pipeline = DiffusionPipeline::from_pretrained(folder.to_str().unwrap()).unwrap();
        pipeline.set_progress_bar(false);
        pipeline.set_freeu(call.freeu.map(|[s1, s2, b1, b2]| FreeU { s1, s2, b1, b2 })).unwrap();
        let made = pipeline.call(request(call, number as u64)).unwrap();
        let Images::Array(images) = made.images else { panic!("an array was asked for") };
        assert_close(
            &number.to_string(),
            every_third_pixel(images),
            expected.floats(&number.to_string()),
            1e-3,
        );
    }
}

#[test]
fn it_can_be_turned_off() {
    let calls: Vec<Call> = json(&fixtures().join("freeu/calls.json"));
    let expected = Recorded::open(&fixtures().join("freeu/calls.safetensors"));
    let folder = fixtures().join(&calls[0].checkpoint);
    let mut pipeline = DiffusionPipeline::from_pretrained(folder.to_str().unwrap()).unwrap();
    pipeline.set_progress_bar(false);
    pipeline.set_freeu(Some(FreeU { s1: 0.9, s2: 0.2, b1: 1.5, b2: 1.6 })).unwrap();
    pipeline.set_freeu(None).unwrap();
    let made = pipeline.call(request(&calls[0], 0)).unwrap();
    let Images::Array(images) = made.images else { panic!("an array was asked for") };
    assert_close("off", every_third_pixel(images), expected.floats("0"), 1e-3);
}

#[test]
fn what_has_no_such_unet_refuses_it() {
    let unconditional = fixtures().join("unconditional/pipelines/ddpm");
    let mut pipeline = DiffusionPipeline::from_pretrained(unconditional.to_str().unwrap()).unwrap();
    let message =
        pipeline.set_freeu(Some(FreeU { s1: 1.0, s2: 1.0, b1: 1.0, b2: 1.0 })).unwrap_err().to_string();
    assert!(message.contains("FreeU with a "), "{message}");
    let sd1 = fixtures().join("pipelines/sd1");
    let mut pipeline = DiffusionPipeline::from_pretrained(sd1.to_str().unwrap()).unwrap();
    let message = pipeline.set_freeu(Some(FreeU { s1: f64::NAN, s2: 1.0, b1: 1.0, b2: 1.0 })).unwrap_err();
    assert!(message.to_string().contains("s1"), "{message}");
}
