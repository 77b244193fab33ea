//! FLUX.1 Redux: images as the end of a prompt.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use oxidiff::image::DynamicImage;
use oxidiff::{
    Config, Device, FluxPipeline, FluxPriorRedux, FluxPriorReduxPipeline, FluxTextToImage, Generator,
    ImageProcessor, Images, Model, OutputType, PerControlNet, Pipeline, PipelineImageInput,
    ReduxImageEncoder, ReduxImageEncoderConfig, SiglipImageProcessor, SiglipVisionModel, Tensor,
};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tempfile::TempDir;

use super::text_to_image;
use crate::checkpoints::{copy_folder, draw_part, error, expect};
use crate::fixture::drawn::drawn;
use crate::fixture::pictures::{picture, values};
use crate::fixture::{Recorded, assert_close, difference, fixtures, json};

const TOLERANCE: f32 = 1e-4;
/// The tokens that are recorded, before the last ones, which all are.
const STRIDE: usize = 37;
const LAST: usize = 9;

fn recorded(name: &str) -> PathBuf {
    fixtures().join("flux_redux").join(name)
}

fn checkpoint() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    copy_folder(&recorded("checkpoint"), folder.path());
    draw_part::<SiglipVisionModel>("image_encoder", 1, folder.path());
    draw_part::<ReduxImageEncoder>("image_embedder", 2, folder.path());
    folder
}

fn load(folder: &Path) -> oxidiff::Result<FluxPriorReduxPipeline> {
    FluxPriorReduxPipeline::from_pretrained(folder.to_str().unwrap())
}

/// With the text encoders of another pipeline.
fn with_texts(plain: &FluxPriorReduxPipeline) -> FluxPriorReduxPipeline {
    let other = text_to_image();
    FluxPriorReduxPipeline {
        text_encoder: other.text_encoder.clone(),
        tokenizer: other.tokenizer.clone(),
        text_encoder_2: other.text_encoder_2.clone(),
        tokenizer_2: other.tokenizer_2.clone(),
        ..plain.clone()
    }
}

#[derive(Deserialize)]
struct Call {
    name: String,
    image: Option<Vec<(String, u32, u32)>>,
    tensor: Option<[usize; 4]>,
    #[serde(default)]
    texts: bool,
    #[serde(default)]
    prompt: Value,
    #[serde(default)]
    prompt_2: Value,
    prompt_embeds: Option<[usize; 3]>,
    pooled_prompt_embeds: Option<[usize; 2]>,
    #[serde(default)]
    prompt_embeds_scale: Value,
    #[serde(default)]
    pooled_prompt_embeds_scale: Value,
}

fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::String(text) => vec![text.clone()],
        Value::Array(_) => serde_json::from_value(value.clone()).unwrap(),
        _ => Vec::new(),
    }
}

fn scale(value: &Value) -> PerControlNet {
    match value {
        Value::Array(_) => serde_json::from_value::<Vec<f64>>(value.clone()).unwrap().into(),
        _ => value.as_f64().unwrap_or(1.0).into(),
    }
}

impl Call {
    fn arguments(&self) -> FluxPriorRedux {
        let image: PipelineImageInput = match (&self.image, self.tensor) {
            (Some(images), _) => {
                let images = images.iter().map(|(mode, width, height)| picture(mode, [*width, *height]));
                images.collect::<Vec<DynamicImage>>().into()
            }
            (None, Some(shape)) => PipelineImageInput::Tensor(values(shape, 0.0)),
            _ => panic!("no image"),
        };
        FluxPriorRedux {
            prompt: texts(&self.prompt),
            prompt_2: texts(&self.prompt_2),
            prompt_embeds: self.prompt_embeds.map(|[a, b, c]| values([1, a, b, c], -1.5).reshape([a, b, c])),
            pooled_prompt_embeds: self
                .pooled_prompt_embeds
                .map(|[a, b]| values([1, 1, a, b], -1.3).reshape([a, b])),
            prompt_embeds_scale: scale(&self.prompt_embeds_scale),
            pooled_prompt_embeds_scale: scale(&self.pooled_prompt_embeds_scale),
            ..FluxPriorRedux::new(image)
        }
    }
}

