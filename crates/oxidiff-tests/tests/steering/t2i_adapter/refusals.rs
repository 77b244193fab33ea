//! What does not fit is refused before anything is computed.

use oxidiff::image::DynamicImage;
use oxidiff::{
    AdapterTextToImage, Device, DiffusionPipeline, LoadOptions, Model, Pipeline, PipelineImageInput,
    StableDiffusionAdapterPipeline, StableDiffusionImg2ImgPipeline, StableDiffusionPipeline,
    StableDiffusionXLAdapterPipeline, StableDiffusionXLAdapterTextToImage, T2IAdapter, T2IAdapterConfig,
    T2IAdapters,
};

use super::{adapter, error, expect, recorded, sd1, xl};
use crate::fixture::fixtures;
use crate::fixture::pictures::{picture, values};

fn square(side: u32) -> DynamicImage {
    picture("RGB", [side, side])
}

#[test]
fn an_adapter_of_another_model_names_both() {
    let own = adapter("full");
    let both = ["`adapter`", "T2IAdapter", "UNet2DConditionModel"];
    let refused = |change: fn(&mut T2IAdapterConfig), words: &[&str]| {
        let mut config = own.config().clone();
        change(&mut config);
        let other = T2IAdapter::init(&config, &Device::flex()).unwrap();
        let refused = error(StableDiffusionAdapterPipeline::new(sd1(), other));
        expect(&refused, &[&both[..], words].concat());
    };
    refused(
        |it| it.channels = vec![16, 24, 32],
        &["24 channels at 1/16", "32 channels at 1/16", "feature 1"],
    );
    refused(|it| it.downscale_factor = 16, &["16 channels at 1/16", "16 channels at 1/8", "feature 0"]);
    // The middle block takes the fourth, at a fourth of the size of the latents.
    refused(
        |it| it.channels = vec![16, 32, 32, 32],
        &["32 channels at 1/64", "32 channels at 1/32", "feature 3"],
    );
    refused(|it| it.channels = vec![16, 32, 32, 32, 32], &["5 features", "at most 4"]);

    // An adapter of XL on Stable Diffusion 1.5, and the other way round.
    expect(&error(StableDiffusionAdapterPipeline::new(sd1(), adapter("xl"))), &both);
    expect(&error(StableDiffusionXLAdapterPipeline::new(xl(), adapter("full"))), &both);
    let folder = fixtures().join("pipelines/sd1");
    let options = LoadOptions { adapter: Some(adapter("xl").into()), ..LoadOptions::default() };
    let refused = error(DiffusionPipeline::from_pretrained_with(folder.to_str().unwrap(), &options));
    expect(&refused, &both);
    // Parts can be replaced after loading.
    let mut pipeline = StableDiffusionAdapterPipeline::new(sd1(), adapter("full")).unwrap();
    pipeline.adapter = adapter("xl").into();
    expect(&error(pipeline.call(AdapterTextToImage::new("dog", square(32)))), &both);
    let plain = DiffusionPipeline::from(StableDiffusionPipeline::new(sd1()).unwrap());
    expect(&error(plain.with_adapter(adapter("xl"))), &both);
    // No such class.
    let change = DiffusionPipeline::from(
        StableDiffusionImg2ImgPipeline::from_pipe(&StableDiffusionPipeline::new(sd1()).unwrap()).unwrap(),
    );
    expect(
        &error(change.with_adapter(adapter("full"))),
        &["T2I-Adapter", "StableDiffusionImg2ImgPipeline", "image to image"],
    );
    let controlnet = oxidiff::ControlNetModel::from_unet(&sd1().unet, &Default::default()).unwrap();
    let options = LoadOptions {
        controlnet: Some(controlnet.into()),
        adapter: Some(adapter("full").into()),
        ..Default::default()
    };
    let refused = error(DiffusionPipeline::from_pretrained_with(folder.to_str().unwrap(), &options));
    expect(&refused, &["`adapter`", "`controlnet`"]);
}

