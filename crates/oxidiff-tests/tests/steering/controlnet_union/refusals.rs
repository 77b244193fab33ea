//! What does not fit is refused before anything is computed.

use oxidiff::image::DynamicImage;
use oxidiff::{
    ControlNetModel, ControlNetUnionConfig, ControlNetUnionModel, Device, DiffusionPipeline, FromUNetOptions,
    LoadOptions, Model, Pipeline, PipelineImageInput, StableDiffusionXLControlNetPipeline,
    StableDiffusionXLControlNetUnionPipeline, StableDiffusionXLControlNetUnionTextToImage,
};

use super::{error, expect, net, nets, xl};
use crate::fixture::fixtures;
use crate::fixture::pictures::{picture, values};

fn square(side: u32) -> DynamicImage {
    picture("RGB", [side, side])
}

#[test]
fn a_controlnet_of_another_model_or_class_names_both() {
    let own = net("union_1");
    let refused = |change: fn(&mut ControlNetUnionConfig), words: &[&str]| {
        let mut config = own.config().clone();
        change(&mut config);
        let other = ControlNetUnionModel::init(&config, &Device::flex()).unwrap();
        let refused = error(StableDiffusionXLControlNetUnionPipeline::new(xl(), other));
        expect(&refused, &[&["`controlnet`", "ControlNetUnionModel"][..], words].concat());
    };
    refused(|it| it.cross_attention_dim = 48, &["UNet2DConditionModel", "`cross_attention_dim`", "48", "28"]);
    refused(|it| it.block_out_channels = vec![8, 16], &["`block_out_channels`", "[8, 16]", "[8, 12]"]);
    refused(|it| it.in_channels = 9, &["`in_channels`", "9", "4 channels"]);
    // Stable Diffusion 1.5 has no such class.
    let sd1 = fixtures().join("pipelines/sd1");
    let sd1 = DiffusionPipeline::from_pretrained(sd1.to_str().unwrap()).unwrap();
    expect(&error(sd1.with_controlnet(own.clone())), &["ControlNetUnion", "StableDiffusionPipeline"]);
    // Of the other class.
    let folder = fixtures().join("stable_diffusion_xl/base");
    let plain = ControlNetModel::from_unet(&xl().unet, &FromUNetOptions::default()).unwrap();
    let options = LoadOptions { controlnet: Some(plain.into()), ..LoadOptions::default() };
    let name = folder.to_str().unwrap();
    let refused = StableDiffusionXLControlNetUnionPipeline::from_pretrained_with(name, &options);
    expect(&error(refused), &["`controlnet`: is a ControlNetModel", "takes a ControlNetUnionModel"]);
    let options = LoadOptions { controlnet: Some(own.into()), ..LoadOptions::default() };
    let refused = StableDiffusionXLControlNetPipeline::from_pretrained_with(name, &options);
    expect(&error(refused), &["`controlnet`: is a ControlNetUnionModel", "takes a ControlNetModel"]);
}

#[test]
fn images_and_types_that_do_not_fit_are_refused() {
    let mut pipeline = StableDiffusionXLControlNetUnionPipeline::new(xl(), net("union_1")).unwrap();
    pipeline.set_progress_bar(false);
    let mut refuse = |change: fn(&mut StableDiffusionXLControlNetUnionTextToImage)| {
        let mut arguments = StableDiffusionXLControlNetUnionTextToImage {
            num_inference_steps: 2,
            ..StableDiffusionXLControlNetUnionTextToImage::new("dog", vec![square(32); 2], vec![0, 5])
        };
        change(&mut arguments);
        error(pipeline.call(arguments))
    };
    expect(&refuse(|it| it.control_mode = Vec::<usize>::new().into()), &["`control_mode`: must be given"]);
    expect(&refuse(|it| it.control_mode = vec![0, 6].into()), &["`control_mode`: has 6", "types 0 to 5"]);
    expect(
        &refuse(|it| it.control_mode = vec![0, 1, 2].into()),
        &["`control_image`: got 2 images for 3 types"],
    );
    expect(&refuse(|it| it.control_mode = 0.into()), &["`control_image`: got 2 for 1 prompt"]);
    expect(
        &refuse(|it| it.control_mode = vec![vec![0], vec![1]].into()),
        &["`control_mode`: has 2 entries for 1 ControlNet"],
    );
    expect(
        &refuse(|it| it.controlnet_conditioning_scale = vec![1.0; 3].into()),
        &["`controlnet_conditioning_scale`: has 3 numbers for 2 control images"],
    );
    expect(
        &refuse(|it| it.control_guidance_end = vec![0.0, 1.0].into()),
        &["`control_guidance_start`: is 0"],
    );
    expect(&refuse(|it| it.control_image = vec![square(32), square(40)].into()), &["32x32", "40x40"]);
    expect(&refuse(|it| it.control_image = values([2, 1, 32, 32], 0.0).into()), &["1 channels", "takes 3"]);

    let mut pipeline =
        StableDiffusionXLControlNetUnionPipeline::new(xl(), nets(&["union_1", "union_2"])).unwrap();
    pipeline.set_progress_bar(false);
    let mut refuse = |images: Vec<PipelineImageInput>, mode: Vec<Vec<usize>>| {
        error(pipeline.call(StableDiffusionXLControlNetUnionTextToImage::new("dog", images, mode)))
    };
    let one = || PipelineImageInput::from(square(32));
    expect(&refuse(vec![one(), one()], vec![vec![0]]), &["`control_mode`: has 1 entry for 2 ControlNets"]);
    expect(&refuse(vec![one(), one()], vec![vec![0], Vec::new()]), &["`control_mode`"]);
    // The second has more types than the first.
    expect(&refuse(vec![one(), one()], vec![vec![7], vec![7]]), &["has 7", "types 0 to 5"]);
    expect(&refuse(vec![one(), one()], vec![vec![0, 1], vec![7]]), &["got 1 image for 2 types"]);
    expect(&refuse(vec![one(); 4], vec![vec![0, 1], vec![7]]), &["got 4 images for 3 types"]);
}
