//! Pipelines with IP-Adapters.

use oxidiff::Images;

use super::calls::Call;
use super::{load_adapters, pipeline, recorded};
use crate::fixture::{Recorded, difference, json, some_pixels};

const TOLERANCE: f32 = 1e-3;

#[test]
fn images_are_those_of_python() {
    let calls: Vec<Call> = json(&recorded("calls.json"));
    let expected = Recorded::open(&recorded("calls.safetensors"));
    assert!(calls.len() > 55, "{} calls", calls.len());
    let mut largest: f32 = 0.0;
    for call in calls {
        let mut pipeline = pipeline(&call.pipeline, &call.checkpoint);
        pipeline.set_progress_bar(false);
        if let Some(scheduler) = &call.scheduler {
            let own = pipeline.scheduler().config().clone();
            pipeline.set_scheduler(oxidiff::scheduler_from_config(scheduler, &own).unwrap());
        }
        let loader = pipeline.ip_adapter_loader().unwrap();
        load_adapters(loader, &call.adapters.iter().map(String::as_str).collect::<Vec<_>>());
        if let Some(scales) = call.scales() {
            loader.set_ip_adapter_scale(&scales).unwrap();
        }
        call.set_faces(loader);
        let request = call.request(loader);
        let made = pipeline.call(request).unwrap_or_else(|error| panic!("{}: {error}", call.name));
        let Images::Array(images) = made.images else { panic!("an array was asked for") };
        let images = some_pixels(images, 8);
        let off = difference(images, expected.floats(&format!("{}.image", call.name)));
        println!("{}: {off:.2e}", call.name);
        assert!(off <= TOLERANCE, "{}: off by {off}", call.name);
        largest = largest.max(off);
    }
    println!("largest difference: {largest:.2e}");
}
