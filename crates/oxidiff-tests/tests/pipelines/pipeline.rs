//! Everything that a pipeline does besides a plain call.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use oxidiff::{
    AttentionSlice, AutoencoderKL, CLIPTextModel, CLIPTokenizer, DType, Device, DiffusionPipeline,
    EulerDiscreteScheduler, Generator, Images, LoadOptions, Model, ModelIndex, OutputType, PNDMScheduler,
    Pipeline, Scheduler, StableDiffusionPipeline, Stop, Tensor, TextToImage, UNet2DConditionModel,
};
use safetensors::SafeTensors;

use crate::fixture::{assert_close, difference, fixtures, repository};

fn sd1() -> PathBuf {
    fixtures().join("pipelines/sd1")
}

fn load(folder: &Path) -> StableDiffusionPipeline {
    let mut pipeline = StableDiffusionPipeline::from_pretrained(folder.to_str().unwrap()).unwrap();
    pipeline.set_progress_bar(false);
    pipeline
}

fn two_steps() -> TextToImage {
    TextToImage {
        num_inference_steps: 2,
        generator: Some(Generator::manual_seed(1).into()),
        output_type: OutputType::Array,
        ..TextToImage::new("a red apple")
    }
}

fn image(pipeline: &mut StableDiffusionPipeline, arguments: TextToImage) -> Tensor<4> {
    pipeline.call(arguments).unwrap().images.into_tensor().unwrap()
}

#[test]
fn a_pipeline_loads_by_the_class_that_its_index_names_and_prints_as_in_python() {
    let folder = repository().join("models/emoji-diffusion");
    let pipeline = DiffusionPipeline::from_pretrained(folder.to_str().unwrap()).unwrap();
    let names: Vec<_> =
        pipeline.components().into_iter().map(|(name, part)| (name, part.class().1)).collect();
    assert_eq!(
        names,
        [
            ("vae", "AutoencoderKL".to_owned()),
            ("text_encoder", "CLIPTextModel".to_owned()),
            ("tokenizer", "CLIPTokenizer".to_owned()),
            ("unet", "UNet2DConditionModel".to_owned()),
            ("scheduler", "DPMSolverMultistepScheduler".to_owned()),
        ]
    );
    let printed = pipeline.to_string();
    let expected = format!(
        r#"StableDiffusionPipeline {{
  "_class_name": "StableDiffusionPipeline",
  "_diffusers_version": "0.42.1",
  "_name_or_path": "{}",
  "feature_extractor": [
    null,
    null
  ],
  "image_encoder": [
    null,
    null
  ],
  "requires_safety_checker": false,
  "safety_checker": [
    null,
    null
  ],
  "scheduler": [
    "diffusers",
    "DPMSolverMultistepScheduler"
  ],
  "text_encoder": [
    "transformers",
    "CLIPTextModel"
  ],
  "tokenizer": [
    "transformers",
    "CLIPTokenizer"
  ],
  "unet": [
    "diffusers",
    "UNet2DConditionModel"
  ],
  "vae": [
    "diffusers",
    "AutoencoderKL"
  ]
}}"#,
        folder.display()
    );
    assert_eq!(printed, expected);
    let index = ModelIndex::from_pretrained(folder.to_str().unwrap(), &LoadOptions::default()).unwrap();
    assert_eq!(index.to_string(), expected);
}

#[test]
fn a_swapped_scheduler_is_used_printed_and_saved() {
    let mut pipeline = DiffusionPipeline::from_pretrained(sd1().to_str().unwrap()).unwrap();
    pipeline.set_scheduler(EulerDiscreteScheduler::from_config(pipeline.scheduler().config()).unwrap());
    assert!(pipeline.to_string().contains("\"EulerDiscreteScheduler\""));

    let folder = tempfile::tempdir().unwrap();
    pipeline.save_pretrained(folder.path()).unwrap();
    let again = DiffusionPipeline::from_pretrained(folder.path().to_str().unwrap()).unwrap();
    assert_eq!(again.scheduler().config().class_name(), Some("EulerDiscreteScheduler"));
    // Options of the first scheduler that the second does not know are kept.
    assert_eq!(again.scheduler().config().get("skip_prk_steps").unwrap(), true);
    assert!(PNDMScheduler::from_pretrained(folder.path().join("scheduler").to_str().unwrap()).is_ok());
}

