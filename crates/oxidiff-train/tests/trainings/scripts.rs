//! Compares trainings with recordings of diffusers' own example scripts: `tests/fixtures/training_scripts/record.py`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use oxidiff::training::{LowRankInit, LowRankLayers, LowRankTarget, StateFile, Trained};
use oxidiff::{
    CLIPTextModel, CLIPTextModelWithProjection, Config, ControlNetModel, Device, Generator, LoadOptions,
    Model, UNet2DConditionModel, UNet2DModel,
};
use oxidiff_train::{
    CommonOptions, ControlNetOptions, DreamBoothLoraOptions, DreamBoothLoraSdxlOptions, DreamBoothOptions,
    Outcome, PriorOptions, Result, Stop, TextToImageLoraOptions, TextToImageLoraSdxlOptions,
    TextToImageOptions, TextualInversionOptions, UnconditionalOptions, controlnet, dreambooth,
    dreambooth_lora, dreambooth_lora_sdxl, text_to_image, text_to_image_lora, text_to_image_lora_sdxl,
    textual_inversion, unconditional,
};
use serde::Deserialize;
use tempfile::TempDir;

/// Losses and weights are at most this far from PyTorch's, relatively.
const TOLERANCE: f64 = 1e-4;

/// What a script computed.
#[derive(Deserialize)]
pub struct Recorded {
    /// Of each batch.
    pub losses: Vec<f64>,
    learning_rates: Vec<f64>,
    #[serde(default)]
    ema_decays: Vec<f64>,
    files: Vec<String>,
    checkpoints: BTreeMap<String, Vec<String>>,
    #[serde(default)]
    model: serde_json::Value,
    #[serde(default)]
    model_seed: u64,
    #[serde(default)]
    weights: Weights,
    #[serde(default)]
    averages: Weights,
    /// Of some low-rank layers the shape, the norm, and the first values.
    #[serde(default)]
    lora: BTreeMap<String, (Vec<usize>, f64, Vec<f64>)>,
    /// The first values of some low-rank layers before the training.
    #[serde(default)]
    initial_lora: BTreeMap<String, Vec<f64>>,
    #[serde(default)]
    lora_tensors: usize,
    /// Of some tensors in kohya's layout the shape and the first values.
    #[serde(default)]
    kohya: BTreeMap<String, (Vec<usize>, Vec<f64>)>,
    #[serde(default)]
    kohya_tensors: usize,
    /// Fields of the configuration of PEFT beside the layers.
    #[serde(default)]
    pub peft: BTreeMap<String, serde_json::Value>,
    /// Settings of the model that were changed, by its parts.
    #[serde(default)]
    changed: BTreeMap<String, serde_json::Map<String, serde_json::Value>>,
    /// The vectors of the new word.
    #[serde(default)]
    learned: BTreeMap<String, Vec<Vec<f64>>>,
}

pub fn scripts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/training_scripts")
}

fn sd1() -> String {
    scripts().join("../pipelines/sd1").to_str().unwrap().to_owned()
}

fn xl() -> String {
    scripts().join("../stable_diffusion_xl/base").to_str().unwrap().to_owned()
}

/// A part of a pipeline.
pub fn part<M: Model>(pipeline: &str, name: &str) -> M {
    let options = LoadOptions { subfolder: Some(name.to_owned()), ..Default::default() };
    M::from_pretrained_with(pipeline, &options).unwrap()
}

/// A training in a folder of its own.
pub struct Run {
    pub recorded: Recorded,
    pub folder: TempDir,
}

impl Run {
    pub fn of(script: &str, name: &str) -> Self {
        let text = fs::read_to_string(scripts().join(format!("{script}.json"))).unwrap();
        let mut runs: BTreeMap<String, Recorded> = serde_json::from_str(&text).unwrap();
        Self { recorded: runs.remove(name).unwrap(), folder: tempfile::tempdir().unwrap() }
    }

    pub fn output(&self) -> PathBuf {
        self.folder.path().join("output")
    }

