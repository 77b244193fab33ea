//! What does not fit is refused before anything is computed.

use oxidiff::image::DynamicImage;
use oxidiff::{
    ControlNetConfig, ControlNetImageToImage, ControlNetInpaint, ControlNetModel, ControlNetTextToImage,
    Device, DiffusionPipeline, Model, OutputType, PerBlock, Pipeline, PipelineImageInput,
    StableDiffusionComponents, StableDiffusionControlNetImg2ImgPipeline,
    StableDiffusionControlNetInpaintPipeline, StableDiffusionControlNetPipeline, StableDiffusionPipeline,
    UNet2DConditionConfig, UNet2DConditionModel,
};

use safetensors::tensor::{Dtype, SafeTensors, TensorView};

use super::{components, error, load, recorded, variant};
use crate::fixture::pictures::{blob, picture, values};

fn expect(refused: &str, words: &[&str]) {
    assert!(words.iter().all(|word| refused.contains(word)), "{refused}");
}

fn square(side: u32) -> DynamicImage {
    picture("RGB", [side, side])
}

#[test]
fn a_controlnet_of_another_model_names_both() {
    let own: ControlNetModel = load(&recorded("controlnet"));
    let with = |change: fn(&mut ControlNetConfig)| {
        let mut config = own.config().clone();
        change(&mut config);
        let other = ControlNetModel::init(&config, &Device::flex()).unwrap();
        error(StableDiffusionControlNetPipeline::new(components(), other))
    };
    let both = ["`controlnet`", "ControlNetModel", "UNet2DConditionModel"];
    let refused = |change, words: &[&str]| expect(&with(change), &[&both, words].concat());
    refused(|it| it.cross_attention_dim = 48, &["`cross_attention_dim`", "48", "24"]);
    refused(|it| it.block_out_channels = vec![4, 12], &["`block_out_channels`", "[4, 12]", "[4, 8]"]);
    refused(|it| it.layers_per_block = 2, &["`layers_per_block`"]);
    refused(|it| it.downsample_padding = 0, &["`downsample_padding`"]);
    expect(&with(|it| it.in_channels = 9), &["`in_channels`", "9", "4 channels"]);
    expect(&with(|it| it.num_class_embeds = Some(4)), &["class labels"]);

    // An XL ControlNet on a UNet of Stable Diffusion 1.5, and the other way round: only the configurations differ.
    let xl = ControlNetConfig {
        cross_attention_dim: 24,
        addition_embed_type: Some(oxidiff::AdditionEmbedType::TextTime),
        addition_time_embed_dim: Some(4),
        projection_class_embeddings_input_dim: Some(29),
        ..own.config().clone()
    };
    let xl = ControlNetModel::init(&xl, &Device::flex()).unwrap();
    let refused = error(StableDiffusionControlNetPipeline::new(components(), xl.clone()));
    expect(&refused, &[&both[..], &["`addition_embed_type`", "\"text_time\"", "null"]].concat());
    let mixed = oxidiff::ControlNet::of(vec![own.clone(), xl.clone()]).unwrap();
    expect(
        &error(StableDiffusionControlNetInpaintPipeline::new(components(), mixed)),
        &["`addition_embed_type`"],
    );

    // Parts can be replaced after loading.
    let mut pipeline = StableDiffusionControlNetPipeline::new(components(), own.clone()).unwrap();
    pipeline.controlnet = xl.into();
    expect(&error(pipeline.call(ControlNetTextToImage::new("dog", square(32)))), &["`addition_embed_type`"]);
    let wide = UNet2DConditionConfig {
        block_out_channels: vec![8, 8],
        cross_attention_dim: PerBlock::Same(24),
        ..components().unet.config().clone()
    };
    let wide = UNet2DConditionModel::init(&wide, &Device::flex()).unwrap();
    let parts = StableDiffusionComponents { unet: wide, ..components() };
    let plain = DiffusionPipeline::from(StableDiffusionPipeline::new(parts).unwrap());
    expect(&error(plain.with_controlnet(own)), &["`block_out_channels`", "[4, 8]", "[8, 8]"]);
}

