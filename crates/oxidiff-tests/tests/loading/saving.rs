//! The files of a saved pipeline besides its weights.

use std::path::Path;

use oxidiff::{
    CLIPTextModel, ClassConditional, DPTForDepthEstimation, DType, DiffusionPipeline, GenerationConfig,
    ImageToImage, LoadOptions, Model, Pipeline, StableDiffusionImg2ImgPipeline, StableDiffusionPipeline,
    StableDiffusionSafetyChecker, TextToImage, Unconditional,
};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::fixture::{fixtures, repository};

const FILE: &str = "generation_config.json";

fn read(file: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap()
}

/// Saves a model that was loaded in `dtype`, and returns its saved configuration.
fn saved_config<M: Model>(folder: &Path, dtype: DType) -> Value {
    let options = LoadOptions { dtype, ..LoadOptions::default() };
    let model = M::from_pretrained_with(folder.to_str().unwrap(), &options).unwrap();
    let saved = tempfile::tempdir().unwrap();
    model.save_pretrained(saved.path()).unwrap();
    read(&saved.path().join("config.json"))
}

/// Without a type among its arguments, Python's `from_pretrained` of a pipeline loads models of diffusers in float32, but
/// models of transformers in the type that their configuration names. The pipeline only runs if that is float32, too:
/// with a text encoder in float16 before a UNet in float32, PyTorch raises an error.
#[test]
fn models_of_transformers_name_float32_whatever_they_are_stored_in() {
    let vision = fixtures().join("vision");
    for dtype in [DType::F32, DType::F16, DType::BF16] {
        let text_encoder = repository().join("models/emoji-diffusion/text_encoder");
        let checker = vision.join("safety_checker/pipeline/safety_checker");
        for config in [
            saved_config::<CLIPTextModel>(&text_encoder, dtype),
            saved_config::<StableDiffusionSafetyChecker>(&checker, dtype),
            saved_config::<DPTForDepthEstimation>(&fixtures().join("image_to_image/depth_estimator"), dtype),
        ] {
            assert_eq!(config["dtype"], "float32", "{}", config["architectures"]);
        }
    }
}

/// PyTorch uses these as kernel sizes, and does not accept `4.0`.
#[test]
fn whole_factors_of_a_depth_estimator_stay_whole() {
    let folder = fixtures().join("image_to_image/depth_estimator");
    let saved = saved_config::<DPTForDepthEstimation>(&folder, DType::F32);
    assert_eq!(saved["reassemble_factors"].to_string(), "[4,2,1,0.5]");
}

/// Checkpoints of transformers before version 5 call the type `torch_dtype`; keeping an old value would contradict
/// ours.
#[test]
fn the_old_name_of_the_type_is_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let source = fixtures().join("pipelines/sd1/text_encoder");
    std::fs::copy(source.join("model.safetensors"), folder.path().join("model.safetensors")).unwrap();
    let mut config = read(&source.join("config.json"));
    config["torch_dtype"] = "float16".into();
    config.as_object_mut().unwrap().remove("dtype");
    std::fs::write(folder.path().join("config.json"), config.to_string()).unwrap();
    let saved = saved_config::<CLIPTextModel>(folder.path(), DType::F16);
    assert_eq!((&saved["dtype"], saved.get("torch_dtype")), (&json!("float32"), None));
}

/// The small pipeline, with a `generation_config.json` of these contents, if any.
fn sd1_with(contents: Option<&str>) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let pipeline =
        StableDiffusionPipeline::from_pretrained(fixtures().join("pipelines/sd1").to_str().unwrap());
    pipeline.unwrap().save_pretrained(folder.path()).unwrap();
    if let Some(contents) = contents {
        std::fs::write(folder.path().join(FILE), contents).unwrap();
    }
    folder
}

fn load(folder: &TempDir) -> oxidiff::Result<StableDiffusionPipeline> {
    StableDiffusionPipeline::from_pretrained(folder.path().to_str().unwrap())
}