#[test]
fn a_saved_pipeline_makes_the_same_image() {
    let mut pipeline = load(&sd1());
    let folder = tempfile::tempdir().unwrap();
    let saved = folder.path().join("new/folder");
    pipeline.save_pretrained(&saved).unwrap();
    let mut again = load(&saved);
    assert_eq!(difference(image(&mut again, two_steps()), image(&mut pipeline, two_steps())), 0.0);
    assert_eq!(again.unet.config().block_out_channels, pipeline.unet.config().block_out_channels);
    assert!(!std::fs::read_to_string(saved.join("model_index.json")).unwrap().contains("_name_or_path"));
}

#[test]
fn embeddings_and_latents_can_be_given_instead_of_a_prompt_and_a_seed() {
    let mut pipeline = load(&sd1());
    let expected = image(&mut pipeline, two_steps());

    let tokens = pipeline.tokenizer.tokenize(&["a red apple", ""], 24).unwrap();
    let embeds = pipeline.text_encoder.forward(&tokens.input_ids, None).unwrap().last_hidden_state;
    let [height, width] = pipeline.unet.config().sample_size.unwrap().height_width();
    let latents = Generator::manual_seed(1).randn([1, 4, height, width], DType::F32, &Device::flex());
    let arguments = TextToImage {
        prompt: vec![],
        prompt_embeds: Some(embeds.clone().narrow(0, 0, 1)),
        negative_prompt_embeds: Some(embeds.narrow(0, 1, 1)),
        latents: Some(latents),
        generator: None,
        ..two_steps()
    };
    assert_close("image", image(&mut pipeline, arguments), expected, 1e-5);
}

#[test]
fn a_callback_reads_replaces_and_stops() {
    let mut pipeline = load(&sd1());
    let latents = |pipeline: &mut StableDiffusionPipeline, callback: Option<oxidiff::StepCallback>| {
        let arguments = TextToImage {
            callback_on_step_end: callback,
            output_type: OutputType::Latent,
            num_inference_steps: 4,
            ..two_steps()
        };
        pipeline.call(arguments).unwrap().images.into_tensor().unwrap()
    };
    let whole = latents(&mut pipeline, None);
    let replaced =
        latents(&mut pipeline, Some(Box::new(|step| ControlFlow::Continue(step.latents.zeros_like()))));
    assert!(replaced.clone().abs().max().into_scalar::<f32>() == 0.0);

    let (sender, receiver) = std::sync::mpsc::channel();
    let stopped = latents(
        &mut pipeline,
        Some(Box::new(move |step| {
            sender.send((step.index, step.timestep)).unwrap();
            if step.index == 1 {
                ControlFlow::Break(Stop::Decode(step.latents))
            } else {
                ControlFlow::Continue(step.latents)
            }
        })),
    );
    let steps: Vec<_> = receiver.iter().collect();
    assert_eq!(steps.len(), 2);
    assert!(steps[0].1 >= steps[1].1);
    assert!(difference(stopped, whole) > 1e-3);
}

#[test]
fn images_have_the_requested_type() {
    let mut pipeline = load(&repository().join("models/emoji-diffusion"));
    let array = image(&mut pipeline, two_steps());
    assert_eq!(array.dims(), [1, 128, 128, 3]);
    let made = pipeline.call(TextToImage { output_type: OutputType::Image, ..two_steps() }).unwrap();
    let Images::Image(images) = made.images else { panic!("images were requested") };
    let pixel = images[0].to_rgb8().get_pixel(5, 9).0;
    let value = array.narrow(1, 9, 1).narrow(2, 5, 1).into_data().iter::<f32>().collect::<Vec<_>>();
    for (byte, value) in pixel.into_iter().zip(value) {
        assert!((f32::from(byte) - value * 255.0).abs() <= 0.5, "{byte} {value}");
    }
}