#[test]
fn images_become_the_prompts_that_python_makes() {
    let folder = checkpoint();
    let plain = load(folder.path()).unwrap();
    let expected = Recorded::open(&recorded("calls.safetensors"));
    let calls: Vec<Call> = json(&recorded("calls.json"));
    assert!(calls.len() >= 8);
    for call in calls {
        let mut pipeline = if call.texts { with_texts(&plain) } else { plain.clone() };
        let made = pipeline.call(call.arguments()).unwrap();
        let name = &call.name;
        let [_, tokens, _] = made.prompt_embeds.dims();
        let places = (0..tokens - LAST).step_by(STRIDE).chain(tokens - LAST..tokens);
        let some = places.map(|place| made.prompt_embeds.clone().narrow(1, place, 1)).collect();
        assert_close(name, Tensor::cat(some, 1), expected.floats(name), TOLERANCE);
        let pooled = format!("{name}.pooled");
        assert_close(&pooled, made.pooled_prompt_embeds, expected.floats(&pooled), TOLERANCE);
    }
}

#[test]
fn images_are_seen_as_in_python() {
    #[derive(Deserialize)]
    struct Described {
        seed: u64,
        config: Map<String, Value>,
    }
    let expected = Recorded::open(&recorded("models.safetensors"));
    let models: BTreeMap<String, Described> = json(&recorded("models.json"));
    assert_eq!(models.len(), 2);
    for (name, Described { seed, config }) in models {
        let config = Config::from_json(&Value::Object(config).to_string()).unwrap();
        let model: SiglipVisionModel = drawn(&config, seed);
        let channels = model.config().num_channels;
        let made = model.forward(values([2, channels, 24, 24], -1.0)).unwrap();
        let key = format!("{name}.hidden");
        assert_close(&key, made.last_hidden_state, expected.floats(&key), TOLERANCE);
        assert_eq!(made.pooler_output.is_some(), name == "plain");
        if let Some(pooled) = made.pooler_output {
            assert_close("pooled", pooled, expected.floats(&format!("{name}.pooled")), TOLERANCE);
        }
        let refused = error(model.forward(values([2, channels, 24, 23], 0.0)));
        expect(&refused, &["`pixel_values`", "24, 23", "24, 24"]);
    }
    let file = recorded("checkpoint/feature_extractor");
    let processor = SiglipImageProcessor::from_pretrained(file.to_str().unwrap()).unwrap();
    for (mode, size) in [("RGB", [60, 41]), ("L", [17, 90])] {
        let made = processor.preprocess(&[picture(mode, size)]).unwrap();
        assert_close(mode, made, expected.floats(&format!("pixels.{mode}")), 1e-5);
    }
}

#[test]
fn a_saved_pipeline_makes_the_same_prompt() {
    let folder = checkpoint();
    let mut pipeline = with_texts(&load(folder.path()).unwrap());
    let call = || FluxPriorRedux {
        prompt: vec!["a red apple".into()],
        ..FluxPriorRedux::new(picture("RGB", [60, 41]))
    };
    let expected = pipeline.call(call()).unwrap();
    let saved = tempfile::tempdir().unwrap();
    pipeline.save_pretrained(saved.path()).unwrap();
    let made = load(saved.path()).unwrap().call(call()).unwrap();
    assert_eq!(difference(made.prompt_embeds, expected.prompt_embeds), 0.0);
    // The same without text encoders.
    let saved = tempfile::tempdir().unwrap();
    load(folder.path()).unwrap().save_pretrained(saved.path()).unwrap();
    for file in ["model_index.json", "image_encoder/config.json", "image_embedder/config.json"] {
        let ours: Value = json(&saved.path().join(file));
        let theirs: Value = json(&recorded("checkpoint").join(file));
        for (field, value) in theirs.as_object().unwrap() {
            let is_of_version = field.starts_with('_') || field.ends_with("_version");
            assert!(ours.get(field) == Some(value) || is_of_version, "{file}: {field}");
        }
    }
    assert!(load(saved.path()).unwrap().text_encoder.is_none());
}

