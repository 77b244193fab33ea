//! Compares the pipelines without text with Python diffusers: images are at most 1e-3 apart, and a call of the diffusion
//! transformer at most 1e-4.

use std::path::PathBuf;

use oxidiff::{
    ClassConditional, Config, ConsistencyModelPipeline, DDIMPipeline, DDPMPipeline, DDPMScheduler, Device,
    DiTPipeline, DiTTransformer2DModel, DiffusionPipeline, Generator, Generators, ImagePipelineOutput,
    LoadOptions, Model, OutputType, PNDMPipeline, Pipeline, PipelineArguments, RePaint, RePaintPipeline,
    RePaintScheduler, Scheduler, ScoreSdeVePipeline, StepEnd, Stop, Tensor, TextToImage, UNet2DModel,
    Unconditional,
};
use serde::Deserialize;

use crate::fixture::drawn::stored_or_drawn;
use crate::fixture::pictures::{blob, picture, values};
use crate::fixture::{Recorded, assert_close, beside_the_index, fixtures, json, variants};

/// Arguments of a call, as stored in the fixture.
#[derive(Deserialize)]
struct Call {
    seed: Seed,
    num_inference_steps: Option<usize>,
    batch_size: Option<usize>,
    timesteps: Option<Vec<f32>>,
    class_labels: Option<Vec<usize>>,
    eta: Option<f64>,
    guidance_scale: Option<f64>,
    #[serde(default)]
    use_clipped_model_output: bool,
    scheduler: Option<String>,
    images: Option<Vec<[u32; 2]>>,
    masks: Option<Vec<[u32; 6]>>,
    tensor: Option<[usize; 4]>,
    mask_tensor: Option<[usize; 4]>,
    jump_length: Option<usize>,
    jump_n_sample: Option<usize>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Seed {
    One(u64),
    Each(Vec<u64>),
}

impl Call {
    fn generator(&self) -> Generators {
        match &self.seed {
            Seed::One(seed) => Generator::manual_seed(*seed).into(),
            Seed::Each(seeds) => {
                seeds.iter().map(|seed| Generator::manual_seed(*seed)).collect::<Vec<_>>().into()
            }
        }
    }

    fn unconditional(&self, latents: Option<Tensor<4>>) -> Unconditional {
        Unconditional {
            batch_size: self.batch_size.unwrap_or(1),
            num_inference_steps: self.num_inference_steps,
            timesteps: self.timesteps.clone(),
            class_labels: self.class_labels.clone(),
            eta: self.eta.unwrap_or(0.0),
            use_clipped_model_output: self.use_clipped_model_output,
            generator: Some(self.generator()),
            latents,
            output_type: OutputType::Array,
            callback_on_step_end: None,
        }
    }

    fn class_conditional(&self) -> ClassConditional {
        let defaults = ClassConditional::new(self.class_labels.clone().unwrap());
        ClassConditional {
            guidance_scale: self.guidance_scale.unwrap_or(defaults.guidance_scale),
            num_inference_steps: self.num_inference_steps.unwrap_or(defaults.num_inference_steps),
            generator: Some(self.generator()),
            output_type: OutputType::Array,
            ..defaults
        }
    }

