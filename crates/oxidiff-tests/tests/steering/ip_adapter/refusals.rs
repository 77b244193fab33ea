//! Adapters and pictures that do not fit.

use oxidiff::{
    AdapterWeight, Device, IpAdapterEmbeds, IpAdapterImages, IpAdapterLoader, IpAdapterMasks,
    IpAdapterOptions, IpAdapterScale, Pipeline, PipelineImageInput, StableDiffusionPipeline, Tensor,
    TextToImage,
};
use serde_json::json;

use super::{components, error, file_of, load_adapters};
use crate::fixture::fixtures;
use crate::fixture::pictures::picture;

fn pipeline(checkpoint: &str) -> StableDiffusionPipeline {
    let mut pipeline = StableDiffusionPipeline::new(components(checkpoint)).unwrap();
    pipeline.set_progress_bar(false);
    pipeline
}

fn call(pipeline: &mut StableDiffusionPipeline, change: impl FnOnce(&mut TextToImage)) -> String {
    let mut arguments =
        TextToImage { num_inference_steps: 1, height: Some(32), width: Some(32), ..TextToImage::new("dog") };
    change(&mut arguments);
    error(pipeline.call(arguments))
}

#[test]
fn an_adapter_for_another_model() {
    let load = |checkpoint: &str, adapter: &str| {
        let mut pipeline = pipeline(checkpoint);
        let file = file_of(adapter);
        error(pipeline.load_ip_adapter(file.to_str().unwrap(), &IpAdapterOptions::default()))
    };
    let fewer = load("small", "plain");
    assert!(
        fewer.contains("ip-adapter_sd15.safetensors") && fewer.contains("cross-attention layers"),
        "{fewer}"
    );
    assert!(fewer.contains("made for another model"), "{fewer}");
    let wider = load("small", "face_id");
    assert!(wider.contains("made for another model"), "{wider}");
    let xl = load("sd1", "xl_plain");
    assert!(xl.contains("made for another model"), "{xl}");
}

#[test]
fn a_file_that_is_no_adapter() {
    let mut pipeline = pipeline("small");
    let load = |pipeline: &mut StableDiffusionPipeline, file: &std::path::Path| {
        error(pipeline.load_ip_adapter(file.to_str().unwrap(), &IpAdapterOptions::default()))
    };
    let unet = fixtures().join("pipelines/sd1/unet/diffusion_pytorch_model.safetensors");
    let message = load(&mut pipeline, &unet);
    assert!(message.contains("not an IP-Adapter") && message.contains("image_proj"), "{message}");
    let message = load(&mut pipeline, &unet.with_file_name("missing.safetensors"));
    assert!(message.contains("no such file"), "{message}");
    // Cut off in the middle.
    let folder = tempfile::tempdir().unwrap();
    for adapter in ["plus", "light"] {
        let whole = std::fs::read(file_of(adapter)).unwrap();
        let cut = folder.path().join(file_of(adapter).file_name().unwrap());
        std::fs::write(&cut, &whole[..whole.len() / 2]).unwrap();
        let message = load(&mut pipeline, &cut);
        assert!(message.contains(cut.to_str().unwrap()), "{message}");
    }
    assert!(!call(&mut pipeline, |arguments| arguments.num_inference_steps = 0).is_empty());
}