    /// Compares the log with what the script computed. An epoch has this many batches, a step `accumulated` of them.
    pub fn check_log(&self, outcome: Result<Outcome>, batches: usize, accumulated: usize) {
        let outcome = outcome.unwrap();
        assert!(matches!(outcome, Outcome::Complete(_)), "{outcome:?}");
        let log = fs::read_dir(self.output().join("logs")).unwrap().next().unwrap().unwrap().path();
        let mut reader = csv::Reader::from_path(log.join("metrics.csv")).unwrap();
        let headers = reader.headers().unwrap().clone();
        let rows: Vec<csv::StringRecord> = reader.records().map(|row| row.unwrap()).collect();
        let check = |name: &str, expected: &[f64], tolerance: f64| {
            let column = headers.iter().position(|header| header == name).unwrap();
            assert_eq!(rows.len(), expected.len(), "{name}");
            for (step, (row, theirs)) in rows.iter().zip(expected).enumerate() {
                let ours: f64 = row[column].parse().unwrap();
                let limit = tolerance * theirs.abs();
                assert!((ours - theirs).abs() <= limit, "{name} of step {step}: {ours}, theirs is {theirs}");
            }
        };
        // A step does not reach into the next epoch.
        let steps = self.recorded.losses.chunks(batches).flat_map(|epoch| epoch.chunks(accumulated));
        let losses: Vec<f64> = steps.map(|parts| parts.iter().sum::<f64>() / parts.len() as f64).collect();
        check("loss", &losses, TOLERANCE);
        check("lr", &self.recorded.learning_rates, 1e-6);
        if headers.iter().any(|header| header == "ema_decay") {
            check("ema_decay", &self.recorded.ema_decays, 1e-6);
        }
        for file in &self.recorded.files {
            assert!(self.output().join(file).is_file(), "{file}");
        }
        for checkpoint in self.recorded.checkpoints.keys() {
            assert!(self.output().join(checkpoint).is_dir(), "{checkpoint}");
        }
    }

    /// Compares the layers that a training of Stable Diffusion begins with, which draw from the generator of its seed.
    fn check_initial_lora(&self, seed: u64, rank: usize, with_text: bool) {
        let mut generator = Generator::manual_seed(seed);
        let mut all = vec![layers(&mut part::<UNet2DConditionModel>(&sd1(), "unet"), rank, &mut generator)];
        if with_text {
            let mut text_encoder: CLIPTextModel = part(&sd1(), "text_encoder");
            all.push(layers(&mut text_encoder, rank, &mut generator));
        }
        self.check_initial_layers(all);
    }

    /// As [`Self::check_initial_lora`], for Stable Diffusion XL.
    fn check_initial_lora_xl(&self, seed: u64, rank: usize, with_text: bool) {
        let mut generator = Generator::manual_seed(seed);
        let mut all = vec![layers(&mut part::<UNet2DConditionModel>(&xl(), "unet"), rank, &mut generator)];
        if with_text {
            let mut text_encoder: CLIPTextModel = part(&xl(), "text_encoder");
            let mut text_encoder_2: CLIPTextModelWithProjection = part(&xl(), "text_encoder_2");
            all.push(layers(&mut text_encoder, rank, &mut generator));
            all.push(layers(&mut text_encoder_2, rank, &mut generator));
        }
        self.check_initial_layers(all);
    }

    pub fn check_initial_layers(&self, all: Vec<LowRankLayers>) {
        let mut compared = 0;
        for layers in all {
            layers.each(&mut |name, values| {
                let name = name.replace(".weight", ".default.weight");
                let Some(first) = self.recorded.initial_lora.get(&name) else { return };
                for (ours, theirs) in values.iter().zip(first) {
                    assert!((f64::from(*ours) - theirs).abs() < 1e-6, "{name}: {ours}, theirs is {theirs}");
                }
                compared += 1;
            });
        }
        assert_eq!(compared, self.recorded.initial_lora.len());
    }