/// Half precision agrees with single precision within its accuracy.
#[test]
fn half_precision_runs_the_whole_pipeline() {
    let folder = repository().join("models/emoji-diffusion");
    let mut exact = load(&folder);
    let expected = image(&mut exact, two_steps());
    for dtype in [DType::BF16, DType::F16] {
        let options = LoadOptions { dtype, ..LoadOptions::default() };
        let mut pipeline =
            StableDiffusionPipeline::from_pretrained_with(folder.to_str().unwrap(), &options).unwrap();
        pipeline.set_progress_bar(false);
        assert_eq!(pipeline.unet.dtype(), dtype);
        let error = (image(&mut pipeline, two_steps()) - expected.clone()).abs().mean().into_scalar::<f32>();
        assert!(error < 0.05, "{dtype:?}: mean difference {error}");
    }
}

#[test]
fn invalid_arguments_are_refused_by_name() {
    let mut pipeline = load(&sd1());
    let device = Device::flex();
    let mut refused = |argument: &str, arguments: TextToImage| {
        let error = pipeline.call(arguments).unwrap_err().to_string();
        assert!(error.starts_with(&format!("`{argument}`")), "{error}");
    };
    refused("prompt", TextToImage::default());
    refused("height", TextToImage { height: Some(65), ..two_steps() });
    refused("width", TextToImage { width: Some(0), ..two_steps() });
    refused("num_inference_steps", TextToImage { num_inference_steps: 0, ..two_steps() });
    refused("num_images_per_prompt", TextToImage { num_images_per_prompt: 0, ..two_steps() });
    refused("guidance_scale", TextToImage { guidance_scale: f64::NAN, ..two_steps() });
    refused("negative_prompt", TextToImage { negative_prompt: vec![String::new(); 3], ..two_steps() });
    refused("clip_skip", TextToImage { clip_skip: Some(9), ..two_steps() });
    refused("latents", TextToImage { latents: Some(Tensor::zeros([2, 4, 8, 8], &device)), ..two_steps() });
    refused(
        "prompt",
        TextToImage { prompt_embeds: Some(Tensor::zeros([1, 24, 24], &device)), ..two_steps() },
    );
    refused("timesteps", TextToImage { timesteps: Some(vec![1.0]), sigmas: Some(vec![1.0]), ..two_steps() });
    let generators = (0..3).map(Generator::manual_seed).collect::<Vec<_>>();
    refused("generator", TextToImage { generator: Some(generators.into()), ..two_steps() });
}