    fn repaint(&self) -> RePaint {
        let pictures = |sizes: &Vec<[u32; 2]>| -> Vec<_> {
            // Every second one is mirrored, as in the generator.
            let draw = |(index, &size): (usize, &[u32; 2])| match picture("RGB", size) {
                image if index % 2 == 1 => image.fliph(),
                image => image,
            };
            sizes.iter().enumerate().map(draw).collect()
        };
        let masks = |sizes: &Vec<[u32; 6]>| -> Vec<_> { sizes.iter().map(|&size| blob(size)).collect() };
        let of_tensors = || RePaint {
            image: values(self.tensor.unwrap(), -1.0).into(),
            mask_image: values(self.mask_tensor.unwrap(), 0.0).greater_elem(0.5).float().into(),
            ..RePaint::default()
        };
        let given = match (&self.images, &self.masks) {
            (Some(images), Some(sizes)) => RePaint::new(pictures(images), masks(sizes)),
            _ => of_tensors(),
        };
        RePaint {
            num_inference_steps: self.num_inference_steps.unwrap(),
            eta: self.eta.unwrap_or(given.eta),
            jump_length: self.jump_length.unwrap_or(given.jump_length),
            jump_n_sample: self.jump_n_sample.unwrap_or(given.jump_n_sample),
            generator: Some(self.generator()),
            output_type: OutputType::Array,
            ..given
        }
    }
}

fn folder(name: &str) -> PathBuf {
    fixtures().join("unconditional/pipelines").join(name)
}

fn load<P: Pipeline>(name: &str) -> P {
    let mut pipeline = P::from_pretrained(folder(name).to_str().unwrap()).unwrap();
    pipeline.set_progress_bar(false);
    pipeline
}

/// Compares a pipeline with Python's recorded calls; its index must name this class.
fn compare(name: &str, class_name: &str) {
    let mut pipeline: DiffusionPipeline =
        DiffusionPipeline::from_pretrained(folder(name).to_str().unwrap()).unwrap();
    assert_eq!(pipeline.class_name(), class_name);
    pipeline.set_progress_bar(false);
    let default = pipeline.scheduler().clone_box();
    let recorded = Recorded::open(&folder(name).join("calls.safetensors"));
    let calls: Vec<Call> = json(&folder(name).join("calls.json"));
    assert!(calls.len() > 1);
    for (index, call) in calls.iter().enumerate() {
        pipeline.set_scheduler(match &call.scheduler {
            Some(class_name) => oxidiff::scheduler_from_config(class_name, default.config()).unwrap(),
            None => default.clone(),
        });
        let latents = format!("{index}.latents");
        let latents = recorded.has(&latents).then(|| recorded.floats(&latents));
        let arguments: PipelineArguments = match class_name {
            "DiTPipeline" => call.class_conditional().into(),
            "RePaintPipeline" => call.repaint().into(),
            _ => call.unconditional(latents).into(),
        };
        let images =
            pipeline.call(arguments).unwrap_or_else(|error| panic!("{name} {index}: {error}")).images;
        let expected: Tensor<4> = recorded.floats(&format!("{index}.image"));
        assert_close(&format!("{name} {index}"), images.into_tensor().unwrap(), expected, 1e-3);
    }
}

#[test]
fn ddpm_makes_the_images_that_python_makes() {
    compare("ddpm", "DDPMPipeline");
    compare("ddpm_learned", "DDPMPipeline");
}

#[test]
fn ddim_makes_the_images_that_python_makes() {
    compare("ddim", "DDIMPipeline");
}

#[test]
fn pseudo_numerical_methods_make_the_images_that_python_makes() {
    compare("pndm", "PNDMPipeline");
}

#[test]
fn score_models_make_the_images_that_python_makes() {
    compare("score_sde_ve", "ScoreSdeVePipeline");
}

#[test]
fn images_are_repainted_as_in_python() {
    compare("repaint", "RePaintPipeline");
}

#[test]
fn consistency_models_make_the_images_that_python_makes() {
    compare("consistency", "ConsistencyModelPipeline");
    compare("consistency_plain", "ConsistencyModelPipeline");
}

#[test]
fn diffusion_transformers_make_the_images_that_python_makes() {
    compare("dit", "DiTPipeline");
}

#[test]
fn the_transformer_computes_what_python_does_for_every_option() {
    #[derive(Deserialize)]
    struct ModelCall {
        timesteps: Vec<f32>,
        labels: Vec<usize>,
    }
    let variants = variants("unconditional/transformers");
    assert_eq!(variants.len(), 9);
    for (folder, name, recorded) in variants {
        let model: DiTTransformer2DModel = stored_or_drawn(&folder, &LoadOptions::default());
        let call: ModelCall = json(&folder.join("call.json"));
        let out = model.forward(recorded.floats("sample"), &call.timesteps, &call.labels).unwrap();
        assert_close(&name, out, recorded.floats("out"), 1e-4);
    }
}

#[test]
fn the_transformer_refuses_invalid_inputs() {
    let device = Device::flex();
    let plain = fixtures().join("unconditional/transformers/plain");
    let model: DiTTransformer2DModel = stored_or_drawn(&plain, &LoadOptions::default());
    let error = |dims, timesteps: &[f32], labels: &[usize]| {
        model.forward(Tensor::zeros(dims, &device), timesteps, labels).unwrap_err().to_string()
    };
    assert!(error([1, 3, 4, 4], &[1.0], &[0]).contains("3 channels, the model takes 2"));
    assert!(error([1, 2, 4, 6], &[1.0], &[0]).contains("squares"));
    assert!(error([1, 2, 1, 1], &[1.0], &[0]).contains("squares"));
    assert!(error([2, 2, 4, 4], &[1.0, 2.0, 3.0], &[0, 0]).starts_with("`timestep`"));
    assert!(error([2, 2, 4, 4], &[1.0], &[0]).contains("1 labels for a batch of 2"));
    // The entry after the five classes means "no class".
    assert!(model.forward(Tensor::zeros([1, 2, 4, 4], &device), &[1.0], &[5]).is_ok());
    assert!(error([1, 2, 4, 4], &[1.0], &[6]).contains("`class_labels`: 6 is not one of"));

    for (json, field) in [
        (r#"{"norm_type": "ada_norm_single"}"#, "norm_type"),
        (r#"{"num_embeds_ada_norm": null}"#, "num_embeds_ada_norm"),
        (r#"{"num_layers": 0}"#, "num_layers"),
        (r#"{"attention_head_dim": 1, "num_attention_heads": 6}"#, "attention_head_dim"),
        (r#"{"sample_size": 1}"#, "sample_size"),
        (r#"{"patch_size": 0}"#, "patch_size"),
        (r#"{"activation_fn": "sine"}"#, "activation_fn"),
    ] {
        let config = Config::from_json(json).unwrap();
        let error = DiTTransformer2DModel::from_config(&config, &device).unwrap_err().to_string();
        assert!(error.contains(&format!("`{field}`")), "{json}: {error}");
    }
}

fn message(result: oxidiff::Result<ImagePipelineOutput>) -> String {
    result.unwrap_err().to_string()
}

#[test]
fn a_call_refuses_invalid_arguments() {
    let few = || Unconditional { num_inference_steps: Some(1), ..Default::default() };
    let two = || Some(vec![Generator::manual_seed(0), Generator::manual_seed(1)].into());
    let latents = || Some(Tensor::zeros([1, 3, 8, 9], &Device::flex()));

    let mut ddpm: DDPMPipeline = load("ddpm");
    let mut refused = |arguments| message(ddpm.call(arguments));
    assert!(refused(Unconditional { batch_size: 0, ..few() }).starts_with("`batch_size`"));
    assert!(refused(Unconditional { batch_size: usize::MAX, ..few() }).starts_with("`batch_size`"));
    let none = Unconditional { num_inference_steps: Some(0), ..few() };
    assert!(refused(none).starts_with("`num_inference_steps`"));
    assert!(refused(Unconditional { eta: 0.5, ..few() }).starts_with("`eta`: DDPMPipeline"));
    let clipped = Unconditional { use_clipped_model_output: true, ..few() };
    assert!(refused(clipped).starts_with("`use_clipped_model_output`"));
    let labels = Unconditional { class_labels: Some(vec![1]), ..few() };
    assert!(refused(labels).starts_with("`class_labels`"));
    assert!(refused(Unconditional { timesteps: Some(vec![1.0]), ..few() }).starts_with("`timesteps`"));
    assert!(refused(Unconditional { latents: latents(), ..few() }).starts_with("`latents`"));
    assert!(refused(Unconditional { output_type: OutputType::Latent, ..few() }).starts_with("`output_type`"));
    let three = Unconditional { generator: two(), batch_size: 3, ..few() };
    assert!(refused(three).starts_with("`generator`"));

    let mut ddim: DDIMPipeline = load("ddim");
    let mut refused = |arguments| message(ddim.call(arguments));
    assert!(refused(Unconditional { eta: f64::NAN, ..few() }).starts_with("`eta`"));
    assert!(refused(Unconditional { generator: two(), ..few() }).starts_with("`generator`"));
    let one = vec![Generator::manual_seed(0)].into();
    let one = Unconditional { generator: Some(one), batch_size: 2, ..few() };
    assert!(refused(one).contains("1 generators for a batch of 2"));

    let mut consistency: ConsistencyModelPipeline = load("consistency");
    let mut refused = |arguments| message(consistency.call(arguments));
    assert!(refused(Unconditional { class_labels: Some(vec![1, 2]), ..few() }).starts_with("`class_labels`"));
    assert!(refused(Unconditional { class_labels: Some(vec![10]), ..few() }).contains("10 is not one of"));
    assert!(refused(Unconditional { latents: latents(), ..few() }).contains("[1, 3, 8, 9]"));
    assert!(refused(Unconditional { eta: 1.0, ..few() }).starts_with("`eta`"));

    let mut dit: DiTPipeline = load("dit");
    let mut refused = |arguments: ClassConditional| message(dit.call(arguments));
    assert!(refused(ClassConditional::new([])).starts_with("`class_labels`"));
    assert!(refused(ClassConditional::new([1001])).contains("1001 is not one of the 1001"));
    let nan = ClassConditional { guidance_scale: f64::NAN, ..ClassConditional::new([1]) };
    assert!(refused(nan).starts_with("`guidance_scale`"));
    let none = ClassConditional { num_inference_steps: 0, ..ClassConditional::new([1]) };
    assert!(refused(none).starts_with("`num_inference_steps`"));
}

#[test]
fn a_repainting_call_refuses_invalid_arguments() {
    let mut repaint: RePaintPipeline = load("repaint");
    let small = || {
        let given = RePaint::new(picture("RGB", [32, 32]), blob([32, 32, 4, 4, 20, 20]));
        RePaint { num_inference_steps: 1, ..given }
    };
    assert!(repaint.call(small()).is_ok());
    let mut refused = |arguments| message(repaint.call(arguments));
    assert!(refused(RePaint::default()).starts_with("`image`"));
    let no_mask = RePaint { mask_image: Vec::new().into(), ..small() };
    assert!(refused(no_mask).starts_with("`mask_image`"));
    let two_masks = vec![blob([32, 32, 4, 4, 20, 20]), blob([32, 32, 0, 0, 9, 9])];
    assert!(refused(RePaint { mask_image: two_masks.into(), ..small() }).starts_with("`mask_image`"));
    // 40 is a multiple of 8, but not of 32.
    let large = RePaint { image: picture("RGB", [40, 40]).into(), ..small() };
    assert!(refused(large).contains("[1, 1, 32, 32], `image` [1, 3, 40, 40]"));
    let gray = RePaint { image: picture("L", [32, 32]).into(), ..small() };
    assert!(refused(gray).contains("1 channels, the model takes 3"));
    for eta in [-0.1, f64::NAN, f64::INFINITY] {
        assert!(refused(RePaint { eta, ..small() }).starts_with("`eta`"));
    }
    assert!(refused(RePaint { num_inference_steps: 0, ..small() }).starts_with("`num_inference_steps`"));
    assert!(refused(RePaint { jump_length: 0, ..small() }).starts_with("`jump_length`"));
    let latent = RePaint { output_type: OutputType::Latent, ..small() };
    assert!(refused(latent).starts_with("`output_type`"));
    let two = vec![Generator::manual_seed(0), Generator::manual_seed(1)].into();
    assert!(refused(RePaint { generator: Some(two), ..small() }).contains("2 generators for a batch of 1"));
}

#[test]
fn unconditional_pipelines_share_their_parts() {
    let ddpm: DDPMPipeline = load("ddpm");
    let mut pndm = PNDMPipeline::from_pipe(&ddpm).unwrap();
    assert_eq!(pndm.scheduler.config().class_name(), Some("PNDMScheduler"));
    let few = || Unconditional { num_inference_steps: Some(4), ..Default::default() };
    pndm.call(few()).unwrap();

    let mut repaint = RePaintPipeline::from_pipe(&ddpm).unwrap();
    let arguments = || RePaint {
        num_inference_steps: 1,
        ..RePaint::new(picture("RGB", [32, 32]), blob([32, 32, 4, 4, 20, 20]))
    };
    let error = message(repaint.call(arguments()));
    assert!(error.contains("DDPMScheduler") && error.contains("RePaintScheduler"), "{error}");
    repaint.set_scheduler(RePaintScheduler::from_config(ddpm.scheduler.config()).unwrap());
    repaint.call(arguments()).unwrap();

    let mut score = ScoreSdeVePipeline::from_pipe(&ddpm).unwrap();
    let error = message(score.call(few()));
    assert!(error.contains("DDPMScheduler") && error.contains("ScoreSdeVeScheduler"), "{error}");

    let dit: DiTPipeline = load("dit");
    let error = DDIMPipeline::from_pipe(&dit).unwrap_err().to_string();
    assert!(error.contains("`unet`"), "{error}");
}

#[test]
fn arguments_of_another_task_are_refused() {
    let mut ddpm = DiffusionPipeline::from_pretrained(folder("ddpm").to_str().unwrap()).unwrap();
    let error = message(ddpm.call("a cat"));
    assert!(error.contains("`prompt`") && error.contains("DDPMPipeline"), "{error}");
    let error = message(ddpm.call(TextToImage::default()));
    assert!(error.contains("text to image"), "{error}");
    let error = message(ddpm.call(ClassConditional::new([1])));
    assert!(error.contains("class-conditional"), "{error}");
    let mut dit = DiffusionPipeline::from_pretrained(folder("dit").to_str().unwrap()).unwrap();
    let error = message(dit.call(Unconditional::default()));
    assert!(error.contains("unconditional") && error.contains("DiTPipeline"), "{error}");
}

#[test]
fn an_image_size_must_be_known() {
    let pipeline: DDPMPipeline = load("ddpm");
    for (size, word) in [(None, "must be set"), (Some(oxidiff::SampleSize::Square(1 << 30)), "at most")] {
        let config = oxidiff::UNet2DConfig { sample_size: size, ..pipeline.unet.config().clone() };
        let unet = UNet2DModel::init(&config, &Device::flex()).unwrap();
        let mut pipeline = DDPMPipeline::new(unet, DDPMScheduler::new(Default::default()).unwrap()).unwrap();
        let error = message(pipeline.call(Unconditional::default()));
        assert!(error.contains("`sample_size`") && error.contains(word), "{error}");
    }
}

#[test]
fn defaults_are_those_of_python() {
    let mut ddim: DDIMPipeline = load("ddim");
    assert_eq!(ddim.scheduler.config().class_name(), Some("DDIMScheduler"));
    ddim.call(Unconditional::default()).unwrap();
    assert_eq!(ddim.scheduler.timesteps().len(), 50);
    let mut consistency: ConsistencyModelPipeline = load("consistency");
    // The class is drawn if it is not given.
    consistency.call(Unconditional::default()).unwrap();
    assert_eq!(consistency.scheduler.timesteps().len(), 1);
    let mut plain: ConsistencyModelPipeline = load("consistency_plain");
    let images = plain.call(Unconditional { class_labels: Some(vec![3]), ..Default::default() }).unwrap();
    assert_eq!(images.images.into_images()[0].width(), 8);
}

#[test]
fn a_callback_sees_every_step_and_can_stop() {
    stops::<DDPMPipeline>("ddpm", 0.5);
    // Zero is halfway between black and white, but black for a model with values from 0 to 1.
    stops::<ScoreSdeVePipeline>("score_sde_ve", 0.0);
}

fn stops<P: Pipeline<Arguments = Unconditional>>(name: &str, zero: f32) {
    let mut pipeline: P = load(name);
    let (sender, seen) = std::sync::mpsc::channel();
    let arguments = Unconditional {
        num_inference_steps: Some(5),
        callback_on_step_end: Some(Box::new(move |step: StepEnd| {
            sender.send((step.index, step.timestep)).unwrap();
            if step.index == 2 {
                std::ops::ControlFlow::Break(Stop::Decode(step.latents.zeros_like()))
            } else {
                std::ops::ControlFlow::Continue(step.latents)
            }
        })),
        output_type: OutputType::Array,
        ..Default::default()
    };
    let images = pipeline.call(arguments).unwrap().images.into_tensor().unwrap();
    let timesteps = pipeline.scheduler().timesteps();
    assert_eq!(timesteps.len(), 5);
    let first_three: Vec<(usize, f32)> = timesteps.iter().copied().enumerate().take(3).collect();
    assert_eq!(seen.iter().collect::<Vec<_>>(), first_three);
    assert_close(name, images.clone(), images.full_like(zero), 0.0);
}

#[test]
fn labels_have_names() {
    let dit: DiTPipeline = load("dit");
    let names: Vec<&str> = dit.labels().keys().map(String::as_str).collect();
    assert_eq!(
        names,
        ["Tinca tinca", "great white shark", "man-eater", "tench", "toilet tissue", "white shark"]
    );
    assert_eq!(dit.get_label_ids(&["white shark", "tench", "man-eater"]).unwrap(), [2, 0, 2]);
    let error = dit.get_label_ids(&["whale"]).unwrap_err().to_string();
    assert!(error.contains("`whale`") && error.contains("names 6"), "{error}");
}

#[test]
fn saved_pipelines_load_again() {
    fn check<P: Pipeline>(name: &str, index: serde_json::Value) {
        let pipeline: P = load(name);
        let saved = tempfile::tempdir().unwrap();
        pipeline.save_pretrained(saved.path()).unwrap();
        let again = P::from_pretrained(saved.path().to_str().unwrap()).unwrap();
        let mut written: serde_json::Value = json(&saved.path().join("model_index.json"));
        written.as_object_mut().unwrap().remove("id2label");
        assert_eq!(written, index, "{name}");
        let body = |printed: String| printed.replace(&*saved.path().to_string_lossy(), "");
        let original = pipeline.to_string().replace(&*folder(name).to_string_lossy(), "");
        assert_eq!(body(again.to_string()), original);
    }
    check::<DDPMPipeline>(
        "ddpm",
        serde_json::json!({
            "_class_name": "DDPMPipeline", "_diffusers_version": "0.42.1",
            "scheduler": ["diffusers", "DDPMScheduler"], "unet": ["diffusers", "UNet2DModel"],
        }),
    );
    check::<DDIMPipeline>(
        "ddim",
        serde_json::json!({
            "_class_name": "DDIMPipeline", "_diffusers_version": "0.42.1",
            "scheduler": ["diffusers", "DDIMScheduler"], "unet": ["diffusers", "UNet2DModel"],
        }),
    );
    check::<ScoreSdeVePipeline>(
        "score_sde_ve",
        serde_json::json!({
            "_class_name": "ScoreSdeVePipeline", "_diffusers_version": "0.42.1",
            "scheduler": ["diffusers", "ScoreSdeVeScheduler"], "unet": ["diffusers", "UNet2DModel"],
        }),
    );
    check::<RePaintPipeline>(
        "repaint",
        serde_json::json!({
            "_class_name": "RePaintPipeline", "_diffusers_version": "0.42.1",
            "scheduler": ["diffusers", "RePaintScheduler"], "unet": ["diffusers", "UNet2DModel"],
        }),
    );
    check::<DiTPipeline>(
        "dit",
        serde_json::json!({
            "_class_name": "DiTPipeline", "_diffusers_version": "0.42.1",
            "scheduler": ["diffusers", "DDIMScheduler"],
            "transformer": ["diffusers", "DiTTransformer2DModel"], "vae": ["diffusers", "AutoencoderKL"],
        }),
    );
}

#[test]
fn early_checkpoints_have_their_parts_next_to_the_index() {
    let flat = tempfile::tempdir().unwrap();
    beside_the_index(&folder("ddpm"), flat.path());
    let path = flat.path().to_str().unwrap();
    let call = || Unconditional {
        num_inference_steps: Some(2),
        generator: Some(Generator::manual_seed(0).into()),
        output_type: OutputType::Array,
        ..Default::default()
    };
    let mut pipeline = DDPMPipeline::from_pretrained(path).unwrap();
    let images = pipeline.call(call()).unwrap().images.into_tensor().unwrap();
    let mut expected: DDPMPipeline = load("ddpm");
    let expected = expected.call(call()).unwrap().images.into_tensor().unwrap();
    assert_close("flat", images, expected, 0.0);

    // As the quicktour loads them.
    UNet2DModel::from_pretrained(path).unwrap();
    DDPMScheduler::from_pretrained(path).unwrap();
}