#[test]
fn pictures_and_adapters_that_do_not_match() {
    let mut pipeline = pipeline("small");
    let one = || IpAdapterImages::from(picture("RGB", [30, 30]));
    let message = call(&mut pipeline, |arguments| arguments.ip_adapter_image = one());
    assert!(message.contains("load_ip_adapter"), "{message}");
    load_adapters(&mut *pipeline, &["light", "plus"]);
    let message = call(&mut pipeline, |_| {});
    assert!(
        message.contains("ip_adapter_image") && message.contains("2 IP-Adapters are loaded"),
        "{message}"
    );
    let message = call(&mut pipeline, |arguments| arguments.ip_adapter_image = one());
    assert!(message.contains("1 item for 2 IP-Adapters"), "{message}");
    let none: Vec<PipelineImageInput> = vec![picture("RGB", [30, 30]).into(), Vec::new().into()];
    let message = call(&mut pipeline, |arguments| arguments.ip_adapter_image = none.into());
    assert!(message.contains("no picture for IP-Adapter 1"), "{message}");
    let zeros = |shape: [usize; 4]| Tensor::<4>::zeros(shape, &Device::flex());
    let embeds = |first: [usize; 4], second: [usize; 4]| {
        Some(IpAdapterEmbeds::from(vec![zeros(first), zeros(second)]))
    };
    let message = call(&mut pipeline, |arguments| {
        arguments.ip_adapter_image_embeds = embeds([1, 1, 1, 8], [1, 1, 17, 16]);
    });
    assert!(message.contains("first axis must be 2 for guidance"), "{message}");
    let message = call(&mut pipeline, |arguments| {
        arguments.ip_adapter_image_embeds = embeds([2, 1, 1, 9], [2, 1, 17, 16]);
    });
    assert!(message.contains("takes [2, 1, 1, 8]"), "{message}");
}

#[test]
fn masks_and_scales_that_do_not_match() {
    let mut pipeline = pipeline("small");
    load_adapters(&mut *pipeline, &["light"]);
    let two = || IpAdapterImages::from(vec![PipelineImageInput::from(vec![picture("RGB", [30, 30]); 2])]);
    let masks = |count: usize| {
        IpAdapterMasks::from_values(vec![Some(Tensor::ones([1, count, 32, 32], &Device::flex()))])
    };
    let message = call(&mut pipeline, |arguments| {
        arguments.ip_adapter_image = two();
        arguments.ip_adapter_masks = masks(1);
    });
    assert!(message.contains("[1, 2, height, width]"), "{message}");
    pipeline.set_ip_adapter_scale(&[vec![0.5, 0.5].into()]).unwrap();
    let message = call(&mut pipeline, |arguments| arguments.ip_adapter_image = two());
    assert!(message.contains("ip_adapter_masks") && message.contains("scale for each image"), "{message}");
    pipeline.set_ip_adapter_scale(&[vec![0.5].into()]).unwrap();
    let message = call(&mut pipeline, |arguments| {
        arguments.ip_adapter_image = two();
        arguments.ip_adapter_masks = masks(2);
    });
    assert!(message.contains("1 for the 2 images"), "{message}");
    let message = error(pipeline.set_ip_adapter_scale(&[0.5.into(), 0.5.into()]));
    assert!(message.contains("2 scales for 1 IP-Adapter"), "{message}");
    let block = IpAdapterScale::from_json(&json!({"up": {"block_7": 1.0}})).unwrap();
    let message = error(pipeline.set_ip_adapter_scale(&[block]));
    assert!(message.contains("ip_adapter_scale") && message.contains("up_blocks.7"), "{message}");
    let message = error(pipeline.set_ip_adapter_scale(&[AdapterWeight::All(f64::NAN).into()]));
    assert!(message.contains("NaN"), "{message}");
    assert!(IpAdapterScale::from_json(&json!("strong")).is_err());
}

#[test]
fn faces_need_embeddings_and_pictures() {
    let mut pipeline = pipeline("narrow");
    load_adapters(&mut *pipeline, &["face_id_plus"]);
    let text = |arguments: &mut TextToImage| {
        arguments.prompt.clear();
        let text = Tensor::ones([1, 7, 12], &Device::flex());
        arguments.prompt_embeds = Some(text.clone());
        arguments.negative_prompt_embeds = Some(text);
    };
    let message = call(&mut pipeline, |arguments| {
        text(arguments);
        arguments.ip_adapter_image = picture("RGB", [30, 30]).into();
    });
    assert!(message.contains("FaceID") && message.contains("ip_adapter_image_embeds"), "{message}");
    let message = call(&mut pipeline, |arguments| {
        text(arguments);
        let faces = Tensor::<3>::ones([2, 1, 8], &Device::flex());
        arguments.ip_adapter_image_embeds = Some(vec![faces].into());
    });
    assert!(message.contains("clip_embeds"), "{message}");
}