#[test]
fn a_prompt_of_images_becomes_an_image() {
    let folder = checkpoint();
    let mut prior = with_texts(&load(folder.path()).unwrap());
    let mut pipeline: FluxPipeline = text_to_image();
    let mut latents = |picture: DynamicImage| {
        let call = FluxPriorRedux { prompt: vec!["a red apple".into()], ..FluxPriorRedux::new(picture) };
        let prompt = prior.call(call).unwrap();
        let call = FluxTextToImage {
            prompt_embeds: Some(prompt.prompt_embeds),
            pooled_prompt_embeds: Some(prompt.pooled_prompt_embeds),
            height: Some(16),
            width: Some(48),
            num_inference_steps: 1,
            generator: Some(Generator::manual_seed(5).into()),
            output_type: OutputType::Latent,
            ..FluxTextToImage::default()
        };
        match pipeline.call(call).unwrap().images {
            Images::Latent(latents) => latents,
            _ => panic!("latents were asked for"),
        }
    };
    let (one, other) = (latents(picture("RGB", [60, 41])), latents(picture("L", [20, 20])));
    assert!(difference(one, other) > 1e-4);
}

#[test]
fn what_does_not_fit_is_refused() {
    let folder = checkpoint();
    let plain = load(folder.path()).unwrap();
    let two = || vec![picture("RGB", [20, 20]); 2];
    let refused =
        |pipeline: &FluxPriorReduxPipeline, call: FluxPriorRedux| error(pipeline.clone().call(call));
    expect(&refused(&plain, FluxPriorRedux::default()), &["`image`", "at least one"]);
    let call = FluxPriorRedux { prompt_embeds_scale: vec![1.0].into(), ..FluxPriorRedux::new(two()) };
    expect(&refused(&plain, call), &["`prompt_embeds_scale`", "1 number for 2 images"]);
    let texts = with_texts(&plain);
    expect(&refused(&texts, FluxPriorRedux::new(two())), &["`prompt`", "text encoders"]);
    let three = vec!["a".to_owned(), "b".into(), "c".into()];
    let call = FluxPriorRedux { prompt: three, ..FluxPriorRedux::new(two()) };
    expect(&refused(&texts, call), &["`prompt`", "got 3 for 2 images"]);
    let embeds = || Some(values([1, 2, 5, 24], 0.0).reshape([2, 5, 24]));
    let call = FluxPriorRedux { prompt_embeds: embeds(), ..FluxPriorRedux::new(two()) };
    expect(&refused(&texts, call), &["`pooled_prompt_embeds`", "`prompt_embeds`"]);
    let call =
        FluxPriorRedux { prompt: vec!["a".into()], prompt_embeds: embeds(), ..FluxPriorRedux::new(two()) };
    expect(&refused(&texts, call), &["`prompt`", "`prompt_embeds`"]);

    let other = ReduxImageEncoderConfig { redux_dim: 13, txt_in_features: 24, ..Default::default() };
    let image_embedder = ReduxImageEncoder::init(&other, &Device::flex()).unwrap();
    let pipeline = FluxPriorReduxPipeline { image_embedder, ..plain.clone() };
    expect(&refused(&pipeline, FluxPriorRedux::new(two())), &["redux_dim", "13", "12"]);
    for (file, field, value, words) in [
        ("image_encoder/config.json", "patch_size", json!(0), &["patch_size"][..]),
        ("image_encoder/config.json", "num_attention_heads", json!(5), &["num_attention_heads", "5"]),
        ("image_embedder/config.json", "txt_in_features", json!(0), &["txt_in_features", "0"]),
        (
            "model_index.json",
            "image_encoder",
            json!(["transformers", "CLIPVisionModel"]),
            &["CLIPVisionModel"],
        ),
        (
            "model_index.json",
            "feature_extractor",
            json!(["transformers", "CLIPImageProcessor"]),
            &["CLIPImageProcessor"],
        ),
    ] {
        let folder = checkpoint();
        let file = folder.path().join(file);
        let mut config: Value = json(&file);
        config[field] = value;
        std::fs::write(&file, config.to_string()).unwrap();
        expect(&error(load(folder.path())), words);
    }
}
