//! Compares the pipelines of Stable Diffusion XL with Python's, call by call.

use std::collections::BTreeMap;

use crate::fixture::compared_pipelines::{compare, refused};
use crate::fixture::stable_diffusion_xl::{calls, checkpoint, drawn, every_fourth_pixel, folder};
use crate::fixture::{assert_close, json};
use oxidiff::{
    AddedConditions, AutoPipelineForImage2Image, AutoPipelineForInpainting, AutoPipelineForText2Image,
    AutoencoderKL, CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer, Config, DType, Device,
    DiffusionPipeline, Error, Generator, LoadOptions, Model, Pipeline, StableDiffusionXLImg2ImgPipeline,
    StableDiffusionXLInpaintPipeline, StableDiffusionXLInstructPix2PixPipeline, StableDiffusionXLPipeline,
    Tensor, UNet2DConditionInputs, UNet2DConditionModel,
};
use safetensors::tensor::{Dtype, TensorView};
use serde::Deserialize;
use serde_json::{Map, Value};

#[test]
fn text_becomes_the_image_that_python_makes() {
    compare::<StableDiffusionXLPipeline>("text2img", 50);
}

#[test]
fn images_and_latents_of_the_base_model_are_changed_and_refined_as_in_python() {
    compare::<StableDiffusionXLImg2ImgPipeline>("img2img", 40);
}

#[test]
fn images_are_inpainted_as_in_python() {
    compare::<StableDiffusionXLInpaintPipeline>("inpaint", 45);
}

#[test]
fn images_are_edited_as_in_python() {
    compare::<StableDiffusionXLInstructPix2PixPipeline>("instruct_pix2pix", 18);
}

#[test]
fn what_python_refuses_is_refused() {
    refused::<StableDiffusionXLPipeline>("text2img", 10);
    refused::<StableDiffusionXLImg2ImgPipeline>("img2img", 5);
    refused::<StableDiffusionXLInpaintPipeline>("inpaint", 3);
    refused::<StableDiffusionXLInstructPix2PixPipeline>("instruct_pix2pix", 3);
}

#[derive(Deserialize)]
struct ModelCall {
    name: String,
    checkpoint: Option<String>,
    config: Option<Value>,
    seed: Option<u64>,
    #[serde(default)]
    drawn: Vec<String>,
    inputs_seed: u64,
    /// By name, in the order in which they are drawn.
    inputs: Vec<(String, Value)>,
}

impl ModelCall {
    fn model(&self) -> UNet2DConditionModel {
        let load = |folder: &std::path::Path| UNet2DConditionModel::from_pretrained(folder.to_str().unwrap());
        if let Some(name) = &self.checkpoint {
            return load(&checkpoint(name).path().join("unet")).unwrap();
        }
        let folder = tempfile::tempdir().unwrap();
        let config = self.config.as_ref().unwrap().to_string();
        std::fs::write(folder.path().join("config.json"), config).unwrap();
        let tensors = drawn(&self.drawn, self.seed.unwrap());
        let bytes: BTreeMap<&String, Vec<u8>> = tensors
            .iter()
            .map(|(key, (_, values))| (key, values.iter().flat_map(|value| value.to_le_bytes()).collect()))
            .collect();
        let views = tensors.iter().map(|(key, (shape, _))| {
            (key.clone(), TensorView::new(Dtype::F32, shape.clone(), &bytes[key]).unwrap())
        });
        let weights = safetensors::serialize(views.collect::<Vec<_>>(), None).unwrap();
        std::fs::write(folder.path().join("diffusion_pytorch_model.safetensors"), weights).unwrap();
        load(folder.path()).unwrap()
    }
}

