//! Compares the pipelines of Stable Diffusion XL with Python's, call by call.

mod fixture;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::rc::Rc;

use fixture::stable_diffusion_xl::{Call, calls, checkpoint, drawn, every_fourth_pixel, folder};
use fixture::{assert_close, json};
use oxidiff::{
    AddedConditions, AutoPipelineForImage2Image, AutoPipelineForInpainting, AutoPipelineForText2Image,
    AutoencoderKL, CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer, Config, DType, Device,
    DiffusionPipeline, Error, Generator, Images, Model, Pipeline, Scheduler,
    StableDiffusionXLImg2ImgPipeline, StableDiffusionXLInpaintPipeline,
    StableDiffusionXLInstructPix2PixPipeline, StableDiffusionXLPipeline, StepCallback, StepEnd, Tensor,
    UNet2DConditionInputs, UNet2DConditionModel, scheduler_from_config,
};
use safetensors::tensor::{Dtype, TensorView};
use serde::Deserialize;
use serde_json::{Map, Value};

const TOLERANCE: f32 = 1e-3;

/// The pipelines of a class, one of each checkpoint, loaded when they are needed.
struct Pipelines<P> {
    loaded: BTreeMap<String, (DiffusionPipeline, Box<dyn Scheduler>)>,
    class: std::marker::PhantomData<P>,
}

impl<P: Pipeline> Pipelines<P> {
    fn new() -> Self {
        Self { loaded: BTreeMap::new(), class: std::marker::PhantomData }
    }

    /// The pipeline of a checkpoint, with the scheduler of a call.
    fn of(&mut self, call: &Call) -> Result<&mut DiffusionPipeline, Error> {
        if !self.loaded.contains_key(&call.checkpoint) {
            let folder = checkpoint(&call.checkpoint);
            let mut pipeline = P::from_pretrained(folder.path().to_str().unwrap())?;
            pipeline.set_progress_bar(false);
            let own = pipeline.scheduler().clone_box();
            self.loaded.insert(call.checkpoint.clone(), (pipeline.into(), own));
        }
        let (pipeline, own) = self.loaded.get_mut(&call.checkpoint).unwrap();
        pipeline.set_scheduler(match &call.scheduler {
            Some((class_name, options)) => {
                let mut config = own.config().clone();
                for (field, value) in options {
                    config = config.with(field, value.clone());
                }
                scheduler_from_config(class_name, &config).unwrap()
            }
            None => own.clone(),
        });
        Ok(pipeline)
    }
}

/// Makes all the recorded calls of a pipeline.
fn compare<P: Pipeline>(file: &str, least: usize) {
    let (calls, recorded) = calls(file);
    assert!(calls.len() >= least);
    let mut pipelines = Pipelines::<P>::new();
    let mut failed = Vec::new();
    for call in &calls {
        let steps = Rc::new(RefCell::new(Vec::<StepEnd>::new()));
        let seen = steps.clone();
        let callback: StepCallback = Box::new(move |step| {
            seen.borrow_mut().push(step.clone());
            ControlFlow::Continue(step.latents)
        });
        let request = call.request().with("callback_on_step_end", callback);
        let made = match pipelines.of(call).unwrap().call(request) {
            Ok(made) => made.images,
            Err(error) => {
                failed.push(format!("{}: {error}", call.name));
                continue;
            }
        };
        let steps = steps.borrow();
        let timesteps: Vec<f32> = steps.iter().map(|step| step.timestep).collect();
        let mut worst = difference(&timesteps, &call.timesteps);
        let latents: Tensor<5> = recorded.floats(&format!("{}.latents", call.name));
        for (index, step) in [(0, 0), (1, steps.len() - 1)] {
            let expected = latents.clone().narrow(0, index, 1).squeeze_dim::<4>(0);
            worst = worst.max(tensor_difference(steps[step].latents.clone(), expected));
        }
        let output: Tensor<4> = recorded.floats(&format!("{}.output", call.name));
        let made = match made {
            Images::Latent(latents) => latents,
            Images::Array(array) => every_fourth_pixel(array),
            Images::Image(images) => every_fourth_pixel(fixture::stable_diffusion_xl::to_array(&images)),
        };
        worst = worst.max(tensor_difference(made, output));
        println!("{file} {}: {worst:.2e}", call.name);
        if worst.is_nan() || worst > TOLERANCE {
            failed.push(format!("{}: off by {worst}", call.name));
        }
    }
    assert!(failed.is_empty(), "{file}:\n{}", failed.join("\n"));
}

fn difference(ours: &[f32], theirs: &[f32]) -> f32 {
    if ours.len() != theirs.len() {
        println!("{ours:?} instead of {theirs:?}");
        return f32::INFINITY;
    }
    ours.iter().zip(theirs).map(|(one, other)| (one - other).abs()).fold(0.0, f32::max)
}

fn tensor_difference(ours: Tensor<4>, theirs: Tensor<4>) -> f32 {
    if ours.dims() != theirs.dims() {
        println!("{:?} instead of {:?}", ours.dims(), theirs.dims());
        return f32::INFINITY;
    }
    fixture::difference(ours, theirs)
}

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
    #[derive(Deserialize)]
    struct Refused {
        pipeline: String,
        checkpoint: String,
        arguments: Map<String, Value>,
        scheduler: Option<(String, Map<String, Value>)>,
        error: String,
        message: String,
    }
    let refused: Vec<Refused> = json(&folder().join("errors.json"));
    assert!(refused.len() > 20);
    let mut made = Vec::new();
    let mut text2img = Pipelines::<StableDiffusionXLPipeline>::new();
    let mut img2img = Pipelines::<StableDiffusionXLImg2ImgPipeline>::new();
    let mut inpaint = Pipelines::<StableDiffusionXLInpaintPipeline>::new();
    let mut pix2pix = Pipelines::<StableDiffusionXLInstructPix2PixPipeline>::new();
    for Refused { pipeline, checkpoint, arguments, scheduler, error, message } in refused {
        if error == "none" {
            continue;
        }
        let call = Call { name: message, checkpoint, scheduler, arguments, timesteps: Vec::new() };
        let pipeline = match pipeline.as_str() {
            "text2img" => text2img.of(&call),
            "img2img" => img2img.of(&call),
            "inpaint" => inpaint.of(&call),
            "instruct_pix2pix" => pix2pix.of(&call),
            // Those of other pipelines have tests of their own.
            _ => continue,
        };
        match pipeline.and_then(|pipeline| pipeline.call(call.request())) {
            Ok(_) => made.push(format!("{:?}: {}", call.arguments, call.name)),
            Err(error) => println!("{error}\n    {}", call.name),
        }
    }
    assert!(made.is_empty(), "{}", made.join("\n"));
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
    let recorded = fixture::Recorded::open(&folder().join("unets.safetensors"));
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
    let recorded = fixture::Recorded::open(&folder().join("encoders.safetensors"));
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
fn the_refiner_is_no_base_model() {
    let folder = checkpoint("refiner");
    let mut pipeline = StableDiffusionXLPipeline::from_pretrained(folder.path().to_str().unwrap()).unwrap();
    let error = pipeline.call("a red apple").unwrap_err();
    assert!(error.to_string().contains("requires_aesthetics_score"), "{error}");
    let mut refiner = DiffusionPipeline::from_pretrained(folder.path().to_str().unwrap()).unwrap();
    let unknown = refiner.call(oxidiff::Request::new("x").with("width", 64)).unwrap_err();
    assert!(matches!(unknown, Error::UnknownArgument { .. }), "{unknown}");
}
