//! What image encoders and image projections make of pictures.

use oxidiff::{
    CLIPImageProcessor, CLIPVisionModelWithProjection, FacePictures, ImageProcessor, ImageSize,
    IpAdapterImages, PipelineImageInput, Tensor, UNet2DConditionModel, image::DynamicImage,
};

use super::calls::two_faces;
use super::{checkpoint_of, load, load_adapters, pipeline, recorded};
use crate::fixture::pictures::picture;
use crate::fixture::{Recorded, assert_close, some_pixels};

const TOLERANCE: f32 = 1e-4;

fn images() -> Vec<DynamicImage> {
    vec![picture("RGB", [50, 60]), picture("RGB", [40, 30]).fliph()]
}

fn expected() -> Recorded {
    Recorded::open(&recorded("embeds.safetensors"))
}

#[test]
fn an_image_encoder_computes_what_python_does() {
    let model: CLIPVisionModelWithProjection = load(&recorded("models/image_encoder"));
    let expected = expected();
    let mut config = CLIPImageProcessor::default_config();
    config.size = Some(ImageSize { shortest_edge: Some(28), ..Default::default() });
    config.crop_size = Some(ImageSize { height: Some(28), width: Some(28), ..Default::default() });
    let pixels = CLIPImageProcessor::new(config).unwrap().preprocess(&images()).unwrap();
    let some = some_pixels(pixels.clone().permute([0, 2, 3, 1]), 3).permute([0, 3, 1, 2]);
    assert_close("pixel values", some, expected.floats("pixel_values"), 1e-5);
    let output = model.forward(pixels).unwrap();
    assert_close("embeddings", output.image_embeds, expected.floats("image_embeds"), TOLERANCE);
    assert_eq!(output.hidden_states.len(), 3);
    assert_close(
        "hidden states",
        output.hidden_states[1].clone(),
        expected.floats("hidden_states"),
        TOLERANCE,
    );
}

#[test]
fn embeddings_are_prepared_as_in_python() {
    let expected = expected();
    let mut pipeline = pipeline("text2img", "small");
    let loader = pipeline.ip_adapter_loader().unwrap();
    load_adapters(loader, &["light", "plus"]);
    let two: Vec<PipelineImageInput> = vec![images().into(); 2];
    let embeds = loader.prepare_ip_adapter_image_embeds(IpAdapterImages::from(two), 2, true).unwrap();
    let [whole, states] = embeds.tensors() else { panic!("two adapters") };
    let parts = |embeds: &Tensor<4>| -> Vec<Tensor<3>> {
        assert_eq!(embeds.dims()[0], 4, "two images without the pictures, two with them");
        embeds.clone().split(1, 0).into_iter().map(|part| part.squeeze_dim::<3>(0)).collect()
    };
    let negative: Tensor<2> = expected.floats("image_embeds.negative");
    let positive: Tensor<2> = expected.floats("image_embeds");
    for (part, expected) in parts(whole).into_iter().zip([&negative, &negative, &positive, &positive]) {
        assert_close("embeddings", part.squeeze_dim::<2>(1), expected.clone(), TOLERANCE);
    }
    let negative: Tensor<3> = expected.floats("hidden_states.negative");
    let positive: Tensor<3> = expected.floats("hidden_states");
    for (part, expected) in parts(states).into_iter().zip([&negative, &negative, &positive, &positive]) {
        assert_close("hidden states", part, expected.clone(), TOLERANCE);
    }
}

#[test]
fn image_projections_compute_what_python_does() {
    let expected = expected();
    let states: Tensor<4> = Tensor::stack(
        vec![expected.floats::<3>("hidden_states.negative"), expected.floats::<3>("hidden_states")],
        0,
    );
    let whole: Tensor<3> = Tensor::stack(
        vec![expected.floats::<2>("image_embeds.negative"), expected.floats::<2>("image_embeds")],
        0,
    );
    for adapter in
        ["plain", "light", "plus", "full_face", "face_id", "face_id_plus", "edit", "xl_plain", "xl_plus"]
    {
        let checkpoint = checkpoint_of(adapter);
        let kind = match checkpoint {
            "edit" => "instruct_pix2pix",
            "xl" => "xl_text2img",
            _ => "text2img",
        };
        let mut pipeline = pipeline(kind, checkpoint);
        load_adapters(pipeline.ip_adapter_loader().unwrap(), &[adapter]);
        let embeds = match adapter {
            "plus" | "full_face" | "xl_plus" => states.clone(),
            "face_id" | "face_id_plus" => two_faces(8).unsqueeze_dim(2),
            _ => whole.clone().unsqueeze_dim(2),
        };
        let versions = if adapter == "face_id_plus" { &["", "_v2"][..] } else { &[""] };
        for version in versions {
            if adapter == "face_id_plus" {
                let pictures = FacePictures {
                    clip_embeds: states.clone(),
                    shortcut: *version == "_v2",
                    shortcut_scale: 0.8,
                };
                pipeline.ip_adapter_loader().unwrap().set_face_pictures(0, pictures).unwrap();
            }
            let unet = pipeline.components().get::<UNet2DConditionModel>("unet").unwrap();
            let tokens = unet.image_tokens(vec![embeds.clone()]).unwrap().remove(0);
            let name = format!("{adapter}{version}");
            assert_close(&name, tokens, expected.floats(&name), TOLERANCE);
        }
    }
}
