//! Checks the results of a GPU: each model call is at most 1e-4 from Python's recorded results, and images are at most 1e-3
//! from those of the CPU, which other tests compare with Python. Compiled if a backend besides the CPU is enabled; fails if
//! the machine has no device for it.

#![cfg(any(feature = "cuda", feature = "rocm", feature = "metal", feature = "vulkan", feature = "wgpu"))]

#[cfg(feature = "cuda")]
mod engine;
#[path = "../fixture/mod.rs"]
mod fixture;
#[cfg(feature = "cuda")]
mod moving;
#[cfg(feature = "cuda")]
mod transformers;

use std::path::{Path, PathBuf};

use fixture::drawn::stored_or_drawn;
use fixture::pictures::{blob, picture};
use fixture::{Recorded, assert_close, every_third_pixel, fixtures, json, repository, variants};
use oxidiff::{
    AutoencoderKL, AutoencoderTiny, CLIPTextModel, ClassConditional, ClassLabels, DDPMPipeline,
    DPTForDepthEstimation, DType, Device, DiTPipeline, DiTTransformer2DModel, Generator, Generators,
    ImageToImage, Inpaint, LoadOptions, Model, OutputType, Pipeline, RePaint, RePaintPipeline,
    ScoreSdeVePipeline, StableDiffusionImg2ImgPipeline, StableDiffusionInpaintPipeline,
    StableDiffusionPipeline, StableDiffusionSafetyChecker, StepOptions, Tensor, TextToImage,
    UNet2DConditionInputs, UNet2DConditionModel, UNet2DModel, Unconditional, scheduler_from_config,
};
use serde::Deserialize;

/// Whether the engine for NVIDIA cards is tested.
const IS_CARD: bool =
    cfg!(not(any(feature = "rocm", feature = "metal", feature = "vulkan", feature = "wgpu")));

const MODEL: f32 = 1e-4;
const IMAGE: f32 = 1e-3;

/// The device of a backend that is compiled in, one besides `cuda` if there is. `OXIDIFF_DEVICE=interpreter` checks what the engine for NVIDIA cards plans on any
/// machine.
fn gpu() -> Device {
    cfg_select! {
        feature = "rocm" => Device::rocm(0),
        feature = "metal" => Device::metal(oxidiff::DeviceKind::DefaultDevice),
        feature = "vulkan" => Device::vulkan(oxidiff::DeviceKind::DefaultDevice),
        feature = "wgpu" => Device::wgpu(oxidiff::DeviceKind::DefaultDevice),
        feature = "cuda" => match std::env::var("OXIDIFF_DEVICE").as_deref() {
            Ok("cuda") => oxidiff::cuda(0).unwrap(),
            _ => oxidiff::interpreter(),
        },
    }
}

/// Whether the plans for a card run on the CPU, where a large model would take minutes.
fn is_interpreted() -> bool {
    IS_CARD && std::env::var("OXIDIFF_DEVICE").as_deref() != Ok("cuda")
}

/// The device of the tensors that models there take and return.
fn tensors() -> Device {
    if IS_CARD { Device::flex() } else { gpu() }
}

fn on_gpu() -> LoadOptions {
    LoadOptions { device: gpu(), ..LoadOptions::default() }
}

fn load<M: Model>(folder: &Path) -> M {
    M::from_pretrained_with(folder.to_str().unwrap(), &on_gpu()).unwrap()
}