    /// Compares the file in kohya's layout.
    fn check_kohya(&self) {
        let file = StateFile::open(&self.output().join("pytorch_lora_weights_kohya.safetensors")).unwrap();
        assert_eq!(file.names().count(), self.recorded.kohya_tensors);
        let is_alpha = |name: &&String| name.ends_with(".alpha");
        assert!(self.recorded.kohya.keys().any(|name| is_alpha(&name)));
        assert!(self.recorded.kohya.keys().any(|name| !is_alpha(&name)));
        for (name, (shape, first)) in &self.recorded.kohya {
            assert_eq!(file.shape(name), Some(shape.as_slice()), "{name}");
            let values = file.f32(name).unwrap();
            let norm = values.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
            for (ours, theirs) in values.iter().zip(first) {
                let apart = (f64::from(*ours) - theirs).abs();
                assert!(apart <= TOLERANCE * norm, "{name}: {ours}, theirs is {theirs}");
            }
        }
    }

    pub fn check_lora(&self) {
        let file = StateFile::open(&self.output().join("pytorch_lora_weights.safetensors")).unwrap();
        assert_eq!(file.names().count(), self.recorded.lora_tensors);
        assert!(!self.recorded.lora.is_empty());
        for (name, (shape, norm, first)) in &self.recorded.lora {
            let values = file.f32(name).unwrap();
            assert_eq!(values.len(), shape.iter().product::<usize>(), "{name}");
            let ours = values.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
            assert!((ours - norm).abs() <= TOLERANCE * norm, "{name}: {ours}, theirs is {norm}");
            for (ours, theirs) in values.iter().zip(first) {
                let apart = (f64::from(*ours) - theirs).abs();
                assert!(apart <= TOLERANCE * norm, "{name}: {ours}, theirs is {theirs}");
            }
        }
    }
}

fn layers(model: &mut impl LowRankTarget, rank: usize, generator: &mut Generator) -> LowRankLayers {
    LowRankLayers::new(model, rank, rank as f64, LowRankInit::Gaussian, generator).unwrap()
}

/// Of some weights the norm, the norm of their change, and the first values.
type Weights = BTreeMap<String, (f64, f64, Vec<f64>)>;

/// Compares the parameters of models with the script's.
fn check_weights(what: &str, expected: &Weights, models: &[&dyn Parameters]) {
    assert!(!expected.is_empty());
    let mut compared = 0;
    for model in models {
        model.each(&mut |name, values| {
            let Some((norm, change, first)) = expected.get(name) else { return };
            let ours = values.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
            let limit = TOLERANCE * norm;
            assert!((ours - norm).abs() <= limit, "{what} {name}: the norm is {ours}, theirs is {norm}");
            // A small part of what the training changed, but no less than single precision tells apart.
            let limit = limit.min(0.05 * change).max(1e-6 * norm);
            for (ours, theirs) in values.iter().zip(first) {
                let apart = (f64::from(*ours) - theirs).abs();
                assert!(apart <= limit, "{what} {name}: {ours}, theirs is {theirs}, and changed by {change}");
            }
            compared += 1;
        });
    }
    assert_eq!(compared, expected.len(), "{what}: all names of the record");
}

/// A model whose parameters can be listed.
trait Parameters {
    fn each(&self, each: &mut dyn FnMut(&str, Vec<f32>));
}

impl<T: Trained> Parameters for T {
    fn each(&self, each: &mut dyn FnMut(&str, Vec<f32>)) {
        self.read(&mut |name, _, values| each(name, values));
    }
}

fn load<M: Model>(folder: PathBuf) -> M {
    M::from_pretrained(folder.to_str().unwrap()).unwrap()
}

pub fn set(options: &mut CommonOptions, seed: u32, steps: u64, learning_rate: f64) {
    options.seed = Some(seed);
    options.resolution = 64;
    options.lr_warmup_steps = 0;
    options.no_progress = true;
    options.max_train_steps = Some(steps);
    options.learning_rate = learning_rate;
    options.train_batch_size = 2;
    options.checkpointing_steps = 5;
}

pub fn set_prior(options: &mut PriorOptions) {
    options.with_prior_preservation = true;
    options.class_data_dir = Some(scripts().join("class"));
    options.class_prompt = Some("a photo of a house".to_owned());
    options.num_class_images = 4;
    options.prior_loss_weight = 0.5;
}

