//! Loading and removing IP-Adapters.

use oxidiff::{
    DiffusionPipeline, Images, IpAdapterLoader, IpAdapterOptions, LoraLoader, OutputType, Pipeline, Request,
    StableDiffusionPipeline, Tensor,
};

use super::{components, error, file_of, load_adapters, pipeline, recorded};
use crate::fixture::pictures::picture;

fn call(pipeline: &mut DiffusionPipeline, with_picture: bool) -> oxidiff::Result<Tensor<4>> {
    let mut request = Request::default()
        .with("prompt", "dog")
        .with("num_inference_steps", 1)
        .with("height", 32)
        .with("width", 32)
        .with("generator", oxidiff::Generator::manual_seed(1))
        .with("output_type", OutputType::Array);
    if with_picture {
        request.set("ip_adapter_image", picture("RGB", [50, 60]));
    }
    pipeline.set_progress_bar(false);
    let Images::Array(images) = pipeline.call(request)?.images else { panic!("an array was asked for") };
    Ok(images)
}

fn same(one: &Tensor<4>, other: &Tensor<4>) -> bool {
    one.clone().equal(other.clone()).all().into_scalar::<bool>()
}

#[test]
fn an_adapter_can_be_replaced_and_removed() {
    let mut pipeline = pipeline("text2img", "small");
    let without = call(&mut pipeline, false).unwrap();
    load_adapters(pipeline.ip_adapter_loader().unwrap(), &["light"]);
    let light = call(&mut pipeline, true).unwrap();
    assert!(!same(&light, &without));
    load_adapters(pipeline.ip_adapter_loader().unwrap(), &["plus"]);
    let plus = call(&mut pipeline, true).unwrap();
    assert!(!same(&plus, &light));
    load_adapters(pipeline.ip_adapter_loader().unwrap(), &["light"]);
    assert!(same(&call(&mut pipeline, true).unwrap(), &light));
    // Without effect, the image is that without an adapter.
    pipeline.ip_adapter_loader().unwrap().set_ip_adapter_scale(&[0.0.into()]).unwrap();
    assert!(same(&call(&mut pipeline, true).unwrap(), &without));
    pipeline.ip_adapter_loader().unwrap().unload_ip_adapter();
    assert!(same(&call(&mut pipeline, false).unwrap(), &without));
    assert!(error(call(&mut pipeline, true)).contains("no IP-Adapter is loaded"));
}

#[test]
fn an_image_encoder_beside_the_file_is_found() {
    let mut pipeline = pipeline("text2img", "small");
    let loader = pipeline.ip_adapter_loader().unwrap();
    let file = file_of("light");
    loader.load_ip_adapter(file.to_str().unwrap(), &IpAdapterOptions::default()).unwrap();
    let by_file = call(&mut pipeline, true).unwrap();
    let loader = pipeline.ip_adapter_loader().unwrap();
    loader.unload_ip_adapter();
    let options = IpAdapterOptions {
        subfolder: Some("models".into()),
        weight_name: Some("ip-adapter_sd15_light.bin".into()),
        ..Default::default()
    };
    loader.load_ip_adapter(recorded("").to_str().unwrap(), &options).unwrap();
    assert!(same(&call(&mut pipeline, true).unwrap(), &by_file));
}

#[test]
fn a_folder_with_several_files_is_ambiguous() {
    let mut pipeline = pipeline("text2img", "small");
    let loader = pipeline.ip_adapter_loader().unwrap();
    let folder = recorded("models");
    let message = error(loader.load_ip_adapter(folder.to_str().unwrap(), &IpAdapterOptions::default()));
    assert!(
        message.contains("weight_name") && message.contains("ip-adapter-plus_sd15.safetensors"),
        "{message}"
    );
}

#[test]
fn a_file_without_an_image_encoder_takes_embeddings_only() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("adapter.bin");
    std::fs::copy(file_of("light"), &file).unwrap();
    let mut pipeline = pipeline("text2img", "small");
    let loader = pipeline.ip_adapter_loader().unwrap();
    loader.load_ip_adapter(file.to_str().unwrap(), &IpAdapterOptions::default()).unwrap();
    let message = error(call(&mut pipeline, true));
    assert!(message.contains("ip_adapter_image_embeds"), "{message}");
}

#[test]
fn a_saved_pipeline_keeps_the_image_encoder_and_not_the_adapter() {
    let mut pipeline = StableDiffusionPipeline::new(components("small")).unwrap();
    let mut plain: DiffusionPipeline = pipeline.clone().into();
    let without = call(&mut plain, false).unwrap();
    load_adapters(&mut *pipeline, &["light"]);
    let folder = tempfile::tempdir().unwrap();
    pipeline.save_pretrained(folder.path()).unwrap();
    let saved = StableDiffusionPipeline::from_pretrained(folder.path().to_str().unwrap()).unwrap();
    assert!(saved.image_encoder.is_some() && saved.feature_extractor.is_some());
    let mut saved: DiffusionPipeline = saved.into();
    assert!(same(&call(&mut saved, false).unwrap(), &without));
}

#[test]
fn the_lora_of_a_face_adapter_is_loaded_with_it() {
    let mut pipeline = StableDiffusionPipeline::new(components("narrow")).unwrap();
    load_adapters(&mut *pipeline, &["face_id"]);
    assert_eq!(pipeline.get_active_adapters(), ["faceid_0"]);
    pipeline.unload_ip_adapter();
    assert_eq!(pipeline.get_active_adapters(), ["faceid_0"], "as in Python");
}