/// The same weights in the three forms that they have on disk.
#[test]
fn weights_load_from_shards_variants_and_any_float_type() {
    let source = sd1().join("unet");
    let file = "diffusion_pytorch_model.safetensors";
    let contents = std::fs::read(source.join(file)).unwrap();
    let tensors = SafeTensors::deserialize(&contents).unwrap();
    let device = Device::flex();
    let text = Tensor::<3>::ones([1, 3, 24], &device);
    let predict = |unet: &UNet2DConditionModel| {
        unet.forward(Tensor::ones([1, 4, 8, 8], &device), 7.0, text.clone()).unwrap()
    };
    let expected = predict(&UNet2DConditionModel::from_pretrained(source.to_str().unwrap()).unwrap());

    let new_folder = || {
        let folder = tempfile::tempdir().unwrap();
        std::fs::copy(source.join("config.json"), folder.path().join("config.json")).unwrap();
        folder
    };
    let load = |folder: &Path, variant: Option<&str>| {
        let options = LoadOptions { variant: variant.map(str::to_owned), ..LoadOptions::default() };
        UNet2DConditionModel::from_pretrained_with(folder.to_str().unwrap(), &options)
    };

    // Two shards and their index.
    let sharded = new_folder();
    let (first, second): (Vec<_>, Vec<_>) = tensors.iter().partition(|(key, _)| key.len() % 2 == 0);
    let mut weight_map = serde_json::Map::new();
    for (number, shard) in [(1, first), (2, second)] {
        let name = format!("diffusion_pytorch_model-0000{number}-of-00002.safetensors");
        weight_map.extend(shard.iter().map(|(key, _)| (key.to_string(), name.clone().into())));
        std::fs::write(sharded.path().join(name), safetensors::serialize(shard, None).unwrap()).unwrap();
    }
    let index = serde_json::json!({ "metadata": {}, "weight_map": weight_map }).to_string();
    std::fs::write(sharded.path().join(format!("{file}.index.json")), &index).unwrap();
    assert_eq!(difference(predict(&load(sharded.path(), None).unwrap()), expected.clone()), 0.0);
    std::fs::remove_file(sharded.path().join("diffusion_pytorch_model-00002-of-00002.safetensors")).unwrap();
    let error = load(sharded.path(), None).unwrap_err().to_string();
    assert!(error.contains("diffusion_pytorch_model-00002-of-00002.safetensors"), "{error}");

    // A variant, and a folder from which it was removed.
    let variant = new_folder();
    std::fs::write(variant.path().join("diffusion_pytorch_model.fp16.safetensors"), &contents).unwrap();
    assert_eq!(difference(predict(&load(variant.path(), Some("fp16")).unwrap()), expected.clone()), 0.0);
    let error = load(variant.path(), None).unwrap_err().to_string();
    assert!(error.contains(file), "{error}");

    // Stored in other float types.
    for dtype in [DType::F32, DType::BF16] {
        let options = LoadOptions { dtype, ..LoadOptions::default() };
        let unet = UNet2DConditionModel::from_pretrained_with(source.to_str().unwrap(), &options).unwrap();
        let folder = tempfile::tempdir().unwrap();
        unet.save_pretrained(folder.path()).unwrap();
        let stored = std::fs::read(folder.path().join(file)).unwrap();
        let stored = SafeTensors::deserialize(&stored).unwrap().tensor("conv_in.weight").unwrap().dtype();
        assert_eq!(stored == safetensors::Dtype::BF16, dtype == DType::BF16);
        let scale = expected.clone().abs().max().into_scalar::<f32>();
        let tolerance = if dtype == DType::F32 { 0.0 } else { 0.05 * scale };
        assert_close("stored", predict(&load(folder.path(), None).unwrap()), expected.clone(), tolerance);
    }
}

#[test]
fn components_are_the_loaded_parts() {
    let pipeline = load(&sd1());
    let parts = pipeline.components();
    assert_eq!(parts.get::<UNet2DConditionModel>("unet").unwrap().config().in_channels, 4);
    assert_eq!(parts.get::<AutoencoderKL>("vae").unwrap().scale_factor(), 8);
    assert_eq!(parts.get::<CLIPTextModel>("text_encoder").unwrap().config().hidden_size, 24);
    assert_eq!(parts.get::<CLIPTokenizer>("tokenizer").unwrap().model_max_length(), Some(24));
    let scheduler = parts.get::<Box<dyn Scheduler>>("scheduler").unwrap();
    assert_eq!(scheduler.config().class_name(), Some("PNDMScheduler"));
    assert!(parts.get::<AutoencoderKL>("unet").is_none(), "of another class");
    assert!(parts.get::<AutoencoderKL>("vae_2").is_none(), "of another name");
    assert_eq!(parts.iter().count(), 5);
    let wrong = CLIPTextModel::from_pretrained(sd1().join("unet").to_str().unwrap()).unwrap_err().to_string();
    assert!(wrong.contains("_class_name"), "{wrong}");
    assert!(
        AutoencoderKL::from_pretrained("/no/such/folder").unwrap_err().to_string().contains("no such folder")
    );
}

#[test]
fn attention_in_slices_makes_the_same_image() {
    let mut pipeline = load(&sd1());
    let whole = image(&mut pipeline, two_steps());
    for slice in
        [AttentionSlice::Half, AttentionSlice::One, AttentionSlice::Heads(3), AttentionSlice::Heads(100)]
    {
        pipeline.enable_attention_slicing(slice);
        let sliced = image(&mut pipeline, two_steps());
        assert_close("sliced", sliced, whole.clone(), 1e-5);
    }
    pipeline.disable_attention_slicing();
    assert_close("whole", image(&mut pipeline, two_steps()), whole, 0.0);
}