/// The weights that the recording draws for a model: from one generator, in the order of their names.
fn initialized(config: &serde_json::Value, seed: u64, folder: &Path) -> PathBuf {
    fs::create_dir_all(folder).unwrap();
    let file = folder.join("config.json");
    fs::write(&file, config.to_string()).unwrap();
    let model = UNet2DModel::from_config(&Config::from_file(&file).unwrap(), &Device::flex()).unwrap();
    let mut shapes = BTreeMap::new();
    model.read(&mut |name, shape, _| _ = shapes.insert(name.to_owned(), shape.to_vec()));
    let mut generator = Generator::manual_seed(seed);
    let mut drawn = BTreeMap::new();
    for (name, shape) in shapes {
        let count = shape.iter().product();
        let of_row = (count / shape[0]) as f64;
        let adjust = |x: f32| match () {
            () if shape.len() >= 2 => (f64::from(x) / of_row.sqrt()) as f32,
            () if name.ends_with(".bias") => (f64::from(x) * 0.05) as f32,
            () => (1.0 + f64::from(x) * 0.05) as f32,
        };
        let values: Vec<f32> = generator.randn_vec::<f32>(count).into_iter().map(adjust).collect();
        drawn.insert(name, values);
    }
    let model = model.changed(&mut |name, values| *values = drawn.remove(name).unwrap());
    model.save_pretrained(folder).unwrap();
    folder.to_path_buf()
}

fn unconditional_options(run: &Run) -> UnconditionalOptions {
    let mut options = UnconditionalOptions::new(scripts().join("images"), run.output());
    let folder = run.folder.path().join("model");
    let model = initialized(&run.recorded.model, run.recorded.model_seed, &folder);
    options.pretrained_model_name_or_path = Some(model.to_str().unwrap().to_owned());
    options.use_ema = true;
    options.ddpm_num_inference_steps = 2;
    options.eval_batch_size = 1;
    options.save_images_epochs = 1000;
    options.save_model_epochs = 1000;
    options.common.resolution = 16;
    options.common.train_batch_size = 2;
    options.common.learning_rate = 1e-3;
    options.common.seed = Some(0);
    options.common.no_progress = true;
    options
}

#[test]
fn an_unconditional_model_is_that_of_the_script() {
    let run = Run::of("unconditional", "plain");
    let mut options = unconditional_options(&run);
    options.dataset.center_crop = true;
    options.common.num_train_epochs = 10;
    options.common.lr_warmup_steps = 5;
    options.common.checkpointing_steps = 50;
    run.check_log(unconditional(&options, &Stop::default()), 5, 1);
    let trained: UNet2DModel = load(run.output().join("checkpoint-50/unet"));
    check_weights("the weight", &run.recorded.weights, &[&trained]);
    let averages: UNet2DModel = load(run.output().join("checkpoint-50/unet_ema"));
    check_weights("the average of", &run.recorded.averages, &[&averages]);
    let result: UNet2DModel = load(run.output().join("unet"));
    check_weights("the result", &run.recorded.averages, &[&result]);
}

#[test]
fn an_unconditional_model_of_accumulated_batches_is_that_of_the_script() {
    let run = Run::of("unconditional", "accumulate");
    let mut options = unconditional_options(&run);
    options.dataset.random_flip = true;
    options.common.num_train_epochs = 4;
    options.common.gradient_accumulation_steps = 2;
    options.common.lr_warmup_steps = 2;
    options.common.checkpointing_steps = 12;
    options.prediction_type = "sample".to_owned();
    options.ddpm_num_steps = 200;
    options.ddpm_beta_schedule = "squaredcos_cap_v2".to_owned();
    run.check_log(unconditional(&options, &Stop::default()), 5, 2);
    let trained: UNet2DModel = load(run.output().join("checkpoint-12/unet"));
    check_weights("the weight", &run.recorded.weights, &[&trained]);
}

#[test]
fn low_rank_layers_are_those_of_the_script() {
    let run = Run::of("text_to_image_lora", "plain");
    let mut options = TextToImageLoraOptions::new(&sd1(), scripts().join("images"), run.output());
    set(&mut options.common, 7, 50, 1e-3);
    options.common.checkpointing_steps = 50;
    options.dataset.random_flip = true;
    options.noise_offset = 0.1;
    run.check_initial_lora(7, 4, false);
    run.check_log(text_to_image_lora(&options, &Stop::default()), 5, 1);
    run.check_lora();
}