#[test]
fn images_to_follow_that_do_not_fit_are_refused() {
    let mut pipeline = StableDiffusionAdapterPipeline::new(sd1(), adapter("full")).unwrap();
    pipeline.set_progress_bar(false);
    let mut refuse = |change: fn(&mut AdapterTextToImage)| {
        let mut arguments =
            AdapterTextToImage { num_inference_steps: 2, ..AdapterTextToImage::new("dog", square(32)) };
        change(&mut arguments);
        error(pipeline.call(arguments))
    };
    expect(&refuse(|it| it.image = Vec::<DynamicImage>::new().into()), &["`image`", "no images"]);
    expect(&refuse(|it| it.image = vec![square(32); 2].into()), &["`image`: got 2 for 1 prompt"]);
    expect(&refuse(|it| it.image = square(7).into()), &["`image`", "7 pixels", "8"]);
    expect(
        &refuse(|it| it.image = values([1, 1, 32, 32], 0.0).into()),
        &["`image`: has 1 channels", "takes 3"],
    );
    let sized = refuse(|it| {
        it.image = values([1, 3, 32, 32], 0.0).into();
        it.height = Some(40);
    });
    expect(&sized, &["`image`", "32x32", "32x40"]);
    expect(&refuse(|it| it.height = Some(36)), &["`height`", "36", "multiple of 8"]);
    expect(&refuse(|it| it.width = Some(1 << 20)), &["`width`", "at most"]);
    expect(&refuse(|it| it.latents = Some(values([1, 4, 4, 5], 0.0))), &["`latents`"]);
    let scale = "`adapter_conditioning_scale`";
    expect(&refuse(|it| it.adapter_conditioning_scale = f64::NAN.into()), &[scale]);
    let two = refuse(|it| it.adapter_conditioning_scale = vec![1.0, 0.5].into());
    expect(&two, &[scale, "has 2 numbers for 1 T2I-Adapter"]);

    let both = T2IAdapters::of(vec![adapter("full"), adapter("full_grey")]).unwrap();
    let mut pipeline = StableDiffusionAdapterPipeline::new(sd1(), both).unwrap();
    let one = error(pipeline.call(AdapterTextToImage::new("dog", square(32))));
    expect(&one, &["`image`: got 1 image for 2 T2I-Adapters"]);
    let three: Vec<PipelineImageInput> = vec![square(32).into(); 3];
    expect(
        &error(pipeline.call(AdapterTextToImage::new("dog", three))),
        &["got 3 images for 2 T2I-Adapters"],
    );

    let mut pipeline = StableDiffusionXLAdapterPipeline::new(xl(), adapter("xl")).unwrap();
    let mut refuse = |change: fn(&mut StableDiffusionXLAdapterTextToImage)| {
        let mut arguments = StableDiffusionXLAdapterTextToImage::new("dog", square(32));
        change(&mut arguments);
        error(pipeline.call(arguments))
    };
    expect(&refuse(|it| it.height = Some(24)), &["`height`", "24", "16", "`downscale_factor`"]);
    expect(&refuse(|it| it.image = square(15).into()), &["`image`", "15 pixels", "16"]);
    expect(&refuse(|it| it.adapter_conditioning_factor = f64::NAN), &["`adapter_conditioning_factor`"]);
}

#[test]
fn a_weight_that_is_not_finite_is_named() {
    let folder = tempfile::tempdir().unwrap();
    for file in ["config.json", "diffusion_pytorch_model.safetensors"] {
        std::fs::copy(recorded("adapter").join(file), folder.path().join(file)).unwrap();
    }
    let file = folder.path().join("diffusion_pytorch_model.safetensors");
    let mut bytes = std::fs::read(&file).unwrap();
    // The last value, a NaN in half precision.
    let end = bytes.len();
    bytes[end - 2..].copy_from_slice(&[0x00, 0x7e]);
    std::fs::write(&file, bytes).unwrap();
    let broken = T2IAdapter::from_pretrained(folder.path().to_str().unwrap()).unwrap();
    let mut pipeline = StableDiffusionAdapterPipeline::new(sd1(), broken).unwrap();
    pipeline.set_progress_bar(false);
    let refused = error(pipeline.call(AdapterTextToImage::new("dog", square(32))));
    expect(&refused, &["adapter"]);
}