/// The Stable Diffusion pipelines of the fixtures, with the recorded results of their components.
fn pipelines() -> [(PathBuf, &'static str, Recorded); 2] {
    ["sd1", "sd2"].map(|name| {
        let folder = fixtures().join("pipelines").join(name);
        let recorded = Recorded::open(&folder.join("components.safetensors"));
        (folder, name, recorded)
    })
}

/// A recorded tensor on the GPU.
fn input<const D: usize>(recorded: &Recorded, key: &str) -> Tensor<D> {
    recorded.floats(key).to_device(&tensors())
}

/// Compares a tensor on the GPU with a recorded one.
#[track_caller]
fn check<const D: usize>(what: &str, ours: Tensor<D>, recorded: &Recorded, key: &str) {
    assert_eq!(ours.device(), tensors(), "{what}");
    assert_close(what, ours.to_device(&Device::flex()), recorded.floats(key), MODEL);
}

#[derive(Deserialize)]
struct Call {
    timesteps: Option<Vec<f32>>,
    labels: Option<Vec<f32>>,
}

impl Call {
    fn class_labels(&self, recorded: &Recorded) -> Option<ClassLabels> {
        match &self.labels {
            Some(numbers) => Some(ClassLabels::Numbers(numbers.clone())),
            None if recorded.has("label_vectors") => {
                Some(ClassLabels::Vectors(input(recorded, "label_vectors")))
            }
            None => None,
        }
    }
}

#[test]
fn unets_with_text() {
    for (folder, name, recorded) in variants("pipelines/unets") {
        let unet: UNet2DConditionModel = stored_or_drawn(&folder, &on_gpu());
        let call: Call = json(&folder.join("call.json"));
        let inputs = UNet2DConditionInputs {
            class_labels: call.class_labels(&recorded),
            timestep_cond: recorded.has("timestep_cond").then(|| input(&recorded, "timestep_cond")),
            ..UNet2DConditionInputs::default()
        };
        let timesteps = call.timesteps.unwrap_or(vec![501.0]);
        let (sample, text) = (input(&recorded, "sample"), input(&recorded, "text"));
        check(&name, unet.forward_with(sample, &timesteps, text, inputs).unwrap(), &recorded, "out");
    }
}

#[test]
fn unets_without_text() {
    for (folder, name, recorded) in variants("unconditional/unets") {
        let unet: UNet2DModel = stored_or_drawn(&folder, &on_gpu());
        let call: Call = json(&folder.join("call.json"));
        let labels = call.class_labels(&recorded);
        let timesteps = call.timesteps.unwrap();
        let out = unet.forward_with(input(&recorded, "sample"), &timesteps, labels).unwrap();
        check(&name, out, &recorded, "out");
    }
}

#[test]
fn diffusion_transformers() {
    for (folder, name, recorded) in variants("unconditional/transformers") {
        let transformer: DiTTransformer2DModel = stored_or_drawn(&folder, &on_gpu());
        let call: Call = json(&folder.join("call.json"));
        let labels: Vec<usize> = call.labels.unwrap().into_iter().map(|label| label as usize).collect();
        let out = transformer.forward(input(&recorded, "sample"), &call.timesteps.unwrap(), &labels).unwrap();
        check(&name, out, &recorded, "out");
    }
}

#[test]
fn autoencoders() {
    for (folder, name, recorded) in pipelines() {
        let mut vae: AutoencoderKL = load(&folder.join("vae"));
        let posterior = vae.encode(input(&recorded, "vae.image")).unwrap();
        check(name, posterior.mode(), &recorded, "vae.mean");
        check(name, posterior.logvar.clone(), &recorded, "vae.logvar");
        let mut generator = Generators::One(Generator::manual_seed(5));
        check(name, posterior.sample(&mut generator).unwrap(), &recorded, "vae.sample");
        check(name, vae.decode(input(&recorded, "vae.mean")).unwrap(), &recorded, "vae.decoded");
        vae.enable_tiling();
        let tiled = vae.decode(input(&recorded, "tiled.mean")).unwrap().to_device(&Device::flex());
        let tiled = every_third_pixel(tiled.permute([0, 2, 3, 1])).permute([0, 3, 1, 2]);
        assert_close(name, tiled, recorded.floats("tiled.decoded"), MODEL);
    }
    for (folder, name, recorded) in variants("vision/autoencoder_tiny") {
        let vae: AutoencoderTiny = load(&folder);
        check(&name, vae.encode(input(&recorded, "image")).unwrap(), &recorded, "latents");
        check(&name, vae.decode(input(&recorded, "latents")).unwrap(), &recorded, "decoded");
    }
}

#[test]
fn text_encoders() {
    for (folder, name, recorded) in pipelines() {
        let encoder: CLIPTextModel = load(&folder.join("text_encoder"));
        let (ids, mask) = (recorded.integers("ids"), recorded.integers("mask"));
        let output = encoder.forward(&ids, None).unwrap();
        check(name, output.last_hidden_state, &recorded, "text.last_hidden_state");
        check(name, output.pooler_output, &recorded, "text.pooler_output");
        let masked = encoder.forward(&ids, Some(&mask)).unwrap();
        check(name, masked.last_hidden_state, &recorded, "text.masked");
    }
}

#[test]
fn depth_estimators_and_safety_checkers() {
    for (folder, name, recorded) in variants("vision/depth") {
        let estimator: DPTForDepthEstimation = load(&folder);
        let output = estimator.forward(input(&recorded, "0.pixel_values")).unwrap();
        check(&name, output.predicted_depth, &recorded, "0.predicted_depth");
    }
    for (folder, name, recorded) in variants("vision/safety_checker") {
        let checker: StableDiffusionSafetyChecker = load(&folder.join("safety_checker"));
        let output = checker.forward(input(&recorded, "pixel_values")).unwrap();
        check(&name, output.image_embeds, &recorded, "embeds");
    }
}

/// Runs a pipeline with the same arguments on the GPU and on the CPU.
fn compare<P: Pipeline>(folder: &Path, arguments: impl Fn() -> P::Arguments) {
    let call = |options: &LoadOptions| {
        let mut pipeline = P::from_pretrained_with(folder.to_str().unwrap(), options).unwrap();
        pipeline.set_progress_bar(false);
        pipeline.call(arguments()).unwrap().images.into_tensor().unwrap()
    };
    let (ours, theirs) = (call(&on_gpu()), call(&LoadOptions::default()));
    assert_close(P::CLASS_NAME, ours.to_device(&Device::flex()), theirs, IMAGE);
}

fn seed() -> Option<Generators> {
    Some(Generator::manual_seed(7).into())
}

#[test]
fn images_from_texts_and_images() {
    let text_to_image = || TextToImage {
        prompt: vec!["a red apple".into(), "dog".into()],
        num_inference_steps: 4,
        guidance_rescale: 0.7,
        generator: seed(),
        output_type: OutputType::Array,
        ..TextToImage::default()
    };
    if !is_interpreted() {
        compare::<StableDiffusionPipeline>(&repository().join("models/emoji-diffusion"), text_to_image);
    }
    for (folder, ..) in pipelines() {
        compare::<StableDiffusionPipeline>(&folder, text_to_image);
        compare::<StableDiffusionImg2ImgPipeline>(&folder, || ImageToImage {
            prompt: vec!["a red apple".into()],
            image: picture("RGB", [64, 48]).into(),
            num_inference_steps: 4,
            generator: seed(),
            output_type: OutputType::Array,
            ..ImageToImage::default()
        });
        compare::<StableDiffusionInpaintPipeline>(&folder, || Inpaint {
            prompt: vec!["a red apple".into()],
            image: picture("RGB", [64, 64]).into(),
            mask_image: blob([64, 64, 8, 8, 40, 40]).into(),
            num_inference_steps: 4,
            generator: seed(),
            output_type: OutputType::Array,
            ..Inpaint::default()
        });
    }
}

#[test]
fn images_from_noise_and_classes() {
    let folder = |name: &str| fixtures().join("unconditional/pipelines").join(name);
    let unconditional = || Unconditional {
        batch_size: 2,
        num_inference_steps: Some(4),
        generator: seed(),
        output_type: OutputType::Array,
        ..Unconditional::default()
    };
    compare::<DDPMPipeline>(&folder("ddpm"), unconditional);
    compare::<DDPMPipeline>(&folder("ddpm_learned"), unconditional);
    compare::<ScoreSdeVePipeline>(&folder("score_sde_ve"), unconditional);
    compare::<DiTPipeline>(&folder("dit"), || ClassConditional {
        num_inference_steps: 4,
        generator: seed(),
        output_type: OutputType::Array,
        ..ClassConditional::new([1, 2])
    });
    compare::<RePaintPipeline>(&folder("repaint"), || RePaint {
        num_inference_steps: 4,
        generator: seed(),
        output_type: OutputType::Array,
        ..RePaint::new(picture("RGB", [32, 32]), blob([32, 32, 4, 4, 20, 20]))
    });
}

#[test]
fn schedulers() {
    let folder = fixtures().join("pipelines/sd1");
    let pipeline = StableDiffusionPipeline::from_pretrained(folder.to_str().unwrap()).unwrap();
    let sample = |class_name: &str, device: &Device| {
        // The noise of DPMSolverSDEScheduler does not come from the generator.
        let config = pipeline.scheduler.config().clone().with("noise_sampler_seed", 3);
        let mut scheduler = scheduler_from_config(class_name, &config).unwrap();
        scheduler.set_timesteps(6).unwrap();
        let mut noise = Generator::manual_seed(1);
        let mut generator = Generators::One(Generator::manual_seed(2));
        let shape = [2, 4, 8, 8];
        let mut sample = noise.randn(shape, DType::F32, device) * scheduler.init_noise_sigma();
        for timestep in scheduler.timesteps().to_vec() {
            let input = scheduler.scale_model_input(sample.clone(), timestep).unwrap();
            // A stand-in that depends on its input as a model does.
            let output = input * 0.5 + noise.randn(shape, DType::F32, device) * 0.5;
            let options = StepOptions { generator: Some(&mut generator), ..StepOptions::default() };
            sample = scheduler.step(output, timestep, sample, options).unwrap().prev_sample;
        }
        sample
    };
    for class_name in pipeline.scheduler.compatibles() {
        let (ours, theirs) = (sample(class_name, &tensors()), sample(class_name, &Device::flex()));
        assert_close(class_name, ours.to_device(&Device::flex()), theirs, MODEL);
    }
}

#[test]
fn element_types_that_the_device_cannot_compute_in_are_refused() {
    let folder = fixtures().join("pipelines/sd1/vae");
    let options = LoadOptions { dtype: DType::F64, ..on_gpu() };
    let loaded = AutoencoderKL::from_pretrained_with(folder.to_str().unwrap(), &options);
    if !IS_CARD && gpu().supports_dtype(DType::F64) {
        loaded.unwrap();
    } else {
        assert!(loaded.unwrap_err().to_string().starts_with("`dtype`"));
    }
}