#[test]
fn unets_compute_what_python_does_for_every_condition() {
    let calls: Vec<ModelCall> = json(&folder().join("unets.json"));
    let recorded = crate::fixture::Recorded::open(&folder().join("unets.safetensors"));
    assert!(calls.len() >= 10);
    for call in &calls {
        // The inputs are drawn in this order.
        let mut generator = Generator::manual_seed(call.inputs_seed);
        let (mut sample, mut text, mut timestep) = (None, None, 0.0);
        let mut inputs = UNet2DConditionInputs::default();
        let device = Device::flex();
        for (name, value) in &call.inputs {
            let shape: Option<Vec<usize>> = serde_json::from_value(value.clone()).ok();
            match (name.as_str(), shape.as_deref()) {
                ("timestep", _) => timestep = value.as_f64().unwrap() as f32,
                ("sample", Some(&[a, b, c, d])) => {
                    sample = Some(generator.randn([a, b, c, d], DType::F32, &device));
                }
                ("encoder_hidden_states", Some(&[a, b, c])) => {
                    text = Some(generator.randn([a, b, c], DType::F32, &device));
                }
                ("hint", Some(&[a, b, c, d])) => {
                    inputs.added.hint = Some(generator.randn([a, b, c, d], DType::F32, &device));
                }
                ("time_ids", _) => {
                    let rows: Vec<Vec<f32>> = serde_json::from_value(value.clone()).unwrap();
                    let columns = rows[0].len();
                    let flat: Vec<f32> = rows.concat();
                    let ids = Tensor::<1>::from_data(flat.as_slice(), &device);
                    inputs.added.time_ids = Some(ids.reshape([rows.len(), columns]));
                }
                (name, Some(&[a, b])) => {
                    let drawn = Some(generator.randn([a, b], DType::F32, &device));
                    match name {
                        "text_embeds" => inputs.added.text_embeds = drawn,
                        "image_embeds" => inputs.added.image_embeds = drawn,
                        "timestep_cond" => inputs.timestep_cond = drawn,
                        _ => panic!("{name}"),
                    }
                }
                other => panic!("{other:?}"),
            }
        }
        let model = call.model();
        let made = model.forward_with(sample.unwrap(), &[timestep], text.unwrap(), inputs.clone()).unwrap();
        assert_close(&call.name, made, recorded.floats(&call.name), 1e-4);
    }
}

#[test]
fn text_encoders_and_autoencoder_compute_what_python_does() {
    #[derive(Deserialize)]
    struct Inputs {
        prompts: Vec<String>,
        vae_image: Map<String, Value>,
    }
    let Inputs { prompts, vae_image } = json(&folder().join("encoders.json"));
    let recorded = crate::fixture::Recorded::open(&folder().join("encoders.safetensors"));
    let base = checkpoint("base");
    let path = |part: &str| base.path().join(part).to_str().unwrap().to_owned();

    let first = CLIPTokenizer::from_pretrained(path("tokenizer")).unwrap();
    let second = CLIPTokenizer::from_pretrained(path("tokenizer_2")).unwrap();
    let first = first.tokenize(&prompts, 24).unwrap().input_ids;
    let second = second.tokenize(&prompts, 24).unwrap().input_ids;
    assert_eq!(first, recorded.integers("1.ids"));
    assert_eq!(second, recorded.integers("2.ids"));

    let encoder = CLIPTextModel::from_pretrained(&path("text_encoder")).unwrap();
    let output = encoder.forward(&first, None).unwrap();
    let penultimate = |states: &[Tensor<3>]| states[states.len() - 2].clone();
    assert_close("last 1", output.last_hidden_state, recorded.floats("1.last_hidden_state"), 1e-4);
    assert_close("penultimate 1", penultimate(&output.hidden_states), recorded.floats("1.penultimate"), 1e-4);
    assert_close("pooled 1", output.pooler_output, recorded.floats("1.pooled"), 1e-4);
    let encoder = CLIPTextModelWithProjection::from_pretrained(&path("text_encoder_2")).unwrap();
    let output = encoder.forward(&second, None).unwrap();
    assert_close("last 2", output.last_hidden_state, recorded.floats("2.last_hidden_state"), 1e-4);
    assert_close("penultimate 2", penultimate(&output.hidden_states), recorded.floats("2.penultimate"), 1e-4);
    assert_close("text_embeds", output.text_embeds, recorded.floats("2.pooled"), 1e-4);

    let vae = AutoencoderKL::from_pretrained(&path("vae")).unwrap();
    let seed = vae_image["seed"].as_u64().unwrap();
    let image = Generator::manual_seed(seed).randn([1, 3, 40, 24], DType::F32, &Device::flex());
    let encoded = vae.encode(image.clamp(-1.0, 1.0)).unwrap();
    assert_close("mean", encoded.mean.clone(), recorded.floats("vae.mean"), 1e-4);
    assert_close("logvar", encoded.logvar, recorded.floats("vae.logvar"), 1e-4);
    assert_close("decoded", vae.decode(encoded.mean).unwrap(), recorded.floats("vae.decoded"), 1e-4);
}