#[test]
fn low_rank_layers_with_weighted_losses_are_those_of_the_script() {
    let run = Run::of("text_to_image_lora", "snr");
    let mut options = TextToImageLoraOptions::new(&sd1(), scripts().join("images"), run.output());
    set(&mut options.common, 7, 8, 1e-3);
    options.common.lr_warmup_steps = 2;
    options.common.lr_scheduler = "linear".to_owned();
    options.common.gradient_accumulation_steps = 2;
    options.dataset.center_crop = true;
    options.dataset.folder.max_train_samples = Some(7);
    options.rank = 2;
    options.snr_gamma = Some(5.0);
    options.prediction_type = Some("v_prediction".to_owned());
    options.image_interpolation_mode = "bicubic".to_owned();
    run.check_log(text_to_image_lora(&options, &Stop::default()), 4, 2);
    run.check_lora();
}

#[test]
fn low_rank_layers_of_xl_are_those_of_the_script() {
    let run = Run::of("text_to_image_lora_sdxl", "plain");
    let mut options = TextToImageLoraSdxlOptions::new(&xl(), scripts().join("images"), run.output());
    set(&mut options.common, 8, 10, 1e-3);
    options.dataset.random_flip = true;
    options.noise_offset = 0.1;
    run.check_initial_lora_xl(8, 4, false);
    run.check_log(text_to_image_lora_sdxl(&options, &Stop::default()), 5, 1);
    run.check_lora();
}

#[test]
fn low_rank_layers_of_xl_and_its_text_encoders_are_those_of_the_script() {
    let run = Run::of("text_to_image_lora_sdxl", "text_encoders");
    let mut options = TextToImageLoraSdxlOptions::new(&xl(), scripts().join("images"), run.output());
    set(&mut options.common, 8, 4, 1e-3);
    options.common.lr_warmup_steps = 1;
    options.common.lr_scheduler = "linear".to_owned();
    options.common.gradient_accumulation_steps = 2;
    options.common.checkpointing_steps = 4;
    options.dataset.center_crop = true;
    options.dataset.folder.max_train_samples = Some(7);
    options.train_text_encoder = true;
    options.rank = 2;
    options.snr_gamma = Some(5.0);
    run.check_initial_lora_xl(8, 2, true);
    run.check_log(text_to_image_lora_sdxl(&options, &Stop::default()), 4, 2);
    run.check_lora();
}

#[test]
fn a_finetuned_model_is_that_of_the_script() {
    let run = Run::of("text_to_image", "full");
    let mut options = TextToImageOptions::new(&sd1(), scripts().join("images"), run.output());
    set(&mut options.common, 5, 10, 1e-4);
    // The script draws random numbers when it writes an average, which changes what is drawn after it.
    options.common.checkpointing_steps = 10;
    options.dataset.random_flip = true;
    options.use_ema = true;
    options.snr_gamma = Some(5.0);
    options.input_perturbation = 0.1;
    options.noise_offset = 0.05;
    run.check_log(text_to_image(&options, &Stop::default()), 5, 1);
    let average: UNet2DConditionModel = load(run.output().join("checkpoint-10/unet_ema"));
    check_weights("the average of", &run.recorded.averages, &[&average]);
    let result: UNet2DConditionModel = load(run.output().join("unet"));
    // In the end, the script's model has the averages too.
    check_weights("the result", &run.recorded.weights, &[&result]);
}

#[test]
fn a_subject_with_its_class_is_learned_as_by_the_script() {
    let run = Run::of("dreambooth", "prior");
    let prompt = "a photo of sks house";
    let mut options = DreamBoothOptions::new(&sd1(), scripts().join("instance"), prompt, run.output());
    set(&mut options.common, 3, 50, 1e-4);
    options.common.train_batch_size = 1;
    options.common.checkpointing_steps = 50;
    set_prior(&mut options.subject.prior);
    run.check_log(dreambooth(&options, &Stop::default()), 4, 1);
    let trained: UNet2DConditionModel = load(run.output().join("unet"));
    check_weights("the weight", &run.recorded.weights, &[&trained]);
}