fn values(config: &GenerationConfig) -> (Option<usize>, Option<f64>) {
    (config.num_inference_steps, config.guidance_scale)
}

#[test]
fn the_generation_config_is_read_passed_on_and_saved() {
    let folder = sd1_with(Some(r#"{"num_inference_steps": 12, "guidance_scale": 3}"#));
    let pipeline = load(&folder).unwrap();
    assert_eq!(values(pipeline.generation_config()), (Some(12), Some(3.0)));
    let image_to_image = StableDiffusionImg2ImgPipeline::from_pipe(&pipeline).unwrap();
    assert_eq!(image_to_image.generation_config(), pipeline.generation_config());

    let saved = tempfile::tempdir().unwrap();
    image_to_image.save_pretrained(saved.path()).unwrap();
    assert_eq!(read(&saved.path().join(FILE)), json!({"num_inference_steps": 12, "guidance_scale": 3.0}));
    let again = DiffusionPipeline::from_pretrained(saved.path().to_str().unwrap()).unwrap();
    assert_eq!(again.generation_config(), pipeline.generation_config());

    // Another pipeline that is saved in the same place does not inherit it.
    load(&sd1_with(None)).unwrap().save_pretrained(saved.path()).unwrap();
    assert!(!saved.path().join(FILE).exists());
}

#[test]
fn values_that_a_checkpoint_does_not_give_are_unchanged() {
    for (contents, expected) in [
        (None, (None, None)),
        (Some("{}"), (None, None)),
        (Some(r#"{"num_inference_steps": 3, "guidance_scale": null}"#), (Some(3), None)),
        // The file of this name in transformers is about text generation.
        (Some(r#"{"guidance_scale": 1.5, "bos_token_id": 3, "do_sample": true}"#), (None, Some(1.5))),
    ] {
        let pipeline = load(&sd1_with(contents)).unwrap();
        assert_eq!(values(pipeline.generation_config()), expected, "{contents:?}");
        let arguments = pipeline.generation_config().apply_to(TextToImage::new("dog"));
        assert_eq!(arguments.prompt, ["dog"]);
        assert_eq!(arguments.num_inference_steps, expected.0.unwrap_or(50));
        assert_eq!(arguments.guidance_scale, expected.1.unwrap_or(7.5));
    }
}

#[test]
fn arguments_of_every_task_take_the_values_that_apply() {
    let pipeline = load(&sd1_with(Some(r#"{"num_inference_steps": 6, "guidance_scale": 2.5}"#))).unwrap();
    let config = pipeline.generation_config();
    let changed = config.apply_to(ImageToImage::default());
    assert_eq!((changed.num_inference_steps, changed.guidance_scale), (6, 2.5));
    let of_class = config.apply_to(ClassConditional::new([3]));
    assert_eq!((of_class.num_inference_steps, of_class.guidance_scale), (6, 2.5));
    assert_eq!(config.apply_to(Unconditional::default()).num_inference_steps, Some(6));
}

#[test]
fn a_damaged_generation_config_is_refused_by_file_and_field() {
    for (contents, word) in [
        (r#"{"num_inference_steps": 0}"#, "`num_inference_steps`"),
        (r#"{"num_inference_steps": -3}"#, "`num_inference_steps`"),
        (r#"{"num_inference_steps": 2.5}"#, "`num_inference_steps`"),
        (r#"{"num_inference_steps": "many"}"#, "`num_inference_steps`"),
        (r#"{"guidance_scale": "strong"}"#, "`guidance_scale`"),
        (r#"{"guidance_scale": NaN}"#, "`guidance_scale`"),
        (r#"{"guidance_scale": [4]}"#, "`guidance_scale`"),
        ("[]", "not a JSON object"),
        ("", "empty"),
    ] {
        let error = load(&sd1_with(Some(contents))).unwrap_err().to_string();
        assert!(error.contains(FILE) && error.contains(word), "{contents}: {error}");
    }
}