#[test]
fn a_missing_condition_is_named() {
    let config = r#"{"block_out_channels": [8], "norm_num_groups": 4, "attention_head_dim": 2, "layers_per_block": 1,
        "cross_attention_dim": 12, "down_block_types": ["CrossAttnDownBlock2D"], "up_block_types": ["CrossAttnUpBlock2D"],
        "addition_embed_type": "text_time", "addition_time_embed_dim": 6, "projection_class_embeddings_input_dim": 26}"#;
    let device = Device::flex();
    let unet = UNet2DConditionModel::from_config(&Config::from_json(config).unwrap(), &device).unwrap();
    let call = |added: AddedConditions| {
        let sample = Tensor::zeros([1, 4, 8, 8], &device);
        let inputs = UNet2DConditionInputs { added, ..Default::default() };
        unet.forward_with(sample, &[1.0], Tensor::zeros([1, 3, 12], &device), inputs).unwrap_err().to_string()
    };
    assert!(call(AddedConditions::default()).contains("`text_embeds`"));
    let text_embeds = Some(Tensor::zeros([1, 8], &device));
    assert!(call(AddedConditions { text_embeds, ..Default::default() }).contains("`time_ids`"));
}

#[test]
fn pipelines_of_the_family_share_their_parts() {
    let folder = checkpoint("base");
    let base = DiffusionPipeline::from_pretrained(folder.path().to_str().unwrap()).unwrap();
    assert_eq!(base.class_name(), "StableDiffusionXLPipeline");
    let img2img = AutoPipelineForImage2Image::from_pipe(&base).unwrap();
    assert_eq!(img2img.class_name(), "StableDiffusionXLImg2ImgPipeline");
    let inpaint = AutoPipelineForInpainting::from_pipe(&img2img).unwrap();
    assert_eq!(inpaint.class_name(), "StableDiffusionXLInpaintPipeline");
    let again = AutoPipelineForText2Image::from_pipe(&inpaint).unwrap();
    assert_eq!(again.class_name(), "StableDiffusionXLPipeline");

    let saved = tempfile::tempdir().unwrap();
    again.save_pretrained(saved.path()).unwrap();
    let index: Value = json(&saved.path().join("model_index.json"));
    assert_eq!(index["_class_name"], "StableDiffusionXLPipeline");
    assert_eq!(index["text_encoder_2"], serde_json::json!(["transformers", "CLIPTextModelWithProjection"]));
    let loaded = DiffusionPipeline::from_pretrained(saved.path().to_str().unwrap()).unwrap();
    assert_eq!(loaded.components().iter().count(), 7);
}

#[test]
fn half_precision_makes_nearly_the_same_image() {
    let folder = checkpoint("base");
    let (calls, recorded) = calls("text2img");
    let call = calls.iter().find(|call| call.name == "default").unwrap();
    let expected: Tensor<4> = recorded.floats("default.output");
    for (dtype, tolerance) in [(DType::F16, 0.02), (DType::BF16, 0.15)] {
        let options = LoadOptions { dtype, ..LoadOptions::default() };
        let path = folder.path().to_str().unwrap();
        let mut pipeline = DiffusionPipeline::from_pretrained_with(path, &options).unwrap();
        let made = pipeline.call(call.request()).unwrap().images.into_tensor().unwrap();
        assert_close(&format!("{dtype:?}"), every_fourth_pixel(made), expected.clone(), tolerance);
    }
}

#[test]
fn the_refiner_is_not_a_base_model() {
    let folder = checkpoint("refiner");
    let mut pipeline = StableDiffusionXLPipeline::from_pretrained(folder.path().to_str().unwrap()).unwrap();
    let error = pipeline.call("a red apple").unwrap_err();
    assert!(error.to_string().contains("requires_aesthetics_score"), "{error}");
    let mut refiner = DiffusionPipeline::from_pretrained(folder.path().to_str().unwrap()).unwrap();
    let unknown = refiner.call(oxidiff::Request::new("x").with("width", 64)).unwrap_err();
    assert!(matches!(unknown, Error::UnknownArgument { .. }), "{unknown}");
}

/// Advice is given only where it would help.
#[test]
fn conditions_of_another_length_have_no_advice() {
    let folder = checkpoint("refiner");
    let file = folder.path().join("unet/config.json");
    let mut config: Map<String, Value> = json(&file);
    config.insert("addition_time_embed_dim".into(), 3.into());
    std::fs::write(&file, Value::Object(config).to_string()).unwrap();
    let mut refiner = DiffusionPipeline::from_pretrained(folder.path().to_str().unwrap()).unwrap();
    let latents: Tensor<4> = Generator::manual_seed(0).randn([1, 4, 8, 8], DType::F32, &Device::flex());
    let error = refiner.call(oxidiff::Request::new("x").with("image", latents)).unwrap_err().to_string();
    assert!(error.contains(&*file.to_string_lossy()), "{error}");
    assert!(
        error.contains("5 numbers of 3 features") && !error.contains("requires_aesthetics_score"),
        "{error}"
    );
}