#[test]
fn a_subject_is_learned_by_the_text_encoder_as_by_the_script() {
    let run = Run::of("dreambooth", "text_encoder");
    let prompt = "a photo of sks house";
    let mut options = DreamBoothOptions::new(&sd1(), scripts().join("instance"), prompt, run.output());
    set(&mut options.common, 3, 10, 1e-4);
    options.common.train_batch_size = 1;
    options.common.lr_scheduler = "polynomial".to_owned();
    options.common.lr_power = 2.0;
    options.common.gradient_accumulation_steps = 2;
    options.subject.train_text_encoder = true;
    options.subject.center_crop = true;
    options.offset_noise = true;
    run.check_log(dreambooth(&options, &Stop::default()), 3, 2);
    let unet: UNet2DConditionModel = load(run.output().join("unet"));
    let text_encoder: CLIPTextModel = load(run.output().join("text_encoder"));
    check_weights("the weight", &run.recorded.weights, &[&unet, &text_encoder]);
}

#[test]
fn low_rank_layers_for_a_subject_are_those_of_the_script() {
    let run = Run::of("dreambooth_lora", "prior");
    let prompt = "a photo of sks house";
    let mut options = DreamBoothLoraOptions::new(&sd1(), scripts().join("instance"), prompt, run.output());
    set(&mut options.common, 3, 10, 1e-3);
    options.common.train_batch_size = 1;
    set_prior(&mut options.subject.prior);
    options.subject.train_text_encoder = true;
    options.rank = 2;
    run.check_initial_lora(3, 2, true);
    run.check_log(dreambooth_lora(&options, &Stop::default()), 4, 1);
    run.check_lora();
}

/// The training that was recorded, with its model and its settings. An epoch has this many batches.
fn check_subject_of_xl(
    name: &str,
    steps: u64,
    batches: usize,
    set_options: impl FnOnce(&mut DreamBoothLoraSdxlOptions),
) -> Run {
    let run = Run::of("dreambooth_lora_sdxl", name);
    let model = changed_xl(&run.recorded.changed, &run.folder.path().join("model"));
    let prompt = "a photo of sks house";
    let mut options =
        DreamBoothLoraSdxlOptions::new(&model, scripts().join("instance"), prompt, run.output());
    set(&mut options.common, 3, steps, 1e-3);
    options.common.train_batch_size = 1;
    options.rank = 2;
    set_options(&mut options);
    run.check_initial_lora_xl(3, options.rank as usize, options.train_text_encoder);
    let accumulated = options.common.gradient_accumulation_steps as usize;
    run.check_log(dreambooth_lora_sdxl(&options, &Stop::default()), batches, accumulated);
    run.check_lora();
    run
}

/// The small model with other settings in the configurations of its parts.
fn changed_xl(parts: &BTreeMap<String, serde_json::Map<String, serde_json::Value>>, folder: &Path) -> String {
    fn copy(from: &Path, to: &Path) {
        fs::create_dir_all(to).unwrap();
        for entry in fs::read_dir(from).unwrap().map(|entry| entry.unwrap()) {
            let (path, target) = (entry.path(), to.join(entry.file_name()));
            if path.is_dir() { copy(&path, &target) } else { _ = fs::copy(path, target) }
        }
    }
    let change = |file: PathBuf, change: &dyn Fn(&mut serde_json::Value)| {
        let mut config = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
        change(&mut config);
        fs::write(&file, config.to_string()).unwrap();
    };
    copy(Path::new(&xl()), folder);
    for (part, settings) in parts {
        let file = if part == "scheduler" { "scheduler_config.json" } else { "config.json" };
        change(folder.join(part).join(file), &|config| {
            config.as_object_mut().unwrap().extend(settings.clone());
        });
        if let (Some(class), "scheduler") = (settings.get("_class_name"), part.as_str()) {
            change(folder.join("model_index.json"), &|index| index["scheduler"][1] = class.clone());
        }
    }
    folder.to_str().unwrap().to_owned()
}