#[test]
fn images_to_follow_that_do_not_fit_are_refused() {
    let mut pipeline =
        StableDiffusionControlNetPipeline::new(components(), variant("controlnet", "plain")).unwrap();
    pipeline.set_progress_bar(false);
    let mut refuse = |change: fn(&mut ControlNetTextToImage)| {
        let mut arguments =
            ControlNetTextToImage { num_inference_steps: 2, ..ControlNetTextToImage::new("dog", square(32)) };
        change(&mut arguments);
        error(pipeline.call(arguments))
    };
    expect(&refuse(|it| it.image = Vec::<DynamicImage>::new().into()), &["`image`", "no images"]);
    expect(&refuse(|it| it.image = vec![square(32); 2].into()), &["`image`: got 2 for 1 prompt"]);
    expect(&refuse(|it| it.image = square(7).into()), &["`image`", "smaller than 8x8"]);
    expect(&refuse(|it| it.image = values([1, 2, 32, 32], 0.0).into()), &["`image`", "2 channels"]);
    expect(&refuse(|it| it.image = values([1, 4, 4, 4], 0.0).into()), &["`image`", "4 channels"]);
    expect(&refuse(|it| it.latents = Some(values([1, 4, 4, 5], 0.0))), &["`latents`"]);
    expect(&refuse(|it| it.control_guidance_start = (-0.1).into()), &["`control_guidance_start`"]);
    expect(&refuse(|it| it.control_guidance_end = 1.1.into()), &["`control_guidance_end`"]);
    expect(&refuse(|it| it.control_guidance_start = 1.0.into()), &["`control_guidance_start`: is 1"]);
    expect(
        &refuse(|it| it.controlnet_conditioning_scale = f64::NAN.into()),
        &["`controlnet_conditioning_scale`"],
    );
    expect(
        &refuse(|it| it.controlnet_conditioning_scale = vec![1.0, 0.5].into()),
        &["`controlnet_conditioning_scale`: has 2 numbers for 1 ControlNet"],
    );
    let both = vec![variant("controlnet", "plain"), variant("controlnet_1", "plain")];
    let both = oxidiff::ControlNet::of(both).unwrap();
    let mut pipeline = StableDiffusionControlNetPipeline::new(components(), both).unwrap();
    let one = error(pipeline.call(ControlNetTextToImage::new("dog", square(32))));
    expect(&one, &["`image`: got 1 image for 2 ControlNets"]);
    let sizes = error(pipeline.call(ControlNetTextToImage::new("dog", vec![square(32), square(40)])));
    expect(&sizes, &["32x32", "40x40", "`height`"]);
    let three: Vec<PipelineImageInput> = vec![square(32).into(); 3];
    expect(&error(pipeline.call(ControlNetTextToImage::new("dog", three))), &["got 3 images for 2"]);
}

#[test]
fn images_of_different_sizes_are_refused() {
    let net = || variant("controlnet", "plain");
    let mut change = StableDiffusionControlNetImg2ImgPipeline::new(components(), net()).unwrap();
    let refused = error(change.call(ControlNetImageToImage::new("dog", square(32), square(40))));
    expect(&refused, &["`control_image`: has 40x40 pixels, `image` 32x32", "`height`"]);
    let latents = ControlNetImageToImage {
        latents: Some(values([1, 4, 5, 4], 0.0)),
        ..ControlNetImageToImage::new("dog", square(32), square(32))
    };
    expect(&error(change.call(latents)), &["`latents`", "[1, 4, 4, 4]"]);
    let strength = ControlNetImageToImage {
        strength: 1.5,
        ..ControlNetImageToImage::new("dog", square(32), square(32))
    };
    expect(&error(change.call(strength)), &["`strength`"]);

    let mut inpaint = StableDiffusionControlNetInpaintPipeline::new(components(), net()).unwrap();
    let mask = || blob([32, 32, 4, 4, 20, 20]);
    let refused = error(inpaint.call(ControlNetInpaint::new("dog", square(32), mask(), square(40))));
    expect(&refused, &["`control_image`: has 40x40 pixels, `image` 32x32"]);
    let height = ControlNetInpaint {
        height: Some(36),
        ..ControlNetInpaint::new("dog", square(32), mask(), square(32))
    };
    expect(&error(inpaint.call(height)), &["`height`", "multiple of 8"]);
    let crop = ControlNetInpaint {
        padding_mask_crop: Some(4),
        output_type: OutputType::Array,
        ..ControlNetInpaint::new("dog", square(32), mask(), square(32))
    };
    expect(&error(inpaint.call(crop)), &["`output_type`"]);
}

#[test]
fn a_weight_that_is_not_finite_is_named() {
    const KEY: &str = "controlnet_mid_block.bias";
    let folder = tempfile::tempdir().unwrap();
    let net = variant("controlnet", "plain");
    StableDiffusionControlNetPipeline::new(components(), net)
        .unwrap()
        .save_pretrained(folder.path())
        .unwrap();
    let file = folder.path().join("controlnet/diffusion_pytorch_model.safetensors");
    let bytes = std::fs::read(&file).unwrap();
    let stored = SafeTensors::deserialize(&bytes).unwrap();
    let mut broken = stored.tensor(KEY).unwrap().data().to_vec();
    broken[..4].copy_from_slice(&f32::NAN.to_le_bytes());
    let shape = stored.tensor(KEY).unwrap().shape().to_vec();
    let others = stored.tensors().into_iter().filter(|(key, _)| key != KEY);
    let all = others.chain([(KEY.to_owned(), TensorView::new(Dtype::F32, shape, &broken).unwrap())]);
    let written = safetensors::serialize(all, None).unwrap();
    std::fs::write(&file, written).unwrap();

    let mut pipeline =
        StableDiffusionControlNetPipeline::from_pretrained(folder.path().to_str().unwrap()).unwrap();
    pipeline.set_progress_bar(false);
    let call =
        ControlNetTextToImage { num_inference_steps: 2, ..ControlNetTextToImage::new("dog", square(32)) };
    expect(&error(pipeline.call(call)), &["controlnet/diffusion_pytorch_model.safetensors", KEY, "step 1"]);
}