#[test]
fn low_rank_layers_of_xl_for_a_subject_are_those_of_the_script() {
    let run = check_subject_of_xl("plain", 7, 3, |options| {
        options.common.train_batch_size = 2;
        options.rank = 4;
        options.instances.repeats = 2;
        options.random_flip = true;
        options.output_kohya_format = true;
    });
    run.check_kohya();
}

#[test]
fn low_rank_layers_of_xl_for_a_subject_and_its_class_are_those_of_the_script() {
    check_subject_of_xl("prior", 6, 4, |options| {
        set_prior(&mut options.prior);
        options.common.checkpointing_steps = 6;
        options.common.learning_rate = 2e-3;
        options.common.lr_scheduler = "polynomial".to_owned();
        options.common.lr_power = 2.0;
        options.common.adam_weight_decay = 0.1;
        options.train_text_encoder = true;
        options.text_encoder_lr = 5e-4;
        options.adam_weight_decay_text_encoder = 0.5;
    });
}

#[test]
fn low_rank_layers_of_xl_for_a_subject_with_captions_are_those_of_the_script() {
    check_subject_of_xl("captions", 4, 5, |options| {
        options.instances.instance_data_dir = None;
        options.instances.dataset_name = Some(scripts().join("images"));
        options.instances.caption_column = Some("text".to_owned());
        options.common.train_batch_size = 2;
        options.common.gradient_accumulation_steps = 2;
        options.common.lr_scheduler = "linear".to_owned();
        options.common.checkpointing_steps = 4;
        options.center_crop = true;
        options.snr_gamma = Some(5.0);
    });
}

#[test]
fn the_training_of_edm_is_that_of_the_script() {
    check_subject_of_xl("edm", 4, 3, |options| {
        options.common.train_batch_size = 2;
        options.common.checkpointing_steps = 4;
        options.instances.repeats = 2;
        options.do_edm_style_training = true;
    });
    check_subject_of_xl("edm_velocity", 3, 3, |options| {
        options.common.checkpointing_steps = 3;
        options.do_edm_style_training = true;
    });
}

#[test]
fn the_training_of_a_model_of_edm_is_that_of_the_script() {
    check_subject_of_xl("edm_scheduler", 4, 4, |options| {
        options.common.checkpointing_steps = 4;
        set_prior(&mut options.prior);
    });
}

#[test]
fn a_word_is_learned_as_by_the_script() {
    let run = Run::of("textual_inversion", "object");
    let images = scripts().join("instance");
    let mut options = TextualInversionOptions::new(&sd1(), images, "<house>", "apple", run.output());
    set(&mut options.common, 9, 10, 5e-3);
    options.num_vectors = 2;
    options.repeats = 2;
    options.save_steps = 5;
    run.check_log(textual_inversion(&options, &Stop::default()), 3, 1);
    let file = StateFile::open(&run.output().join("learned_embeds.safetensors")).unwrap();
    assert_eq!(run.recorded.learned.len(), 1);
    for (name, vectors) in &run.recorded.learned {
        let (ours, theirs) = (file.f32(name).unwrap(), vectors.concat());
        let norm = theirs.iter().map(|x| x * x).sum::<f64>().sqrt();
        assert_eq!(ours.len(), theirs.len());
        for (ours, theirs) in ours.iter().zip(&theirs) {
            assert!(
                (f64::from(*ours) - theirs).abs() <= TOLERANCE * norm,
                "{name}: {ours}, theirs is {theirs}"
            );
        }
    }
}

#[test]
fn a_controlnet_is_that_of_the_script() {
    let run = Run::of("controlnet", "plain");
    let mut options = ControlNetOptions::new(&sd1(), scripts().join("control"), run.output());
    set(&mut options.common, 4, 10, 1e-3);
    options.proportion_empty_prompts = 0.3;
    run.check_log(controlnet(&options, &Stop::default()), 2, 1);
    let trained: ControlNetModel = load(run.output());
    check_weights("the weight", &run.recorded.weights, &[&trained]);
}
